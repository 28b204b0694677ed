//! Progress on standard error: bars on a terminal, now and then a line anywhere else.
//!
//! [`Transfers`] is what happened so far, and words for it; it knows no terminal and no clock, so it is tested alone.
//! [`Bars`] listens: an event only changes that state, and a thread of its own draws it ten times a second, so no transfer
//! waits for a terminal, and a line says "retrying in 2 s" while nothing else happens.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use zoo_core::error::human;
use zoo_core::progress::{Event, FileId, Progress};

use crate::output::plain;

/// Often enough to look alive, seldom enough to cost nothing.
const REDRAW: Duration = Duration::from_millis(100);

/// The speed shown is the mean over this time: shorter jumps about, longer hides that a connection died.
const WINDOW: Duration = Duration::from_secs(5);

/// Bytes that arrive within this time are one sample, so that a fast line does not fill the memory with them.
const SLOT: Duration = Duration::from_millis(100);

/// Without a terminal, a file says how far it is after this time,
const LINE_EVERY: Duration = Duration::from_secs(10);
/// or after this part of it, but not more often than once a second.
const LINE_PERCENT: u64 = 10;
const LINE_AT_MOST: Duration = Duration::from_secs(1);

/// Columns for a file's name. With those of the bar, half of a narrow terminal is left for words.
const NAME: usize = 24;

/// What goes on with one file.
#[derive(Debug)]
struct Transfer {
    path: String,
    size: Option<u64>,
    /// Bytes on disk, those of earlier runs included.
    have: u64,
    began: Instant,
    connections: usize,
    phase: Phase,
    speed: Speed,
    /// When a line last said how far it is, and how far.
    told: (Instant, u64),
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Moving,
    Retrying { reason: String, at: Instant },
    Checking,
}

/// Bytes per second over the last seconds.
#[derive(Debug, Default)]
struct Speed(VecDeque<(Instant, u64)>);

impl Speed {
    fn add(&mut self, now: Instant, count: u64) {
        match self.0.back_mut() {
            Some((at, sum)) if now.saturating_duration_since(*at) < SLOT => *sum += count,
            _ => self.0.push_back((now, count)),
        }
        while self.0.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > WINDOW) {
            self.0.pop_front();
        }
    }

    fn per_second(&self, now: Instant, began: Instant) -> u64 {
        let recent = |at: &Instant| now.saturating_duration_since(*at) <= WINDOW;
        let bytes: u64 = self.0.iter().filter(|(at, _)| recent(at)).map(|(_, count)| count).sum();
        let time = now.saturating_duration_since(began).clamp(SLOT, WINDOW);
        (bytes as f64 / time.as_secs_f64()) as u64
    }
}

/// What an event means for whoever draws.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Nothing that cannot wait for the next redraw.
    Nothing,
    /// A file began, or began again.
    Began(FileId, String),
    /// An attempt failed: a bar shows it, and without bars it is a line.
    Failed(String),
    /// Something worth a line that stays.
    Line(String),
    /// A file is done, or given up.
    Done(FileId, String),
}

/// All files of the command.
#[derive(Debug, Default)]
struct Transfers {
    active: BTreeMap<FileId, Transfer>,
    /// Of files that go on at the same time, those that are done, and their bytes.
    done: (usize, u64),
    /// Whether several went on at the same time since none did.
    several: bool,
}

impl Transfers {
    fn apply(&mut self, event: &Event<'_>, now: Instant) -> Told {
        match event {
            Event::Start { file, path, size, have } => {
                let path = plain(path).into_owned();
                let text = match (size, have) {
                    (Some(size), 0) => format!("fetching {path} ({})", human(*size)),
                    (None, 0) => format!("fetching {path}"),
                    (Some(size), have) => {
                        format!("resuming {path} ({} are here)", part(*have, *size))
                    }
                    (None, have) => format!("resuming {path} ({} are here)", human(*have)),
                };
                let transfer = self.active.entry(*file).or_insert_with(|| Transfer {
                    path,
                    size: *size,
                    have: 0,
                    began: now,
                    connections: 1,
                    phase: Phase::Moving,
                    speed: Speed::default(),
                    told: (now, 0),
                });
                // The next source of a file starts again under the same number.
                transfer.size = size.or(transfer.size);
                transfer.have = *have;
                transfer.phase = Phase::Moving;
                transfer.told = (now, *have);
                self.several |= self.active.len() > 1;
                Told::Began(*file, text)
            }
            Event::Bytes { file, count } => {
                if let Some(transfer) = self.active.get_mut(file) {
                    transfer.have += count;
                    transfer.speed.add(now, *count);
                    transfer.phase = Phase::Moving;
                }
                Told::Nothing
            }
            Event::Retry { file, reason, after } => {
                let Some(transfer) = self.active.get_mut(file) else { return Told::Nothing };
                let reason = plain(reason).replace('\n', " ");
                let text = format!("{}: retrying in {}: {reason}", transfer.path, time(*after));
                transfer.phase = Phase::Retrying { reason: without_paths(&reason), at: now + *after };
                Told::Failed(text)
            }
            Event::Restart { file, reason, lost } => {
                let Some(transfer) = self.active.get_mut(file) else { return Told::Nothing };
                transfer.have = transfer.have.saturating_sub(*lost);
                transfer.told.1 = transfer.told.1.min(transfer.have);
                transfer.phase = Phase::Moving;
                let again = format!("{}: fetching {} again: {}", transfer.path, human(*lost), plain(reason));
                Told::Line(again)
            }
            Event::Connections { file, count } => {
                if let Some(transfer) = self.active.get_mut(file) {
                    transfer.connections = *count;
                }
                Told::Nothing
            }
            Event::Verify { file } => {
                if let Some(transfer) = self.active.get_mut(file) {
                    transfer.phase = Phase::Checking;
                }
                Told::Nothing
            }
            Event::Done { file, size } => {
                let Some(transfer) = self.active.remove(file) else { return Told::Nothing };
                self.done = (self.done.0 + 1, self.done.1 + size);
                if self.active.is_empty() {
                    self.done = (0, 0);
                    self.several = false;
                }
                let took = time(now.saturating_duration_since(transfer.began));
                Told::Done(*file, format!("fetched {} ({} in {took})", transfer.path, human(*size)))
            }
            // Why, the command's own error says at its end.
            Event::Failed { file, .. } => match self.active.remove(file) {
                Some(transfer) => Told::Done(*file, format!("gave up on {}", transfer.path)),
                None => Told::Nothing,
            },
            Event::Reused { path, from, size } => {
                let from = from.display().to_string();
                Told::Line(format!("reused {} ({}) from {}", plain(path), human(*size), plain(&from)))
            }
            Event::Waiting { what } => {
                Told::Line(format!("waiting for another process that works on `{}`", plain(what)))
            }
            // Staging takes milliseconds as long as nothing is converted; and events may come that this version does not know.
            _ => Told::Nothing,
        }
    }

    /// The lines that are due where there are no bars.
    fn due(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for transfer in self.active.values_mut().filter(|t| t.phase == Phase::Moving) {
            let (at, had) = transfer.told;
            let since = now.saturating_duration_since(at);
            let step = transfer.size.map_or(u64::MAX, |size| size / 100 * LINE_PERCENT);
            let far = transfer.have.saturating_sub(had) >= step.max(1) && since >= LINE_AT_MOST;
            if far || since >= LINE_EVERY {
                transfer.told = (now, transfer.have);
                lines.push(format!("{}: {}", transfer.path, transfer.state(now)));
            }
        }
        lines
    }

    /// Bytes there, bytes altogether, and words for it, where several files go on at the same time.
    fn total(&self, now: Instant) -> Option<(u64, u64, String)> {
        if !self.several {
            return None;
        }
        let count = self.done.0 + self.active.len();
        let have = self.done.1 + self.active.values().map(|t| t.have).sum::<u64>();
        let size = self.done.1 + self.active.values().map(|t| t.size.unwrap_or(t.have)).sum::<u64>();
        let speed = self.active.values().map(|t| t.speed.per_second(now, t.began)).sum();
        let text = amount(have, Some(size), speed);
        Some((have, size, format!("{text}, {} of {count} files", self.done.0)))
    }
}

impl Transfer {
    /// How far it is.
    fn state(&self, now: Instant) -> String {
        match &self.phase {
            Phase::Checking => "checking".into(),
            Phase::Retrying { reason, at } => {
                let wait = at.saturating_duration_since(now);
                if wait.is_zero() {
                    format!("retrying: {reason}")
                } else {
                    format!("retrying in {}: {reason}", time(wait))
                }
            }
            Phase::Moving => {
                let mut text = amount(self.have, self.size, self.speed.per_second(now, self.began));
                if self.connections > 1 {
                    text = format!("{text}, {} connections", self.connections);
                }
                text
            }
        }
    }
}

fn amount(have: u64, size: Option<u64>, speed: u64) -> String {
    let mut text = match size {
        Some(size) => part(have, size),
        None => human(have),
    };
    if speed > 0 {
        text = format!("{text}, {}/s", human(speed));
        if let Some(left) = size.map(|size| size.saturating_sub(have)).filter(|left| *left > 0) {
            text = format!("{text}, {} left", time(Duration::from_secs(left.div_ceil(speed))));
        }
    }
    text
}

/// `3.5 of 4 MiB`: the unit once, where it is the same.
fn part(have: u64, size: u64) -> String {
    let (have, size) = (human(have), human(size));
    match (have.split_once(' '), size.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number} of {size}"),
        _ => format!("{have} of {size}"),
    }
}

/// A time as people say it.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time < Duration::from_millis(1) => format!("{} µs", time.as_micros()),
        0 => format!("{} ms", time.as_millis()),
        1..10 if time.subsec_millis() >= 50 => format!("{:.1} s", time.as_secs_f64()),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The end of a long name tells more than its beginning.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(count + 1 - NAME).collect::<String>())
    }
}

/// A reason in few columns: of a URL, the host tells enough.
fn without_paths(reason: &str) -> String {
    let host = |word: &str| {
        let rest = word.strip_prefix("https://").or_else(|| word.strip_prefix("http://"));
        rest.map_or_else(|| word.to_owned(), |rest| rest.split('/').next().unwrap_or_default().to_owned())
    };
    reason.split(' ').map(host).collect::<Vec<_>>().join(" ")
}

/// Draws what is told.
pub(crate) struct Bars {
    inner: Arc<Inner>,
}

struct Inner {
    screen: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    transfers: Transfers,
    bars: HashMap<FileId, ProgressBar>,
    total: Option<ProgressBar>,
    /// The thread that redraws; begun with the first file, so that a pull without any starts none.
    painter: Option<thread::Thread>,
    over: bool,
}

impl Bars {
    /// Draws on `screen`; prints lines to standard error if that is hidden.
    pub(crate) fn new(screen: MultiProgress) -> Self {
        Self { inner: Arc::new(Inner { screen, state: Mutex::default() }) }
    }

    /// Takes the bars off the screen, those of files that came to no end included.
    pub(crate) fn finish(&self) {
        let mut state = self.inner.lock();
        state.over = true;
        let mut bars: Vec<ProgressBar> = state.bars.drain().map(|(_, bar)| bar).collect();
        bars.extend(state.total.take());
        for bar in bars {
            self.inner.close(&bar);
        }
        if let Some(painter) = state.painter.take() {
            painter.unpark();
        }
    }
}

impl Progress for Bars {
    fn event(&self, event: &Event<'_>) {
        let now = Instant::now();
        let mut state = self.inner.lock();
        if state.over {
            return;
        }
        let told = state.transfers.apply(event, now);
        match told {
            Told::Nothing => {}
            Told::Began(id, text) => {
                if self.inner.has_bars() {
                    self.inner.open(&mut state, id);
                } else {
                    line(&text);
                }
                if state.painter.is_none() {
                    state.painter = paint(Arc::clone(&self.inner));
                }
            }
            Told::Failed(text) => {
                if !self.inner.has_bars() {
                    line(&text);
                }
            }
            Told::Line(text) => self.inner.say(&text),
            Told::Done(id, text) => {
                if let Some(bar) = state.bars.remove(&id) {
                    self.inner.close(&bar);
                }
                self.inner.say(&text);
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while drawing must not become one in a transfer.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_bars(&self) -> bool {
        !self.screen.is_hidden()
    }

    /// A line that stays, above the bars if there are any.
    fn say(&self, text: &str) {
        if self.has_bars() {
            let _ = self.screen.println(text);
        } else {
            line(text);
        }
    }

    fn open(&self, state: &mut State, id: FileId) {
        let Some(transfer) = state.transfers.active.get(&id).filter(|_| !state.bars.contains_key(&id)) else {
            return;
        };
        let bar = self.screen.insert(state.bars.len(), ProgressBar::no_length());
        bar.set_style(style(transfer.size.is_some()));
        bar.set_prefix(shortened(&transfer.path));
        state.bars.insert(id, bar);
    }

    fn close(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        self.screen.remove(bar);
    }

    fn draw(&self, state: &mut State, now: Instant) {
        if !self.has_bars() {
            for text in state.transfers.due(now) {
                line(&text);
            }
            return;
        }
        for (id, bar) in &state.bars {
            let Some(transfer) = state.transfers.active.get(id) else { continue };
            if let Some(size) = transfer.size {
                bar.set_length(size);
            }
            bar.set_position(transfer.have);
            bar.set_message(transfer.state(now));
        }
        match state.transfers.total(now) {
            Some((have, size, text)) => {
                let bar = state.total.get_or_insert_with(|| {
                    let bar = self.screen.add(ProgressBar::no_length());
                    bar.set_style(style(true));
                    bar.set_prefix("together");
                    bar
                });
                bar.set_length(size);
                bar.set_position(have);
                bar.set_message(text);
            }
            None => {
                if let Some(bar) = state.total.take() {
                    self.close(&bar);
                }
            }
        }
    }
}

/// Redraws until the end. A system that gives no thread shows no bars, and fetches all the same.
fn paint(inner: Arc<Inner>) -> Option<thread::Thread> {
    let work = move || {
        loop {
            thread::park_timeout(REDRAW);
            let mut state = inner.lock();
            if state.over {
                return;
            }
            inner.draw(&mut state, Instant::now());
        }
    };
    thread::Builder::new().name("progress".into()).spawn(work).ok().map(|handle| handle.thread().clone())
}

fn style(sized: bool) -> ProgressStyle {
    let template = if sized { "{prefix:24} [{bar:12}] {wide_msg}" } else { "{prefix:24} {wide_msg}" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("█▉▊▋▌▍▎▏ ")
}

fn line(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: FileId = FileId(7);

    fn start(size: Option<u64>, have: u64) -> Event<'static> {
        Event::Start { file: ID, path: "m.onnx", size, have }
    }

    fn bytes(count: u64) -> Event<'static> {
        Event::Bytes { file: ID, count }
    }

    /// Events at seconds, and the state after the last of them.
    fn play(events: &[(f64, Event<'_>)]) -> (Transfers, Instant) {
        let zero = Instant::now();
        let mut transfers = Transfers::default();
        let mut now = zero;
        for (at, event) in events {
            now = zero + Duration::from_secs_f64(*at);
            transfers.apply(event, now);
        }
        (transfers, now)
    }

    fn state(events: &[(f64, Event<'_>)]) -> String {
        let (transfers, now) = play(events);
        transfers.active[&ID].state(now)
    }

    #[test]
    fn speed_counts_only_what_came_in_this_run() {
        let text = state(&[(0.0, start(Some(4 << 20), 3 << 20)), (2.0, bytes(512 << 10))]);
        assert_eq!(text, "3.50 of 4.00 MiB, 256 KiB/s, 2 s left");
    }

    #[test]
    fn speed_is_that_of_the_last_seconds() {
        let text = state(&[(0.0, start(None, 0)), (1.0, bytes(50 << 20)), (20.0, bytes(5 << 10))]);
        assert_eq!(text, "50.0 MiB, 1.00 KiB/s");
        let (transfers, now) = play(&[(0.0, start(None, 0)), (1.0, bytes(50 << 20))]);
        let later = now + Duration::from_secs(6);
        assert_eq!(transfers.active[&ID].state(later), "50.0 MiB", "a stalled transfer has no speed");
    }

    #[test]
    fn samples_do_not_pile_up() {
        let (transfers, _) = play(
            &std::iter::once((0.0, start(None, 0)))
                .chain((1..5000).map(|i| (f64::from(i) * 0.01, bytes(1))))
                .collect::<Vec<_>>(),
        );
        assert!(transfers.active[&ID].speed.0.len() <= 52);
        assert_eq!(transfers.active[&ID].have, 4999);
    }

    #[test]
    fn a_restart_takes_back_what_is_lost() {
        let restart = Event::Restart { file: ID, reason: "it changed", lost: 2 << 20 };
        let text = state(&[(0.0, start(Some(4 << 20), 0)), (1.0, bytes(2 << 20)), (1.0, restart.clone())]);
        assert!(text.starts_with("0 B of 4.00 MiB"), "{text}");
        // Damage is found before the file's start, which then says what is left.
        let text = state(&[(0.0, restart), (0.0, start(Some(4 << 20), 1 << 20))]);
        assert_eq!(text, "1.00 of 4.00 MiB");
    }

    #[test]
    fn the_next_source_goes_on_with_the_same_file() {
        let events =
            [(0.0, start(Some(100), 0)), (1.0, bytes(40)), (2.0, start(Some(100), 40)), (2.0, bytes(10))];
        let (transfers, _) = play(&events);
        assert_eq!((transfers.active.len(), transfers.active[&ID].have), (1, 50));
    }

    #[test]
    fn a_failed_attempt_counts_down_until_bytes_come() {
        let retry = Event::Retry { file: ID, reason: "timed\nout", after: Duration::from_secs(12) };
        let events = [(0.0, start(Some(100), 0)), (1.0, retry)];
        let (mut transfers, now) = play(&events);
        assert_eq!(transfers.active[&ID].state(now), "retrying in 12 s: timed out");
        let later = now + Duration::from_secs(20);
        assert_eq!(transfers.active[&ID].state(later), "retrying: timed out");
        transfers.apply(&bytes(100), later);
        assert!(transfers.active[&ID].state(later).starts_with("100 of 100 B"));
        transfers.apply(&Event::Verify { file: ID }, later);
        assert_eq!(transfers.active[&ID].state(later), "checking");
    }

    #[test]
    fn the_words_of_events() {
        let now = Instant::now();
        let mut transfers = Transfers::default();
        let mut say = |event: Event<'_>| match transfers.apply(&event, now) {
            Told::Nothing => String::new(),
            Told::Began(_, text) | Told::Done(_, text) | Told::Failed(text) | Told::Line(text) => text,
        };
        assert_eq!(say(start(Some(1536), 0)), "fetching m.onnx (1.50 KiB)");
        assert_eq!(say(start(Some(1536), 512)), "resuming m.onnx (512 B of 1.50 KiB are here)");
        assert_eq!(
            say(Event::Restart { file: ID, reason: "it changed", lost: 512 }),
            "m.onnx: fetching 512 B again: it changed"
        );
        assert_eq!(say(Event::Done { file: ID, size: 1536 }), "fetched m.onnx (1.50 KiB in 0 µs)");
        let from = std::path::Path::new("elsewhere");
        assert_eq!(
            say(Event::Reused { path: "m.onnx", from, size: 3 }),
            "reused m.onnx (3 B) from elsewhere"
        );
        assert_eq!(say(Event::Failed { file: ID, reason: "gone" }), "", "given up without a beginning");
        assert_eq!(say(Event::Done { file: ID, size: 1 }), "", "an end without a beginning");
    }

    #[test]
    fn several_files_at_once_have_a_line_together() {
        let (mut transfers, now) = play(&[(0.0, start(Some(100), 0)), (0.0, bytes(50))]);
        assert_eq!(transfers.total(now), None);
        transfers.apply(&Event::Start { file: FileId(8), path: "b", size: Some(300), have: 300 }, now);
        let (have, size, text) = transfers.total(now).unwrap();
        assert_eq!((have, size), (350, 400));
        assert!(text.starts_with("350 of 400 B") && text.ends_with("0 of 2 files"), "{text}");
        transfers.apply(&Event::Done { file: FileId(8), size: 300 }, now);
        let (have, size, text) = transfers.total(now).unwrap();
        assert_eq!((have, size), (350, 400));
        assert!(text.ends_with("1 of 2 files"), "{text}");
        transfers.apply(&Event::Done { file: ID, size: 100 }, now);
        transfers.apply(&Event::Start { file: FileId(9), path: "c", size: None, have: 0 }, now);
        assert_eq!(transfers.total(now), None, "one after the other is not together");
    }

    #[test]
    fn lines_come_each_ten_seconds_or_ten_percent() {
        let (mut transfers, now) = play(&[(0.0, start(Some(1000), 0)), (0.5, bytes(500))]);
        assert_eq!(transfers.due(now).len(), 0, "not within the first second");
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(transfers.due(at(1)).len(), 1);
        assert_eq!(transfers.due(at(3)).len(), 0, "no news");
        transfers.apply(&bytes(50), at(4));
        assert_eq!(transfers.due(at(4)).len(), 0, "five percent");
        assert_eq!(transfers.due(at(11)).len(), 1, "ten seconds");
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(shortened("short.onnx"), "short.onnx");
        let name = shortened("a-very-long-name-of-a-model-resnet50-v1-7.onnx.data");
        assert_eq!(name.chars().count(), NAME);
        assert!(name.starts_with('…') && name.ends_with("v1-7.onnx.data"));
    }

    #[test]
    fn a_reason_beside_a_bar_has_no_paths() {
        let reason = "https://hub.example/a/b answered 503: try https://other.example:8080/c";
        assert_eq!(without_paths(reason), "hub.example answered 503: try other.example:8080");
    }

    #[test]
    fn times_read_naturally() {
        let all: Vec<String> =
            [0.000_03, 0.25, 4.2, 59.0, 125.0, 8000.0].map(|s| time(Duration::from_secs_f64(s))).into();
        assert_eq!(all, ["30 µs", "250 ms", "4.2 s", "59 s", "2 min 5 s", "2 h 13 min"]);
    }

    #[test]
    fn after_the_end_nothing_is_drawn() {
        let bars = Bars::new(MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden()));
        bars.event(&bytes(10));
        bars.finish();
        bars.event(&start(Some(10), 0));
        assert!(bars.inner.lock().transfers.active.is_empty());
    }
}
