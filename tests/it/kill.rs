//! `kill -9` at random moments: whatever the instant, the store holds whole models and proved files only, and the next run
//! goes on from there.

use std::process::Stdio;
use std::time::{Duration, Instant};

use zoo_core::digest::Digest;
use zoo_mirror::{Mirror, Role};

use crate::support::{assert_store_keeps_its_promise, sha256, zoo, zoo_command};

const KILLS: usize = 200;
const NAME: &str = "zoo-killed-17";
const HANDLE: &str = "onnx:zoo-killed-17";

/// Bytes per second and connection: a pull takes about a third of a second, most of it in transfer.
const PACE: u64 = 24 << 20;

#[test]
fn a_store_survives_two_hundred_kills_at_random_moments() {
    let entry = zoo_tests::linear_model(NAME, 800);
    let published: Vec<(String, Digest)> = std::iter::once((format!("{NAME}.onnx"), sha256(&entry.content)))
        .chain(entry.beside.iter().map(|(name, content)| (name.clone(), sha256(content))))
        .collect();
    let published: Vec<(&str, &Digest)> =
        published.iter().map(|(name, digest)| (name.as_str(), digest)).collect();
    let mirror = zoo_tests::mirror().onnx_entry(entry).pace(PACE).start().unwrap();
    let home = tempfile::tempdir().unwrap();

    let began = Instant::now();
    zoo_command(home.path(), Some(&mirror), &["pull", HANDLE]).done();
    let usual = began.elapsed();
    zoo_command(home.path(), Some(&mirror), &["cache", "rm", HANDLE]).done();
    mirror.clear_log();

    let mut random = fastrand::Rng::with_seed(20_260_701);
    let (mut kills, mut finished) = (0, 0);
    while kills < KILLS {
        let mut child = zoo(home.path(), Some(&mirror))
            .args(["-q", "pull", HANDLE])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a command that starts");
        std::thread::sleep(usual.mul_f64(random.f64() * 1.1) + Duration::from_millis(1));
        let already = child.try_wait().expect("a child");
        let _ = child.kill();
        child.wait().expect("a child");
        assert_store_keeps_its_promise(home.path(), &published);
        match already {
            None => kills += 1,
            Some(status) => {
                assert!(status.success(), "a pull after kills failed: {status}");
                finished += 1;
                zoo_command(home.path(), Some(&mirror), &["cache", "rm", HANDLE]).done();
            }
        }
    }
    assert!(finished > 0, "no pull ever came to its end between the kills");
    assert!(resumed(&mirror) > KILLS / 10, "{} of {KILLS} transfers were resumed", resumed(&mirror));

    zoo_command(home.path(), Some(&mirror), &["pull", HANDLE]).done();
    assert_store_keeps_its_promise(home.path(), &published);
    zoo_command(home.path(), Some(&mirror), &["cache", "gc", "--unfinished"]).done();
    assert!(zoo_core::fs::list_dir(&home.path().join("partial")).unwrap().is_empty());
    zoo_command(home.path(), None, &["cache", "verify"]).done();
}

/// Requests that went on from bytes on disk.
fn resumed(mirror: &Mirror) -> usize {
    let from_the_middle = |range: &String| range.starts_with("bytes=") && !range.starts_with("bytes=0-");
    let log = mirror.log();
    let content = log.iter().filter(|request| request.role == Role::HuggingFaceContent);
    content.filter(|request| request.range.as_ref().is_some_and(from_the_middle)).count()
}
