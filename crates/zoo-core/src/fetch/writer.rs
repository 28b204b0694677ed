//! The two threads per file that write and hash, beside the connections that receive.
//!
//! Chunks arrive with their offset and are written. A chunk that continues the hashed prefix is then handed on, without a copy,
//! to be hashed from memory; with several ranges in flight chunks come out of order, and the hash follows by reading back
//! what is on disk (from the page cache) whenever no chunk waits. So the digest is complete moments after the last byte.
//! Hashing has a thread of its own because it costs about as much as receiving and writing together.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::state::{Extent, Paths, State};
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::progress::{Event, FileId, Listener};
use crate::remote::Pieces;

/// Bytes in flight between the connections and this thread: enough to ride out a slow disk moment, little enough that
/// memory stays small whatever the model's size.
const IN_FLIGHT: usize = 12 << 20;

/// How often the list of extents is saved while bytes arrive: what a kill can cost.
const SAVE_EVERY: Duration = Duration::from_millis(100);

/// How much is hashed at once when catching up, between looks for new chunks.
const CATCH_UP: usize = 1 << 20;

/// How many blocks may wait to be hashed: chunks are also bounded by [`IN_FLIGHT`], what is read back by this alone.
const QUEUE: usize = 8;

/// Files above this size are flushed in the background as they grow, so that the final fsync is short.
const FLUSH_EVERY: u64 = 64 << 20;

enum Message {
    Chunk(u64, Bytes, OwnedSemaphorePermit),
    Finish,
}

/// The handle that connections write through.
#[derive(Clone)]
pub(super) struct Sink {
    sender: mpsc::UnboundedSender<Message>,
    room: Arc<Semaphore>,
}

/// What is left when the thread ends: everything another attempt goes on from.
pub(super) struct Outcome {
    pub(super) file: File,
    pub(super) state: State,
    /// Complete when the transfer was finished; otherwise of the bytes hashed so far.
    pub(super) hasher: Hasher,
}

pub(super) struct Writer {
    pub(super) sink: Sink,
    thread: JoinHandle<Result<Outcome>>,
}

/// What the writer starts from.
pub(super) struct Setup {
    pub(super) paths: Paths,
    pub(super) file: File,
    pub(super) state: State,
    pub(super) hasher: Hasher,
    pub(super) listener: Listener,
    pub(super) id: FileId,
    /// Kept until the thread ends: whoever comes next must not open the same files before.
    #[expect(dead_code, reason = "held, not read")]
    pub(super) guard: Arc<dyn Send + Sync>,
}

impl Sink {
    /// Hands a chunk over; waits while too much is in flight. An error means the writer stopped (its own result says why).
    pub(super) async fn write(&self, offset: u64, bytes: Bytes) -> std::result::Result<(), Stopped> {
        let weight = u32::try_from(bytes.len().min(IN_FLIGHT)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| Stopped)?;
        self.sender.send(Message::Chunk(offset, bytes, permit)).map_err(|_| Stopped)
    }
}

/// The writer ended early.
#[derive(Debug)]
pub(super) struct Stopped;

impl Writer {
    pub(super) fn start(setup: Setup) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(IN_FLIGHT));
        let sink = Sink { sender, room };
        let thread = tokio::task::spawn_blocking(move || Work::new(setup).run(receiver));
        Self { sink, thread }
    }

    /// All bytes were handed over: completes the digest and makes the file durable.
    pub(super) async fn finish(self) -> Result<Outcome> {
        let _ = self.sink.sender.send(Message::Finish);
        self.stop().await
    }

    /// Waits for the thread and returns what it has (or why it stopped).
    pub(super) async fn stop(self) -> Result<Outcome> {
        let Self { sink, thread } = self;
        drop(sink);
        match thread.await {
            Ok(result) => result,
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    }
}

struct Work {
    setup: Setup,
    hashing: Hashing,
    saved: Instant,
    dirty: bool,
    unflushed: u64,
    flusher: Option<Flusher>,
}

impl Work {
    fn new(setup: Setup) -> Self {
        let hashing = Hashing::start(setup.hasher.clone());
        Self { setup, hashing, saved: Instant::now(), dirty: true, unflushed: 0, flusher: None }
    }

    fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Message>) -> Result<Outcome> {
        let finished = loop {
            let message = match receiver.try_recv() {
                Ok(message) => Some(message),
                Err(mpsc::error::TryRecvError::Empty) if self.catch_up()? => continue,
                Err(_) => receiver.blocking_recv(),
            };
            match message {
                Some(Message::Chunk(offset, bytes, permit)) => {
                    self.chunk(offset, bytes, permit)?;
                }
                Some(Message::Finish) => break true,
                None => break false,
            }
        };
        if finished {
            let id = self.setup.id;
            self.setup.listener.send(|| Event::Verify { file: id });
            while self.catch_up()? {}
            if let Some(flusher) = self.flusher.take() {
                flusher.wait();
            }
            self.setup.file.sync_all().map_err(Error::io("flush", &self.setup.paths.data))?;
        }
        self.save()?;
        let hasher = self.hashing.finish();
        let Setup { file, state, .. } = self.setup;
        Ok(Outcome { file, state, hasher })
    }

    fn chunk(&mut self, offset: u64, bytes: Bytes, permit: OwnedSemaphorePermit) -> Result<()> {
        if let Err(source) = write_at(&self.setup.file, offset, &bytes) {
            // What is on disk stays of use (after making room on a full disk, say), so it is remembered.
            let _ = self.setup.state.save(&self.setup.paths);
            return Err(Error::Io { action: "write", path: self.setup.paths.data.clone(), source });
        }
        self.setup.state.add(offset, &bytes);
        self.dirty = true;
        let (id, count) = (self.setup.id, bytes.len() as u64);
        if offset == self.hashing.queued {
            self.hashing.give(bytes, Some(permit));
        }
        self.setup.listener.send(|| Event::Bytes { file: id, count });
        self.unflushed += count;
        if self.unflushed >= FLUSH_EVERY {
            self.unflushed = 0;
            self.flush_in_background();
        }
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save()?;
        }
        Ok(())
    }

    /// Hashes some of what is on disk beyond the hashed prefix; `false` if there is nothing.
    fn catch_up(&mut self) -> Result<bool> {
        let (at, end) = (self.hashing.queued, self.setup.state.prefix());
        if at >= end {
            return Ok(false);
        }
        let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(CATCH_UP);
        let mut buffer = vec![0; want];
        read_at(&mut self.setup.file, at, &mut buffer).map_err(Error::io("read", &self.setup.paths.data))?;
        self.hashing.give(buffer.into(), None);
        Ok(true)
    }

    fn save(&mut self) -> Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.setup.state.save(&self.setup.paths)?;
        }
        self.saved = Instant::now();
        Ok(())
    }

    fn flush_in_background(&mut self) {
        if self.flusher.is_none() {
            self.flusher = self.setup.file.try_clone().ok().map(Flusher::start);
        }
        if let Some(flusher) = &self.flusher {
            flusher.kick();
        }
    }
}

/// Hashes the content in order, on a thread of its own.
struct Hashing {
    sender: SyncSender<(Bytes, Option<OwnedSemaphorePermit>)>,
    thread: std::thread::JoinHandle<Hasher>,
    /// How far the content was handed over.
    queued: u64,
}

impl Hashing {
    fn start(mut hasher: Hasher) -> Self {
        let queued = hasher.length();
        let (sender, receiver) =
            std::sync::mpsc::sync_channel::<(Bytes, Option<OwnedSemaphorePermit>)>(QUEUE);
        let thread = std::thread::spawn(move || {
            // The permit is held until here, so that what waits to be hashed counts as being in flight.
            for (bytes, _permit) in receiver {
                hasher.update(&bytes);
            }
            hasher
        });
        Self { sender, thread, queued }
    }

    /// Hands the next bytes over; waits while the queue is full.
    fn give(&mut self, bytes: Bytes, permit: Option<OwnedSemaphorePermit>) {
        self.queued += bytes.len() as u64;
        // It fails only if the thread panicked, and then `finish` says so.
        let _ = self.sender.send((bytes, permit));
    }

    fn finish(self) -> Hasher {
        drop(self.sender);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Writes dirty pages out while the transfer goes on.
struct Flusher {
    kick: SyncSender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Flusher {
    fn start(file: File) -> Self {
        let (kick, kicked) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            for () in kicked {
                // An error comes back from the final fsync, which is the one that counts.
                let _ = file.sync_data();
            }
        });
        Self { kick, thread }
    }

    fn kick(&self) {
        let _ = self.kick.try_send(());
    }

    fn wait(self) {
        drop(self.kick);
        let _ = self.thread.join();
    }
}

#[cfg(unix)]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    std::io::Write::write_all(&mut file, bytes)
}

fn read_at(file: &mut File, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(out)
}

/// Reads a finished file piece by piece: the extents of the pieces that are as published. What they do not cover is wrong.
pub(super) fn good_pieces(path: &Path, pieces: &Pieces) -> Result<Vec<Extent>> {
    let mut file = crate::fs::open(path)?;
    let mut good = Vec::new();
    let mut start = 0;
    let mut buffer = vec![0; CATCH_UP];
    for expected in &pieces.sha256 {
        let mut hasher = Hasher::new(&[], None);
        let mut crc = 0;
        let mut part = (&mut file).take(pieces.length);
        loop {
            let count = part.read(&mut buffer).map_err(Error::io("read", path))?;
            let Some(block) = buffer.get(..count).filter(|b| !b.is_empty()) else { break };
            hasher.update(block);
            crc = crc32c::crc32c_append(crc, block);
        }
        let end = start + hasher.length();
        if end > start && hasher.finish().sha256 == *expected {
            good.push(Extent { start, end, crc32c: crc });
        }
        start = end;
    }
    Ok(good)
}
