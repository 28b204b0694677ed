//! One opened container, whatever its kind.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::file::SourceReader;
use crate::origin::{Dictionary, Origin};
use crate::sniff::{self, Detected};
use crate::state_dict::StateDict;
use crate::warning::Warning;
use crate::{Error, Result};

/// The kinds of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// A safetensors file.
    Safetensors,
    /// What `torch.save` writes since version 1.6.
    TorchZip,
    /// What it wrote before.
    TorchLegacy,
    /// HDF5: weights of Keras and of TensorFlow models.
    Hdf5,
    /// msgpack: weights of Flax models.
    Msgpack,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "PyTorch checkpoint (zip)",
            Self::TorchLegacy => "PyTorch checkpoint (legacy)",
            Self::Hdf5 => "HDF5",
            Self::Msgpack => "msgpack",
        })
    }
}

/// A name of a class or function in a checkpoint that zoo does not know to be data. Zoo only notes it; loading the file
/// in Python with `weights_only=False` would import it, and call it if the pickle says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignGlobal {
    /// The module: `os`.
    pub module: String,
    /// The name in it: `system`.
    pub name: String,
    /// How often the pickle names it.
    pub mentions: u64,
    /// How often it would have been called, or instances of it made.
    pub calls: u64,
}

impl fmt::Display for ForeignGlobal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)?;
        match self.calls {
            0 => f.write_str(" (never called)"),
            1 => f.write_str(" (called once)"),
            calls => write!(f, " (called {calls} times)"),
        }
    }
}

/// A container whose table of contents was read. Its weights stay in the file.
#[derive(Debug)]
pub struct Checkpoint {
    file: Arc<SourceReader>,
    container: Container,
    content: Content,
    dictionaries: Vec<Dictionary>,
    origin: Origin,
    foreign: Vec<ForeignGlobal>,
    warnings: Vec<Warning>,
    taken: OnceLock<StateDict>,
}

#[derive(Debug)]
enum Content {
    #[cfg(feature = "safetensors")]
    Safetensors(StateDict),
    #[cfg(feature = "torch")]
    Torch { torch: Box<crate::torch::Torch>, ids: Vec<crate::pickle::Id> },
    #[cfg(feature = "hdf5")]
    Hdf5(crate::hdf5::Weights),
    #[cfg(feature = "msgpack")]
    Msgpack(crate::msgpack::Msgpack),
}

/// Opens a weight container: a safetensors file, a PyTorch checkpoint, or an HDF5 or msgpack file, by its bytes. Reads its
/// table of contents and (PyTorch) the pickle, no weights.
///
/// # Errors
/// If the file cannot be read, is something else ([`Error::NotACheckpoint`] says what), or is damaged.
pub fn open(path: &Path) -> Result<Checkpoint> {
    let file = Arc::new(SourceReader::open(path)?);
    match sniff::detect(&file)? {
        #[cfg(feature = "safetensors")]
        Detected::Safetensors => {
            let weights = crate::tensors::read(&file)?;
            let dictionary = Dictionary {
                path: String::new(),
                tensors: weights.len(),
                module: None,
                ema: false,
                prefix: String::new(),
                others: 0,
                skipped: Vec::new(),
            };
            let content = Content::Safetensors(weights);
            Ok(Checkpoint::of_one(file, Container::Safetensors, content, dictionary, Vec::new()))
        }
        #[cfg(feature = "hdf5")]
        Detected::Hdf5 => {
            let weights = crate::hdf5::Weights::read(&file)?;
            let (dictionary, beside) = (weights.dictionary(), weights.beside().to_vec());
            Ok(Checkpoint::of_one(file, Container::Hdf5, Content::Hdf5(weights), dictionary, beside))
        }
        #[cfg(feature = "msgpack")]
        Detected::Msgpack => {
            let msgpack = crate::msgpack::Msgpack::read(&file)?;
            let dictionary = msgpack.dictionary();
            Ok(Checkpoint::of_one(
                file,
                Container::Msgpack,
                Content::Msgpack(msgpack),
                dictionary,
                Vec::new(),
            ))
        }
        #[cfg(feature = "torch")]
        Detected::TorchZip(archive) => {
            let torch = crate::torch::Torch::zip(&file, archive)?;
            Checkpoint::of_torch(file, Container::TorchZip, torch)
        }
        #[cfg(feature = "torch")]
        Detected::TorchLegacy => {
            let torch = crate::torch::Torch::legacy(&file)?;
            Checkpoint::of_torch(file, Container::TorchLegacy, torch)
        }
        Detected::TorchZipUnread(Some(error)) => Err(error),
        Detected::Other(looks) => Err(Error::NotACheckpoint { path: path.to_owned(), looks }),
        #[cfg(not(feature = "safetensors"))]
        Detected::Safetensors => Err(Error::LeftOut { path: path.to_owned(), container: "safetensors" }),
        #[cfg(not(feature = "hdf5"))]
        Detected::Hdf5 => Err(Error::LeftOut { path: path.to_owned(), container: "hdf5" }),
        #[cfg(not(feature = "msgpack"))]
        Detected::Msgpack => Err(Error::LeftOut { path: path.to_owned(), container: "msgpack" }),
        #[cfg(not(feature = "torch"))]
        Detected::TorchLegacy => Err(Error::LeftOut { path: path.to_owned(), container: "torch" }),
        Detected::TorchZipUnread(None) => Err(Error::LeftOut { path: path.to_owned(), container: "torch" }),
    }
}

impl Checkpoint {
    /// A container that has one dictionary.
    #[cfg(any(feature = "hdf5", feature = "msgpack", feature = "safetensors"))]
    fn of_one(
        file: Arc<SourceReader>,
        container: Container,
        content: Content,
        dictionary: Dictionary,
        beside: Vec<String>,
    ) -> Self {
        Self {
            file,
            container,
            content,
            dictionaries: vec![dictionary.clone()],
            origin: Origin { taken: Some(dictionary), beside },
            foreign: Vec::new(),
            warnings: Vec::new(),
            taken: OnceLock::new(),
        }
    }

    #[cfg(feature = "torch")]
    fn of_torch(
        file: Arc<SourceReader>,
        container: Container,
        mut torch: crate::torch::Torch,
    ) -> Result<Self> {
        let contents = torch.contents(&file)?;
        let warnings = std::mem::take(&mut torch.warnings);
        Ok(Self {
            file,
            container,
            content: Content::Torch { torch: Box::new(torch), ids: contents.ids },
            dictionaries: contents.dictionaries,
            origin: contents.origin,
            foreign: contents.foreign,
            warnings,
            taken: OnceLock::new(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The kind of container.
    pub fn container(&self) -> Container {
        self.container
    }

    /// The state dict: the weights of the network that the file is about. [`Checkpoint::origin`] says where it was found.
    ///
    /// # Errors
    /// If there is none, nothing says which of several is meant, or a tensor of it cannot be taken.
    pub fn state_dict(&self) -> Result<&StateDict> {
        if let Some(weights) = self.taken.get() {
            return Ok(weights);
        }
        let path = || self.path().to_owned();
        let Some(taken) = &self.origin.taken else {
            return Err(if self.dictionaries.is_empty() {
                Error::NoStateDict { path: path(), holds: self.holds() }
            } else {
                Error::Ambiguous { path: path(), paths: self.paths() }
            });
        };
        let weights = self.state_dict_at(&taken.path)?;
        Ok(self.taken.get_or_init(|| weights))
    }

    /// Where the state dict was found, and what else the file holds.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// All dictionaries of tensors and all networks in the file: moving averages, the parts of a pair of networks.
    pub fn dictionaries(&self) -> &[Dictionary] {
        &self.dictionaries
    }

    /// One of [`Checkpoint::dictionaries`], by its path.
    ///
    /// # Errors
    /// If there is none of this path, or a tensor of it cannot be taken.
    pub fn state_dict_at(&self, path: &str) -> Result<StateDict> {
        let missing = || Error::NoSuchDictionary {
            path: self.path().to_owned(),
            asked: path.to_owned(),
            known: self.paths(),
        };
        match &self.content {
            #[cfg(feature = "safetensors")]
            Content::Safetensors(weights) if path.is_empty() => Ok(weights.clone()),
            #[cfg(feature = "safetensors")]
            Content::Safetensors(_) => Err(missing()),
            #[cfg(feature = "hdf5")]
            Content::Hdf5(weights) if self.paths() == [path] => weights.take(&self.file),
            #[cfg(feature = "hdf5")]
            Content::Hdf5(_) => Err(missing()),
            #[cfg(feature = "msgpack")]
            Content::Msgpack(msgpack) if path.is_empty() => msgpack.take(&self.file),
            #[cfg(feature = "msgpack")]
            Content::Msgpack(_) => Err(missing()),
            #[cfg(feature = "torch")]
            Content::Torch { torch, ids } => {
                let mut all = self.dictionaries.iter().zip(ids);
                let found = all.find(|(dictionary, _)| dictionary.path == path);
                let (dictionary, id) = found.ok_or_else(missing)?;
                torch.take(&self.file, dictionary, *id)
            }
        }
    }

    /// The names of classes and functions that are not known to be data, in the order of their first mention: what a safety
    /// scan would list. A file of weights has none.
    pub fn foreign_globals(&self) -> &[ForeignGlobal] {
        &self.foreign
    }

    /// What is odd about the container.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Reads the whole file and compares all checksums that the container has (only the zip container has any). What is
    /// wrong is returned as warnings: see [`Warning::Checksum`].
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn check(&self) -> Result<Vec<Warning>> {
        match &self.content {
            #[cfg(feature = "safetensors")]
            Content::Safetensors(_) => Ok(Vec::new()),
            // What has a checksum was compared when it was read.
            #[cfg(feature = "hdf5")]
            Content::Hdf5(_) => Ok(Vec::new()),
            #[cfg(feature = "msgpack")]
            Content::Msgpack(_) => Ok(Vec::new()),
            #[cfg(feature = "torch")]
            Content::Torch { torch, .. } => torch.check(&self.file),
        }
    }

    fn paths(&self) -> Vec<String> {
        self.dictionaries.iter().map(|dictionary| dictionary.path.clone()).collect()
    }

    /// What a file without a state dict holds, for people.
    fn holds(&self) -> String {
        let kind = match &self.content {
            #[cfg(feature = "safetensors")]
            Content::Safetensors(_) => self.container.to_string(),
            #[cfg(feature = "hdf5")]
            Content::Hdf5(_) => self.container.to_string(),
            #[cfg(feature = "msgpack")]
            Content::Msgpack(_) => self.container.to_string(),
            #[cfg(feature = "torch")]
            Content::Torch { torch, .. } => torch.root_kind(),
        };
        let keys: Vec<_> = self.origin.beside.iter().take(5).map(|key| format!("\"{key}\"")).collect();
        if keys.is_empty() { kind } else { format!("{kind} with {}", keys.join(", ")) }
    }
}
