//! The command as a person or a script sees it, on local files and a store of its own: what is printed where, and how it ends.
//! Nothing here needs a network or an engine; the hubs' protocols are played in `tests/it`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop there"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Where nothing listens: a test that needs it fails.
const NOWHERE: &str = "http://127.0.0.1:9";

const MNIST: &str = "validated/vision/classification/mnist/model";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/onnx")
}

fn fixture(path: &str) -> PathBuf {
    fixtures().join("validated/vision/classification").join(path)
}

/// A home, a working folder, and an environment with nothing else in it.
struct Place {
    dir: TempDir,
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
        command.args(args).current_dir(self.work()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.dir.path()).env("USERPROFILE", self.dir.path());
        command.env("ZOO_HOME", self.home());
        command.env("ZOO_ONNX_ENDPOINT", NOWHERE).env("HF_ENDPOINT", NOWHERE);
        command
    }

    fn zoo(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    fn copy(&self, fixture: &Path) {
        fs::create_dir_all(self.work()).unwrap();
        fs::copy(fixture, self.work().join(fixture.file_name().unwrap())).unwrap();
    }

    /// The hub's manifest, as fetched today, and its `mnist-12` and `mnist-8` in the cache of the hub's own tool: a pull then
    /// adopts them and needs no network.
    fn with_adoptable_models(self) -> Self {
        let catalog = self.home().join("catalog/onnx");
        fs::create_dir_all(&catalog).unwrap();
        let manifest = fixtures().join("ONNX_HUB_MANIFEST.json");
        fs::copy(&manifest, catalog.join("127.0.0.1-9-ONNX_HUB_MANIFEST.json")).unwrap();
        let rows: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
        let cache = self.dir.path().join(".cache/onnx/hub").join(MNIST);
        fs::create_dir_all(&cache).unwrap();
        for name in ["mnist-12.onnx", "mnist-8.onnx"] {
            let is_it = |row: &&Value| row["model_path"].as_str().unwrap().ends_with(&format!("/{name}"));
            let row = rows.as_array().unwrap().iter().find(is_it).unwrap();
            let sha = row["metadata"]["model_sha"].as_str().unwrap();
            fs::copy(fixture(&format!("mnist/model/{name}")), cache.join(format!("{sha}_{name}"))).unwrap();
        }
        self
    }
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let code = output.status.code().expect("an exit code");
        Self { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn fails(self, code: i32) -> Self {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

#[test]
fn a_file_is_staged_where_it_lies() {
    let place = Place::new();
    place.copy(&fixture("mnist/model/mnist-8.onnx"));
    let ended = place.zoo(&["stage", "./mnist-8.onnx"]).ok();
    assert!(place.work().join(ended.out.trim_end()).is_file(), "{}", ended.out);
    assert_eq!(ended.err, "");
    assert_eq!(fs::read_dir(place.work()).unwrap().count(), 1, "nothing is written beside it");
    assert!(!place.home().exists(), "a local file needs no store");

    let value = place.zoo(&["stage", "mnist-8.onnx", "--json"]).ok().json();
    assert_eq!(value["staged"][0]["target"], "onnx");
    assert!(place.work().join(value["staged"][0]["path"].as_str().unwrap()).is_file());
    assert_eq!(value["model"]["opsets"]["ai.onnx"], 8);
}

#[test]
fn a_model_in_two_files_becomes_a_folder_of_its_own() {
    let place = Place::new();
    let model = fixture("resnet/model/resnet18-v1-7.onnx");
    let args = ["stage", model.to_str().unwrap(), "-o", "out/here", "--json"];
    let value = place.zoo(&args).ok().json();
    let path = place.work().join(value["staged"][0]["path"].as_str().unwrap());
    assert_eq!(path, place.work().join("out/here/model.onnx"));
    let data = place.work().join(value["staged"][0]["with"][0].as_str().unwrap());
    assert_eq!(fs::read(data).unwrap(), fs::read(model.with_file_name("resnet18-v1-7.onnx.data")).unwrap());
    assert!(place.work().join("out/here/zoo.json").is_file());

    let again = place.zoo(&args).fails(2);
    let error: Value = serde_json::from_str(again.err.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], "usage");
    assert!(error["error"]["hint"].as_str().unwrap().contains("empty"), "{error}");
}

#[test]
fn an_archive_is_staged_and_only_staged() {
    let place = Place::new();
    place.copy(&fixture("mnist/model/mnist-12.tar.gz"));
    let refused = place.zoo(&["show", "mnist-12.tar.gz"]).fails(2);
    assert!(refused.err.contains("zoo stage"), "{}", refused.err);
    let ended = place.zoo(&["stage", "mnist-12.tar.gz"]).ok();
    assert!(place.work().join(ended.out.trim_end()).is_file(), "{}", ended.out);
    assert!(place.work().join("mnist-12/zoo.json").is_file());

    // The manifest says where in the folder the model is.
    let shown = place.zoo(&["show", "mnist-12/"]).ok();
    assert!(shown.out.contains("mnist-12.onnx"), "{}", shown.out);
    let out = place.zoo(&["stage", "./mnist-12", "-o", "again"]).ok();
    assert!(place.work().join(out.out.trim_end()).ends_with("again/model.onnx"), "{}", out.out);
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    let place = Place::new();
    place.copy(&fixture("mnist/model/mnist-8.onnx"));
    for word in ["--arch", "--task", "--auto"] {
        for model in ["mnist-8.onnx", "onnx:mnist-8"] {
            let ended = place.zoo(&["stage", model, word, "x"]).fails(2);
            assert!(ended.err.starts_with(&format!("error: {word} does not apply")), "{}", ended.err);
        }
    }
    let ended = place.zoo(&["pull", "onnx:mnist-8", "--to", "keras"]).fails(7);
    assert!(ended.err.contains("cannot be staged as keras"), "{}", ended.err);
}

#[test]
fn a_local_file_is_shown() {
    let place = Place::new();
    let model = fixture("resnet/model/resnet18-v1-7.onnx");
    let ended = place.zoo(&["show", model.to_str().unwrap()]).ok();
    for part in ["opsets", "ai.onnx 7", "of external data", "INPUT", "OUTPUT", "f32"] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
    let value = place.zoo(&["show", "--json", model.to_str().unwrap()]).ok().json();
    assert_eq!(value["stored"], false);
    assert!(Path::new(value["staged"][0]["path"].as_str().unwrap()).is_file());
}

#[test]
fn a_model_that_is_not_here_is_shown_as_its_hub_describes_it() {
    let place = Place::new();
    let ended = place.zoo(&["--offline", "show", "mnist-12"]).ok();
    assert!(ended.out.starts_with("onnx:mnist-12\n"), "{}", ended.out);
    assert!(ended.out.contains("MIT") && ended.out.contains("published"), "{}", ended.out);
    assert!(ended.err.contains("`zoo pull onnx:mnist-12`"), "{}", ended.err);
    let value = place.zoo(&["--offline", "show", "mnist-12", "--json"]).ok().json();
    assert_eq!(
        (&value["stored"], &value["opset"], &value["test_data"]),
        (&false.into(), &12.into(), &true.into())
    );
}

#[test]
fn what_the_hub_has_is_listed_and_searched_offline() {
    let place = Place::new();
    let ended = place.zoo(&["--offline", "search", "mnist", "vision"]).ok();
    assert!(ended.out.lines().count() >= 4 && ended.out.contains("onnx:mnist-12"), "{}", ended.out);
    let all = place.zoo(&["--offline", "list", "onnx", "--json"]).ok().json();
    assert!(all.as_array().unwrap().len() > 2000);
    assert!(all.as_array().unwrap().iter().all(|line| line["stored"] == false));
    let none = place.zoo(&["--offline", "search", "qqqqqq"]).ok();
    assert_eq!((none.out.as_str(), none.err.contains("qqqqqq")), ("", true));
    assert!(place.zoo(&["list", "onx"]).fails(2).err.contains("`onnx`"));
}

#[test]
fn a_pulled_model_is_found_shown_staged_verified_and_removed() {
    let place = Place::new().with_adoptable_models();
    let pulled = place.zoo(&["pull", "onnx:mnist-12", "mnist-8"]).ok();
    let paths: Vec<&Path> = pulled.out.lines().map(Path::new).collect();
    assert!(paths.len() == 2 && paths.iter().all(|path| path.is_file()), "{}", pulled.out);
    assert!(pulled.err.contains("reused mnist-12.onnx"), "{}", pulled.err);

    // From now on nothing needs the network, whatever the model is called.
    for name in [
        "onnx:mnist-8",
        "mnist-8",
        "MNIST@8",
        "onnx:mnist@8",
        "https://github.com/onnx/models/tree/main/validated/vision/classification/mnist/model/mnist-8.onnx",
    ] {
        let again = place.zoo(&["--offline", "pull", name]).ok();
        assert_eq!((Path::new(again.out.trim_end()), again.err.as_str()), (paths[1], ""), "{name}");
    }
    let quiet = place.zoo(&["-q", "--json", "pull", "mnist-12"]).ok();
    assert_eq!(quiet.json()[0]["staged"][0]["path"].as_str().map(Path::new), Some(paths[0]));
    let shown = place.zoo(&["show", "mnist-12", "--json"]).ok().json();
    assert_eq!((&shown["stored"], &shown["model"]["licence"]), (&true.into(), &"MIT".into()));

    let listed = place.zoo(&["cache", "ls", "--json"]).ok().json();
    let handles: Vec<&Value> = listed.as_array().unwrap().iter().map(|model| &model["handle"]).collect();
    assert_eq!(handles, ["onnx:mnist-12", "onnx:mnist-8"]);
    let found = place.zoo(&["cache", "path", "mnist-12"]).ok();
    assert_eq!(Path::new(found.out.trim_end()), paths[0]);

    let out = place.zoo(&["stage", "mnist-12", "-o", "out"]).ok();
    assert_eq!(out.out.trim_end().replace('\\', "/"), "out/model.onnx");
    let manifest: Value =
        serde_json::from_slice(&fs::read(place.work().join("out/zoo.json")).unwrap()).unwrap();
    assert_eq!(
        (&manifest["handle"], &manifest["files"][0]["path"]),
        (&"onnx:mnist-12".into(), &"model.onnx".into())
    );
    assert_eq!(fs::read(place.work().join("out/model.onnx")).unwrap(), fs::read(paths[0]).unwrap());

    place.zoo(&["cache", "verify"]).ok();
    let content = fs::read(paths[0]).unwrap();
    fs::remove_file(paths[0]).unwrap();
    fs::write(paths[0], vec![0; content.len()]).unwrap();
    let damaged = place.zoo(&["cache", "verify", "mnist-12"]);
    assert_eq!(damaged.code, 1);
    assert!(damaged.out.starts_with("onnx:mnist-12: original/mnist-12.onnx has sha256:"), "{}", damaged.out);
    let report = place.zoo(&["cache", "verify", "--json"]);
    assert_eq!((report.code, &report.json()[0]["files"][0]["state"]), (1, &"wrong-digest".into()));
    place.zoo(&["pull", "mnist-12"]).ok();
    assert_eq!(fs::read(paths[0]).unwrap(), content, "a pull repairs");

    place.zoo(&["cache", "rm", "mnist-12"]).ok();
    assert!(!paths[0].exists() && paths[1].exists());
    let gone = place.zoo(&["cache", "rm", "mnist-12"]).fails(3);
    assert!(gone.err.contains("onnx:mnist-8"), "{}", gone.err);
    let dry = place.zoo(&["cache", "gc", "--max-size", "1B", "--dry-run"]).ok();
    assert!(dry.out.starts_with("onnx:mnist-8") && paths[1].exists(), "{}", dry.out);
    place.zoo(&["cache", "gc", "--max-size", "1B"]).ok();
    assert!(!paths[1].exists());
}

#[test]
fn the_store_is_empty_before_the_first_pull() {
    let place = Place::new();
    let ended = place.zoo(&["cache", "ls"]).ok();
    assert_eq!(ended.out, "");
    assert!(ended.err.starts_with("0 models"), "{}", ended.err);
    assert_eq!(place.zoo(&["cache", "ls", "--json", "-q"]).ok().out, "[]\n");
    let home = place.zoo(&["cache", "path"]).ok();
    assert_eq!(Path::new(home.out.trim_end()), place.home());
    let other = place.zoo(&["--home", "other", "cache", "path"]).ok();
    assert_eq!(other.out.trim_end(), "other");
    assert!(!place.home().exists(), "looking writes nothing");
}

#[test]
fn each_kind_of_failure_has_its_code_and_its_hint() {
    let place = Place::new();
    let cases: [(&[&str], i32, &str); 9] = [
        (&["pull"], 2, "required"),
        (&["--offline", "pull", "onnx:mnist12"], 3, "`onnx:mnist-12`"),
        (&["--offline", "pull", "onnx:mnist-12"], 9, "without --offline"),
        (&["pull", "onx:mnist-12"], 2, "`onnx:mnist-12`"),
        (&["pull", "https://hub.example/x"], 2, "`onnx`"),
        (&["show", "./none.onnx"], 3, "there is no file"),
        (&["--offline", "show", "none/none.onnx"], 3, "no hub has a model"),
        (&["cache", "path", "onnx:mnist-12"], 3, "zoo cache ls"),
        (&["cache", "gc"], 2, "--older-than"),
    ];
    for (args, code, part) in cases {
        let ended = place.zoo(args).fails(code);
        assert!(ended.err.contains(part), "{args:?}: {}", ended.err);
    }
    fs::write(place.work().join("bad.onnx"), b"no model").unwrap();
    place.zoo(&["stage", "bad.onnx"]).fails(7);
    fs::write(place.dir.path().join("file"), b"").unwrap();
    place.zoo(&["--home", "../file", "pull", "mnist-12", "--offline"]).fails(8);
}

#[test]
fn errors_of_the_command_line_are_json_too() {
    let place = Place::new();
    let ended = place.zoo(&["pull", "--json"]).fails(2);
    let error: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(error["error"]["kind"], "usage");
    assert!(place.zoo(&["--json", "--version"]).ok().out.starts_with("zoo "));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let place = Place::new();
    for (name, value) in [("ZOO_OFFLINE", "perhaps"), ("HF_ENDPOINT", "nonsense"), ("ZOO_LOG", "a=b=c=d")] {
        let ended = Ended::of(&place.command(&["cache", "ls"]).env(name, value).output().unwrap()).fails(2);
        assert!(ended.err.contains(name), "{}", ended.err);
    }
}

#[test]
fn an_engine_that_is_not_there_has_its_own_code() {
    let place = Place::new();
    let model = fixture("mnist/model/mnist-8.onnx");
    let mut command = place.command(&["run", model.to_str().unwrap()]);
    let ended = Ended::of(&command.env("ORT_DYLIB_PATH", "no/such/library").output().unwrap()).fails(10);
    assert!(ended.err.contains("hint: "), "{}", ended.err);
    if !cfg!(feature = "tract") {
        place.zoo(&["run", model.to_str().unwrap(), "--engine", "tract"]).fails(2);
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let place = Place::new();
    let mut child =
        place.command(&["--offline", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = Ended::of(&child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}
