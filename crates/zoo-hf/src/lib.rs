//! Models of the Hugging Face hub, up to verified files in the store.
//!
//! - [`Hub`]: from a handle to the wanted files of one commit, the hub's own cache included.
//! - [`select`]: which files are wanted, and what is refused before anything large is fetched.
//! - [`listing`]: the files of a commit, with sizes and digests.
//! - [`Model`]: what was pulled.
//!
//! ```no_run
//! # async fn example() -> Result<(), zoo_hf::Error> {
//! use zoo_hf::select::Wanted;
//!
//! let zoo = zoo_core::Zoo::open(zoo_core::ZooConfig::new("models-of-mine"));
//! let hub = zoo_hf::Hub::new(&zoo);
//! let model = hub.pull(&"hf:sentence-transformers/all-MiniLM-L6-v2".parse()?, &Wanted::default()).await?;
//! println!("{}", model.originals().display());
//! # Ok(()) }
//! ```

mod api;
mod cache;
mod error;
mod facts;
mod hub;
pub mod listing;
pub mod local;
mod model;
mod name;
mod names;
mod preprocess;
mod published;
mod pull;
pub mod select;
pub mod stage;
mod staged;

pub use api::Info;
pub use error::{Error, Gate, Result};
pub use hub::{HfConfig, Hub, Listing, Resolution};
pub use model::Model;
