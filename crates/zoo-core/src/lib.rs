//! Find, fetch, verify and keep model files: bytes only, never what is in them, and no hub by name.
//!
//! - [`handle`]: what a person types; [`handle::nearest`] answers typing mistakes.
//! - [`remote`]: what a hub says about a file. Hub crates make [`remote::RemoteFile`]s, and that is all they need to do.
//! - [`http`], [`fetch`]: the one place that talks to servers for files: redirects, tokens, retries, resuming, ranges, digests.
//! - [`store`], [`manifest`]: where files live, and what is known of them. A name in the store is a promise.
//! - [`stage`]: the targets and options by name, for the ecosystem crates that honour them. [`folder`]: models outside the store.
//! - [`archive`]: zip, tar and gzip, bounded, with no way out of the folder.
//! - [`progress`]: what is happening, as events. [`error`]: what failed, on what, what now.
//!
//! ```no_run
//! # async fn example() -> zoo_core::error::Result<()> {
//! use zoo_core::{Zoo, ZooConfig, remote::RemoteFile, path::EntryPath, store::{Begin, ModelKey}};
//!
//! let zoo = Zoo::open(ZooConfig::new("models-of-mine"));
//! let key = ModelKey::new("onnx", "mnist-12", "5c688690f8ba")?;
//! if let Begin::Fresh(mut pull) = zoo.begin(&key).await? {
//!     let url = "https://example.org/mnist-12.onnx".parse().expect("a URL");
//!     pull.fetch(&[RemoteFile::new(EntryPath::new("mnist-12.onnx")?, url)]).await?;
//!     let model = pull.commit("onnx:mnist-12".into(), |manifest| manifest.model.licence = Some("Apache-2.0".into())).await?;
//!     println!("{}", model.folder.display());
//! }
//! # Ok(()) }
//! ```

pub mod archive;
mod blocking;
pub mod digest;
pub mod error;
pub mod fetch;
pub mod folder;
pub mod fs;
pub mod handle;
pub mod http;
pub mod manifest;
pub mod path;
pub mod progress;
pub mod remote;
pub mod stage;
pub mod store;
mod zoo;

pub use blocking::blocking;
pub use error::{Error, Result};
pub use zoo::{Zoo, ZooConfig};
