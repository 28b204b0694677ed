//! Everything that can go wrong with an ONNX file.

use std::path::PathBuf;

use crate::sniff::Looks;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model could not be read. Problems *inside* a readable model are a [`crate::check::Report`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be mapped, or a tensor not made.
    #[error(transparent)]
    Tensor(#[from] zoo_tensor::Error),

    /// The file is something else.
    #[error("{file} is not an ONNX model: it looks like {looks}")]
    NotOnnx {
        /// The file.
        file: String,
        /// What its first bytes say.
        looks: Looks,
    },

    /// The file ends before its content does.
    #[error("{file} is truncated: at byte {offset} it promises {promised} more bytes and has {left}")]
    Truncated {
        /// The file.
        file: String,
        /// Where the promise stands.
        offset: u64,
        /// Bytes promised.
        promised: u64,
        /// Bytes left.
        left: u64,
    },

    /// The file is no valid protobuf.
    #[error("{file} is not a valid ONNX file: {problem} at byte {offset}")]
    Malformed {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What.
        problem: &'static str,
    },

    /// The file asks for more than is reasonable.
    #[error("{file} has {what} beyond the limit of {limit}")]
    TooMuch {
        /// The file.
        file: String,
        /// What there is too much of.
        what: &'static str,
        /// The limit (see [`crate::limits`]).
        limit: u64,
    },

    /// The bytes are protobuf, but not of these messages.
    #[error("cannot decode {file}")]
    Decode {
        /// The file.
        file: String,
        /// What the decoder said.
        source: prost::DecodeError,
    },

    /// A tensor's description contradicts itself or its data.
    #[error("tensor \"{tensor}\": {problem}")]
    BadTensor {
        /// The tensor's name.
        tensor: String,
        /// What is wrong.
        problem: String,
    },

    /// An external data location that must not be followed.
    #[error("tensor \"{tensor}\" keeps its data in \"{location}\", which {problem}")]
    BadLocation {
        /// The tensor's name.
        tensor: String,
        /// The location as written in the model.
        location: String,
        /// Why it is refused.
        problem: &'static str,
    },

    /// An external data file is absent.
    #[error("tensor \"{tensor}\" keeps its data in {}, which does not exist", path.display())]
    MissingData {
        /// The tensor's name.
        tensor: String,
        /// Where the file should be.
        path: PathBuf,
    },

    /// A node cannot be added: its operands do not go together.
    #[error("{op}: {problem} ({at})")]
    Op {
        /// The operator, or what else was attempted.
        op: String,
        /// What does not go together.
        problem: String,
        /// The line that asked for it.
        at: &'static std::panic::Location<'static>,
    },

    /// A network needs a tensor that the checkpoint does not have.
    #[error("the checkpoint has no tensor \"{path}\"")]
    MissingWeight {
        /// The tensor's path.
        path: String,
        /// Names in the checkpoint that begin alike.
        nearest: Vec<String>,
    },

    /// A tensor has another shape than the network needs.
    #[error("tensor \"{name}\" has the shape {found:?}, the network needs {expected:?}")]
    WeightShape {
        /// The tensor's name.
        name: String,
        /// The shape it has.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },

    /// A tensor is of a type that cannot be computed with.
    #[error("tensor \"{name}\" is of type {dtype}, which a graph cannot compute with")]
    WeightType {
        /// The tensor's name.
        name: String,
        /// Its element type.
        dtype: zoo_tensor::DType,
    },

    /// A tensor has other values than the network computes with.
    #[error("tensor \"{name}\" has other values than this network computes with: {problem}")]
    WeightValue {
        /// The tensor's name.
        name: String,
        /// Where they differ.
        problem: String,
    },

    /// A network does not take images of the size asked for.
    #[error("this network does not take images of this size: {why}")]
    ImageSize {
        /// What it is tied to.
        why: String,
    },

    /// Tensors that the network never asked for.
    #[error("{} of the checkpoint's tensors have no place in this network: {}", names.len(), some(names))]
    Leftovers {
        /// The checkpoint's names of them.
        names: Vec<String>,
    },

    /// Two tensors of a checkpoint came to stand for the same thing.
    #[error("the tensors \"{}\" and \"{}\" both stand for \"{path}\"", names[0], names[1])]
    SamePath {
        /// The path that both have.
        path: String,
        /// Their names.
        names: [String; 2],
    },

    /// An operator set that graphs are not written against.
    #[error("opset {opset} is not one that zoo writes")]
    Opset {
        /// The version asked for.
        opset: i64,
        /// The first that is written.
        first: i64,
        /// The last.
        last: i64,
    },

    /// Something that the operator set asked for cannot express.
    #[error("{what} needs opset {needs}, and opset {opset} was asked for")]
    NeedsOpset {
        /// The operator or its use.
        what: &'static str,
        /// The first version that has it.
        needs: i64,
        /// The version asked for.
        opset: i64,
    },

    /// A weight cannot stay where it is: a model only points to files in its own folder or below.
    #[error("tensor \"{tensor}\" is in {}, which is not in the model's folder {}", file.display(), folder.display())]
    OutsideFolder {
        /// The tensor's name.
        tensor: String,
        /// The file that it is in.
        file: PathBuf,
        /// The folder that the model is to be written to.
        folder: PathBuf,
    },

    /// Weights were asked for as a type that they are not written as.
    #[error("weights are not written as {dtype}")]
    WeightsAs {
        /// The type asked for.
        dtype: zoo_tensor::DType,
    },

    /// A finite number has no finite value in the type asked for.
    #[error("element {index} of tensor \"{tensor}\" is {value}, which is beyond the largest {dtype}")]
    Overflow {
        /// The tensor's name.
        tensor: String,
        /// The element's position in row-major order.
        index: usize,
        /// Its value, as text.
        value: String,
        /// The type asked for.
        dtype: zoo_tensor::DType,
    },

    /// Something needs a feature of this crate that was not compiled in.
    #[error("{what} needs the feature \"{feature}\", which this program was built without")]
    NeedsFeature {
        /// What was asked for.
        what: String,
        /// The feature's name.
        feature: &'static str,
    },

    /// A pass could not do its work.
    #[error("the pass \"{pass}\" failed: {problem}")]
    Pass {
        /// The pass.
        pass: &'static str,
        /// What went wrong, and on what.
        problem: String,
    },

    /// A graph became a message that no reader would accept: a mistake of zoo's own.
    #[error("zoo made a model that is not valid: {report}")]
    Unsound {
        /// What the checker found.
        report: crate::check::Report,
    },

    /// A path could not be examined.
    #[error("cannot examine {}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Tensor(error) => return error.hint(),
            Self::NotOnnx { looks, .. } => return looks.hint().map(str::to_owned),
            Self::Truncated { .. } => "the download was cut short; fetch the file again".to_owned(),
            Self::TooMuch { what: "bytes", .. } => {
                "one protobuf message holds 2 GiB at most; export the model with external data".to_owned()
            }
            Self::MissingData { .. } => {
                "put the data file where the model expects it; it was published beside the model".to_owned()
            }
            Self::BadLocation { .. } => {
                "external data must lie in the model's folder or below, as a plain relative path".to_owned()
            }
            Self::MissingWeight { nearest, .. } if nearest.is_empty() => {
                "the checkpoint is of another network; name the right one".to_owned()
            }
            Self::MissingWeight { nearest, .. } => {
                format!("it has {}; if the checkpoint is of another network, name that one", quoted(nearest))
            }
            Self::ImageSize { .. } => "choose another image size".to_owned(),
            Self::WeightShape { .. } | Self::WeightValue { .. } | Self::Leftovers { .. } => {
                "the checkpoint is of another network, or of another variant of it; name the right one"
                    .to_owned()
            }
            Self::Opset { first, last, .. } => format!("choose one from {first} to {last}"),
            Self::NeedsOpset { needs, .. } => format!("choose opset {needs} or newer"),
            Self::OutsideFolder { .. } => {
                "write the model beside the checkpoint or above it, or pack the weights into a file of their own"
                    .to_owned()
            }
            Self::WeightsAs { .. } => "choose f16, bf16 or f32".to_owned(),
            Self::Overflow { dtype: zoo_tensor::DType::F16, .. } => {
                "choose bf16, which has the range of f32, or f32".to_owned()
            }
            Self::Overflow { .. } => "leave the weights as they are".to_owned(),
            Self::NeedsFeature { .. } => {
                "leave weights and batch norms as they are, or use a build that has the feature".to_owned()
            }
            Self::Pass { .. } | Self::Unsound { .. } => {
                "this is a mistake in zoo; report it with the name of the model".to_owned()
            }
            _ => return None,
        })
    }
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = quoted(&names[..names.len().min(SHOWN)]);
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
