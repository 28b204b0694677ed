//! Everything that can go wrong on the way to a model, and what zoo then does and says. The table in `docs/reliability.md` is what
//! this test saw: it fails when the table is out of date, and writes it anew when `ZOO_UPDATE=1` is set.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zoo_core::digest::Digest;
use zoo_core::error::ErrorKind;
use zoo_core::handle::Handle;
use zoo_core::progress::{Event, Progress};
use zoo_core::remote::{Pieces, RemoteFile};
use zoo_core::{Zoo, ZooConfig};
use zoo_mirror::{Content, Fault, FaultRule, Mirror};
use zoo_tests::{onnx_hub, zoo_config};

use crate::support::{
    Finished, assert_store_keeps_its_promise, download, pull, remote, resolve, run, serving, sha256,
    zoo_command, zoo_command_on,
};

const SIZE: u64 = 2 << 20;
const KIB: u64 = 1 << 10;

/// What a fault comes to.
enum End {
    /// The model is whole in spite of it.
    Whole,
    /// One clear sentence of this kind.
    Error(ErrorKind),
}

use End::{Error, Whole};

struct Row {
    fault: &'static str,
    outcome: String,
    said: String,
}

/// What happened on the way, by its kind and reason, without numbers that differ from run to run.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn event(&self, event: &Event<'_>) {
        let note = match event {
            Event::Retry { .. } => "tried again".to_owned(),
            Event::Restart { reason, .. } => format!("begun anew ({reason})"),
            _ => return,
        };
        let mut notes = self.0.lock().unwrap();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

fn rule(fault: Fault) -> FaultRule {
    FaultRule::new("a.bin", fault)
}

/// Pulls a file while `rules` are in force and checks what it came to.
async fn transfer(fault: &'static str, end: End, rules: Vec<FaultRule>) -> Row {
    transfer_with(fault, end, rules, |_, _, _| {}).await
}

async fn transfer_with(
    fault: &'static str,
    end: End,
    rules: Vec<FaultRule>,
    change: impl FnOnce(&Mirror, &mut ZooConfig, &mut RemoteFile),
) -> Row {
    let content = Content::Pattern(SIZE);
    let builder = serving(&[("a.bin", content.clone())]);
    let mirror = rules.into_iter().fold(builder, zoo_mirror::MirrorBuilder::fault).start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let notes = Arc::new(Notes::default());
    let mut config = zoo_config(home.path()).listening(notes.clone());
    config.http.silence_timeout = Duration::from_millis(400);
    let mut file = remote(&mirror, "a.bin", &content);
    change(&mirror, &mut config, &mut file);
    let result = pull(&Zoo::open(config), "a", &[file]).await;
    assert_store_keeps_its_promise(home.path(), &[("a.bin", &sha256(&content))]);
    let notes = notes.0.lock().unwrap().join(", ");
    match (end, result) {
        (Whole, Ok(model)) => {
            assert_eq!(model.manifest.files[0].sha256, sha256(&content), "{fault}");
            Row {
                fault,
                outcome: format!("whole: {}", if notes.is_empty() { "nothing to do" } else { &notes }),
                said: String::new(),
            }
        }
        (Error(kind), Err(error)) => {
            assert_eq!(error.kind(), kind, "{fault}: {error}");
            let hint = error.hint().map(|hint| format!(" *hint: {hint}*")).unwrap_or_default();
            let said = tidy(&format!("{error}{hint}"), home.path(), Some(&mirror));
            Row { fault, outcome: "nothing under a model's name".into(), said }
        }
        (Whole, Err(error)) => panic!("{fault}: {error}"),
        (Error(_), Ok(_)) => panic!("{fault}: pulled"),
    }
}

/// Ports and folders differ from run to run.
fn tidy(text: &str, home: &Path, mirror: Option<&Mirror>) -> String {
    let mut text = text.replace(&home.display().to_string(), "$ZOO_HOME");
    if let Some(mirror) = mirror {
        for (place, name) in [
            (mirror.endpoint(zoo_mirror::Role::HuggingFaceContent), "https://cdn"),
            (mirror.hf_endpoint(), "https://hub"),
            (mirror.raw_endpoint(), "https://raw"),
        ] {
            text = text.replace(&place, name);
        }
    }
    text.replace('\n', " ").replace('|', "\\|")
}

async fn transfers() -> Vec<Row> {
    let status = |code, retry_after| Fault::Status { code, retry_after };
    let stall = Fault::Stall { after: 0, millis: 20_000 };
    let flip = Fault::FlipByte { at: SIZE / 2 };
    let mut rows = vec![
        transfer(
            "the connection is cut in the middle",
            Whole,
            vec![rule(Fault::CutAfter { bytes: 700 * KIB }).times(1)],
        )
        .await,
        transfer(
            "every connection is cut after 300 KiB",
            Whole,
            vec![rule(Fault::CutAfter { bytes: 300 * KIB })],
        )
        .await,
        transfer(
            "the connection closes without an answer, once",
            Whole,
            vec![rule(Fault::DropConnection).times(1)],
        )
        .await,
        transfer("the server falls silent, once", Whole, vec![rule(stall.clone()).times(1)]).await,
        transfer("the server stays silent", Error(ErrorKind::Network), vec![rule(stall)]).await,
        transfer("503, three times", Whole, vec![rule(status(503, None)).times(3)]).await,
        transfer("500, always", Error(ErrorKind::Network), vec![rule(status(500, None))]).await,
        transfer("429, wait one second", Whole, vec![rule(status(429, Some(1))).times(1)]).await,
        transfer("429, wait an hour", Error(ErrorKind::Network), vec![rule(status(429, Some(3600)))]).await,
        transfer("401", Error(ErrorKind::Denied), vec![rule(status(401, None)).everywhere()]).await,
        transfer("403", Error(ErrorKind::Denied), vec![rule(status(403, None)).everywhere()]).await,
        transfer("404", Error(ErrorKind::NotFound), vec![rule(status(404, None)).everywhere()]).await,
        transfer(
            "the file ends early, and its length says so",
            Error(ErrorKind::Verification),
            vec![rule(Fault::Truncate { lose: 10 })],
        )
        .await,
        transfer("one bit is flipped on the way, once", Whole, vec![rule(flip.clone()).times(1)]).await,
        transfer("one bit is flipped at the source", Error(ErrorKind::Verification), vec![rule(flip)]).await,
        transfer(
            "a range is answered with the whole file",
            Whole,
            vec![rule(Fault::CutAfter { bytes: 700 * KIB }).times(1), rule(Fault::IgnoreRange).times(1)],
        )
        .await,
        transfer(
            "the file changes between two requests, and back",
            Whole,
            vec![rule(Fault::CutAfter { bytes: 700 * KIB }).times(1), rule(Fault::ChangeEtag).times(1)],
        )
        .await,
        transfer(
            "the file is replaced by another one",
            Error(ErrorKind::Verification),
            vec![rule(Fault::ChangeEtag)],
        )
        .await,
        transfer("redirects lead in a circle", Error(ErrorKind::Network), vec![rule(Fault::RedirectLoop)])
            .await,
        transfer(
            "a Git LFS pointer comes instead of the file",
            Error(ErrorKind::Verification),
            vec![rule(Fault::PointerText)],
        )
        .await,
        transfer(
            "a login page comes instead of the file",
            Error(ErrorKind::Verification),
            vec![rule(Fault::HtmlPage)],
        )
        .await,
    ];
    rows.push(
        transfer_with("the hub is down", Error(ErrorKind::Network), Vec::new(), |_, _, file| {
            file.sources = vec!["http://127.0.0.1:9/a.bin".parse().unwrap()];
        })
        .await,
    );
    rows.push(
        transfer_with("the first source is down, the second is not", Whole, Vec::new(), |_, _, file| {
            file.sources.insert(0, "http://127.0.0.1:9/a.bin".parse().unwrap());
        })
        .await,
    );
    rows.push(
        transfer_with(
            "a bit is flipped, and the hub publishes digests of pieces",
            Whole,
            vec![rule(Fault::FlipByte { at: SIZE / 2 }).times(1)],
            |_, _, file| {
                file.pieces = Some(pieces());
            },
        )
        .await,
    );
    rows.push(
        transfer_with("the network is forbidden", Error(ErrorKind::Offline), Vec::new(), |_, config, _| {
            config.offline = true;
        })
        .await,
    );
    rows
}

/// SHA-256 of every quarter of the content.
fn pieces() -> Pieces {
    let mirror = serving(&[("a.bin", Content::Pattern(SIZE))]).start().unwrap();
    let url = resolve(&mirror, "a.bin");
    let bytes = std::thread::spawn(move || run(download(url)));
    let bytes = bytes.join().unwrap();
    let length = SIZE / 4;
    let digest = |part: &[u8]| match sha256(&Content::from(part.to_vec())) {
        Digest::Sha256(digest) => digest,
        other => panic!("{other}"),
    };
    Pieces { length, sha256: bytes.chunks(length as usize).map(digest).collect() }
}

/// Pulls from the ONNX Model Zoo and expects an error of this kind.
async fn onnx(fault: &'static str, kind: ErrorKind, handle: &str, rules: Vec<FaultRule>) -> Row {
    let mirror =
        rules.into_iter().fold(zoo_tests::mirror(), zoo_mirror::MirrorBuilder::fault).start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let handle: Handle = handle.parse().unwrap();
    let error = onnx_hub(home.path(), &mirror).pull(&handle).await.expect_err(fault);
    assert_eq!(error.kind(), kind, "{fault}: {error}");
    assert!(zoo_core::store::Store::new(home.path()).models().unwrap().is_empty());
    let hint = error.hint().map(|hint| format!(" *hint: {hint}*")).unwrap_or_default();
    let said = tidy(&format!("{error}{hint}"), home.path(), Some(&mirror));
    Row { fault, outcome: "nothing under a model's name".into(), said }
}

async fn names_and_archives() -> Vec<Row> {
    let archive = "inception-v1-9.tar.gz";
    vec![
        onnx("a mistyped name", ErrorKind::NotFound, "onnx:mnits-12", Vec::new()).await,
        onnx("an opset that does not exist", ErrorKind::NotFound, "onnx:mnist@99", Vec::new()).await,
        onnx(
            "a model's archive is cut short at the source",
            ErrorKind::Verification,
            "onnx:inception-v1-9",
            vec![FaultRule::new(archive, Fault::Truncate { lose: 100 })],
        )
        .await,
        onnx(
            "a model's archive was tampered with",
            ErrorKind::Verification,
            "onnx:inception-v1-9",
            vec![FaultRule::new(archive, Fault::FlipByte { at: 1000 })],
        )
        .await,
    ]
}

/// What the command says about local files that are not what they should be.
fn local_files() -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        zoo_core::fs::write_atomic(&path, bytes, false).unwrap();
        path
    };
    let onnx = zoo_tests::fixtures().join("onnx/validated/vision/classification/mnist/model");
    let archive = zoo_core::fs::read_bounded(&onnx.join("mnist-8.tar.gz"), 1 << 20).unwrap();
    let model = zoo_core::fs::read_bounded(&onnx.join("mnist-8.onnx"), 1 << 20).unwrap();
    let mut escaping = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..11].copy_from_slice(b"../../x.onn");
    header.set_size(3);
    header.set_cksum();
    escaping.append(&header, &b"abc"[..]).unwrap();
    let cases: Vec<(&'static str, i32, PathBuf)> = vec![
        ("a truncated archive on disk", 6, write("cut.tar.gz", &archive[..archive.len() / 2])),
        (
            "an archive that would write outside its folder",
            7,
            write("escape.tar", &escaping.into_inner().unwrap()),
        ),
        ("a truncated model on disk", 7, write("cut.onnx", &model[..model.len() / 2])),
        ("a page of HTML under a model's name", 7, write("page.onnx", b"<!DOCTYPE html><html></html>")),
    ];
    let home = tempfile::tempdir().unwrap();
    cases
        .into_iter()
        .map(|(fault, code, path)| {
            let before = zoo_core::fs::list_dir(folder.path()).unwrap().len();
            let path = path.display().to_string();
            let said = zoo_command(home.path(), None, &["stage", &path]).refused(code);
            assert_eq!(
                zoo_core::fs::list_dir(folder.path()).unwrap().len(),
                before,
                "{fault}: something was left behind"
            );
            let said = said.replace(&folder.path().display().to_string(), ".");
            Row { fault, outcome: "nothing is written".into(), said: tidy(&said, home.path(), None) }
        })
        .collect()
}

/// What the command says when the disk is full or may not be written. The disks are small temporary ones, mounted in a
/// name space of the command's own, so that this works for root as for anybody.
fn disks() -> Vec<Row> {
    let mirror = zoo_tests::mirror().start().unwrap();
    let mut rows = Vec::new();
    for (fault, mount) in [
        ("the disk is too small", "mount -t tmpfs -o size=64k tmpfs"),
        // Room for bytes but not for names: what a disk says that fills up while zoo writes.
        ("the disk fills up on the way", "mount -t tmpfs -o size=4m,nr_inodes=12 tmpfs"),
        ("the store may not be written", "mount -t tmpfs -o ro tmpfs"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let said = zoo_command_on(
            mount,
            home.path(),
            &mirror,
            &["pull", "onnx:super-resolution-10", "onnx:bertsquad-12"],
        );
        rows.push(Row {
            fault,
            outcome: "nothing is written".into(),
            said: tidy(&said.refused(8), home.path(), Some(&mirror)),
        });
    }
    rows
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| What goes wrong | What it comes to | What zoo says |\n|---|---|---|\n");
    for Row { fault, outcome, said } in rows {
        let _ = writeln!(text, "| {fault} | {outcome} | {said} |");
    }
    text
}

#[test]
fn the_table_of_faults_is_what_happens() {
    let mut rows = run(async {
        let mut rows = transfers().await;
        rows.extend(names_and_archives().await);
        rows
    });
    rows.extend(local_files());
    if Finished::mounting_works() {
        rows.extend(disks());
    }
    let text = table(&rows);
    zoo_tests::documents::generated(
        "docs/reliability.md",
        "faults",
        &text,
        zoo_tests::documents::accepting(),
    )
    .unwrap_or_else(|outdated| panic!("{outdated}"));
}
