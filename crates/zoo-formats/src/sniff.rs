//! What a file is, by its bytes. Extensions say nothing: `.pt`, `.pth`, `.bin`, `.ckpt` and `.pth.tar` all occur for all
//! kinds of files.
//!
//! [`sniff`] tells the containers that zoo reads from everything that is mistaken for one, so that a refusal can say what
//! the file is and what to do with it.

use std::fmt;
use std::path::Path;

use crate::file::SourceReader;
use crate::{Container, Result};

/// What the bytes of a file say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sniffed {
    /// A container that zoo reads. Its content may still be damaged.
    Container(Container),
    /// Something else.
    Other(Looks),
}

/// What a file that is no weight container looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Looks {
    /// Nothing at all.
    Empty,
    /// A web page, or the XML that object stores answer errors with.
    Html,
    /// A git-lfs pointer.
    LfsPointer,
    /// JSON.
    Json,
    /// Other text.
    Text,
    /// A TorchScript archive: a program, with its weights.
    TorchScript,
    /// TorchScript of torch 1.0 to 1.2.
    TorchScriptPreview,
    /// TorchScript for mobile devices without its source.
    MobileTorchScript,
    /// The same as a FlatBuffer.
    MobileFlatBuffer,
    /// ExecuTorch.
    ExecuTorch,
    /// An archive of `torch.export`.
    TorchExport,
    /// An AOTInductor package: compiled code.
    AotInductor,
    /// A TorchServe archive.
    TorchServe,
    /// A `torch.package`: arbitrary Python.
    TorchPackage,
    /// What `torch.save` wrote before 0.1.10.
    TorchTar,
    /// A pickle that `torch.save` did not write.
    Pickle,
    /// A pickle of protocol 0 or 1, whose opcodes are text.
    TextPickle,
    /// A Keras archive.
    Keras,
    /// numpy arrays in a zip archive.
    Npz,
    /// Some other zip archive.
    Zip,
    /// A damaged zip archive: what is in it cannot be told.
    BrokenZip,
    /// A tar archive.
    Tar,
    /// A gzip stream.
    Gzip,
    /// Another compressed file: bzip2, xz, zstd, 7z, rar.
    Compressed,
    /// A protobuf message that begins as ONNX models do.
    Onnx,
    /// A TensorFlow Lite model.
    TfLite,
    /// A numpy array.
    Numpy,
    /// A GGUF file.
    Gguf,
    /// Bytes of no known kind.
    Unknown,
}

/// How much of the file is looked at first.
const HEAD: u64 = 4096;

/// Judges a file by its first bytes and, if it is an archive, by its members.
///
/// # Errors
/// If the file cannot be read.
pub fn sniff(path: &Path) -> Result<Sniffed> {
    Ok(match detect(&SourceReader::open(path)?)? {
        Detected::Safetensors => Sniffed::Container(Container::Safetensors),
        #[cfg(feature = "torch")]
        Detected::TorchZip(_) => Sniffed::Container(Container::TorchZip),
        Detected::TorchZipUnread(_) => Sniffed::Container(Container::TorchZip),
        Detected::TorchLegacy => Sniffed::Container(Container::TorchLegacy),
        Detected::Hdf5 => Sniffed::Container(Container::Hdf5),
        Detected::Msgpack => Sniffed::Container(Container::Msgpack),
        Detected::Other(looks) => Sniffed::Other(looks),
    })
}

/// What [`sniff`] found, with what it had to read for it.
pub(crate) enum Detected {
    Safetensors,
    #[cfg(feature = "torch")]
    TorchZip(crate::zip::Archive),
    /// A checkpoint whose archive is damaged, or (in a build without its reader) any.
    TorchZipUnread(Option<crate::Error>),
    TorchLegacy,
    Hdf5,
    Msgpack,
    Other(Looks),
}

pub(crate) fn detect(file: &SourceReader) -> Result<Detected> {
    let head = file.read(0, HEAD)?;
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        #[cfg(feature = "torch")]
        return zip(file, &head);
        #[cfg(not(feature = "torch"))]
        return Ok(if contains(&head, b"/data.pkl") {
            Detected::TorchZipUnread(None)
        } else {
            Detected::Other(Looks::Zip)
        });
    }
    Ok(if is_safetensors(&head) {
        // First, because the length of its header can begin like anything: like a pickle, for one.
        Detected::Safetensors
    } else if head.first() == Some(&0x80) {
        if is_legacy(&head) { Detected::TorchLegacy } else { Detected::Other(Looks::Pickle) }
    } else if head.starts_with(b"\x89HDF\r\n\x1a\n") {
        Detected::Hdf5
    } else if is_msgpack(file, &head) {
        Detected::Msgpack
    } else if head.get(257..262) == Some(b"ustar") {
        Detected::Other(tar(file)?)
    } else {
        Detected::Other(Looks::of(&head))
    })
}

/// A safetensors file begins with the length of its JSON header. One that promises more than the file has is still one:
/// its reader then says so.
fn is_safetensors(head: &[u8]) -> bool {
    let Some((length, json)) = head.split_first_chunk::<8>() else { return false };
    u64::from_le_bytes(*length) <= crate::limits::MAX_SAFETENSORS_HEADER && json.first() == Some(&b'{')
}

/// `torch.save` writes a number first, as a pickle of its own: with or without the frame of protocol 4 around it.
fn is_legacy(head: &[u8]) -> bool {
    const NUMBER: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let body = head.get(2..).unwrap_or_default();
    body.strip_prefix(b"\x95\x0d\0\0\0\0\0\0\0").unwrap_or(body).starts_with(NUMBER)
}

#[cfg(feature = "msgpack")]
fn is_msgpack(file: &SourceReader, _: &[u8]) -> bool {
    crate::msgpack::looks_like(file)
}

/// Without the reader: a map with text as its first key.
#[cfg(not(feature = "msgpack"))]
fn is_msgpack(_: &SourceReader, head: &[u8]) -> bool {
    matches!(head, [0x81..=0x8f, 0xa1..=0xbf, ..] | [0xde, _, _, 0xa1..=0xbf, ..])
}

#[cfg(feature = "torch")]
fn zip(file: &SourceReader, head: &[u8]) -> Result<Detected> {
    Ok(match crate::zip::Archive::open(file) {
        Ok(archive) => match Looks::of_members(&archive) {
            Some(looks) => Detected::Other(looks),
            None => Detected::TorchZip(archive),
        },
        Err(error @ crate::Error::File { .. }) => return Err(error),
        // A damaged checkpoint is a checkpoint: what is wrong with it says more than that it is damaged.
        Err(error) if contains(head, b"/data.pkl") => Detected::TorchZipUnread(Some(error)),
        Err(_) => Detected::Other(Looks::BrokenZip),
    })
}

/// The members of the tar archives that `torch.save` once wrote.
fn tar(file: &SourceReader) -> Result<Looks> {
    const BLOCK: u64 = 512;
    let mut names = Vec::new();
    let mut offset = 0_u64;
    while names.len() < 3 && offset < file.len() {
        let header = file.read(offset, BLOCK)?;
        let field = |range: std::ops::Range<usize>| {
            let bytes = header.get(range).unwrap_or_default();
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).trim().to_owned()
        };
        let Ok(size) = u64::from_str_radix(&field(124..136), 8) else { break };
        names.push(field(0..100));
        let Some(next) =
            size.checked_next_multiple_of(BLOCK).and_then(|size| offset.checked_add(size + BLOCK))
        else {
            break;
        };
        offset = next;
    }
    names.sort_unstable();
    Ok(if names == ["pickle", "storages", "tensors"] { Looks::TorchTar } else { Looks::Tar })
}

impl Looks {
    /// Judges an archive by its members' names; none if it is a checkpoint.
    #[cfg(feature = "torch")]
    fn of_members(archive: &crate::zip::Archive) -> Option<Self> {
        let names = || archive.members().iter().map(|member| member.name.as_str());
        // Below the top folder, whose name is the one that the file had when it was saved.
        let inner = || names().filter_map(|name| name.split_once('/')).map(|(_, inner)| inner);
        let has = |wanted: &str| inner().any(|name| name == wanted);
        let under = |folder: &str| inner().any(|name| name.starts_with(folder));
        let top = |wanted: &str| archive.get(wanted).is_some();
        Some(if top("MAR-INF/MANIFEST.json") {
            Self::TorchServe
        } else if top("serialized_exported_program.json") {
            Self::TorchExport
        } else if has("archive_format") {
            if under("models/") || !under("data/aotinductor/") {
                Self::TorchExport
            } else {
                Self::AotInductor
            }
        } else if has(".data/extern_modules") {
            Self::TorchPackage
        } else if has("constants.pkl") || has("bytecode.pkl") {
            if under("code/") { Self::TorchScript } else { Self::MobileTorchScript }
        } else if has("model.json") && under("code/") {
            Self::TorchScriptPreview
        } else if has("data.pkl") {
            return None;
        } else if top("config.json") && top("model.weights.h5") {
            Self::Keras
        } else if !archive.members().is_empty() && names().all(|name| name.strip_suffix(".npy").is_some()) {
            Self::Npz
        } else {
            Self::Zip
        })
    }

    /// Judges by the first bytes.
    fn of(head: &[u8]) -> Self {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        let compressed: [&[u8]; 5] =
            [b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"];
        if head.is_empty() {
            Self::Empty
        } else if text.starts_with(b"version https://git-lfs") {
            Self::LfsPointer
        } else if head.starts_with(b"\x1f\x8b") {
            if mar_in_gzip(head) { Self::TorchServe } else { Self::Gzip }
        } else if compressed.iter().any(|magic| head.starts_with(magic)) {
            Self::Compressed
        } else if head.starts_with(b"\x93NUMPY") {
            Self::Numpy
        } else if head.starts_with(b"GGUF") {
            Self::Gguf
        } else {
            match head.get(4..8) {
                Some(b"PTMF") => Self::MobileFlatBuffer,
                Some(b"ET12") => Self::ExecuTorch,
                Some(b"TFL3") => Self::TfLite,
                _ if is_onnx(head) => Self::Onnx,
                _ if is_text_pickle(text) => Self::TextPickle,
                _ if !is_text(head) => Self::Unknown,
                _ => match text.first() {
                    Some(b'<') => Self::Html,
                    Some(b'{' | b'[') => Self::Json,
                    _ => Self::Text,
                },
            }
        }
    }

    pub(crate) fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Empty => "the download did not happen; fetch the file again",
            Self::Html => "the address leads to a web page; use the file's own download address",
            Self::Json => "if it is an index of several files, name the file that holds the weights",
            Self::LfsPointer => {
                "only git-lfs's pointer was fetched; download the file itself (`git lfs pull`)"
            }
            Self::Zip | Self::Tar | Self::Gzip | Self::Compressed => {
                "unpack it first; the checkpoint may be inside"
            }
            Self::BrokenZip => "fetch the file again and compare its SHA-256 with the published one",
            Self::TorchScript | Self::TorchScriptPreview => {
                "it is a program with weights; save the weights alone: \
                 torch.save(torch.jit.load(path).state_dict(), \"weights.pth\")"
            }
            Self::MobileTorchScript | Self::MobileFlatBuffer | Self::ExecuTorch | Self::AotInductor => {
                "it was compiled for one kind of device; use the model that it was made from"
            }
            Self::TorchExport => {
                "save the weights alone: torch.save(torch.export.load(path).state_dict, \"weights.pth\")"
            }
            Self::TorchServe => "unpack it (it is a zip or tar archive) and name the weights file inside",
            Self::TorchPackage => {
                "it holds Python code, which zoo does not run; save the model's state_dict()"
            }
            Self::TorchTar | Self::Pickle | Self::TextPickle => {
                "load it where you trust it and save the weights again: torch.save(model.state_dict(), path)"
            }
            Self::Keras | Self::Npz | Self::TfLite | Self::Numpy | Self::Gguf => {
                "it is another framework's file"
            }
            Self::Onnx => "it is a model already; it needs no checkpoint",
            Self::Text | Self::Unknown => return None,
        })
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::Html => "a web page or an error message of a server",
            Self::LfsPointer => "a git-lfs pointer",
            Self::Json => "JSON",
            Self::Text => "text",
            Self::TorchScript => "a TorchScript archive",
            Self::TorchScriptPreview => "a TorchScript archive of torch 1.0 to 1.2",
            Self::MobileTorchScript => "a TorchScript archive for mobile devices",
            Self::MobileFlatBuffer => "a PyTorch module for mobile devices (FlatBuffer)",
            Self::ExecuTorch => "an ExecuTorch program",
            Self::TorchExport => "a torch.export archive (.pt2)",
            Self::AotInductor => "an AOTInductor package of compiled code",
            Self::TorchServe => "a TorchServe archive (.mar)",
            Self::TorchPackage => "a torch.package archive of Python code",
            Self::TorchTar => "a checkpoint in the tar format of torch 0.1.9 and older",
            Self::Pickle => "a Python pickle that torch.save did not write",
            Self::TextPickle => "a Python pickle in a text protocol",
            Self::Keras => "a Keras model",
            Self::Npz => "numpy arrays (.npz)",
            Self::Zip => "a zip archive of other files",
            Self::BrokenZip => "a damaged zip archive",
            Self::Tar => "a tar archive",
            Self::Gzip => "a gzip file",
            Self::Compressed => "a compressed file",
            Self::Onnx => "a protobuf file, perhaps an ONNX model",
            Self::TfLite => "a TensorFlow Lite model",
            Self::Numpy => "a numpy array",
            Self::Gguf => "a GGUF model",
            Self::Unknown => "a file of no known kind",
        })
    }
}

/// Whether the first bytes unpack to a tar archive with TorchServe's manifest.
#[cfg(feature = "torch")]
fn mar_in_gzip(head: &[u8]) -> bool {
    use std::io::Read as _;
    let mut start = Vec::new();
    // An error is expected, because the head ends in the middle of the stream; what was unpacked until then counts.
    let result = flate2::read::GzDecoder::new(head).take(64 << 10).read_to_end(&mut start);
    drop(result);
    contains(&start, b"MAR-INF/MANIFEST.json")
}

#[cfg(not(feature = "torch"))]
fn mar_in_gzip(_: &[u8]) -> bool {
    false
}

/// The version of the format, a small number, and then one of the model's other fields.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..])
}

/// Protocols 0 and 1 begin with a mark, a name, or the number that `torch.save` writes first.
fn is_text_pickle(text: &[u8]) -> bool {
    let starts: [&[u8]; 5] =
        [b"(dp", b"(lp", b"ccollections\n", b"c__builtin__\n", b"L119547037146038801333356L"];
    starts.iter().any(|start| text.starts_with(start))
}

fn is_text(head: &[u8]) -> bool {
    !head.iter().any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c'))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
