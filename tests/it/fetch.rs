//! Fetching: what is asked of servers, what survives an interruption, and that no more is fetched than is missing.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zoo_core::digest::Digest;
use zoo_core::error::ErrorKind;
use zoo_core::http::Credential;
use zoo_core::progress::{Event, Progress};
use zoo_core::remote::{Pieces, RemoteFile};
use zoo_core::{Zoo, ZooConfig};
use zoo_mirror::{Content, Fault, FaultRule, Logged, Mirror, Role};
use zoo_tests::zoo_config;

use crate::support::{download, pull, remote, resolve, run, serving, until};

const MIB: u64 = 1 << 20;

fn content_requests(mirror: &Mirror) -> Vec<Logged> {
    mirror.log().into_iter().filter(|l| l.role == Role::HuggingFaceContent).collect()
}

fn sent(mirror: &Mirror) -> u64 {
    content_requests(mirror).iter().map(|l| l.sent).sum()
}

/// Remembers every event as text.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Notes {
    fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|note| note.starts_with(what)).count()
    }
}

#[test]
fn one_stream_is_enough_when_it_is_fast_and_asks_for_the_plain_bytes() {
    run(async {
        let content = Content::Pattern(24 * MIB);
        let mirror = serving(&[("a.bin", content.clone())]).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let notes = Arc::new(Notes::default());
        let zoo = Zoo::open(zoo_config(home.path()).listening(notes.clone()));
        let model = pull(&zoo, "a", &[remote(&mirror, "a.bin", &content)]).await.unwrap();
        let requests = content_requests(&mirror);
        assert_eq!(requests.len(), 1);
        assert!(mirror.log().iter().all(|l| l.accept_encoding.as_deref() == Some("identity")));
        assert_eq!(model.manifest.files[0].size, content.len());
        let path = model.folder.join("original/a.bin");
        assert!(std::fs::metadata(&path).unwrap().permissions().readonly());
        assert_eq!((notes.count("Start"), notes.count("Verify"), notes.count("Done")), (1, 1, 1));
        assert!(
            zoo_core::fs::list_dir(&home.path().join("partial")).unwrap().is_empty(),
            "nothing is left behind"
        );

        mirror.clear_log();
        pull(&zoo, "a", &[remote(&mirror, "a.bin", &content)]).await.unwrap();
        assert!(mirror.log().is_empty(), "a stored model costs no request");
    });
}

#[test]
fn a_token_stays_with_its_host() {
    run(async {
        let content = Content::Pattern(1000);
        let mirror = serving(&[("a.bin", content.clone())]).hf_token("hf_good", &[]).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut config = zoo_config(home.path());
        let endpoint = mirror.hf_endpoint().parse().unwrap();
        config.http.credentials.push(Credential::bearer(&endpoint, "hf_good").unwrap());
        let zoo = Zoo::open(config);
        let model = pull(&zoo, "a", &[remote(&mirror, "a.bin", &content)]).await.unwrap();
        for request in mirror.log() {
            assert_eq!(request.had_authorization, request.role == Role::HuggingFace, "{request:?}");
        }
        let text = model.manifest.to_json();
        assert!(!text.contains("hf_good") && !text.contains("Signature"), "{text}");
    });
}

#[test]
fn a_slow_connection_gets_company_that_fetches_disjoint_ranges() {
    run(async {
        let content = Content::Pattern(64 * MIB);
        let mirror = serving(&[("a.bin", content.clone())]).pace(12 * MIB).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let zoo = Zoo::open(zoo_config(home.path()));
        pull(&zoo, "a", &[remote(&mirror, "a.bin", &content)]).await.unwrap();
        let requests = content_requests(&mirror);
        let connections: std::collections::BTreeSet<u64> = requests.iter().map(|l| l.connection).collect();
        assert!(connections.len() > 4, "{} connections", connections.len());
        assert!(requests.iter().filter(|l| l.range.is_some()).all(|l| l.version == "HTTP/1.1"));
        // The first stream is cut short, and what was on its way is lost; nothing else is fetched twice.
        assert!(sent(&mirror) < content.len() + 8 * MIB, "{} bytes sent", sent(&mirror));
    });
}

/// Begins a pull and drops it once the mirror has sent so many bytes.
async fn interrupted(home: &Path, file: &RemoteFile, mirror: &Mirror, after: u64) {
    let (zoo, file) = (Zoo::open(zoo_config(home)), file.clone());
    let task = tokio::spawn(async move { pull(&zoo, "a", &[file]).await });
    until("part of the file", || sent(mirror) > after).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
}

#[test]
fn an_interrupted_transfer_goes_on_in_another_process_where_it_was() {
    run(async {
        let content = Content::Pattern(32 * MIB);
        let mirror = serving(&[("a.bin", content.clone())]).pace(24 * MIB).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let file = remote(&mirror, "a.bin", &content);
        interrupted(home.path(), &file, &mirror, 12 * MIB).await;
        // What was handed to the connection but never read is lost with it.
        let before = sent(&mirror);
        mirror.clear_log();
        mirror.pace(None);

        // Everything in memory is gone, as after a crash: only the disk knows.
        let zoo = Zoo::open(zoo_config(home.path()));
        pull(&zoo, "a", &[file]).await.unwrap();
        let requests = content_requests(&mirror);
        assert!(requests[0].range.as_deref().is_some_and(|r| r != "bytes=0-"), "{requests:?}");
        assert!(requests[0].if_range.is_some());
        assert!(before + sent(&mirror) < content.len() + 12 * MIB, "{before} and {}", sent(&mirror));
    });
}

#[test]
fn a_transfer_in_ranges_goes_on_in_ranges() {
    run(async {
        let content = Content::Pattern(96 * MIB);
        let mirror = serving(&[("a.bin", content.clone())]).pace(6 * MIB).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let file = remote(&mirror, "a.bin", &content);
        interrupted(home.path(), &file, &mirror, 40 * MIB).await;
        mirror.clear_log();
        pull(&Zoo::open(zoo_config(home.path())), "a", &[file]).await.unwrap();
        let requests = content_requests(&mirror);
        let connections: std::collections::BTreeSet<u64> = requests.iter().map(|l| l.connection).collect();
        assert!(connections.len() > 4, "{} connections after the interruption", connections.len());
        assert!(sent(&mirror) < 64 * MIB, "{} bytes sent again", sent(&mirror));
    });
}

#[test]
fn a_broken_connection_is_resumed_and_a_changed_file_is_begun_anew() {
    run(async {
        let content = Content::Pattern(4 * MIB);
        let cut = FaultRule::new("a.bin", Fault::CutAfter { bytes: MIB }).times(1);
        let mirror = serving(&[("a.bin", content.clone())]).fault(cut.clone()).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let notes = Arc::new(Notes::default());
        let zoo = Zoo::open(zoo_config(home.path()).listening(notes.clone()));
        pull(&zoo, "a", &[remote(&mirror, "a.bin", &content)]).await.unwrap();
        assert_eq!(sent(&mirror), content.len());
        assert_eq!((notes.count("Retry"), notes.count("Restart")), (1, 0));

        let home = tempfile::tempdir().unwrap();
        let zoo = Zoo::open(zoo_config(home.path()).listening(notes.clone()));
        mirror.clear_log();
        mirror.clear_faults();
        mirror.fault(cut);
        mirror.fault(FaultRule::new("a.bin", Fault::ChangeEtag).times(1));
        pull(&zoo, "a", &[remote(&mirror, "a.bin", &content)]).await.unwrap();
        assert!(notes.count("Restart") >= 1, "the first bytes were of another content");
    });
}

#[test]
fn of_a_file_with_published_pieces_only_the_wrong_one_is_fetched_again() {
    run(async {
        let content = Content::Pattern(8 * MIB);
        let mirror = serving(&[("a.bin", content.clone())])
            .fault(FaultRule::new("a.bin", Fault::FlipByte { at: 5 * MIB + 7 }).times(1))
            .start()
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let zoo = Zoo::open(zoo_config(home.path()));
        // A pattern repeats after its stamp, so pieces are hashed from what a good server sends.
        let good = serving(&[("a.bin", content.clone())]).start().unwrap();
        let bytes = download(resolve(&good, "a.bin")).await;
        let piece = |part: &[u8]| match crate::support::sha256(&Content::from(part.to_vec())) {
            Digest::Sha256(digest) => digest,
            other => panic!("{other}"),
        };
        let mut file = remote(&mirror, "a.bin", &content);
        file.pieces = Some(Pieces { length: MIB, sha256: bytes.chunks(MIB as usize).map(piece).collect() });
        pull(&zoo, "a", &[file]).await.unwrap();
        assert_eq!(sent(&mirror), content.len() + MIB);
    });
}

#[test]
fn the_next_source_is_tried_when_one_fails_for_good() {
    run(async {
        let content = Content::Pattern(MIB);
        let mirror = serving(&[("a.bin", content.clone())]).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let zoo = Zoo::open(zoo_config(home.path()));
        let mut file = remote(&mirror, "a.bin", &content);
        let dead = "http://127.0.0.1:9/a.bin".parse().unwrap();
        file.sources = vec![dead, resolve(&mirror, "missing.bin"), resolve(&mirror, "a.bin")];
        let model = pull(&zoo, "a", &[file.clone()]).await.unwrap();
        assert!(model.manifest.files[0].source.ends_with("/a.bin"));

        file.sources.pop();
        let home = tempfile::tempdir().unwrap();
        let error = pull(&Zoo::open(zoo_config(home.path())), "a", &[file]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        assert_eq!(error.to_string().lines().count(), 3, "{error}");
        assert!(error.hint().is_some());
    });
}

#[test]
fn two_models_share_one_content_without_fetching_it_twice() {
    run(async {
        let content = Content::Pattern(2 * MIB);
        let mirror = serving(&[("a.bin", content.clone()), ("b.bin", content.clone())]).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let zoo = Zoo::open(zoo_config(home.path()));
        pull(&zoo, "a", &[remote(&mirror, "a.bin", &content)]).await.unwrap();
        mirror.clear_log();
        let notes = Arc::new(Notes::default());
        let zoo = Zoo::open(zoo_config(home.path()).listening(notes.clone()));
        let model = pull(&zoo, "b", &[remote(&mirror, "b.bin", &content)]).await.unwrap();
        assert!(mirror.log().is_empty());
        assert_eq!(notes.count("Reused"), 1);
        assert!(zoo.store().verify(&model).unwrap().is_good());

        let mut config: ZooConfig = zoo_config(home.path());
        config.hard_links = true;
        let linked = pull(&Zoo::open(config), "c", &[remote(&mirror, "b.bin", &content)]).await.unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let links = |model: &zoo_core::store::StoredModel| {
                std::fs::metadata(model.folder.join("original/b.bin")).unwrap().nlink()
            };
            assert_eq!(links(&linked), 2, "by option the content is linked");
        }
        let _ = linked;
    });
}

#[test]
fn two_tasks_that_want_the_same_model_make_one_transfer() {
    run(async {
        let content = Content::Pattern(6 * MIB);
        let mirror = serving(&[("a.bin", content.clone())]).pace(16 * MIB).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let zoo = Zoo::open(zoo_config(home.path()));
                let file = remote(&mirror, "a.bin", &content);
                tokio::spawn(async move { pull(&zoo, "a", &[file]).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(sent(&mirror), content.len());
    });
}

#[test]
fn several_files_arrive_at_once() {
    run(async {
        let names = ["a.bin", "b.bin", "c.bin", "d.bin"];
        let files: Vec<(&str, Content)> =
            names.iter().enumerate().map(|(i, name)| (*name, Content::Pattern(4 * MIB + i as u64))).collect();
        let mirror = serving(&files).pace(8 * MIB).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let zoo = Zoo::open(zoo_config(home.path()));
        let remotes: Vec<_> = files.iter().map(|(name, content)| remote(&mirror, name, content)).collect();
        let task = tokio::spawn(async move { pull(&zoo, "four", &remotes).await });
        until("all four to be under way", || content_requests(&mirror).len() == 4).await;
        assert!(sent(&mirror) < 8 * MIB, "they began one after the other");
        let model = task.await.unwrap().unwrap();
        assert_eq!(model.manifest.files.len(), 4);
    });
}

#[test]
fn a_silent_server_is_given_up_on_but_a_slow_one_is_not() {
    run(async {
        let content = Content::Pattern(600_000);
        let mirror = serving(&[("a.bin", content.clone())]).pace(300_000).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut config = zoo_config(home.path());
        config.http.silence_timeout = Duration::from_millis(600);
        pull(&Zoo::open(config.clone()), "slow", &[remote(&mirror, "a.bin", &content)]).await.unwrap();

        mirror.fault(FaultRule::new("a.bin", Fault::Stall { after: 0, millis: 60_000 }));
        mirror.pace(None);
        config.home = tempfile::tempdir().unwrap().path().to_owned();
        config.http.attempts = 2;
        let error =
            pull(&Zoo::open(config), "silent", &[remote(&mirror, "a.bin", &content)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        assert!(error.to_string().contains("no answer in time"), "{error}");
    });
}

#[test]
fn http_2_through_a_proxy_in_the_real_hosts_names() {
    run(async {
        let content = Content::Pattern(3 * MIB);
        let mirror = serving(&[("a.bin", content.clone())]).start().unwrap();
        let home = tempfile::tempdir().unwrap();
        let authority = home.path().join("authority.pem");
        zoo_core::fs::write_atomic(&authority, mirror.authority_pem().as_bytes(), false).unwrap();
        let mut config = zoo_config(home.path());
        config.http.proxy.https = Some(mirror.proxy_url());
        config.http.certificates.push(authority);
        let mut file = remote(&mirror, "a.bin", &content);
        file.sources = vec!["https://huggingface.co/zoo-tests/one/resolve/main/a.bin".parse().unwrap()];
        let model = pull(&Zoo::open(config), "a", &[file]).await.unwrap();
        assert_eq!(model.manifest.files[0].source, "https://huggingface.co/zoo-tests/one/resolve/main/a.bin");
        assert!(content_requests(&mirror).iter().all(|l| l.version == "HTTP/2.0"));
    });
}
