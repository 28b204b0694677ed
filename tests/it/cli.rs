//! The `zoo` command as a person uses it: what it prints, where, with which exit code, and what several of them at once do.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use zoo_mirror::{Mirror, Role};

use crate::support::{Finished, zoo, zoo_command};

fn json(finished: Finished) -> Value {
    let printed = finished.done();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// Bytes of content that the mirror handed out.
fn sent(mirror: &Mirror) -> u64 {
    mirror.log().iter().filter(|l| l.role == Role::HuggingFaceContent).map(|l| l.sent).sum()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited twenty seconds for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn pull_prints_the_path_and_nothing_else_on_standard_output() {
    let mirror = zoo_tests::mirror().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let pulled = zoo_command(home.path(), Some(&mirror), &["pull", "onnx:mnist-12"]);
    assert!(pulled.stderr.contains("mnist-12.onnx"), "progress goes to standard error: {}", pulled.stderr);
    let path = pulled.done();
    let fixture =
        zoo_tests::fixtures().join("onnx/validated/vision/classification/mnist/model/mnist-12.onnx");
    let digest = |path: &std::path::Path| zoo_core::store::hash_file(path, &[]).unwrap().sha256();
    assert_eq!(digest(path.trim().as_ref()), digest(&fixture));

    let quiet = zoo_command(home.path(), Some(&mirror), &["-q", "pull", "mnist-8", "onnx:MNIST@7"]);
    assert_eq!(quiet.stderr, "");
    let paths = quiet.done();
    let names: Vec<&str> = paths.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["mnist-8.onnx", "mnist-7.onnx"]);

    mirror.clear_log();
    let again = zoo_command(home.path(), Some(&mirror), &["pull", "onnx:mnist-12"]);
    assert_eq!(again.done(), path);
    assert!(mirror.log().is_empty(), "what is stored costs no request");
    assert_eq!(zoo_command(home.path(), None, &["--offline", "pull", "mnist-12"]).done(), path);
}

#[test]
fn show_run_and_check_tell_what_the_model_wants_and_that_it_computes_it() {
    let mirror = zoo_tests::mirror().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let zoo = |arguments: &[&str]| zoo_command(home.path(), Some(&mirror), arguments);

    let before = json(zoo(&["show", "--json", "onnx:bertsquad-12"]));
    assert_eq!((&before["stored"], &before["test_data"]), (&Value::Bool(false), &Value::Bool(true)));
    zoo(&["pull", "onnx:bertsquad-12"]).done();
    let shown = zoo(&["show", "onnx:bertsquad-12"]).done();
    for word in ["segment_ids:0", "i64", "unk__493", "unique_ids:0", "Apache-2.0", "sha256"] {
        assert!(shown.contains(word), "no {word} in\n{shown}");
    }

    let checked = zoo(&["check", "onnx:bertsquad-12"]);
    assert!(
        checked.stdout.contains("test_data_set_0") && checked.stdout.contains("unstack:1"),
        "{}",
        checked.stdout
    );
    checked.done();
    let report = json(zoo(&["--json", "check", "onnx:super-resolution-10"]));
    assert!(report.to_string().contains("test_data_set_1"), "{report}");

    // Another network under the same data set is found out.
    zoo(&["check", "mnist-12"]).done();
    let model = zoo(&["pull", "mnist-12"]).done();
    let data = std::path::Path::new(model.trim()).with_file_name("test_data_set_0");
    let wrong = tempfile::tempdir().unwrap();
    let copy = |from: &std::path::Path, to: &str| {
        let to = wrong.path().join(to);
        zoo_core::fs::create_parent(&to).unwrap();
        zoo_core::store::place_file(from, &to, false).unwrap();
    };
    copy(zoo(&["pull", "mnist-8"]).done().trim().as_ref(), "model.onnx");
    for file in ["input_0.pb", "output_0.pb"] {
        copy(&data.join(file), &format!("test_data_set_0/{file}"));
    }
    let missed = zoo(&["check", wrong.path().to_str().unwrap()]);
    assert_eq!(missed.code, Some(1), "{}{}", missed.stdout, missed.stderr);
    assert!(missed.stdout.contains("largest difference"), "{}", missed.stdout);

    let out = home.path().join("out.npz");
    let file = out.to_str().unwrap();
    zoo(&["run", "mnist-12", "--seed", "3", "-o", file]).done();
    zoo(&["run", "mnist-12", "--seed", "3", "--expect", file]).done();
    let other = zoo(&["run", "mnist-12", "--seed", "4", "--expect", file]);
    assert_eq!(other.code, Some(1), "{}", other.stdout);
}

#[test]
fn stage_makes_a_folder_that_stands_alone() {
    let mirror = zoo_tests::mirror().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("resnet");
    let out = folder.to_str().unwrap();
    let manifest =
        json(zoo_command(home.path(), Some(&mirror), &["--json", "stage", "onnx:resnet18-v1-7", "-o", out]));
    assert_eq!(manifest["staged"][0]["target"], "onnx");
    let path = manifest["staged"][0]["path"].as_str().unwrap();
    assert!(std::path::Path::new(path).is_file(), "{path}");
    assert!(folder.join("resnet18-v1-7.onnx.data").is_file() && folder.join("zoo.json").is_file());

    // Moved away, without the store and without a network, it still runs and still knows what it is.
    let moved = work.path().join("moved");
    zoo_core::fs::rename(&folder, &moved).unwrap();
    let nowhere = tempfile::tempdir().unwrap();
    zoo_command(nowhere.path(), None, &["run", moved.to_str().unwrap()]).done();
    let shown = json(zoo_command(nowhere.path(), None, &["--json", "show", moved.to_str().unwrap()]));
    assert_eq!(shown["handle"], "onnx:resnet18-v1-7");

    let refused = zoo_command(home.path(), Some(&mirror), &["stage", "mnist-12", "--to", "keras"]).refused(7);
    assert!(refused.contains("cannot be staged as keras"), "{refused}");
    let refused =
        zoo_command(home.path(), Some(&mirror), &["stage", "mnist-12", "--arch", "lenet"]).refused(2);
    assert!(refused.contains("--arch does not apply"), "{refused}");
    let used = zoo_command(
        home.path(),
        Some(&mirror),
        &["stage", "onnx:resnet18-v1-7", "-o", moved.to_str().unwrap()],
    );
    assert!(used.refused(2).contains("is not empty"));
}

#[test]
fn names_are_listed_searched_and_corrected() {
    let mirror = zoo_tests::mirror().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let zoo = |arguments: &[&str]| zoo_command(home.path(), Some(&mirror), arguments);
    zoo(&["pull", "mnist-12"]).done();
    let found = json(zoo(&["--json", "search", "mnist", "classification"]));
    let handles: Vec<(&str, bool)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["handle"].as_str().unwrap(), l["stored"].as_bool().unwrap()))
        .collect();
    assert_eq!(handles, [("onnx:mnist-12", true), ("onnx:mnist-7", false), ("onnx:mnist-8", false)]);
    assert!(json(zoo(&["--json", "list", "onnx"])).as_array().unwrap().len() > 2000);

    assert!(zoo(&["pull", "onnx:mnits-12"]).refused(3).contains("did you mean `onnx:mnist-12`"));
    assert!(zoo(&["pull", "onx:mnist-12"]).refused(2).contains("did you mean `onnx:mnist-12`?"));
    assert!(zoo(&["pull", "onnx:mnist@9"]).refused(3).contains("`mnist@8`"));
    let url =
        "https://github.com/onnx/models/blob/main/validated/vision/classification/mnist/model/mnist-8.onnx";
    assert!(zoo(&["pull", url]).done().trim().ends_with("mnist-8.onnx"));
    let error = zoo(&["--json", "pull", "onnx:nothing-like-it"]);
    assert_eq!((error.code, error.stdout.as_str()), (Some(3), ""));
    let last: Value = serde_json::from_str(error.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["kind"], "not-found");
    assert_eq!(zoo_command(home.path(), Some(&mirror), &["pull"]).code, Some(2));
}

#[test]
fn the_store_is_listed_verified_and_cleaned() {
    let mirror = zoo_tests::mirror().start().unwrap();
    let home = tempfile::tempdir().unwrap();
    let zoo = |arguments: &[&str]| zoo_command(home.path(), Some(&mirror), arguments);
    zoo(&["pull", "mnist-12", "resnet18-v1-7"]).done();
    let listed = json(zoo(&["--json", "cache", "ls"]));
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert!(zoo(&["cache", "path"]).done().trim().ends_with(home.path().to_str().unwrap()));
    zoo(&["cache", "verify"]).done();

    let path = zoo(&["cache", "path", "onnx:mnist-12"]).done();
    let file = std::path::Path::new(path.trim());
    let mut bytes = zoo_core::fs::read_bounded(file, 1 << 20).unwrap();
    bytes[5000] ^= 1;
    zoo_core::fs::write_atomic(file, &bytes, false).unwrap();
    let verified = zoo(&["cache", "verify"]);
    assert_eq!(verified.code, Some(1));
    assert!(verified.stdout.contains("mnist-12.onnx"), "{}", verified.stdout);
    zoo(&["pull", "mnist-12"]).done();
    zoo(&["cache", "verify", "onnx:mnist-12"]).done();

    zoo(&["cache", "gc", "--max-size", "0", "--dry-run"]).done();
    assert_eq!(json(zoo(&["--json", "cache", "ls"])).as_array().map(Vec::len), Some(2));
    zoo(&["cache", "rm", "onnx:mnist-12"]).done();
    zoo(&["cache", "gc", "--max-size", "0"]).done();
    assert_eq!(json(zoo(&["--json", "cache", "ls"])).as_array().map(Vec::len), Some(0));
    assert!(zoo(&["cache", "rm", "onnx:mnist-12"]).refused(3).contains("has no"));
}

/// `zoo pull` of the large model in the background.
fn pulling(home: &std::path::Path, mirror: &Mirror) -> Child {
    let mut command = zoo(home, Some(mirror));
    command.args(["-q", "pull", "onnx:zoo-cut-17"]).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("a command that starts")
}

#[test]
fn killed_half_way_or_interrupted_it_goes_on_from_the_bytes_on_disk() {
    let mirror = zoo_tests::mirror()
        .onnx_entry(zoo_tests::linear_model("zoo-cut-17", 1200))
        .pace(8 << 20)
        .start()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut child = pulling(home.path(), &mirror);
    wait_until("a third of the weights", || sent(&mirror) > 6 << 20);
    child.kill().unwrap();
    child.wait().unwrap();

    mirror.clear_log();
    let child = pulling(home.path(), &mirror);
    wait_until("more of the weights", || sent(&mirror) > 3 << 20);
    let interrupted =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the same command resumes"), "{said}");
    let first = mirror
        .log()
        .into_iter()
        .find(|l| l.role == Role::HuggingFaceContent && l.path.len() > 60 && l.range.is_some());
    assert!(first.is_some_and(|l| l.range.as_deref() != Some("bytes=0-")), "{:#?}", mirror.log());

    mirror.clear_log();
    mirror.pace(None);
    zoo_command(home.path(), Some(&mirror), &["pull", "onnx:zoo-cut-17"]).done();
    let whole = 3 * 1200 * 1200 * 4;
    assert!(sent(&mirror) < whole * 2 / 3, "{} of {whole} bytes were sent again", sent(&mirror));
    zoo_command(home.path(), None, &["cache", "verify"]).done();
}

#[test]
fn several_processes_that_pull_the_same_model_make_one_transfer() {
    let mirror = zoo_tests::mirror()
        .onnx_entry(zoo_tests::linear_model("zoo-cut-17", 800))
        .pace(16 << 20)
        .start()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let children: Vec<Child> = (0..4).map(|_| pulling(home.path(), &mirror)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let size: u64 = 3 * 800 * 800 * 4;
    assert!((size..size + 4096).contains(&sent(&mirror)), "{} bytes for {size}", sent(&mirror));
}

#[test]
fn the_document_shows_the_help() {
    let home = tempfile::tempdir().unwrap();
    let help = zoo_command(home.path(), None, &["--help"]).done();
    let text = format!(
        "```text\n{}\n```\n",
        help.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    );
    zoo_tests::documents::generated("docs/cli.md", "help", &text, zoo_tests::documents::accepting())
        .unwrap_or_else(|outdated| panic!("{outdated}"));
}
