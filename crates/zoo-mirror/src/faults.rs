//! Faults on demand: which requests they strike, and what happens to these.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// The connection breaks after so many bytes of the body.
    CutAfter {
        /// Bytes sent before.
        bytes: u64,
    },
    /// The body pauses after so many bytes.
    Stall {
        /// Bytes sent before.
        after: u64,
        /// Length of the pause in milliseconds.
        millis: u64,
    },
    /// The server claims and sends so many bytes fewer than there are.
    Truncate {
        /// Bytes missing at the end.
        lose: u64,
    },
    /// One bit of the byte at this offset of the content is flipped.
    FlipByte {
        /// Offset in the content.
        at: u64,
    },
    /// A range is answered with the whole content and 200.
    IgnoreRange,
    /// An error instead of the content.
    Status {
        /// The status code.
        code: u16,
        /// `Retry-After` in seconds.
        retry_after: Option<u32>,
    },
    /// The validator is another one than before, and so is the content's first byte.
    ChangeEtag,
    /// A redirect to the same URL, for ever.
    RedirectLoop,
    /// A Git LFS pointer instead of the content, with 200.
    PointerText,
    /// A page of HTML instead of the content, with 200 (a login page, a captive portal).
    HtmlPage,
    /// The connection closes without an answer.
    DropConnection,
}

/// Which requests a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The request's path (without query) must contain this.
    pub path: String,
    /// Only at the origin that serves content, where the hub redirects there.
    #[serde(default = "yes")]
    pub content_only: bool,
    /// How many matching requests pass before the first is struck.
    #[serde(default)]
    pub skip: u32,
    /// How many are struck then; `None` is all.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens to them.
    pub fault: Fault,
}

fn yes() -> bool {
    true
}

impl FaultRule {
    /// Strikes every request for content whose path contains `path`.
    pub fn new(path: impl Into<String>, fault: Fault) -> Self {
        Self { path: path.into(), content_only: true, skip: 0, times: None, fault }
    }

    /// Only the first `n`.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.times = Some(n);
        self
    }

    /// After `n` have passed.
    #[must_use]
    pub fn after(mut self, n: u32) -> Self {
        self.skip = n;
        self
    }

    /// Also at the hub's own origin, before any redirect.
    #[must_use]
    pub fn everywhere(mut self) -> Self {
        self.content_only = false;
        self
    }

    /// Whether it strikes this request; counts it if it matches.
    pub(crate) fn strikes(&mut self, path: &str, is_content: bool) -> bool {
        if !path.contains(&self.path) || (self.content_only && !is_content) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(n) => {
                *n -= 1;
                true
            }
        }
    }
}

impl Fault {
    pub(crate) fn stall(&self) -> Option<(u64, Duration)> {
        match self {
            Self::Stall { after, millis } => Some((*after, Duration::from_millis(*millis))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_as_often_as_it_says() {
        let mut rule = FaultRule::new("model", Fault::IgnoreRange).after(1).times(2);
        let mut strike = |path: &str, content| rule.strikes(path, content);
        assert!(!strike("/other", true));
        assert!(!strike("/model", false));
        assert_eq!([(); 5].map(|()| strike("/model", true)), [false, true, true, false, false]);
    }

    #[test]
    fn rules_travel_as_json() {
        let text = r#"{"path":"x","fault":{"kind":"cut-after","bytes":10},"times":1}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(rule, FaultRule::new("x", Fault::CutAfter { bytes: 10 }).times(1));
    }
}
