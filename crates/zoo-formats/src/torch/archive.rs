//! The zip container, which `torch.save` writes since version 1.6.
//!
//! All members lie under one folder, which has the name of the file that was written: `data.pkl` is the object, `data/0`,
//! `data/1`, … are its storages, `version` and `byteorder` are short texts.

use std::collections::HashMap;

use super::Torch;
use super::storage::{Record, Storages};
use crate::file::SourceReader;
use crate::pickle::{Options, parse};
use crate::warning::Warning;
use crate::zip::{Archive, owned_limit};
use crate::{Error, Result, limits};

/// The newest version of the container that PyTorch itself reads; `torch.save` writes 3.
const NEWEST: u64 = 10;

pub(super) fn read(file: &SourceReader, archive: Archive) -> Result<Torch> {
    let unknown = |problem: String| Error::Unknown { path: file.path().to_owned(), problem };
    let root =
        root(&archive).ok_or_else(|| unknown("its members do not share one folder".to_owned()))?.to_owned();
    let member = |name: &str| archive.get(&format!("{root}/{name}"));
    let mut warnings: Vec<Warning> = Vec::new();

    let mut note = |name: &str| -> Result<Option<String>> {
        let Some(member) = member(name) else { return Ok(None) };
        let (bytes, warning) = member.read(file, limits::MAX_NOTE_BYTES)?;
        warnings.extend(warning);
        Ok(Some(String::from_utf8_lossy(&bytes).trim_ascii().to_owned()))
    };
    if let Some(version) = note("version")?
        && !version.parse().is_ok_and(|version: u64| (1..=NEWEST).contains(&version))
    {
        return Err(unknown(format!("version \"{version}\" of the format is not known")));
    }
    let big_endian = match note("byteorder")?.as_deref() {
        None | Some("little") => false,
        Some("big") => true,
        Some(other) => return Err(unknown(format!("the byte order \"{other}\" is not known"))),
    };

    let data = member("data.pkl").ok_or_else(|| unknown("data.pkl is missing".to_owned()))?;
    let (bytes, warning) = data.read(file, limits::MAX_PICKLE_BYTES.min(owned_limit(file)))?;
    warnings.extend(warning);
    let name = format!("{} in {}", data.name, file.path().display());
    let pickle = parse(&bytes, &name, &Options::default())?;
    if pickle.consumed() != bytes.len() as u64 {
        let problem = format!("{} bytes follow its end", bytes.len() as u64 - pickle.consumed());
        return Err(Error::Pickle { pickle: name, offset: pickle.consumed() - 1, opcode: "STOP", problem });
    }

    let folder = format!("{root}/data/");
    let mut records = HashMap::new();
    for member in archive.members() {
        let Some(key) = member.name.strip_prefix(&folder) else { continue };
        let record = if member.deflated {
            Record::Deflated(member.clone())
        } else {
            Record::Stored { offset: member.payload, length: member.size }
        };
        records.insert(key.to_owned(), record);
    }
    let storages = Storages { records, big_endian };
    Ok(Torch { pickle, storages, warnings, archive: Some(archive) })
}

/// The folder that all members share.
fn root(archive: &Archive) -> Option<&str> {
    let mut roots = archive.members().iter().map(|member| member.name.split_once('/').map(|(root, _)| root));
    let first = roots.next()??;
    roots.all(|root| root == Some(first)).then_some(first)
}
