//! The connections of one file: the first stream, and, when it is slow, helpers that fetch ranges beside it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use url::Url;

use super::board::{Board, Gap, Slot};
use super::transfer::{Broken, Opened, Transfer};
use super::writer::Sink;
use crate::digest::Digest;
use crate::error::Error;
use crate::http::{Backoff, Lane, network, shown};
use crate::progress::Event;

/// Ranges are sized to take about this long each: long enough that a request's round trip does not matter, short enough
/// that the hash, which needs the bytes in order, stays close behind.
const RANGE_TIME: Duration = Duration::from_millis(500);
const RANGE_MIN: u64 = 4 << 20;
const RANGE_MAX: u64 = 64 << 20;

/// Receives everything on the board: one stream, and more when it is slow.
pub(super) async fn receive(
    transfer: &Transfer<'_>,
    source: &Url,
    opened: Opened,
    mut board: Board,
    sink: Sink,
) -> Result<(), Broken> {
    let sized = opened.total.is_some();
    let ranges = sized && opened.accepts_ranges();
    let validator = opened.etag.clone();
    let proved = validator.is_some() || transfer.file.digests.iter().any(Digest::identifies_content);
    let Some((slot, _)) = board.claim(u64::MAX, None) else { return Ok(()) };
    let crew = Crew {
        transfer,
        source,
        last: Mutex::new(opened.answer.last.clone()),
        validator,
        total: opened.total,
        board: Mutex::new(board),
        sink,
        first: slot,
        range: Mutex::new(u64::MAX),
        joined: Notify::new(),
        busy: Mutex::new(1),
    };
    let options = transfer.fetcher.options();
    let began = Instant::now();
    let left = crew.board().left();
    let mut running: FuturesUnordered<Job<'_>> = FuturesUnordered::new();
    running.push(Box::pin(crew.work(Some((slot, opened.answer.response)))));
    let judge = tokio::time::sleep(options.judge_after);
    tokio::pin!(judge);
    let mut judged = !ranges || !proved || options.connections_per_file < 2;
    let mut broken = None;
    loop {
        tokio::select! {
            done = running.next() => match done {
                Some(Ok(())) => {}
                Some(Err(Broken::Failed(error))) => broken = Some(Broken::Failed(error)),
                Some(Err(other)) => return Err(other),
                None => break,
            },
            () = &mut judge, if !judged => {
                judged = true;
                let to_go = crew.board().left();
                let rate = (left - to_go) as f64 / began.elapsed().as_secs_f64();
                if to_go >= options.ranges_above && rate < options.slow_below as f64 {
                    running.push(Box::pin(crew.first_helper(rate)));
                }
            },
            () = crew.joined.notified() => {
                for _ in 2..options.connections_per_file {
                    running.push(Box::pin(crew.helper()));
                }
            },
        }
    }
    match broken {
        // The connections have tried again by themselves, unless there was no length to go on from.
        Some(Broken::Failed(error)) if sized && crew.board().left() > 0 => Err(Broken::GaveUp(error)),
        Some(broken) if crew.board().left() > 0 => Err(broken),
        _ if sized && crew.board().left() > 0 => {
            let reason = "the connections ended before the file did".to_owned();
            Err(Error::Network { url: shown(source), reason }.into())
        }
        _ => Ok(()),
    }
}

type Job<'a> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'a>>;

/// The connections of one file and what they share.
struct Crew<'a> {
    transfer: &'a Transfer<'a>,
    source: &'a Url,
    /// Where the redirects led; signed and short-lived, so it is found anew when it stops working.
    last: Mutex<Url>,
    validator: Option<String>,
    total: Option<u64>,
    board: Mutex<Board>,
    sink: Sink,
    first: Slot,
    /// How many bytes a range has; unlimited while there is one connection.
    range: Mutex<u64>,
    joined: Notify,
    busy: Mutex<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves plain numbers behind, never half an update.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew<'_> {
    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    /// Fetches spans until none is left, beginning with an answer that is open already.
    async fn work(&self, first: Option<(Slot, reqwest::Response)>) -> Result<(), Broken> {
        let mut backoff = self.transfer.backoff();
        let mut open = first;
        loop {
            let (slot, response) = match open.take() {
                Some(open) => open,
                None => {
                    let most = *lock(&self.range);
                    let steal = (most != u64::MAX).then_some(RANGE_MIN);
                    let Some((slot, gap)) = self.board().claim(most, steal) else { return Ok(()) };
                    match self.open_range(gap).await {
                        Ok(response) => (slot, response),
                        Err(broken) => {
                            self.board().release(slot);
                            self.retry(&mut backoff, broken).await?;
                            continue;
                        }
                    }
                }
            };
            let before = self.board().span(slot);
            let result = self.pump(slot, response).await;
            if self.board().span(slot) != before {
                backoff.progress();
            }
            self.board().release(slot);
            if let Err(broken) = result {
                if self.total.is_none() {
                    return Err(broken);
                }
                self.retry(&mut backoff, broken).await?;
            }
        }
    }

    async fn retry(&self, backoff: &mut Backoff, broken: Broken) -> Result<(), Broken> {
        match broken {
            Broken::Failed(error) => Ok(self.transfer.wait_or_give_up(backoff, error).await?),
            other => Err(other),
        }
    }

    /// A range by the short way, or, if the signed URL has expired, by way of the hub again.
    async fn open_range(&self, gap: Gap) -> Result<reqwest::Response, Broken> {
        let many = *lock(&self.range) != u64::MAX;
        let lane = if many { Lane::Ranges } else { Lane::Main };
        let last = lock(&self.last).clone();
        let validator = self.validator.as_deref();
        let to = (gap.1 != u64::MAX).then_some(gap.1);
        let opened = match self.transfer.open(&last, gap.0, to, validator, lane).await {
            Err(Broken::Failed(Error::Http(f)))
                if last != *self.source && matches!(f.status, 400 | 401 | 403 | 404 | 410) =>
            {
                let opened = self.transfer.open(self.source, gap.0, to, validator, lane).await?;
                lock(&self.last).clone_from(&opened.answer.last);
                opened
            }
            other => other?,
        };
        if opened.total != self.total {
            return Err(Broken::Changed("the length changed on the server"));
        }
        Ok(opened.answer.response)
    }

    /// Moves a body's chunks to the writer until the span is complete.
    async fn pump(&self, slot: Slot, mut response: reqwest::Response) -> Result<(), Broken> {
        while let Some(chunk) = response.chunk().await.map_err(|e| network(self.source, &e))? {
            let (at, kept, complete) = self.board().advance(slot, chunk.len() as u64);
            if kept > 0 {
                self.sink.write(at, chunk.slice(..kept as usize)).await?;
            }
            if complete {
                return Ok(());
            }
        }
        // Without a length, the end of the body is the end of the file.
        if self.total.is_none() || self.board().span(slot).is_none_or(|(at, end)| at == end) {
            return Ok(());
        }
        let reason = "the connection ended before the file did".to_owned();
        Err(Error::Network { url: shown(self.source), reason }.into())
    }

    /// Opens the second connection. Only when it proved that ranges work here is the first one's span cut short.
    async fn first_helper(&self, rate: f64) -> Result<(), Broken> {
        let Some(_permit) = self.permit() else { return Ok(()) };
        let range = ((rate * RANGE_TIME.as_secs_f64()) as u64).clamp(RANGE_MIN, RANGE_MAX);
        let Some(start) = self.start_for_company(range) else { return Ok(()) };
        let last = lock(&self.last).clone();
        let opened = self
            .transfer
            .open(&last, start.at, Some(start.end), self.validator.as_deref(), Lane::Ranges)
            .await;
        let response = match opened {
            Ok(opened) if opened.total == self.total => Some(opened.answer.response),
            _ => None,
        };
        let claimed = {
            let mut board = self.board();
            match (start.claimed, &response) {
                (Some(slot), Some(_)) => Some(slot),
                // Ranges do not work as they should, so one connection must do. That is no failure.
                (Some(slot), None) => {
                    board.release(slot);
                    None
                }
                (None, Some(_)) if board.cut(self.first, start.at) => {
                    board.claim(range, None).map(|(slot, _)| slot)
                }
                (None, _) => None,
            }
        };
        let (Some(slot), Some(response)) = (claimed, response) else { return Ok(()) };
        *lock(&self.range) = range;
        self.joined.notify_one();
        let _busy = self.busy();
        Self::quietly(self.work(Some((slot, response))).await)
    }

    /// Where the second connection begins. A transfer that goes on from several ranges has gaps that nobody works on: the
    /// first of them. Otherwise in the first connection's span, two ranges ahead, where it will not be before the answer is.
    fn start_for_company(&self, range: u64) -> Option<Start> {
        let mut board = self.board();
        if let Some((slot, (at, end))) = board.claim(range, None) {
            return Some(Start { at, end, claimed: Some(slot) });
        }
        let (next, end) = board.span(self.first)?;
        let at = next.saturating_add(range * 2);
        (at < end).then(|| Start { at, end: end.min(at + range), claimed: None })
    }

    async fn helper(&self) -> Result<(), Broken> {
        let Some(_permit) = self.permit() else { return Ok(()) };
        let _busy = self.busy();
        Self::quietly(self.work(None).await)
    }

    /// A helper that fails leaves its span to the others.
    fn quietly(result: Result<(), Broken>) -> Result<(), Broken> {
        match result {
            Err(Broken::Failed(error)) => {
                tracing::info!(%error, "a further connection gave up");
                Ok(())
            }
            other => other,
        }
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.transfer.fetcher.connections).try_acquire_owned().ok()
    }

    fn busy(&self) -> Busy<'_> {
        self.count(|n| n + 1);
        Busy(self)
    }

    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let count = {
            let mut busy = lock(&self.busy);
            *busy = change(*busy);
            *busy
        };
        let file = self.transfer.id;
        self.transfer.fetcher.listener.send(|| Event::Connections { file, count });
    }
}

/// What the second connection asks for.
struct Start {
    at: u64,
    end: u64,
    /// Its span on the board, if it was free; otherwise it is cut off the first connection's once the answer is there.
    claimed: Option<Slot>,
}

/// Counts a connection while it lives.
struct Busy<'a>(&'a Crew<'a>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.count(|n| n.saturating_sub(1));
    }
}
