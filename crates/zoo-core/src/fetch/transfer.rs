//! One file's transfer: sources in order, attempts with backoff, what is believed, and what is discarded.

use std::fs::File;
use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use url::Url;

use super::board::Board;
use super::state::{Paths, State};
use super::writer::{Outcome, Setup, Stopped, Writer, good_pieces};
use super::{Fetched, Fetcher, check_space, crew};
use crate::blocking;
use crate::digest::{Digest, Hasher, Mismatch};
use crate::error::{Error, ErrorKind, Result};
use crate::fs;
use crate::http::{Answer, Ask, Backoff, Lane, content_range, shown};
use crate::progress::{Event, FileId};
use crate::remote::RemoteFile;

/// How often one source's content may change or prove wrong before the source is given up.
const MAX_RESTARTS: u32 = 2;

/// A Git LFS pointer is three short lines; anything above this length is no pointer.
const POINTER_MAX: u64 = 1024;
const POINTER_START: &[u8] = b"version https://git-lfs";

pub(super) struct Transfer<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) file: &'a RemoteFile,
    pub(super) paths: Paths,
    pub(super) id: FileId,
    pub(super) guard: Arc<dyn Send + Sync>,
}

/// What an attempt goes on from.
struct Held {
    file: File,
    state: State,
    /// `None` until the size is known, which the git blob id begins with.
    hasher: Option<Hasher>,
}

/// Why a stream ended before its time.
pub(super) enum Broken {
    /// The content is not what the first bytes were of; they are useless.
    Changed(&'static str),
    /// An error of the network or the server; another attempt may help.
    Failed(Error),
    /// The same, after all attempts.
    GaveUp(Error),
    /// The writer stopped; it knows why.
    Writer,
}

impl From<Stopped> for Broken {
    fn from(_: Stopped) -> Self {
        Self::Writer
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// An answer that fits what was asked.
pub(super) struct Opened {
    pub(super) answer: Answer,
    /// Length of the whole file in bytes, where the server says.
    pub(super) total: Option<u64>,
    pub(super) etag: Option<String>,
    /// First byte of the body.
    from: u64,
}

impl Opened {
    pub(super) fn accepts_ranges(&self) -> bool {
        let response = &self.answer.response;
        response.status() == StatusCode::PARTIAL_CONTENT
            || response.headers().get(header::ACCEPT_RANGES).is_some_and(|v| v == "bytes")
    }
}

impl Transfer<'_> {
    pub(super) async fn run(self) -> Result<Fetched> {
        let result = self.any_source().await;
        if let Err(error) = &result {
            let reason = error.to_string();
            self.fetcher.listener.send(|| Event::Failed { file: self.id, reason: &reason });
        }
        result
    }

    async fn any_source(&self) -> Result<Fetched> {
        let mut attempts = Vec::new();
        for source in &self.file.sources {
            match self.try_source(source).await {
                Ok(fetched) => return Ok(fetched),
                // The next source cannot help against a full disk.
                Err(error) if error.kind() == ErrorKind::Disk => return Err(error),
                Err(error) => {
                    tracing::info!(file = %self.file.path, source = %shown(source), %error, "source failed");
                    attempts.push(error);
                }
            }
        }
        if attempts.len() == 1
            && let Some(error) = attempts.pop()
        {
            return Err(error);
        }
        Err(Error::AllSources { file: self.file.path.to_string(), attempts })
    }

    async fn try_source(&self, source: &Url) -> Result<Fetched> {
        let (mut held, lost) = self.resume().await?;
        let mut restarts = 0;
        let mut backoff = self.backoff();
        self.started(&held.state, lost);
        if lost > 0 {
            self.restarted("bytes of an earlier run were damaged on disk", lost);
        }
        loop {
            let mut expected = self.file.digests.clone();
            let had = held.state.have();
            let broken = match self.attempt(source, held, &mut expected).await? {
                (Outcome { file, state, hasher }, None) => {
                    match self.proved(source, state, hasher, expected).await? {
                        Ok(fetched) => return Ok(fetched),
                        Err((error, state)) => {
                            restarts += 1;
                            if restarts > MAX_RESTARTS.min(1) && self.file.pieces.is_none()
                                || restarts > MAX_RESTARTS
                            {
                                self.paths.remove()?;
                                return Err(error);
                            }
                            held = Held { file, state, hasher: None };
                            continue;
                        }
                    }
                }
                (Outcome { file, state, hasher }, Some(broken)) => {
                    if state.have() > had {
                        backoff.progress();
                    }
                    held = Held { file, state, hasher: Some(hasher) };
                    broken
                }
            };
            match broken {
                Broken::Changed(reason) => {
                    restarts += 1;
                    if restarts > MAX_RESTARTS {
                        return Err(Error::Protocol { url: shown(source), reason: reason.to_owned() });
                    }
                    self.restarted(reason, held.state.have());
                    held.state = State::new(self.file.path.as_str());
                    held.hasher = None;
                }
                Broken::Failed(error) => self.wait_or_give_up(&mut backoff, error).await?,
                Broken::GaveUp(error) => return Err(error),
                // Unreachable: a writer that stopped early returned its error above.
                Broken::Writer => {
                    return Err(Error::Protocol { url: shown(source), reason: "the writer stopped".into() });
                }
            }
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        let config = self.fetcher.client.config();
        Backoff::new(config.attempts, config.backoff)
    }

    pub(super) async fn wait_or_give_up(&self, backoff: &mut Backoff, error: Error) -> Result<()> {
        let Some(after) = backoff.next(&error) else { return Err(error) };
        let reason = error.to_string();
        tracing::info!(file = %self.file.path, %reason, ?after, "trying again");
        self.fetcher.listener.send(|| Event::Retry { file: self.id, reason: &reason, after });
        tokio::time::sleep(after).await;
        Ok(())
    }

    fn started(&self, state: &State, lost: u64) {
        let size = self.file.size.or(state.size);
        self.fetcher.listener.send(|| Event::Start {
            file: self.id,
            path: self.file.path.as_str(),
            size,
            have: state.have() + lost,
        });
    }

    fn restarted(&self, reason: &str, lost: u64) {
        tracing::info!(file = %self.file.path, reason, lost, "discarded");
        self.fetcher.listener.send(|| Event::Restart { file: self.id, reason, lost });
    }

    /// Opens what an earlier run left and proves it; with the number of bytes that were not as they had been written.
    async fn resume(&self) -> Result<(Held, u64)> {
        let paths = self.paths.clone();
        let name = self.file.path.as_str().to_owned();
        let size = self.file.size;
        blocking(move || {
            fs::create_parent(&paths.data)?;
            let mut state = State::load(&paths, &name);
            let mut file = fs::open_rw(&paths.data)?;
            if size.is_some() && state.size.is_some() && state.size != size {
                state = State::new(&name);
            }
            let lost = state.prove(&mut file, &paths.data)?;
            Ok((Held { file, state, hasher: None }, lost))
        })
        .await
    }

    /// One attempt at everything that is missing. The writer's own failure is an error; everything else is in the outcome.
    async fn attempt(
        &self,
        source: &Url,
        held: Held,
        expected: &mut Vec<Digest>,
    ) -> Result<(Outcome, Option<Broken>)> {
        // Only what is missing is asked for: a gap in the middle ends where the next bytes on disk begin.
        let (from, end) = held.state.gaps(u64::MAX).first().copied().unwrap_or((0, u64::MAX));
        let to = (end != u64::MAX).then_some(end);
        let complete = held.state.size.is_some_and(|n| held.state.gaps(n).is_empty());
        let validator = held.state.validators.get(&shown(source)).cloned();
        let idle = |held: Held, broken| {
            let hasher = held.hasher.unwrap_or_else(|| Hasher::new(&[], None));
            Ok((Outcome { file: held.file, state: held.state, hasher }, Some(broken)))
        };
        // Bytes may be joined only if something proves that they are of one content: the hub's digest, or the validator.
        if from > 0 && validator.is_none() && !self.file.digests.iter().any(Digest::identifies_content) {
            return idle(
                held,
                Broken::Changed("nothing proves that the earlier bytes are of the same content"),
            );
        }
        let opened = if complete {
            None
        } else {
            match self.open(source, from, to, validator.as_deref(), Lane::Main).await {
                Ok(opened) => Some(opened),
                Err(broken) => return idle(held, broken),
            }
        };
        let mut state = held.state;
        if let Some(opened) = &opened {
            self.admit(source, opened, expected).await?;
            state.size = opened.total.or(self.file.size);
            if let Some(etag) = &opened.etag {
                state.validators.insert(shown(source), etag.clone());
            }
        }
        if let Some(size) = state.size {
            let folder = self.paths.data.parent().unwrap_or(std::path::Path::new("."));
            check_space(folder, size.saturating_sub(state.have()))?;
        }
        let board = Board::new(state.gaps(state.size.unwrap_or(u64::MAX)));
        let hasher = held.hasher.unwrap_or_else(|| Hasher::new(expected, state.size));
        let writer = Writer::start(Setup {
            paths: self.paths.clone(),
            file: held.file,
            state,
            hasher,
            listener: self.fetcher.listener.clone(),
            id: self.id,
            guard: Arc::clone(&self.guard),
        });
        let result = match opened {
            Some(opened) => crew::receive(self, source, opened, board, writer.sink.clone()).await,
            None => Ok(()),
        };
        match result {
            Ok(()) => Ok((writer.finish().await?, None)),
            Err(broken) => Ok((writer.stop().await?, Some(broken))),
        }
    }

    /// Sends the request for everything from `from` on (or up to `to`) and checks that the answer is for it.
    pub(super) async fn open(
        &self,
        url: &Url,
        from: u64,
        to: Option<u64>,
        validator: Option<&str>,
        lane: Lane,
    ) -> std::result::Result<Opened, Broken> {
        let range = (from > 0 || to.is_some()).then_some((from, to));
        let ask = Ask { range, if_range: validator.filter(|_| range.is_some()), ..Ask::default() };
        let answer = match self.fetcher.client.send(lane, url, &ask).await {
            Err(Error::Http(f)) if f.status == 416 && range.is_some() => {
                return Err(Broken::Changed("the server's copy is shorter than what was fetched already"));
            }
            other => other?,
        };
        let headers = answer.response.headers();
        let etag = strong_etag(headers);
        let length = answer.response.content_length();
        match answer.response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let Some(found) = content_range(headers) else {
                    let reason = "a partial answer that does not say which part it is".to_owned();
                    return Err(Error::Protocol { url: shown(url), reason }.into());
                };
                if found.span.is_none_or(|(start, _)| start != from) {
                    let reason = format!("asked for bytes from {from}, got others");
                    return Err(Error::Protocol { url: shown(url), reason }.into());
                }
                if validator.is_some() && etag.is_some() && validator != etag.as_deref() {
                    return Err(Broken::Changed("the content changed on the server"));
                }
                let total = found.total.or_else(|| length.map(|n| from + n).filter(|_| to.is_none()));
                Ok(Opened { answer, total, etag, from })
            }
            _ if range.is_some() => {
                Err(Broken::Changed("the server sent the whole file instead of the rest"))
            }
            _ => Ok(Opened { total: length, answer, etag, from: 0 }),
        }
    }

    /// Compares what the answer promises with what was published, before any content is taken.
    async fn admit(&self, source: &Url, opened: &Opened, expected: &mut Vec<Digest>) -> Result<()> {
        let file = self.file.path.to_string();
        let published = &opened.answer.published;
        for digest in &published.digests {
            match expected.iter().find(|d| d.algorithm() == digest.algorithm()) {
                Some(known) if known != digest => {
                    let (expected, found) = (known.clone(), digest.clone());
                    return Err(Error::WrongDigest { file, origin: shown(source), expected, found });
                }
                Some(_) => {}
                None => expected.push(digest.clone()),
            }
        }
        let size = self.file.size.or(published.size);
        let wants_page =
            std::path::Path::new(self.file.path.as_str()).extension().is_some_and(|e| e == "html");
        let page = is_page(opened.answer.response.headers()) && !wants_page;
        match (size, opened.total) {
            (Some(expected), Some(found)) if expected != found => {
                let url = shown(source);
                if page {
                    return Err(Error::NotTheFile { file, url, what: "a web page" });
                }
                if found <= POINTER_MAX && opened.from == 0 && self.peeked_pointer(source).await {
                    return Err(Error::NotTheFile { file, url, what: "a Git LFS pointer" });
                }
                Err(Error::WrongSize { file, url, expected, found })
            }
            (None, _) if page && expected.is_empty() => {
                Err(Error::NotTheFile { file, url: shown(source), what: "a web page" })
            }
            _ => Ok(()),
        }
    }

    /// A short answer in place of a longer file: looks whether it is a pointer.
    async fn peeked_pointer(&self, source: &Url) -> bool {
        let document = self.fetcher.client.document(source, None, POINTER_MAX as usize).await;
        matches!(document, Ok(Some(d)) if d.bytes.starts_with(POINTER_START))
    }

    /// Everything arrived: compares the digests, and prepares the repair if they differ.
    async fn proved(
        &self,
        source: &Url,
        mut state: State,
        hasher: Hasher,
        expected: Vec<Digest>,
    ) -> Result<std::result::Result<Fetched, (Error, State)>> {
        let digests = hasher.finish();
        let file = self.file.path.to_string();
        let url = shown(source);
        if digests.length <= POINTER_MAX
            && fs::read_bounded(&self.paths.data, POINTER_MAX).is_ok_and(|b| b.starts_with(POINTER_START))
        {
            self.paths.remove()?;
            return Err(Error::NotTheFile { file, url, what: "a Git LFS pointer" });
        }
        let error = match digests.check(&expected) {
            Ok(()) => {
                state.size = Some(digests.length);
                let data = self.paths.data.clone();
                let size = digests.length;
                // A former, longer attempt may have left bytes behind the end.
                if fs::file_len(&data) != Some(size) {
                    let cut = fs::open_rw(&data)?;
                    cut.set_len(size).map_err(Error::io("cut", &data))?;
                    cut.sync_all().map_err(Error::io("flush", &data))?;
                }
                return Ok(Ok(Fetched {
                    data,
                    size,
                    digests,
                    published: expected,
                    source: url,
                    id: self.id,
                }));
            }
            Err(Mismatch { expected, found }) => Error::WrongDigest { file, origin: url, expected, found },
        };
        let had = state.have();
        let size = state.size;
        state = State::new(self.file.path.as_str());
        if let Some(pieces) = self.file.pieces.clone().filter(|p| p.length > 0) {
            let path = self.paths.data.clone();
            state.replace(blocking(move || good_pieces(&path, &pieces)).await?);
            state.size = size;
        }
        state.save(&self.paths)?;
        self.restarted("the digest is not the published one", had - state.have());
        Ok(Err((error, state)))
    }
}

fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::ETAG)?.to_str().ok()?;
    (text.starts_with('"') && text.len() > 2 && text.len() < 256).then(|| text.to_owned())
}

fn is_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|t| t.starts_with("text/html"))
}
