//! `download.pytorch.org`: an object store behind a content network. Files are below `/models/`; there is no listing, no login
//! and no API. A key that does not exist is answered as one that may not be read: 403, with the store's XML.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode, header};

use super::{Reply, Served};
use crate::Error;
use crate::content::Content;
use crate::server::Ask;

/// A run of this letter in a file's name stands for the first digits of its SHA-256.
const PLACE: char = 'x';

/// torchvision's names have eight digits or ten.
const LEAST_DIGITS: usize = 8;

/// Every file by its path below `/models/`.
#[derive(Debug, Default)]
pub(crate) struct Torch {
    pub(crate) files: BTreeMap<String, TorchFile>,
}

/// A file with its digest.
#[derive(Debug, Clone)]
pub(crate) struct TorchFile {
    content: Content,
    sha256: String,
}

impl Torch {
    pub(crate) fn answer(&self, ask: &Ask) -> Reply {
        let readable = ask.method == Method::GET || ask.method == Method::HEAD;
        let path = match ask.parts.split_first() {
            Some((models, path)) if models == "models" && readable => path.join("/"),
            _ => return denied(),
        };
        let Some(file) = self.files.get(&path) else { return denied() };
        Reply::Content(Served {
            content: file.content.clone(),
            // A store's validator of what was uploaded in parts: it looks like an MD5 and is no digest of the content.
            etag: file.sha256.get(..32).map(|digits| format!("{digits}-7")),
            headers: vec![(header::LAST_MODIFIED, "Mon, 12 Apr 2021 09:42:11 GMT".into())],
            content_type: "application/octet-stream",
            accepts_ranges: true,
            label: format!("models/{path}"),
            sha256: file.sha256.clone(),
        })
    }
}

impl TorchFile {
    pub(crate) fn new(content: Content) -> Result<Self, Error> {
        let digests = content.digests().map_err(Error::io("read a checkpoint"))?;
        Ok(Self { sha256: digests.sha256().hex(), content })
    }

    /// The name with its run of `x` replaced by as many digits of the content's SHA-256. Other names stay.
    pub(crate) fn name(&self, pattern: &str) -> String {
        let runs = pattern.match_indices(PLACE).map(|(start, _)| {
            let rest = pattern.get(start..).unwrap_or_default();
            (start, rest.len() - rest.trim_start_matches(PLACE).len())
        });
        let Some((start, length)) = runs.into_iter().find(|(_, length)| *length >= LEAST_DIGITS) else {
            return pattern.to_owned();
        };
        let digits: String = self.sha256.chars().take(length).collect();
        let (before, after) = pattern.split_at(start);
        format!("{before}{digits}{}", after.get(length..).unwrap_or_default())
    }
}

/// What the store says to whoever may not list it, for a key that it does not have.
fn denied() -> Reply {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message>\
                <RequestId>ZY0Q6V6B3D8F1H7K</RequestId><HostId>bWFkZSBieSB6b28tbWlycm9y</HostId></Error>";
    Reply::other(StatusCode::FORBIDDEN, "application/xml", body.to_owned(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_takes_the_digits_of_its_content() {
        // SHA-256 of "abc" begins so in every textbook.
        let file = TorchFile::new(b"abc".to_vec().into()).unwrap();
        for (pattern, name) in [
            ("resnet18-xxxxxxxx.pth", "resnet18-ba7816bf.pth"),
            ("quantized/resnext101_32x8d-xxxxxxxxxx.pth", "quantized/resnext101_32x8d-ba7816bf8f.pth"),
            ("resnext50_32x4d-7cdf4587.pth", "resnext50_32x4d-7cdf4587.pth"),
        ] {
            assert_eq!(file.name(pattern), name);
        }
    }
}
