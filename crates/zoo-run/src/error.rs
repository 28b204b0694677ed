//! Everything that can go wrong when a model is run, or its inputs and outputs are read.

use std::path::PathBuf;

use zoo_graph::Looks;
use zoo_tensor::{DType, Dim, Shape};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model could not be run, or tensors not be read, made, assigned or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be mapped, or a tensor not made.
    #[error(transparent)]
    Tensor(#[from] zoo_tensor::Error),

    /// The model or an ONNX tensor could not be read.
    #[error(transparent)]
    Graph(#[from] zoo_graph::Error),

    /// A file or folder could not be opened, listed, created or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The verb: "list", "create", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file that should hold tensors holds something else.
    #[error("{} holds no tensors: it looks like {looks}", path.display())]
    NotTensors {
        /// The file.
        path: PathBuf,
        /// What its first bytes say.
        looks: Looks,
    },

    /// A file that should hold tensors is a whole model.
    #[error("{} holds no tensors: it is an ONNX model", path.display())]
    IsModel {
        /// The file.
        path: PathBuf,
    },

    /// An array that is not as the numpy format says, or of a type that no tensor has.
    #[error("array {array}: {problem}")]
    BadArray {
        /// The file; inside a `.npz`, also the array's name there.
        array: String,
        /// What is wrong.
        problem: String,
    },

    /// An array of Python objects, which is a pickle.
    #[error("array {array} is a Python pickle, and no code from a file is run")]
    Pickle {
        /// The file; inside a `.npz`, also the array's name there.
        array: String,
    },

    /// A `.npz` file that is no sound zip archive.
    #[error("cannot read {} as .npz: {problem}", path.display())]
    BadArchive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },

    /// Something asks for more than is reasonable.
    #[error("{what} goes beyond the limit of {limit} {unit}")]
    TooMuch {
        /// What asks.
        what: String,
        /// The limit (see [`crate::limits`]).
        limit: u64,
        /// What is counted.
        unit: &'static str,
    },

    /// A test data set that is incomplete or contradicts itself.
    #[error("{} is no test data set: {problem}", path.display())]
    BadDataSet {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },

    /// Tensors that do not fit the model's ports. All problems are listed.
    #[error("the tensors do not fit the model: {}", problems.join("; "))]
    Unfit {
        /// What is wrong, one sentence each.
        problems: Vec<String>,
    },

    /// Inputs that cannot be made from what the model declares. All problems are listed.
    #[error("cannot make inputs: {}", problems.join("; "))]
    Generate {
        /// What is wrong, one sentence each.
        problems: Vec<String>,
    },

    /// A tensor that numpy's format cannot hold.
    #[error("cannot write {name} as a numpy array: {problem}")]
    Unwritable {
        /// The tensor's name.
        name: String,
        /// Why not.
        problem: String,
    },

    /// A file that holds no picture, or one that cannot be read.
    #[error("cannot read {picture} as a picture: {problem}")]
    Picture {
        /// The file.
        picture: String,
        /// What is wrong.
        problem: String,
    },

    /// Pictures that cannot be used as they are.
    #[error("the pictures cannot be used: {problem}")]
    Pictures {
        /// Why not.
        problem: String,
    },

    /// A recipe for pictures that makes no sense, or does not fit the model.
    #[error("the recipe for pictures cannot be followed: {problem}")]
    Recipe {
        /// Why not.
        problem: String,
    },

    /// A recipe that makes a tensor of another shape than the model takes.
    #[error("the recipe makes {made:?}, and the input \"{input}\" of the model takes {wanted}")]
    OtherSize {
        /// The model's input.
        input: String,
        /// The shape that comes out of the recipe.
        made: Vec<usize>,
        /// The shape that the model declares.
        wanted: Shape,
    },

    /// Labels that cannot be read, or are not those of the model.
    #[error("the labels cannot be used: {problem}")]
    Labels {
        /// Why not.
        problem: String,
    },

    /// Outputs that are not what a task has.
    #[error("the outputs cannot be read as {task}: {problem}")]
    Outputs {
        /// The task.
        task: &'static str,
        /// Why not.
        problem: String,
    },

    /// A settings file that cannot be read, or says what cannot be.
    #[error("{} cannot be used: {problem}", file.display())]
    Settings {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },

    /// A tokenizer that cannot be made of what is there.
    #[error("no tokenizer can be made of {}: {problem}", place.display())]
    Tokenizer {
        /// The file or folder.
        place: PathBuf,
        /// Why not.
        problem: String,
    },

    /// Texts that cannot be used as they are.
    #[error("the texts cannot be used: {problem}")]
    Texts {
        /// Why not.
        problem: String,
    },

    /// A task that the model, or what is known of it, does not allow.
    #[error("{task} cannot be done: {problem}")]
    Task {
        /// The task.
        task: &'static str,
        /// What is lacking.
        problem: String,
    },

    /// A sound that cannot be read or used.
    #[error("cannot use {sound} as a sound: {problem}")]
    Sound {
        /// The file.
        sound: String,
        /// What is wrong.
        problem: String,
    },

    /// ONNX Runtime's library was not found.
    #[error("ONNX Runtime's shared library was not found: {searched}")]
    NoLibrary {
        /// Where it was looked for.
        searched: String,
    },

    /// A library was found that cannot be used.
    #[error("{} cannot be used as ONNX Runtime: {problem}", path.display())]
    UnusableLibrary {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },

    /// A library was found that is too old.
    #[error("{} is ONNX Runtime {found}; {needed} or newer is needed", path.display())]
    OldLibrary {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: String,
        /// The oldest version that would do.
        needed: String,
    },

    /// Another library is in use already, and a process can hold only one.
    #[error(
        "ONNX Runtime is loaded from {} already; a process cannot load another one{}",
        loaded.display(),
        wanted.as_ref().map_or_else(String::new, |path| format!(" ({})", path.display()))
    )]
    OtherLibrary {
        /// The library in use.
        loaded: PathBuf,
        /// The library asked for, where it was named.
        wanted: Option<PathBuf>,
    },

    /// A port that is no tensor: a sequence, a map, an optional or sparse value.
    #[error("{direction} \"{name}\" is a {kind}, and only tensors can go in and out")]
    NotATensor {
        /// "input" or "output".
        direction: &'static str,
        /// The port's name.
        name: String,
        /// Its type, in ONNX's words.
        kind: String,
    },

    /// An element type that the engine cannot be given or does not give back.
    #[error("{engine} cannot exchange {dtype} tensors (\"{name}\")")]
    Unsupported {
        /// The engine.
        engine: String,
        /// The port's name.
        name: String,
        /// The element type, by its own name.
        dtype: String,
    },

    /// The engine refused the model.
    #[error("{engine} cannot load {}: {problem}", model.display())]
    Load {
        /// The engine.
        engine: String,
        /// The model.
        model: PathBuf,
        /// What the engine said.
        problem: String,
    },

    /// The engine failed while running.
    #[error("{engine} failed to run {}: {problem}", model.display())]
    Run {
        /// The engine.
        engine: String,
        /// The model.
        model: PathBuf,
        /// What the engine said.
        problem: String,
    },
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Tensor(error) => return error.hint(),
            Self::Graph(error) => return error.hint(),
            Self::NotTensors { .. } => {
                "tensors are read from .npy and .npz files and from ONNX's .pb files".to_owned()
            }
            Self::IsModel { .. } => "give a file with the model's inputs instead".to_owned(),
            Self::Pickle { .. } => {
                "save it as a plain array in Python: numpy.save(path, array.astype(\"float32\")), or each array of a \
                 list under a name of its own with numpy.savez"
                    .to_owned()
            }
            Self::BadDataSet { .. } => {
                "a data set is a folder with input_0.pb, output_0.pb and so on, or with inputs.npz and outputs.npz"
                    .to_owned()
            }
            Self::Unfit { .. } => "`zoo show` lists the model's inputs with their types and shapes".to_owned(),
            Self::Unwritable { .. } => "convert the tensor to f32 first".to_owned(),
            Self::Picture { .. } => "JPEG, PNG, GIF, BMP, WebP and TIFF are read; convert it to one of them".to_owned(),
            Self::OtherSize { made, wanted, .. } => other_size(made, wanted),
            Self::Labels { .. } => {
                "`--labels` takes a file with one label per line, or a JSON array, for each class in order".to_owned()
            }
            Self::Tokenizer { .. } => {
                "tokenizer.json is what serves best; vocab.txt of BERT's kind and vocab.json with merges.txt of GPT-2's and \
                 RoBERTa's do too, each beside tokenizer_config.json"
                    .to_owned()
            }
            Self::Sound { .. } => "WAV files are read; other formats can be converted to WAV".to_owned(),
            Self::NoLibrary { .. } => INSTALL.to_owned(),
            Self::UnusableLibrary { .. } | Self::OldLibrary { .. } => {
                format!("remove it or name another one; to get one, {INSTALL}")
            }
            Self::OtherLibrary { .. } => "use the same library for every model of one process".to_owned(),
            Self::NotATensor { kind, .. } if kind.contains("map(") => {
                "classifiers exported by skl2onnx give plain tensors with the option `zipmap=False`".to_owned()
            }
            _ => return None,
        })
    }

    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    #[cfg(feature = "text")]
    pub(crate) fn settings(file: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Settings { file: file.to_owned(), problem: problem.into() }
    }

    #[cfg(feature = "image")]
    pub(crate) fn recipe(problem: impl Into<String>) -> Self {
        Self::Recipe { problem: problem.into() }
    }

    pub(crate) fn unwritable(name: &str, dtype: DType) -> Self {
        Self::Unwritable { name: shown(name), problem: format!("numpy has no {dtype}") }
    }
}

/// What to do about a tensor of another shape. The first dimension counts pictures; of five, the third counts frames.
fn other_size(made: &[usize], wanted: &Shape) -> String {
    let dims = wanted.dims().filter(|dims| dims.len() == made.len()).unwrap_or_default();
    let other = |place: usize| {
        let wanted = dims.get(place).and_then(Dim::fixed)?;
        made.get(place).filter(|made| **made != wanted).map(|_| wanted)
    };
    if let Some(count) = other(0) {
        let pictures = if count == 1 { "picture" } else { "pictures" };
        return format!(
            "the model takes {count} {pictures} at a time: give as many, or stage it with a free first dimension"
        );
    }
    if let Some(count) = other(2).filter(|_| made.len() == 5) {
        return format!("the model takes {count} frames: give as many pictures, in order");
    }
    "give a recipe of the model's size with `--recipe`, or stage the model for the recipe's size".to_owned()
}

/// How to get ONNX Runtime.
const INSTALL: &str = "run `cargo xtask setup` in zoo's repository, or install the Python package `onnxruntime` (1.20.1 or \
    newer) or a release of ONNX Runtime, and set ORT_DYLIB_PATH to the shared library in it";

/// A tensor's name in a message.
pub(crate) fn shown(name: &str) -> String {
    if name.is_empty() { "a tensor without a name".to_owned() } else { format!("\"{name}\"") }
}
