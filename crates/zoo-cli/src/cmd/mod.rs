//! The subcommands, one file each, and what all of them are given.

mod audio;
mod cache;
mod check;
mod checkpoint;
mod completions;
mod engine;
mod generate;
mod language;
mod list;
mod pictures;
mod pull;
mod results;
mod run;
mod save;
mod show;
mod stage;
mod texts;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use zoo_core::manifest::{Manifest, Staged};
use zoo_core::progress::Progress;
use zoo_core::stage::StagedModel;

pub(crate) use language::TextTask;

use crate::args::Command;
use crate::bars::Bars;
use crate::env::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::hubs::Hubs;
use crate::output::Output;

/// What a command is given.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) out: Output,
    /// None: nobody wants to see progress.
    pub(crate) bars: Option<Arc<Bars>>,
}

impl App {
    fn hubs(&self) -> Result<Hubs> {
        let progress = self.bars.clone().map(|bars| bars as Arc<dyn Progress>);
        Hubs::open(&self.settings, progress)
    }
}

/// Does what the command says.
pub(crate) async fn run(command: &Command, app: &App) -> Result<Exit> {
    match command {
        Command::Pull(args) => pull::run(args, app).await,
        Command::Stage(args) => stage::run(args, app).await,
        Command::Show(args) => show::run(args, app).await,
        Command::Run(args) => run::run(args, app).await,
        Command::Check(args) => check::run(args, app).await,
        Command::List(args) => list::all(args, app).await,
        Command::Search(args) => list::search(args, app).await,
        Command::Cache(args) => cache::run(args, app).await,
        Command::Completions(args) => completions::run(args, app),
    }
}

/// Work on files or numbers, on a thread of its own: Ctrl-C is heard meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Failure::new(Exit::Interrupted, "interrupted")),
    }
}

fn must_exist(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    Err(Failure::new(Exit::NotFound, format!("there is no file `{}`", path.display())))
}

/// A manifest for whoever called: as in `zoo.json`, but with paths that lead there from where the caller is, and only what
/// was staged now.
fn staged_json(staged: &[StagedModel]) -> Value {
    let Some(first) = staged.first() else { return Value::Null };
    let of_all: Vec<&Staged> = staged.iter().map(StagedModel::staged).collect();
    manifest_json(first.folder(), first.manifest(), &of_all)
}

/// As [`staged_json`], of a model with the staged forms given.
fn manifest_json(folder: &Path, manifest: &Manifest, staged: &[&Staged]) -> Value {
    let mut value = json!(manifest);
    let here = |path: &mut Value| {
        if let Some(text) = path.as_str() {
            *path = Value::from(folder.join(text).display().to_string());
        }
    };
    for file in value["files"].as_array_mut().into_iter().flatten() {
        here(&mut file["path"]);
    }
    value["staged"] = json!(staged);
    for made in value["staged"].as_array_mut().into_iter().flatten() {
        here(&mut made["path"]);
        made.get_mut("with").and_then(Value::as_array_mut).into_iter().flatten().for_each(here);
    }
    value["folder"] = Value::from(folder.display().to_string());
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use zoo_core::digest::Digest;
    use zoo_core::manifest::FileEntry;
    use zoo_core::path::EntryPath;
    use zoo_core::store::ModelKey;

    #[test]
    fn paths_in_json_lead_there_from_the_callers_folder() {
        let path = |text: &str| EntryPath::new(text).unwrap();
        let key = ModelKey::new("onnx", "m", "r").unwrap();
        let file = FileEntry::new(path("original/m.onnx"), 1, Digest::Sha256([0; 32]), vec![], "s".into());
        let mut manifest = Manifest::new("onnx:m".into(), key.ecosystem, key.name, key.revision, vec![file]);
        manifest.add_staged(Staged::new("original", path("original"), vec![]));
        let staged = Staged::new("onnx", path("original/m.onnx"), vec![path("original/w.bin")]);
        let value = staged_json(&[StagedModel::new("home/m".into(), staged, manifest)]);
        let text = value.to_string().replace("\\\\", "/");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["staged"].as_array().unwrap().len(), 1);
        assert_eq!(value["staged"][0]["target"], "onnx");
        assert_eq!(value["staged"][0]["path"], "home/m/original/m.onnx");
        assert_eq!(value["staged"][0]["with"][0], "home/m/original/w.bin");
        assert_eq!(value["files"][0]["path"], "home/m/original/m.onnx");
        assert_eq!((&value["folder"], &value["handle"]), (&json!("home/m"), &json!("onnx:m")));
    }
}
