//! Hugging Face through the crate and the command: what a handle means, which files of a commit come, how they are proved, what the
//! hub's own cache saves, and what is said when any of it fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use zoo_core::error::ErrorKind;
use zoo_core::handle::Handle;
use zoo_core::http::Credential;
use zoo_core::path::EntryPath;
use zoo_core::store::Store;
use zoo_core::{Zoo, ZooConfig};
use zoo_hf::select::{Form, Framework, OnnxFiles, Refusal, Wanted};
use zoo_hf::{Error, Gate, HfConfig, Hub, Model};
use zoo_mirror::{Access, Content, Fault, FaultRule, HfRepoBuilder, Logged, Mirror, MirrorBuilder, Role};
use zoo_tests::zoo_config;

use crate::support::{Finished, run, sha256, until, zoo, zoo_command};

/// Long enough to be cut in the middle.
const LARGE: u64 = 6 << 20;

const BERT: &str = r#"{"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes"}}"#;

const CARD: &str = "---\nlicense: apache-2.0\nlanguage: en\nbase_model: org/base\npipeline_tag: text-classification\n---\n# Tiny\n";

fn text(text: &str) -> Content {
    text.as_bytes().to_vec().into()
}

/// What repositories of transformers have, and what nobody needs of it.
fn tiny(repo: HfRepoBuilder) -> HfRepoBuilder {
    [
        "optimizer.pt",
        "rust_model.ot",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "original/consolidated.pth",
    ]
    .iter()
    .fold(repo, |repo, path| repo.file(*path, text(&format!("{path} is not wanted"))))
    .file("config.json", text(BERT))
    .file("tokenizer.json", text("{}"))
    .file("vocab.txt", text("[PAD]\n"))
    .file("README.md", text(CARD))
    .file("model.safetensors", Content::Pattern(LARGE))
    .kind("text-classification", "transformers")
    .tags(&["pytorch", "safetensors", "bert"])
}

fn mirror() -> MirrorBuilder {
    Mirror::builder()
        .hf_repo("zoo-tests/tiny", tiny)
        .hf_renamed("zoo-tests/small", "zoo-tests/tiny")
        .hf_renamed("tiny", "zoo-tests/tiny")
}

fn config(mirror: &Mirror) -> HfConfig {
    let mut config = HfConfig::default();
    config.endpoint = mirror.hf_endpoint().parse().unwrap();
    config
}

fn hub(home: &Path, mirror: &Mirror) -> Hub {
    Hub::with(&Zoo::open(zoo_config(home)), config(mirror))
}

fn offline(home: &Path, mirror: &Mirror, caches: &[PathBuf]) -> Hub {
    let mut zoo = zoo_config(home);
    zoo.offline = true;
    let mut config = config(mirror);
    config.caches = caches.to_vec();
    Hub::with(&Zoo::open(zoo), config)
}

fn with_token(home: &Path, mirror: &Mirror, token: &str) -> Hub {
    let mut zoo: ZooConfig = zoo_config(home);
    let config = config(mirror);
    zoo.http.credentials.push(Credential::bearer(&config.endpoint, token).unwrap());
    Hub::with(&Zoo::open(zoo), config)
}

fn handle(name: &str) -> Handle {
    format!("hf:{name}").parse().expect("a handle")
}

async fn pull(hub: &Hub, name: &str, wanted: &Wanted) -> Model {
    hub.pull(&handle(name), wanted).await.unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn refused(hub: &Hub, name: &str, wanted: &Wanted) -> Error {
    hub.pull(&handle(name), wanted)
        .await
        .map(|model| panic!("{} was pulled", model.manifest().handle))
        .unwrap_err()
}

fn usual() -> Wanted {
    Wanted::default()
}

fn wanted(change: impl FnOnce(&mut Wanted)) -> Wanted {
    let mut wanted = Wanted::default();
    change(&mut wanted);
    wanted
}

fn names(model: &Model) -> Vec<&str> {
    model.manifest().files.iter().map(|file| file.path.as_str().strip_prefix("original/").unwrap()).collect()
}

/// Requests for content, at the hub itself or at its content network.
fn contents(mirror: &Mirror) -> Vec<Logged> {
    let is_content = |l: &Logged| l.role == Role::HuggingFaceContent || l.path.contains("/resolve");
    mirror.log().into_iter().filter(is_content).collect()
}

#[test]
fn the_wanted_files_of_one_commit_arrive_proved_and_described() {
    run(async {
        let mirror = mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let model = pull(&hub(home.path(), &mirror), "zoo-tests/tiny", &usual()).await;
        assert_eq!(
            names(&model),
            ["README.md", "config.json", "model.safetensors", "tokenizer.json", "vocab.txt"]
        );
        let manifest = model.manifest();
        let commit = manifest.revision.as_str();
        assert_eq!(manifest.handle, format!("hf:zoo-tests/tiny@{commit}"));
        assert_eq!((manifest.ecosystem.as_str(), manifest.name.as_str()), ("huggingface", "zoo-tests/tiny"));
        assert_eq!(manifest.asked_for, ["main"]);
        let weights = &manifest.files[2];
        assert_eq!(weights.published, [sha256(&Content::Pattern(LARGE))]);
        assert_eq!(manifest.files[1].published[0].algorithm(), "git-sha1");
        assert!(
            manifest.files.iter().all(|file| file.source.contains(&format!("/resolve/{commit}/"))),
            "{manifest:?}"
        );
        assert!(Store::new(home.path()).verify(model.stored()).unwrap().is_good());
        let facts = &manifest.model;
        assert_eq!(
            (facts.licence.as_deref(), &facts.tags),
            (Some("apache-2.0"), &["pytorch", "safetensors", "bert"].map(str::to_owned).to_vec())
        );
        assert_eq!(facts.labels.as_ref().unwrap()["names"], json!(["no", "yes"]));
        assert_eq!(
            (&facts.other["task"], &facts.other["model_type"]),
            (&json!("text-classification"), &json!("bert"))
        );
        assert_eq!(facts.other["base_model"], json!(["org/base"]));
        assert_eq!(
            facts.documentation.as_deref(),
            Some(format!("{}/zoo-tests/tiny", mirror.hf_endpoint()).as_str())
        );
        let selection = model.selection(&usual()).unwrap();
        assert_eq!(selection.weights.unwrap().form, Form::SafeTensors);
        // Two questions, and each file once.
        let asked: Vec<String> =
            mirror.log().into_iter().filter(|l| l.path.starts_with("/api/models/")).map(|l| l.path).collect();
        assert_eq!(
            asked,
            [
                "/api/models/zoo-tests/tiny/revision/main".to_owned(),
                format!("/api/models/zoo-tests/tiny/tree/{commit}")
            ]
        );
        assert!(mirror.log().iter().all(|l| !l.had_authorization && l.user_agent.is_some()));
    });
}

#[test]
fn what_is_here_costs_one_question_or_none() {
    run(async {
        let mirror = mirror().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = hub(home.path(), &mirror);
        let model = pull(&hub, "zoo-tests/tiny", &usual()).await;
        let commit = model.manifest().revision.to_string();
        mirror.clear_log();
        assert_eq!(pull(&hub, "zoo-tests/tiny", &usual()).await.folder(), model.folder());
        assert_eq!(mirror.log().len(), 1, "whether main is still there");
        mirror.clear_log();
        assert_eq!(pull(&hub, &format!("zoo-tests/tiny@{commit}"), &usual()).await.folder(), model.folder());
        let found = hub.find(&handle(&format!("zoo-tests/tiny@{}", &commit[..7]))).await.unwrap();
        assert_eq!(found.unwrap().folder(), model.folder());
        assert!(mirror.log().is_empty());
        // Other weights of the same commit are added, and nothing is fetched again.
        let onnx = wanted(|w| w.onnx = Some(OnnxFiles::default()));
        assert!(!model.has(&onnx));
        let more = pull(&hub, &format!("zoo-tests/tiny@{commit}"), &onnx).await;
        assert_eq!((more.folder(), more.manifest().files.len()), (model.folder(), 6));
        let ready = more.published_onnx(&OnnxFiles::default()).unwrap();
        assert!(ready[0].path().ends_with("original/onnx/model.onnx") && ready.len() == 1);
        assert!(more.has(&usual()) && more.has(&onnx));
        let paths: Vec<String> =
            contents(&mirror).into_iter().filter(|l| l.role == Role::HuggingFace).map(|l| l.path).collect();
        assert!(paths.iter().all(|path| path.ends_with("/onnx/model.onnx")), "{paths:?}");
        // The hub cannot be reached: what is here serves.
        mirror.fault(FaultRule::new("/api/", Fault::Status { code: 503, retry_after: Some(0) }).everywhere());
        assert_eq!(pull(&hub, "zoo-tests/tiny", &usual()).await.folder(), model.folder());
        assert_eq!(refused(&hub, "zoo-tests/tiny@v1", &usual()).await.kind(), ErrorKind::Network);
    });
}

#[test]
fn a_cut_transfer_goes_on_where_it_was() {
    run(async {
        let cut = FaultRule::new("model.safetensors", Fault::CutAfter { bytes: LARGE / 2 }).times(1);
        let mirror = mirror().fault(cut).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        pull(&hub(home.path(), &mirror), "zoo-tests/tiny", &usual()).await;
        let content: Vec<Logged> =
            mirror.log().into_iter().filter(|l| l.role == Role::HuggingFaceContent).collect();
        assert!(content.iter().any(|l| l.range.is_some()), "{content:?}");
        let sent: u64 = content.iter().map(|l| l.sent).sum();
        assert!(sent < LARGE + LARGE / 2, "{sent} bytes for {LARGE}");
    });
}

#[test]
fn a_push_between_two_files_does_not_mix_commits() {
    run(async {
        let stall = FaultRule::new("model.safetensors", Fault::Stall { after: 0, millis: 500 }).times(1);
        let mirror = mirror().fault(stall).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = hub(home.path(), &mirror);
        let task = tokio::spawn({
            let hub = hub.clone();
            async move { pull(&hub, "zoo-tests/tiny", &usual()).await }
        });
        until("the weights are asked for", || {
            mirror.log().iter().any(|l| l.role == Role::HuggingFaceContent)
        })
        .await;
        let other = text(&BERT.replace("yes", "perhaps"));
        let pushed = mirror
            .hf_push("zoo-tests/tiny", |repo| {
                repo.file("config.json", other.clone()).file("model.safetensors", text("new"))
            })
            .unwrap();
        let before = task.await.unwrap();
        assert_ne!(before.manifest().revision.as_str(), pushed);
        assert_eq!(before.manifest().files[2].sha256, sha256(&Content::Pattern(LARGE)));
        assert_eq!(before.manifest().files[1].sha256, sha256(&text(BERT)));
        let after = pull(&hub, "zoo-tests/tiny", &usual()).await;
        assert_eq!(after.manifest().revision.as_str(), pushed);
        assert_eq!(after.manifest().files[1].sha256, sha256(&other));
        assert_eq!(after.manifest().files[2].sha256, sha256(&text("new")));
        // The branch now means the new one, whatever the clock says, and the old one is still there by its id.
        let old = Store::new(home.path()).get(&before.stored().key()).unwrap().unwrap();
        assert!(old.manifest.asked_for.is_empty(), "{:?}", old.manifest.asked_for);
        assert_eq!(hub.find(&handle("zoo-tests/tiny")).await.unwrap().unwrap().folder(), after.folder());
        let old = handle(&format!("zoo-tests/tiny@{}", before.manifest().revision));
        assert_eq!(hub.find(&old).await.unwrap().unwrap().folder(), before.folder());
    });
}

#[test]
fn content_that_is_not_what_the_listing_says_is_refused() {
    run(async {
        for (path, at) in [("model.safetensors", 1000), ("config.json", 3)] {
            let mirror = mirror().fault(FaultRule::new(path, Fault::FlipByte { at })).start().unwrap();
            let home = tempfile::tempdir().unwrap();
            let error = refused(&hub(home.path(), &mirror), "zoo-tests/tiny", &usual()).await;
            assert_eq!(error.kind(), ErrorKind::Verification, "{error}");
            assert!(Store::new(home.path()).models().unwrap().is_empty());
        }
    });
}

#[test]
fn revisions_are_branches_tags_pull_requests_and_commits_and_names_may_be_former_ones() {
    run(async {
        let mirror = Mirror::builder()
            .hf_repo("zoo-tests/tiny", |repo| {
                tiny(repo)
                    .tag("v1.0")
                    .branch("refs/pr/3", |repo| repo.file("vocab.txt", text("of the request")))
                    .branch("feature/x", |repo| repo.file("vocab.txt", text("of the branch")))
            })
            .hf_renamed("zoo-tests/small", "zoo-tests/tiny")
            .hf_renamed("tiny", "zoo-tests/tiny")
            .start()
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = hub(home.path(), &mirror);
        let main = pull(&hub, "zoo-tests/tiny", &usual()).await;
        for (name, content) in [
            ("zoo-tests/tiny@v1.0", "[PAD]\n"),
            ("zoo-tests/tiny@refs/pr/3", "of the request"),
            ("zoo-tests/tiny@feature/x", "of the branch"),
            ("zoo-tests/small@main", "[PAD]\n"),
            ("tiny", "[PAD]\n"),
            ("tiny@refs/pr/3", "of the request"),
        ] {
            let model = pull(&hub, name, &usual()).await;
            let vocabulary = zoo_core::fs::read_bounded(&model.originals().join("vocab.txt"), 100).unwrap();
            assert_eq!(vocabulary, content.as_bytes(), "{name}");
            assert_eq!(model.manifest().name.as_str(), "zoo-tests/tiny", "{name}");
            assert_eq!(model.folder() == main.folder(), content == "[PAD]\n", "{name}");
        }
        let offline = offline(home.path(), &mirror, &[]);
        mirror.clear_log();
        for name in ["tiny", "zoo-tests/small", "zoo-tests/tiny@v1.0"] {
            assert!(pull(&offline, name, &usual()).await.folder().starts_with(home.path()), "{name}");
        }
        assert!(mirror.log().is_empty());
        let stored = pull(&offline, "zoo-tests/tiny@main", &usual()).await;
        let repository = &stored.manifest().other["repository"];
        assert_eq!(repository["names"], json!(["tiny", "zoo-tests/small"]), "both names are in the manifest");

        match refused(&hub, "zoo-tests/tiny@v2", &usual()).await {
            Error::RevisionMissing { revision, available, .. } => {
                assert_eq!(
                    (revision.as_str(), available),
                    ("v2", ["feature/x", "main", "v1.0"].map(str::to_owned).to_vec())
                );
            }
            other => panic!("{other}"),
        }
        let file = refused(&hub, "zoo-tests/tiny/vocab.json", &usual()).await;
        assert!(
            matches!(file, Error::FileMissing { .. }) && file.hint().unwrap().contains("`vocab.txt`"),
            "{file}"
        );
        let extra = pull(&hub, "zoo-tests/tiny/openvino/openvino_model.bin", &usual()).await;
        assert!(names(&extra).contains(&"openvino/openvino_model.bin"));
    });
}

fn guarded() -> MirrorBuilder {
    mirror()
        .hf_repo("zoo-tests/gated", |repo| tiny(repo).access(Access::Gated))
        .hf_repo("zoo-tests/private", |repo| tiny(repo).access(Access::Private))
        .hf_repo("zoo-tests/disabled", |repo| tiny(repo).access(Access::Disabled))
        .hf_token("hf_member", &["zoo-tests/gated", "zoo-tests/private"])
        .hf_token("hf_stranger", &[])
}

#[test]
fn what_the_hub_refuses_is_told_apart() {
    run(async {
        let mirror = guarded().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let by = |token: Option<&str>| match token {
            Some(token) => with_token(home.path(), &mirror, token),
            None => hub(home.path(), &mirror),
        };
        for (token, expected) in [
            (None, Gate::Anonymous),
            (Some("hf_stranger"), Gate::NoGrant),
            (Some("hf_wrong"), Gate::BadToken),
        ] {
            match refused(&by(token), "zoo-tests/gated", &usual()).await {
                Error::Gated { id, why, page } => {
                    assert_eq!((id.as_str(), why), ("zoo-tests/gated", expected));
                    assert_eq!(page, format!("{}/zoo-tests/gated", mirror.hf_endpoint()));
                }
                other => panic!("{token:?}: {other}"),
            }
        }
        for (token, is_authenticated) in [(None, false), (Some("hf_stranger"), true)] {
            match refused(&by(token), "zoo-tests/private", &usual()).await {
                Error::Missing { authenticated, .. } => assert_eq!(authenticated, is_authenticated),
                other => panic!("{token:?}: {other}"),
            }
        }
        let bad = refused(&by(Some("hf_wrong")), "zoo-tests/private", &usual()).await;
        assert!(matches!(bad, Error::BadToken { .. }) && bad.kind() == ErrorKind::Denied, "{bad}");
        let disabled = refused(&by(Some("hf_member")), "zoo-tests/disabled", &usual()).await;
        assert!(matches!(disabled, Error::Disabled { .. }), "{disabled}");
        for (wrong, right) in [("zoo-tests/tinny", "zoo-tests/tiny"), ("zoo-test/tiny", "zoo-tests/tiny")] {
            let missing = refused(&by(None), wrong, &usual()).await;
            assert_eq!(missing.kind(), ErrorKind::NotFound);
            assert!(
                missing.hint().unwrap().contains(&format!("`{right}`")),
                "{missing}: {:?}",
                missing.hint()
            );
        }
        let space = refused(&by(None), "spaces/org/name", &usual()).await;
        assert!(matches!(space, Error::NotAModel { kind: "space", .. }), "{space}");

        // A token that was granted access, and one that changes nothing.
        let member = by(Some("hf_member"));
        pull(&member, "zoo-tests/gated", &usual()).await;
        pull(&member, "zoo-tests/private", &usual()).await;
        pull(&by(Some("hf_wrong")), "zoo-tests/tiny", &usual()).await;
    });
}

#[test]
fn a_token_goes_to_the_hub_and_nowhere_else() {
    run(async {
        let mirror = guarded().start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let member = with_token(home.path(), &mirror, "hf_member");
        let model = pull(&member, "zoo-tests/gated", &usual()).await;
        let log = mirror.log();
        let is_there =
            |role| log.iter().filter(|l| l.role == role).map(|l| l.had_authorization).collect::<Vec<_>>();
        assert!(is_there(Role::HuggingFace).iter().all(|had| *had), "{log:?}");
        let network = is_there(Role::HuggingFaceContent);
        assert!(!network.is_empty() && network.iter().all(|had| !had), "{log:?}");
        assert!(!model.manifest().to_json().contains("hf_member"));
        // The search goes without it.
        mirror.clear_log();
        member.search("gated").await.unwrap();
        assert!(mirror.log().iter().all(|l| !l.had_authorization));
        // Nor does hf-hub look for one by itself.
        let mut command = zoo(home.path(), Some(&mirror));
        command.env("HF_TOKEN", "hf_member").args(["search", "tiny"]);
        Finished::of(command).done();
        assert!(mirror.log().iter().all(|l| !l.had_authorization));
        let token = home.path().join("token");
        zoo_core::fs::write_atomic(&token, b"hf_member\n", false).unwrap();
        for (disabled, code) in [("0", 0), ("1", 5)] {
            let mut command = zoo(&home.path().join(disabled), Some(&mirror));
            command.env("HF_TOKEN_PATH", &token).env("HF_HUB_DISABLE_IMPLICIT_TOKEN", disabled);
            command.args(["pull", "hf:zoo-tests/gated", "--to", "original"]);
            let finished = Finished::of(command);
            assert_eq!(finished.code, Some(code), "{}", finished.stderr);
            assert!(!finished.stderr.contains("hf_member"));
        }
    });
}

#[test]
fn a_hub_that_has_enough_is_waited_for_or_named() {
    run(async {
        let mirror = mirror().hf_quota(10, 1).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        pull(&hub(home.path(), &mirror), "zoo-tests/tiny", &usual()).await;
        let mirror = self::mirror().hf_quota(0, 3600).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let start = std::time::Instant::now();
        match refused(&hub(home.path(), &mirror), "zoo-tests/tiny", &usual()).await {
            Error::RateLimited { wait: Some(wait), authenticated: false, .. } => {
                assert!(wait > Duration::from_secs(3500), "{wait:?}");
            }
            other => panic!("{other}"),
        }
        assert!(start.elapsed() < Duration::from_secs(5), "nobody waits an hour");
        assert!(mirror.log().len() <= 3, "{:?}", mirror.log());
    });
}

/// A cache as huggingface_hub lays it out: blobs by digest, and links to them.
#[cfg(unix)]
fn cache(root: &Path, commit: &str, files: &[(&str, &Content)]) -> PathBuf {
    let repo = root.join("models--zoo-tests--tiny");
    let write = |path: &Path, content: &Content| {
        zoo_core::fs::create_parent(path).unwrap();
        zoo_core::fs::write_atomic(path, &content.bytes().unwrap(), false).unwrap();
    };
    write(&repo.join("refs/main"), &text(commit));
    for (path, content) in files {
        let digests = content.digests().unwrap();
        let is_large = path.ends_with(".safetensors");
        let etag = if is_large { digests.sha256().hex() } else { digests.git_blob().unwrap().hex() };
        write(&repo.join("blobs").join(&etag), content);
        let link = repo.join("snapshots").join(commit).join(path);
        zoo_core::fs::create_parent(&link).unwrap();
        let up = "../".repeat(2 + path.matches('/').count());
        std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), link).unwrap();
    }
    repo
}

#[cfg(unix)]
#[test]
fn the_hubs_own_cache_is_proved_and_taken() {
    run(async {
        let mirror = mirror().start().unwrap();
        let (caches, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let resolved = hub(home.path(), &mirror).resolve(&handle("zoo-tests/tiny")).await.unwrap();
        let commit = resolved.key.revision.to_string();
        let weights = Content::Pattern(LARGE);
        let (config_json, card) = (text(BERT), text(CARD));
        let files = [("config.json", &config_json), ("README.md", &card), ("model.safetensors", &weights)];
        let repo = cache(caches.path(), &commit, &files);
        let roots = [caches.path().to_owned()];

        // Online only what the cache does not have is fetched.
        mirror.clear_log();
        let mut with_cache = config(&mirror);
        with_cache.caches = roots.to_vec();
        let model = pull(
            &Hub::with(&Zoo::open(zoo_config(home.path())), with_cache.clone()),
            "zoo-tests/tiny",
            &usual(),
        )
        .await;
        assert!(mirror.log().iter().all(|l| l.role == Role::HuggingFace), "{:?}", mirror.log());
        let adopted = &model.manifest().files[2];
        assert!(adopted.source.contains("/blobs/"), "{}", adopted.source);
        assert_eq!(names(&model).len(), 5);

        // Offline the cache tells what there is.
        mirror.clear_log();
        let other = tempfile::tempdir().unwrap();
        let alone = offline(other.path(), &mirror, &roots);
        for name in ["zoo-tests/tiny", &format!("zoo-tests/tiny@{commit}")] {
            let model = pull(&alone, name, &usual()).await;
            assert_eq!(names(&model), ["README.md", "config.json", "model.safetensors"]);
            assert_eq!(
                (model.manifest().revision.as_str(), model.manifest().model.licence.as_deref()),
                (commit.as_str(), Some("apache-2.0"))
            );
        }
        let error = refused(&alone, "zoo-tests/tiny@v1", &usual()).await;
        assert_eq!(error.kind(), ErrorKind::Offline, "{error}");
        assert_eq!(refused(&alone, "zoo-tests/none", &usual()).await.kind(), ErrorKind::Offline);
        assert!(mirror.log().is_empty());
        let mut command = zoo(&other.path().join("home"), None);
        command.env("HF_HUB_CACHE", caches.path()).env("TRANSFORMERS_OFFLINE", "1");
        command.args(["pull", "zoo-tests/tiny", "--to", "original"]);
        assert!(Path::new(Finished::of(command).done().trim_end()).join("model.safetensors").is_file());

        // A blob that was changed is not taken; a link that leads out is not followed.
        let blob = repo.join("blobs").join(sha256(&weights).hex());
        let outside = caches.path().join("outside");
        zoo_core::fs::rename(&blob, &outside).unwrap();
        std::os::unix::fs::symlink(&outside, &blob).unwrap();
        let third = tempfile::tempdir().unwrap();
        let model = pull(
            &Hub::with(&Zoo::open(zoo_config(third.path())), with_cache.clone()),
            "zoo-tests/tiny",
            &usual(),
        )
        .await;
        assert!(model.manifest().files[2].source.starts_with("http"), "{}", model.manifest().files[2].source);
        let alone = offline(tempfile::tempdir().unwrap().path(), &mirror, &roots);
        assert!(
            matches!(refused(&alone, "zoo-tests/tiny", &usual()).await, Error::Refused { .. }),
            "the weights are gone"
        );
        std::fs::remove_file(&blob).unwrap();
        zoo_core::fs::write_atomic(&blob, &vec![0; LARGE as usize], false).unwrap();
        let fourth = tempfile::tempdir().unwrap();
        let model =
            pull(&Hub::with(&Zoo::open(zoo_config(fourth.path())), with_cache), "zoo-tests/tiny", &usual())
                .await;
        assert!(model.manifest().files[2].source.starts_with("http"));
        assert_eq!(zoo_core::fs::list_dir(caches.path()).unwrap().len(), 2, "nothing is written there");
    });
}

#[test]
fn paths_that_lead_out_of_the_folder_are_never_written() {
    run(async {
        let tricks = ["../../../evil", "/evil", "a\\..\\evil", "C:evil"];
        let fill = |repo: HfRepoBuilder| {
            tricks.iter().fold(tiny(repo), |repo, path| repo.small_file(*path, text("evil")))
        };
        let mirror = Mirror::builder().hf_repo("zoo-tests/tricks", fill).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = hub(home.path(), &mirror);
        assert_eq!(names(&pull(&hub, "zoo-tests/tricks", &usual()).await).len(), 5);
        let all = refused(&hub, "zoo-tests/tricks", &wanted(|w| w.all = true)).await;
        assert!(matches!(&all, Error::Refused { refusal: Refusal::UnsafePath { .. }, .. }), "{all}");
        let asked: Vec<String> =
            mirror.log().into_iter().map(|l| l.path).filter(|path| path.contains("evil")).collect();
        assert!(asked.is_empty(), "{asked:?}");
    });
}

#[test]
fn weights_come_once_in_the_form_that_was_asked_for() {
    run(async {
        let index = json!({"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}});
        let forms = |repo: HfRepoBuilder| {
            [
                "model.safetensors",
                "pytorch_model.bin",
                "tf_model.h5",
                "flax_model.msgpack",
                "onnx/model_fp16.onnx",
                "onnx/model_fp16.onnx_data",
            ]
            .iter()
            .fold(repo.file("config.json", text(BERT)), |repo, path| repo.file(*path, text(path)))
        };
        let sharded = |repo: HfRepoBuilder| {
            repo.file("config.json", text(BERT))
                .file("model.safetensors.index.json", text(&index.to_string()))
                .file("model-00001-of-00002.safetensors", text("one"))
                .file("pytorch_model.bin", text("old"))
        };
        let mirror = Mirror::builder()
            .hf_repo("zoo-tests/forms", forms)
            .hf_repo("zoo-tests/bin", |repo| {
                repo.file("config.json", text(BERT)).file("pytorch_model.bin", text("pickle"))
            })
            .hf_repo("zoo-tests/sharded", |repo| {
                sharded(repo).file("model-00002-of-00002.safetensors", text("two"))
            })
            .hf_repo("zoo-tests/torn", sharded)
            .page_size(2)
            .start()
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = hub(home.path(), &mirror);
        let framework = |f| wanted(|w| w.framework = f);
        for (wish, file) in [
            (framework(None), "model.safetensors"),
            (framework(Some(Framework::Tf)), "tf_model.h5"),
            (framework(Some(Framework::Flax)), "flax_model.msgpack"),
        ] {
            let model = pull(&hub, "zoo-tests/forms", &wish).await;
            let selection = model.selection(&wish).unwrap();
            let weights: Vec<String> =
                selection.weights.unwrap().files.iter().map(ToString::to_string).collect();
            assert_eq!(weights, [file]);
            assert!(names(&model).contains(&file));
        }
        let half =
            pull(&hub, "zoo-tests/forms", &wanted(|w| w.onnx = Some(OnnxFiles::new(Some("fp16".into())))))
                .await;
        let ready = half.published_onnx(&OnnxFiles::new(Some("fp16".into()))).unwrap();
        assert_eq!((ready.len(), ready[0].staged().with.len()), (1, 1));
        assert!(!names(&half).contains(&"pytorch_model.bin"));
        assert_eq!(names(&pull(&hub, "zoo-tests/bin", &usual()).await), ["config.json", "pytorch_model.bin"]);
        let shards = pull(&hub, "zoo-tests/sharded", &usual()).await;
        assert_eq!(shards.selection(&usual()).unwrap().weights.unwrap().files.len(), 2);
        assert!(!names(&shards).contains(&"pytorch_model.bin"));
        mirror.clear_log();
        let torn = refused(&hub, "zoo-tests/torn", &usual()).await;
        assert!(
            matches!(&torn, Error::Refused { refusal: Refusal::ShardMissing { shard, .. }, .. } if shard.starts_with("model-00002")),
            "{torn}"
        );
        assert!(mirror.log().iter().all(|l| l.role == Role::HuggingFace), "no weights were fetched");
    });
}

#[test]
fn what_cannot_be_built_is_refused_before_anything_large_is_fetched() {
    run(async {
        let repo = |config: Value, weights: &'static str| {
            move |repo: HfRepoBuilder| {
                repo.file("config.json", text(&config.to_string())).lfs_file(weights, Content::Pattern(LARGE))
            }
        };
        let adapter = json!({"peft_type": "LORA", "base_model_name_or_path": "org/base"}).to_string();
        let mirror = Mirror::builder()
            .hf_repo(
                "zoo-tests/quantised",
                repo(json!({"quantization_config": {"quant_method": "awq"}}), "model.safetensors"),
            )
            .hf_repo(
                "zoo-tests/own-code",
                repo(json!({"model_type": "x", "auto_map": {"AutoModel": "m.X"}}), "model.safetensors"),
            )
            .hf_repo("zoo-tests/gguf", repo(json!({}), "model-q4.gguf"))
            .hf_repo("zoo-tests/adapter", |repo| {
                repo.file("adapter_config.json", text(&adapter))
                    .lfs_file("adapter_model.safetensors", Content::Pattern(LARGE))
            })
            .hf_repo("zoo-tests/pipeline", |repo| {
                repo.file("model_index.json", text("{}")).lfs_file("unet/x.safetensors", text("x"))
            })
            .start()
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let hub = hub(home.path(), &mirror);
        for (name, hint) in [
            ("quantised", "base_model"),
            ("own-code", "--all-files"),
            ("gguf", "base_model"),
            ("adapter", "`hf:org/base`"),
            ("pipeline", "--all-files"),
        ] {
            let error = refused(&hub, &format!("zoo-tests/{name}"), &usual()).await;
            assert!(
                matches!(error, Error::Refused { .. }) && error.kind() == ErrorKind::Refused,
                "{name}: {error}"
            );
            assert!(error.hint().unwrap().contains(hint), "{name}: {:?}", error.hint());
        }
        assert!(mirror.log().iter().all(|l| l.role == Role::HuggingFace), "{:?}", mirror.log());
        let mut knowing = config(&mirror);
        knowing.knows = Some(|model_type| model_type == "x");
        let knowing = Hub::with(&Zoo::open(zoo_config(home.path())), knowing);
        assert_eq!(
            names(&pull(&knowing, "zoo-tests/own-code", &usual()).await),
            ["config.json", "model.safetensors"]
        );
        assert_eq!(names(&pull(&hub, "zoo-tests/adapter", &wanted(|w| w.as_it_is = true)).await).len(), 2);
        let extra = wanted(|w| w.extra = vec![EntryPath::new("model-q4.gguf").unwrap()]);
        assert!(matches!(refused(&hub, "zoo-tests/gguf", &extra).await, Error::Refused { .. }));
        assert_eq!(names(&pull(&hub, "zoo-tests/gguf", &wanted(|w| w.all = true)).await).len(), 2);
    });
}

#[test]
fn the_command_pulls_shows_lists_and_searches() {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in
        [("config.json", BERT), ("model.safetensors", "weights"), ("1_Pooling/config.json", "{}")]
    {
        let path = folder.path().join(path);
        zoo_core::fs::create_parent(&path).unwrap();
        zoo_core::fs::write_atomic(&path, content.as_bytes(), false).unwrap();
    }
    let mirror = mirror()
        .hf_repo("zoo-tests/gguf", |repo| repo.file("model.gguf", text("gguf")))
        .hf_repo_from_folder("zoo-tests/folder", folder.path())
        .start()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let zoo = |arguments: &[&str]| zoo_command(home.path(), Some(&mirror), arguments);
    let json = |arguments: &[&str]| -> Value {
        let printed = zoo(&[&["--json"], arguments].concat()).done();
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    };
    let before = json(&["show", "zoo-tests/tiny"]);
    assert_eq!((&before["stored"], &before["task"]), (&json!(false), &json!("text-classification")));
    assert!(before["bytes"].as_u64().unwrap() > LARGE && contents(&mirror).is_empty());

    let path = zoo(&["pull", "hf:zoo-tests/tiny", "--to", "original"]).done();
    let originals = Path::new(path.trim_end());
    assert!(originals.ends_with("original") && originals.join("model.safetensors").is_file(), "{path}");
    let url = format!("{}/zoo-tests/tiny/tree/main", mirror.hf_endpoint());
    assert_eq!(zoo(&["pull", &url, "--to", "original"]).done(), path);
    for name in ["zoo-tests/tiny", "hf://models/zoo-tests/tiny@main", "https://hf.co/zoo-tests/tiny"] {
        assert_eq!(zoo(&["pull", name, "--to", "original"]).done(), path, "{name}");
        assert_eq!(
            zoo_command(home.path(), None, &["pull", name, "--to", "original", "--offline"]).done(),
            path,
            "{name}"
        );
    }
    let shown = zoo(&["show", "zoo-tests/tiny"]).done();
    for word in ["apache-2.0", "text-classification", "main", "safetensors"] {
        assert!(shown.contains(word), "no {word} in\n{shown}");
    }
    let found = json(&["search", "zoo-tests/tiny"]);
    let found: Vec<(&Value, &Value)> =
        found.as_array().unwrap().iter().map(|l| (&l["handle"], &l["stored"])).collect();
    assert_eq!(found, [(&json!("hf:zoo-tests/tiny"), &json!(true))]);
    assert_eq!(json(&["list", "hf"]).as_array().unwrap().len(), 3);
    assert!(zoo(&["list", "hf", "--offline"]).done().contains("hf:zoo-tests/tiny"));
    assert!(zoo(&["check", "hf:zoo-tests/tiny", "--offline"]).code != Some(0));
    assert!(zoo(&["cache", "ls"]).done().contains("hf:zoo-tests/tiny@"));

    // Pulled as it is, it serves offline for whatever was selected; online its configuration is looked at first.
    let staged = zoo(&["stage", "zoo-tests/tiny", "--offline"]);
    assert!(staged.code != Some(9), "{}", staged.stderr);
    let all = zoo(&["pull", "hf:zoo-tests/gguf", "--all-files"]).done();
    assert!(Path::new(all.trim_end()).join("model.gguf").is_file(), "{all}");
    let onnx = zoo(&["pull", "hf:zoo-tests/tiny", "--onnx-files"]).done();
    assert!(onnx.trim_end().ends_with("original/onnx/model.onnx"), "{onnx}");
    let folder = zoo(&["pull", "hf:zoo-tests/folder", "--to", "original"]).done();
    assert!(Path::new(folder.trim_end()).join("config.json").is_file());

    for (arguments, code, said) in [
        (&["pull", "hf:zoo-tests/gguf"][..], 7, "GGUF"),
        (&["pull", "hf:zoo-tests/tinny"], 3, "`zoo-tests/tiny`"),
        (&["pull", "zoo-tests/nothing-like-it"], 3, "there is no file `zoo-tests/nothing-like-it`"),
        (&["pull", "hf:datasets/org/name"], 2, "is a dataset"),
        (&["pull", "hf:zoo-tests/tiny@nowhere"], 3, "`main`"),
        (&["pull", "hf:zoo-tests/tiny", "--arch", "bert"], 2, "--arch does not apply"),
        (&["pull", "hf:zoo-tests/tiny", "--onnx-files=q4"], 7, "--onnx-files"),
        (&["pull", "hf:a--b/c"], 2, "`--`"),
        (&["pull", "hf:zoo-tests/other", "--offline"], 9, "offline"),
        (&["pull", "onnx:mnist-12", "--all-files"], 2, "--all-files"),
    ] {
        let refused = zoo(arguments).refused(code);
        assert!(refused.contains(said), "{arguments:?}: {refused}");
    }
}
