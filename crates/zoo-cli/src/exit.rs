//! How the command ends: the exit codes, in one table, and the failure that carries one of them up to `main`.
//!
//! Every error that a library returns is turned into a [`Failure`] where it enters (core's here, the ecosystems' in
//! `hubs`, the engine's in `cmd/run`), so nothing above needs to know their types.

use std::fmt::Write as _;

use serde_json::{Value, json};
use zoo_core::error::ErrorKind;

/// What this crate's functions return.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The exit codes. They are part of the interface: scripts compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Missed = 1,
    Usage = 2,
    NotFound = 3,
    Network = 4,
    Denied = 5,
    Verification = 6,
    Refused = 7,
    Disk = 8,
    Offline = 9,
    Engine = 10,
    Interrupted = 130,
}

/// Every code with its word in JSON errors and its meaning in `zoo --help`.
const TABLE: [(Exit, &str, &str); 12] = [
    (Exit::Ok, "ok", "done"),
    (Exit::Missed, "missed", "a check, a comparison or a verification found a difference"),
    (Exit::Usage, "usage", "the command line or a setting makes no sense"),
    (Exit::NotFound, "not-found", "no such model, revision or file"),
    (Exit::Network, "network", "a server could not be reached, or answered nonsense"),
    (Exit::Denied, "denied", "a server wants credentials, or refuses those it got"),
    (Exit::Verification, "verification", "bytes arrived that are not the published ones"),
    (Exit::Refused, "refused", "the content is unsafe, unsupported or broken"),
    (Exit::Disk, "disk", "the file system refused, or is full"),
    (Exit::Offline, "offline", "the network is needed, and --offline forbids it"),
    (Exit::Engine, "engine", "ONNX Runtime is missing or failed"),
    (Exit::Interrupted, "interrupted", "interrupted; the same command resumes"),
];

impl Exit {
    /// The number that the process ends with.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The word in JSON errors.
    pub(crate) fn word(self) -> &'static str {
        TABLE.iter().find(|(exit, ..)| *exit == self).map_or("", |(_, word, _)| word)
    }
}

/// The table as it stands in the help.
pub(crate) fn help() -> String {
    TABLE.iter().fold("Exit codes:".to_owned(), |mut text, (exit, _, meaning)| {
        let _ = write!(text, "\n  {:>3}  {meaning}", exit.code());
        text
    })
}

/// What failed, on what, and what to do now, with the code to end with.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure of the command line's own.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, error: anyhow::Error::msg(message.into()), hint: None }
    }

    /// The command line or a setting makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// With what to do now.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A library's error: `kind` chooses the code.
    pub(crate) fn of(
        error: impl std::error::Error + Send + Sync + 'static,
        kind: ErrorKind,
        hint: Option<String>,
    ) -> Self {
        Self { exit: exit_for(kind), error: error.into(), hint }
    }

    /// Whoever read standard output went away. There is nobody to tell, and nothing went wrong here.
    pub(crate) fn pipe_closed() -> Self {
        Self::new(Exit::Ok, "standard output was closed")
    }

    /// The causes below the message.
    pub(crate) fn causes(&self) -> Vec<String> {
        self.error.chain().skip(1).map(ToString::to_string).collect()
    }

    /// The form that `--json` prints on standard error, in one line.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "error": {
            "kind": self.exit.word(),
            "message": self.error.to_string(),
            "causes": self.causes(),
            "hint": self.hint,
        }})
    }
}

impl From<zoo_core::Error> for Failure {
    fn from(error: zoo_core::Error) -> Self {
        let (kind, hint) = (error.kind(), error.hint());
        Self::of(error, kind, hint)
    }
}

fn exit_for(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::Usage => Exit::Usage,
        ErrorKind::NotFound => Exit::NotFound,
        ErrorKind::Network => Exit::Network,
        ErrorKind::Denied => Exit::Denied,
        ErrorKind::Verification => Exit::Verification,
        ErrorKind::Disk => Exit::Disk,
        ErrorKind::Offline => Exit::Offline,
        // `ErrorKind` may grow; a kind that has no code of its own yet is at least a refusal.
        _ => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_published_ones() {
        let codes: Vec<(u8, &str)> = TABLE.iter().map(|(exit, word, _)| (exit.code(), *word)).collect();
        let expected = [
            (0, "ok"),
            (1, "missed"),
            (2, "usage"),
            (3, "not-found"),
            (4, "network"),
            (5, "denied"),
            (6, "verification"),
            (7, "refused"),
            (8, "disk"),
            (9, "offline"),
            (10, "engine"),
            (130, "interrupted"),
        ];
        assert_eq!(codes, expected);
        assert!(TABLE.iter().all(|(exit, word, _)| exit.word() == *word));
    }

    #[test]
    fn kinds_of_library_errors_choose_the_code() {
        let offline = zoo_core::Error::Offline { what: "`x`".into(), nearest: vec![] };
        let failure = Failure::from(offline);
        assert_eq!(failure.exit, Exit::Offline);
        assert!(failure.hint.unwrap().contains("--offline"));
        let io = zoo_core::fs::open(std::path::Path::new("no/such/file")).unwrap_err();
        let failure = Failure::from(io);
        assert_eq!((failure.exit, failure.causes().len()), (Exit::Disk, 1));
        assert_eq!(exit_for(ErrorKind::Refused), Exit::Refused);
        assert_eq!(exit_for(ErrorKind::Verification), Exit::Verification);
    }

    #[test]
    fn a_json_error_has_kind_message_causes_and_hint() {
        let failure = Failure::usage("no").hint("yes");
        insta::assert_snapshot!(
            failure.to_json().to_string(),
            @r#"{"error":{"causes":[],"hint":"yes","kind":"usage","message":"no"}}"#
        );
    }
}
