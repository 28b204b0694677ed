//! When to try again, and how long to wait: exponential backoff with jitter, the server's own wish first.

use std::time::Duration;

use crate::error::Error;

/// The longest wait between two attempts of our own choosing.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The longest wait a server may ask for; beyond it the person decides.
const MAX_OBEYED: Duration = Duration::from_mins(5);

/// Whether another attempt at the same request may succeed.
fn retryable(error: &Error) -> bool {
    match error {
        Error::Http(f) => matches!(f.status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=524),
        Error::Network { .. } => true,
        _ => false,
    }
}

/// Counts attempts without progress.
pub(crate) struct Backoff {
    limit: u32,
    first: Duration,
    failed: u32,
}

impl Backoff {
    pub(crate) fn new(limit: u32, first: Duration) -> Self {
        Self { limit: limit.max(1), first, failed: 0 }
    }

    /// Something arrived: the next failure is a first one again.
    pub(crate) fn progress(&mut self) {
        self.failed = 0;
    }

    /// How long to wait before the next attempt, or `None` to give up.
    pub(crate) fn next(&mut self, error: &Error) -> Option<Duration> {
        self.failed += 1;
        if self.failed >= self.limit || !retryable(error) {
            return None;
        }
        if let Error::Http(f) = error
            && let Some(asked) = f.retry_after
        {
            return (asked <= MAX_OBEYED).then_some(asked);
        }
        let doubled = self.first.saturating_mul(1 << (self.failed - 1).min(16)).min(MAX_WAIT);
        // Between half and the whole: many clients that failed together must not come back together.
        Some(doubled.mul_f64(0.5 + fastrand::f64() / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::HttpFailure;

    fn status(status: u16, retry_after: Option<u64>) -> Error {
        Error::Http(Box::new(HttpFailure {
            url: String::new(),
            status,
            code: None,
            message: None,
            retry_after: retry_after.map(Duration::from_secs),
            authenticated: false,
        }))
    }

    #[test]
    fn waits_grow_with_jitter_and_end() {
        let mut backoff = Backoff::new(4, Duration::from_secs(1));
        for expected in [1.0, 2.0, 4.0] {
            let wait = backoff.next(&status(503, None)).unwrap().as_secs_f64();
            assert!((expected / 2.0..=expected).contains(&wait), "{wait}");
        }
        assert_eq!(backoff.next(&status(503, None)), None);
        backoff.progress();
        assert!(backoff.next(&status(503, None)).is_some());
    }

    #[test]
    fn the_servers_wish_is_obeyed_within_reason() {
        let mut backoff = Backoff::new(9, Duration::from_secs(1));
        assert_eq!(backoff.next(&status(429, Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(backoff.next(&status(429, Some(3600))), None);
    }

    #[test]
    fn what_cannot_change_is_not_tried_again() {
        assert_eq!(Backoff::new(9, Duration::ZERO).next(&status(404, None)), None);
    }
}
