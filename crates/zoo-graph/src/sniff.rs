//! What a file that is not ONNX looks like.
//!
//! Asked only after reading it as ONNX failed, so a guess here never refuses a good model. The most common mistakes
//! are a web page or a pointer file saved under a model's name, and a checkpoint of another framework.

use std::fmt;

/// What the first bytes of a file say it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Looks {
    /// Nothing at all.
    Empty,
    /// A web page.
    Html,
    /// A git-lfs pointer.
    LfsPointer,
    /// JSON.
    Json,
    /// Other text.
    Text,
    /// A zip archive.
    Zip,
    /// A zip archive made by `torch.save`.
    TorchZip,
    /// A gzip stream.
    Gzip,
    /// A tar archive.
    Tar,
    /// A Python pickle.
    Pickle,
    /// An HDF5 file.
    Hdf5,
    /// A safetensors file.
    SafeTensors,
    /// A TensorFlow Lite model.
    TfLite,
    /// ONNX Runtime's own binary format.
    OrtFormat,
    /// A numpy array.
    Numpy,
    /// A single ONNX tensor.
    OnnxTensor,
    /// Bytes of no known kind.
    Unknown,
}

impl Looks {
    /// Judges by the first bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(4096)];
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        if bytes.is_empty() {
            Self::Empty
        } else if text.starts_with(b"version https://git-lfs") {
            Self::LfsPointer
        } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            if contains(head, b"data.pkl") { Self::TorchZip } else { Self::Zip }
        } else if head.starts_with(b"\x1f\x8b") {
            Self::Gzip
        } else if head.starts_with(b"\x89HDF\r\n\x1a\n") {
            Self::Hdf5
        } else if head.starts_with(b"\x93NUMPY") {
            Self::Numpy
        } else if head.len() > 2 && head[0] == 0x80 && (2..=5).contains(&head[1]) {
            Self::Pickle
        } else if head.get(257..262) == Some(b"ustar") {
            Self::Tar
        } else if head.get(4..8) == Some(b"TFL3") {
            Self::TfLite
        } else if head.get(4..8) == Some(b"ORTM") {
            Self::OrtFormat
        } else if head.get(8) == Some(&b'{') && head.get(4..8) == Some(&[0; 4]) {
            Self::SafeTensors
        } else if is_text(head) {
            match text.first() {
                Some(b'<') => Self::Html,
                Some(b'{' | b'[') => Self::Json,
                _ => Self::Text,
            }
        } else {
            Self::Unknown
        }
    }

    pub(crate) fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Empty => "the download did not happen; fetch the file again",
            Self::Html => "the address leads to a web page; use the file's own download address",
            Self::LfsPointer => {
                "only git-lfs's pointer was fetched; download the file itself (`git lfs pull`)"
            }
            Self::Zip | Self::Gzip | Self::Tar => "unpack it first; the model may be inside",
            Self::TorchZip | Self::Pickle | Self::SafeTensors | Self::Hdf5 | Self::TfLite => {
                "this is another framework's file; it has to be staged to ONNX first"
            }
            Self::OrtFormat => {
                "convert from the original .onnx file; this format belongs to one runtime version"
            }
            Self::OnnxTensor => "this is test data for a model; name the model's .onnx file",
            _ => return None,
        })
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::Html => "a web page",
            Self::LfsPointer => "a git-lfs pointer",
            Self::Json => "JSON",
            Self::Text => "text",
            Self::Zip => "a zip archive",
            Self::TorchZip => "a PyTorch checkpoint (zip)",
            Self::Gzip => "a gzip file",
            Self::Tar => "a tar archive",
            Self::Pickle => "a Python pickle, perhaps an old PyTorch checkpoint",
            Self::Hdf5 => "an HDF5 file, perhaps a Keras model",
            Self::SafeTensors => "a safetensors file",
            Self::TfLite => "a TensorFlow Lite model",
            Self::OrtFormat => "a model in ONNX Runtime's own format",
            Self::Numpy => "a numpy array",
            Self::OnnxTensor => "a single ONNX tensor",
            Self::Unknown => "something unknown",
        })
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Text, as people mean it: UTF-8 (cut anywhere) without control characters but white space.
fn is_text(head: &[u8]) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut off by the window is no reason to say no.
        Err(error) if head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_mistakes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], Looks); 17] = [
            (b"", Looks::Empty),
            (b"\n<!DOCTYPE html><html>", Looks::Html),
            (b"\xef\xbb\xbf<html>", Looks::Html),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", Looks::LfsPointer),
            (b"{\"error\": \"not found\"}", Looks::Json),
            (b"404: Not Found", Looks::Text),
            (b"PK\x03\x04\x14\0\0\0weights/1", Looks::Zip),
            (b"PK\x03\x04\0\0\0\0archive/data.pkl", Looks::TorchZip),
            (b"\x1f\x8b\x08\0", Looks::Gzip),
            (&tar, Looks::Tar),
            (b"\x80\x02\x8a\x0al\xfc\x9cF", Looks::Pickle),
            (b"\x89HDF\r\n\x1a\n\0", Looks::Hdf5),
            (b"\x40\0\0\0\0\0\0\0{\"a\":", Looks::SafeTensors),
            (b"\x1c\0\0\0TFL3", Looks::TfLite),
            (b"\x1c\0\0\0ORTM", Looks::OrtFormat),
            (b"\x93NUMPY\x01\0", Looks::Numpy),
            (b"\xff\xfe\0\x01", Looks::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Looks::of(bytes), expected, "{bytes:?}");
        }
    }
}
