//! What the end-to-end tests share with `cargo xtask e2e` and `cargo xtask mirror`: the fixtures, a model that is too large to
//! commit, and a `Zoo` that talks to a mirror.

pub mod documents;
mod large;
pub mod models;
pub mod networks;
pub mod torchvision;

use std::path::{Path, PathBuf};
use std::time::Duration;

use zoo_core::{Zoo, ZooConfig};
use zoo_mirror::{Access, Mirror, MirrorBuilder};
use zoo_onnx::{Hub, OnnxConfig};

pub use large::{LARGE, large_model, linear_model};

/// `tests/fixtures/` of this checkout.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A mirror with the ONNX Model Zoo in small, and repositories with the names and rights that real ones have.
pub fn mirror() -> MirrorBuilder {
    let text = |text: &'static str| text.as_bytes().to_vec();
    Mirror::builder()
        .onnx_zoo(&fixtures().join("onnx"))
        .hf_repo("zoo-tests/everyday", |repo| {
            repo.small_file("config.json", text("{\"model_type\": \"none\"}\n"))
                .small_file("empty.txt", Vec::new())
                .small_file("folder/a b+ü#%.txt", text("odd names happen\n"))
                .lfs_file("weights.bin", zoo_mirror::Content::Pattern(1 << 20))
                .lfs_file("folder/large.bin", zoo_mirror::Content::Pattern((9 << 20) + 5))
                .kind("text-classification", "transformers")
                .tags(&["pytorch", "en"])
                .downloads(1000)
        })
        .hf_repo("zoo-tests/gated", |repo| {
            repo.access(Access::Gated).lfs_file("weights.bin", text("for members"))
        })
        .hf_repo("zoo-tests/private", |repo| {
            repo.access(Access::Private).lfs_file("weights.bin", text("mine"))
        })
        .hf_repo("zoo-tests/disabled", |repo| {
            repo.access(Access::Disabled).lfs_file("weights.bin", text("gone"))
        })
        .hf_repo("zoo-tests/branches", |repo| {
            repo.small_file("file.txt", text("of main"))
                .tag("v1")
                .branch("refs/pr/1", |repo| repo.small_file("file.txt", text("of a request")))
        })
        .hf_renamed("zoo-tests/former", "zoo-tests/everyday")
        .hf_renamed("old-name", "zoo-tests/everyday")
        .hf_token("hf_member", &["zoo-tests/gated", "zoo-tests/private"])
        .hf_token("hf_stranger", &[])
}

/// Settings for a mirror: its endpoints, and waits short enough for tests.
pub fn zoo_config(home: &Path) -> ZooConfig {
    let mut config = ZooConfig::new(home);
    config.http.backoff = Duration::from_millis(5);
    config.http.attempts = 4;
    config.http.silence_timeout = Duration::from_secs(2);
    config.http.connect_timeout = Duration::from_secs(2);
    config
}

/// The hub's configuration for a mirror.
pub fn onnx_config(mirror: &Mirror) -> OnnxConfig {
    let mut config = OnnxConfig::default();
    if let (Ok(raw), Ok(hf)) = (mirror.raw_endpoint().parse(), mirror.hf_endpoint().parse()) {
        config.raw_endpoint = raw;
        config.hf_endpoint = hf;
    }
    config
}

/// A hub on a store at `home`, asking `mirror`.
pub fn onnx_hub(home: &Path, mirror: &Mirror) -> Hub {
    Hub::with(&Zoo::open(zoo_config(home)), onnx_config(mirror))
}
