//! The torchvision zoo in small: the fixtures' networks as checkpoints under published names, and the catalogue that says so.
//!
//! A file of the real zoo has the beginning of its SHA-256 in its name, and zoo believes nothing else. So files with other content need
//! other names, and a catalogue of them; everything else in it is torchvision's own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;
use zoo_core::digest::{Digest, Hasher};
use zoo_core::{Zoo, fs};
use zoo_mirror::{Content, Mirror, MirrorBuilder};
use zoo_torch::catalog::Catalog;
use zoo_torch::{Hub, TorchConfig};

/// The compiled-in catalogue, as a file.
const CATALOG: &str = include_str!("../crates/zoo-torch/catalog/torchvision.json");

/// Checkpoints and their catalogue.
#[derive(Debug)]
pub struct TorchZoo {
    catalog: PathBuf,
    files: Vec<(String, PathBuf)>,
}

impl TorchZoo {
    /// Writes into `folder` what `checkpoints` are: each a builder's name and a file, which becomes that builder's default
    /// weights.
    ///
    /// # Errors
    /// If a builder is none of torchvision's, or a file cannot be read or written.
    pub fn new(folder: &Path, checkpoints: &[(&str, PathBuf)]) -> Result<Self> {
        let mut catalog: Value = serde_json::from_str(CATALOG).context("the catalogue")?;
        let all = catalog["models"].take();
        let all = all.as_array().context("a catalogue of models")?;
        let (mut models, mut files) = (Vec::new(), Vec::new());
        for (builder, path) in checkpoints {
            let model = all.iter().find(|model| model["model"] == *builder);
            let mut model = model.with_context(|| format!("torchvision has no {builder}"))?.clone();
            let (digest, bytes) = digest(path)?;
            let name = format!("{builder}-{}.pth", &digest[..8]);
            let default = model["default"].clone();
            let weights = model["weights"].as_array_mut().context("a list of weights")?;
            weights.retain(|weights| weights["weights"] == default);
            let own = weights.first_mut().context("default weights")?;
            own["path"] = Value::from(format!("models/{name}"));
            own["sha256"] = Value::from(&digest[..8]);
            own["mib"] = Value::from(bytes as f64 / f64::from(1 << 20));
            model["pretrained"] = default;
            models.push(model);
            files.push((name, path.clone()));
        }
        catalog["models"] = Value::from(models);
        let path = folder.join("torchvision.json");
        fs::write_atomic(&path, catalog.to_string().as_bytes(), false)?;
        Ok(Self { catalog: path, files })
    }

    /// A mirror that serves the checkpoints, too.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn serve(&self, mut mirror: MirrorBuilder) -> Result<MirrorBuilder> {
        for (name, path) in &self.files {
            let bytes = fs::read_bounded(path, 1 << 30)?;
            mirror = mirror.torch_file(name, Content::from(bytes));
        }
        Ok(mirror)
    }

    /// The catalogue's file, as `ZOO_TORCHVISION_CATALOG` names one.
    pub fn catalog(&self) -> &Path {
        &self.catalog
    }

    /// The hub of this catalogue on a store, asking `mirror`.
    ///
    /// # Errors
    /// If the catalogue cannot be read back.
    pub fn hub(&self, zoo: &Zoo, mirror: &Mirror) -> Result<Hub> {
        let mut config = TorchConfig::default();
        config.endpoint = mirror.torch_endpoint().parse().context("the mirror's own address")?;
        config.catalog = Catalog::read(&self.catalog)?;
        Ok(Hub::with(zoo, config))
    }
}

fn digest(path: &Path) -> Result<(String, u64)> {
    let bytes = fs::read_bounded(path, 1 << 30)?;
    let mut hasher = Hasher::new(&[], None);
    hasher.update(&bytes);
    Ok((Digest::Sha256(hasher.finish().sha256).hex(), bytes.len() as u64))
}
