//! Every hub's wire protocol on loopback, filled from fixtures, with faults on demand.
//!
//! No hub can be reached from a test, so this crate answers as they do: the same routes, redirects, headers, error bodies
//! and oddities, each hub in a file of its own below `hubs`. Its honesty is itself tested: the hubs' own clients download from it
//! unmodified (`tests/it/python_clients.rs`).
//!
//! - [`MirrorBuilder`]: what is served, filled like a registry. [`Mirror`]: the running server; it stops when dropped.
//! - Every origin has a port of its own, so that redirects really change host. The proxy port answers `CONNECT` and speaks
//!   TLS in the real hosts' names, signed by a throwaway authority: clients with a proxy and that authority need no other
//!   configuration.
//! - [`FaultRule`]: cuts, stalls, lies and flipped bytes, by path and count. [`Logged`]: what was asked, by whom, how much was sent.
//!
//! ```
//! let mirror = zoo_mirror::Mirror::builder()
//!     .hf_repo("org/name", |repo| repo.lfs_file("model.bin", b"content".to_vec()).small_file("config.json", b"{}".to_vec()))
//!     .start()
//!     .expect("a free port");
//! println!("HF_ENDPOINT={}", mirror.hf_endpoint());
//! ```

mod admin;
mod body;
mod builder;
mod content;
mod faults;
mod hubs;
mod log;
mod proxy;
mod range;
mod server;

pub use builder::{HfRepoBuilder, MirrorBuilder, OnnxEntry, torch_name};
pub use content::Content;
pub use faults::{Fault, FaultRule};
pub use hubs::huggingface::Access;
pub use log::Logged;
pub use server::{Mirror, Role};

/// Why a mirror could not be started or filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A port could not be opened, or a fixture not read.
    #[error("the mirror cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A fixture is not what its folder promises.
    #[error("the fixture `{path}` cannot be used: {reason}")]
    Fixture {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate authority could not be made.
    #[error("the mirror's certificates cannot be made: {0}")]
    Certificates(String),
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
