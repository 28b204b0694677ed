//! Response bodies: content in frames, at the connection's pace, struck by the fault that was asked for.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;

use crate::content::Content;
use crate::faults::Fault;
use crate::log::Sent;

/// How long a body waits before it breaks off, so that what it sent is on the wire.
const FLUSHED_AFTER: Duration = Duration::from_millis(5);

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// A token bucket that all answers on one connection share.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// How long to wait before `bytes` more may go at `rate` bytes per second.
    fn wait(&self, bytes: u64, rate: u64) -> Duration {
        let mut free_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // A little credit smooths what the timer's granularity would cost.
        let start = free_at.unwrap_or(now).max(now.checked_sub(Duration::from_millis(20)).unwrap_or(now));
        *free_at = Some(start + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64));
        start.saturating_duration_since(now)
    }
}

/// What a body is made of.
pub(crate) struct Plan {
    pub(crate) content: Content,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) fault: Option<Fault>,
    pub(crate) rate: Option<u64>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) sent: Sent,
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub(crate) fn planned(plan: Plan) -> Body {
    let at = plan.from;
    let stream = stream::unfold((plan, at, false), |(plan, at, stalled)| async move {
        if at >= plan.to {
            return None;
        }
        step(plan, at, stalled).await
    });
    StreamBody::new(stream).boxed()
}

type Step = (std::io::Result<Frame<Bytes>>, (Plan, u64, bool));

async fn step(plan: Plan, at: u64, mut stalled: bool) -> Option<Step> {
    let done = at - plan.from;
    let mut end = plan.to;
    if let Some(Fault::CutAfter { bytes }) = plan.fault {
        if done >= bytes {
            // What came before is to arrive: the server flushes while it waits for more.
            tokio::time::sleep(FLUSHED_AFTER).await;
            let to = plan.to;
            return Some((Err(std::io::Error::other("cut on request")), (plan, to, stalled)));
        }
        end = end.min(plan.from + bytes);
    }
    if let Some((after, pause)) = plan.fault.as_ref().and_then(Fault::stall)
        && !stalled
    {
        if done >= after {
            stalled = true;
            tokio::time::sleep(pause).await;
        } else {
            end = end.min(plan.from + after);
        }
    }
    if let Some(rate) = plan.rate {
        // Small steps make the pace even.
        end = end.min(at + (rate / 100).clamp(1024, 256 << 10));
        tokio::time::sleep(plan.pace.wait(end - at, rate)).await;
    }
    let mut part = match plan.content.read(at, end) {
        Ok(part) => part,
        Err(error) => return Some((Err(error), (plan, u64::MAX, stalled))),
    };
    let flip = match plan.fault {
        Some(Fault::FlipByte { at }) => Some(at),
        Some(Fault::ChangeEtag) => Some(0),
        _ => None,
    };
    if let Some(flip) = flip.filter(|f| (at..at + part.len() as u64).contains(f)) {
        let mut changed = part.to_vec();
        if let Some(byte) = changed.get_mut((flip - at) as usize) {
            *byte ^= 1;
        }
        part = changed.into();
    }
    let next = at + part.len() as u64;
    plan.sent.fetch_add(part.len() as u64, Ordering::Relaxed);
    Some((Ok(Frame::data(part)), (plan, next, stalled)))
}
