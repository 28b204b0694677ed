//! External data: where a model may keep its weights, and where it may not.
//!
//! A model names other files, and a hostile one would name `/etc/passwd` or `../../secret`. Runtimes differ in what
//! they accept; allowed here is what all of them accept: a plain relative path to a regular file in the model's folder
//! or below, reached without leaving it through a link.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::proto::TensorProto;
use crate::{Error, Result, tensor};

/// Where one tensor's bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, relative to the model's folder, as written in the model.
    pub location: String,
    /// The first byte.
    pub offset: u64,
    /// The number of bytes; always exactly what the tensor's type and shape ask for.
    pub length: u64,
}

/// One external file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExternalFile {
    /// The file, relative to the model's folder.
    pub location: String,
    /// The length in bytes that it must at least have.
    pub end: u64,
    /// How many tensors lie in it.
    pub tensors: usize,
}

/// Reads and judges a tensor's external data entries, without touching any file.
///
/// # Errors
/// If the location is unsafe, offset or length are no numbers, or the length is not the tensor's.
pub fn place(proto: &TensorProto) -> Result<Place> {
    let bad = |problem: String| Error::BadTensor { tensor: proto.name().to_owned(), problem };
    let (mut location, mut offset, mut length) = (None, None, None);
    for entry in &proto.external_data {
        let slot = match entry.key() {
            "location" => &mut location,
            "offset" => &mut offset,
            "length" => &mut length,
            _ => continue, // "checksum" and whatever exporters add for themselves.
        };
        if slot.replace(entry.value()).is_some() {
            return Err(bad(format!("its external data gives \"{}\" twice", entry.key())));
        }
    }
    let Some(location) = location else {
        return Err(bad("its data is in another file, which is not named".to_owned()));
    };
    validate(location).map_err(|problem| Error::BadLocation {
        tensor: proto.name().to_owned(),
        location: location.to_owned(),
        problem,
    })?;
    if tensor::dtype(proto)? == zoo_tensor::DType::String {
        return Err(bad("text cannot be in another file".to_owned()));
    }
    let size = tensor::size(proto)?;
    let number = |key: &str, text: Option<&str>, default: u64| match text {
        None | Some("") => Ok(default),
        Some(text) => text.parse().map_err(|_| bad(format!("the {key} of its external data is \"{text}\""))),
    };
    let offset = number("offset", offset, 0)?;
    let length = number("length", length, size)?;
    if length != size {
        return Err(bad(format!("its external data is {length} bytes long, type and shape ask for {size}")));
    }
    if offset.checked_add(length).is_none() {
        return Err(bad(format!("the offset of its external data, {offset}, is out of range")));
    }
    Ok(Place { location: location.to_owned(), offset, length })
}

/// Finds the file of a location, which must exist, inside the model's folder `dir`.
///
/// # Errors
/// If it is absent, no regular file, or reached through a link that leaves the folder.
pub fn resolve(dir: &Path, tensor: &str, location: &str) -> Result<PathBuf> {
    let refuse =
        |problem| Error::BadLocation { tensor: tensor.to_owned(), location: location.to_owned(), problem };
    validate(location).map_err(refuse)?;
    let path = dir.join(location);
    let fail = |path: &Path, source: io::Error| Error::Path { path: path.to_owned(), source };
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::MissingData { tensor: tensor.to_owned(), path });
        }
        Err(error) => return Err(fail(&path, error)),
    };
    let real_dir = dir.canonicalize().map_err(|error| fail(dir, error))?;
    if !real.starts_with(&real_dir) {
        return Err(refuse("leaves the model's folder through a link"));
    }
    if !real.is_file() {
        return Err(refuse("is not a regular file"));
    }
    Ok(path)
}

/// Maps a tensor's external bytes.
///
/// # Errors
/// As [`place`] and [`resolve`], and if the file is too short.
pub fn read(proto: &TensorProto, dir: &Path) -> Result<Bytes> {
    let place = place(proto)?;
    let path = resolve(dir, proto.name(), &place.location)?;
    let file = zoo_tensor::map::map_file(&path)?;
    let end = place.offset + place.length;
    if end > file.len() as u64 {
        return Err(too_short(proto, &path, end, file.len() as u64));
    }
    Ok(file.slice(place.offset as usize..end as usize))
}

pub(crate) fn too_short(proto: &TensorProto, path: &Path, end: u64, found: u64) -> Error {
    Error::BadTensor {
        tensor: proto.name().to_owned(),
        problem: format!("its data ends at byte {end} of {}, which has {found}", path.display()),
    }
}

/// The external files of these tensors.
pub(crate) fn files<'a>(tensors: impl Iterator<Item = &'a TensorProto>) -> Result<Vec<ExternalFile>> {
    let mut files: BTreeMap<String, ExternalFile> = BTreeMap::new();
    for proto in tensors.filter(|proto| tensor::is_external(proto)) {
        let Place { location, offset, length } = place(proto)?;
        let file = files.entry(location.clone()).or_insert(ExternalFile { location, end: 0, tensors: 0 });
        file.end = file.end.max(offset + length);
        file.tensors += 1;
    }
    Ok(files.into_values().collect())
}

/// The rules for a location as text. They are the same on every system, so that a model is not accepted on one and
/// refused on another.
pub(crate) fn validate(location: &str) -> Result<(), &'static str> {
    let mut parts = location.split('/');
    if location.is_empty() {
        Err("names no file")
    } else if location.contains('\0') {
        Err("contains a NUL byte")
    } else if location.starts_with('/') {
        Err("is an absolute path")
    } else if location.contains('\\') {
        Err("contains a backslash")
    } else if location.as_bytes().get(1) == Some(&b':') {
        Err("names a drive")
    } else if parts.any(|part| part == "..") {
        Err("contains \"..\"")
    } else if location.split('/').all(|part| part.is_empty() || part == ".") || location.ends_with('/') {
        Err("names no file")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{DataLocation, StringStringEntryProto};

    fn external(entries: &[(&str, &str)]) -> TensorProto {
        TensorProto {
            name: Some("w".into()),
            dims: vec![2],
            data_type: Some(1),
            data_location: Some(DataLocation::External as i32),
            external_data: entries
                .iter()
                .map(|(key, value)| StringStringEntryProto {
                    key: Some((*key).into()),
                    value: Some((*value).into()),
                })
                .collect(),
            ..Default::default()
        }
    }

    #[test]
    fn hostile_locations_are_refused() {
        for (location, problem) in [
            ("", "names no file"),
            (".", "names no file"),
            ("data/", "names no file"),
            ("/etc/passwd", "is an absolute path"),
            ("../w", "contains \"..\""),
            ("a/../w", "contains \"..\""),
            ("a\\..\\w", "contains a backslash"),
            ("C:w", "names a drive"),
            ("w\0.bin", "contains a NUL byte"),
        ] {
            let error = place(&external(&[("location", location)])).unwrap_err();
            assert!(error.to_string().ends_with(problem), "{location:?}: {error}");
            assert!(error.hint().is_some());
        }
        for location in ["w", "./w", "data/w.bin", "..w", "w..bin"] {
            place(&external(&[("location", location)])).unwrap();
        }
    }

    #[test]
    fn numbers_must_be_numbers_and_fit() {
        let message = |entries: &[(&str, &str)]| place(&external(entries)).unwrap_err().to_string();
        assert!(message(&[]).contains("not named"));
        assert!(
            message(&[("location", "w"), ("offset", "-1")]).contains("offset of its external data is \"-1\"")
        );
        assert!(
            message(&[("location", "w"), ("length", "7")]).contains("7 bytes long, type and shape ask for 8")
        );
        assert!(message(&[("location", "w"), ("offset", "18446744073709551615")]).contains("out of range"));
        assert!(message(&[("location", "w"), ("location", "v")]).contains("twice"));
        let place = place(&external(&[("location", "w"), ("offset", "4"), ("length", "8")])).unwrap();
        assert_eq!((place.offset, place.length), (4, 8));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "test files in a temporary folder")]
    fn bytes_come_from_inside_the_folder_only() {
        let dir = tempfile::tempdir().unwrap();
        let model_dir = dir.path().join("model");
        std::fs::create_dir(&model_dir).unwrap();
        std::fs::write(model_dir.join("w"), [1_u8; 12]).unwrap();
        let tensor = external(&[("location", "w"), ("offset", "4")]);
        assert_eq!(read(&tensor, &model_dir).unwrap().len(), 8);

        let beyond = external(&[("location", "w"), ("offset", "5")]);
        assert!(read(&beyond, &model_dir).unwrap_err().to_string().contains("ends at byte 13"));
        let missing = read(&external(&[("location", "absent")]), &model_dir).unwrap_err();
        assert!(matches!(missing, Error::MissingData { .. }) && missing.to_string().contains("absent"));
        assert!(read(&external(&[("location", "./.")]), &model_dir).is_err());
        std::fs::create_dir(model_dir.join("sub")).unwrap();
        assert!(
            read(&external(&[("location", "sub")]), &model_dir).unwrap_err().to_string().contains("regular")
        );
    }

    #[cfg(unix)]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "test files in a temporary folder")]
    fn links_may_not_lead_out() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let model_dir = dir.path().join("model");
        std::fs::create_dir(&model_dir).unwrap();
        std::fs::write(dir.path().join("secret"), [0_u8; 8]).unwrap();
        std::fs::write(model_dir.join("w"), [0_u8; 8]).unwrap();
        symlink(dir.path().join("secret"), model_dir.join("out")).unwrap();
        symlink(dir.path(), model_dir.join("up")).unwrap();
        symlink("w", model_dir.join("within")).unwrap();
        for location in ["out", "up/secret"] {
            let error = read(&external(&[("location", location)]), &model_dir).unwrap_err();
            assert!(error.to_string().ends_with("leaves the model's folder through a link"), "{error}");
        }
        assert!(read(&external(&[("location", "within")]), &model_dir).is_ok());
    }

    #[test]
    fn files_are_summed_up() {
        let tensors = [
            external(&[("location", "b"), ("offset", "8")]),
            external(&[("location", "a")]),
            external(&[("location", "b")]),
            TensorProto::default(),
        ];
        let files = files(tensors.iter()).unwrap();
        let summary: Vec<_> =
            files.iter().map(|file| (file.location.as_str(), file.end, file.tensors)).collect();
        assert_eq!(summary, [("a", 8, 1), ("b", 16, 2)]);
    }
}
