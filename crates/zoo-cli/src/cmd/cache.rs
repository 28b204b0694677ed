//! `zoo cache`: lists, verifies, removes and finds what is stored. Nothing here uses the network.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::{Value, json};
use zoo_core::error::human;
use zoo_core::store::{FileState, GcOptions, GcReport, Removed, Store, StoredModel, VerifyReport};

use crate::args::{Cache, Gc};
use crate::cmd::{App, blocking};
use crate::exit::{Exit, Result};
use crate::output::Grid;

pub(super) async fn run(command: &Cache, app: &App) -> Result<Exit> {
    match command {
        Cache::Ls => ls(app).await,
        Cache::Verify { handles } => verify(handles, app).await,
        Cache::Gc(args) => gc(args, app).await,
        Cache::Rm { handles } => rm(handles, app).await,
        Cache::Path { handle } => path(handle.as_deref(), app).await,
    }
}

fn store(app: &App) -> Result<Store> {
    Ok(Store::new(app.settings.home()?))
}

async fn ls(app: &App) -> Result<Exit> {
    let store = store(app)?;
    let models = blocking(move || Ok(store.models()?)).await?;
    if app.out.is_json() {
        app.out.json(&models.iter().map(as_json).collect::<Vec<_>>())?;
        return Ok(Exit::Ok);
    }
    if !models.is_empty() {
        app.out.table(&table(&models))?;
    }
    let bytes: u64 = models.iter().map(|m| m.manifest.size()).sum();
    let home = app.settings.home()?.display();
    app.out.remark(&format!("{}, {} in `{home}`", count(models.len(), "model"), human(bytes)));
    Ok(Exit::Ok)
}

fn as_json(model: &StoredModel) -> Value {
    let m = &model.manifest;
    let targets: Vec<&str> = m.staged.iter().map(|s| s.target.as_str()).collect();
    json!({
        "handle": m.handle,
        "ecosystem": m.ecosystem,
        "name": m.name,
        "revision": m.revision,
        "folder": model.folder.display().to_string(),
        "bytes": m.size(),
        "files": m.files.len(),
        "staged": targets,
        "pulled": m.pulled,
        "last_used": last_used(model).and_then(|time| Timestamp::try_from(time).ok()),
    })
}

/// The store notes a use on the manifest's file.
fn last_used(model: &StoredModel) -> Option<SystemTime> {
    let manifest = model.folder.join(zoo_core::manifest::FILE_NAME);
    std::fs::metadata(manifest).and_then(|meta| meta.modified()).ok()
}

/// How long ago something was, as coarsely as `gc` asks for it.
fn ago(time: Duration) -> String {
    match time.as_secs() / 60 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes if minutes < 48 * 60 => format!("{} h ago", minutes / 60),
        minutes => format!("{} d ago", minutes / (24 * 60)),
    }
}

fn table(models: &[StoredModel]) -> Grid {
    let mut grid = Grid::new(["HANDLE", "REVISION", "SIZE", "FILES", "STAGED", "LAST USED"]).right([2, 3]);
    for model in models {
        let m = &model.manifest;
        let targets: Vec<&str> = m.staged.iter().map(|s| s.target.as_str()).collect();
        grid.row([
            m.handle.clone(),
            m.revision.to_string(),
            human(m.size()),
            m.files.len().to_string(),
            targets.join(", "),
            last_used(model).map(|time| ago(time.elapsed().unwrap_or_default())).unwrap_or_default(),
        ]);
    }
    grid
}

async fn verify(handles: &[String], app: &App) -> Result<Exit> {
    let models = if handles.is_empty() {
        let store = store(app)?;
        blocking(move || Ok(store.models()?)).await?
    } else {
        named(handles, app).await?
    };
    let mut reports = Vec::new();
    for model in models {
        let store = store(app)?;
        let report = blocking(move || Ok(store.verify(&model)?)).await?;
        if !app.out.is_json() {
            app.out.text(&verdict(&report))?;
        }
        reports.push(report);
    }
    let good = reports.iter().all(VerifyReport::is_good);
    if app.out.is_json() {
        let all: Vec<Value> = reports.iter().map(report_json).collect();
        app.out.json(&all)?;
    } else if !good {
        app.out.remark("`zoo pull` fetches again what is damaged");
    }
    Ok(if good { Exit::Ok } else { Exit::Missed })
}

/// A line that says all is well, or one for each file that is not.
fn verdict(report: &VerifyReport) -> String {
    if report.is_good() {
        let files = count(report.files.len(), "file");
        return format!("{}: good ({files}, {})", report.handle, human(report.bytes));
    }
    let bad = report.files.iter().filter(|(_, state)| *state != FileState::Good);
    let lines: Vec<String> = bad
        .map(|(path, state)| {
            let what = match state {
                FileState::Missing => "is missing".to_owned(),
                FileState::WrongSize { expected, found } => format!("has {found} bytes, not {expected}"),
                FileState::WrongDigest { expected, found } => format!("has {found}, not {expected}"),
                _ => "is damaged".to_owned(),
            };
            format!("{}: {path} {what}", report.handle)
        })
        .collect();
    lines.join("\n")
}

fn report_json(report: &VerifyReport) -> Value {
    let files: Vec<Value> = report
        .files
        .iter()
        .map(|(path, state)| {
            let mut value = json!(state);
            value["path"] = json!(path);
            value
        })
        .collect();
    json!({ "handle": report.handle, "good": report.is_good(), "bytes": report.bytes, "files": files })
}

async fn gc(args: &Gc, app: &App) -> Result<Exit> {
    let store = store(app)?;
    let options = GcOptions {
        older_than: args.older_than,
        max_bytes: args.max_size,
        unfinished: args.unfinished,
        dry_run: args.dry_run,
    };
    let report = blocking(move || Ok(store.gc(&options)?)).await?;
    if app.out.is_json() {
        app.out.json(&report)?;
        return Ok(Exit::Ok);
    }
    app.out.text(&removed_lines(&report.removed))?;
    for what in &report.in_use {
        app.out.remark(&format!("{what} is in use and stays"));
    }
    app.out.remark(&gc_sum(&report, args.dry_run));
    Ok(Exit::Ok)
}

fn removed_lines(removed: &[Removed]) -> String {
    let lines: Vec<String> =
        removed.iter().map(|r| format!("{} ({}) {}", r.what, human(r.bytes), r.path.display())).collect();
    lines.join("\n")
}

fn gc_sum(report: &GcReport, dry_run: bool) -> String {
    let bytes: u64 = report.removed.iter().map(|r| r.bytes).sum();
    let word = if dry_run { "would be removed" } else { "removed" };
    format!(
        "{} {word}, {}; models that stay: {}",
        count(report.removed.len(), "thing"),
        human(bytes),
        human(report.kept_bytes)
    )
}

async fn rm(handles: &[String], app: &App) -> Result<Exit> {
    let models = named(handles, app).await?;
    let mut removed = Vec::new();
    for model in models {
        let store = store(app)?;
        let one = blocking(move || Ok(store.remove(&model)?)).await?;
        if !app.out.is_json() {
            app.out.text(&removed_lines(std::slice::from_ref(&one)))?;
        }
        removed.push(one);
    }
    if app.out.is_json() {
        app.out.json(&removed)?;
    }
    Ok(Exit::Ok)
}

async fn path(handle: Option<&str>, app: &App) -> Result<Exit> {
    let home = app.settings.home()?;
    let paths = match handle {
        None => vec![home.to_owned()],
        Some(text) => {
            let hubs = app.hubs()?;
            let name = hubs.name(text)?;
            let Some(model) = hubs.find(&name).await? else {
                return Err(hubs.store().not_stored(text).into());
            };
            vec![model.as_it_is()?.path()]
        }
    };
    for path in &paths {
        if app.out.is_json() {
            app.out.json(&json!({ "path": path.display().to_string() }))?;
        } else {
            app.out.path(path)?;
        }
    }
    Ok(Exit::Ok)
}

/// The stored models that are named, each once.
async fn named(handles: &[String], app: &App) -> Result<Vec<StoredModel>> {
    let hubs = app.hubs()?;
    let mut models: Vec<StoredModel> = Vec::new();
    for text in handles {
        for model in hubs.stored(&hubs.name(text)?).await? {
            if !models.iter().any(|m| m.folder == model.folder) {
                models.push(model);
            }
        }
    }
    Ok(models)
}

fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zoo_core::digest::Digest;
    use zoo_core::manifest::{FileEntry, Manifest, Staged};
    use zoo_core::path::EntryPath;
    use zoo_core::store::ModelKey;

    /// A store with one model of one file, whose content is not what the manifest says.
    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let key = ModelKey::new("onnx", "m-8", "abc").unwrap();
        let folder = store.folder(&key);
        let path = EntryPath::new("original/m-8.onnx").unwrap();
        zoo_core::fs::create_parent(&path.under(&folder)).unwrap();
        zoo_core::fs::write_atomic(&path.under(&folder), b"0123", false).unwrap();
        let file = FileEntry::new(path.clone(), 4, Digest::Sha256([0; 32]), vec![], "s".into());
        let mut manifest =
            Manifest::new("onnx:m-8".into(), key.ecosystem, key.name, key.revision, vec![file]);
        manifest.add_staged(Staged::new("onnx", path, vec![]));
        manifest.write(&folder).unwrap();
        (dir, store)
    }

    #[test]
    fn stored_models_are_a_table() {
        let (_dir, store) = store();
        insta::assert_snapshot!(table(&store.models().unwrap()).draw(None), @r"
        HANDLE    REVISION  SIZE  FILES  STAGED  LAST USED
        onnx:m-8  abc        4 B      1  onnx    just now
        ");
        let times = [59, 60, 3600, 47 * 3600, 49 * 3600].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(times, ["just now", "1 min ago", "1 h ago", "47 h ago", "2 d ago"]);
    }

    #[test]
    fn a_verdict_names_each_file_that_is_not_good() {
        let (_dir, store) = store();
        let model = store.models().unwrap().remove(0);
        let report = store.verify(&model).unwrap();
        let text = verdict(&report);
        assert!(text.starts_with("onnx:m-8: original/m-8.onnx has sha256:1be2e452"), "{text}");
        assert_eq!(report_json(&report)["files"][0]["state"], "wrong-digest");
        zoo_core::fs::remove_file(&model.folder.join("original/m-8.onnx")).unwrap();
        let report = store.verify(&model).unwrap();
        assert_eq!(verdict(&report), "onnx:m-8: original/m-8.onnx is missing");
    }

    #[test]
    fn what_gc_did_is_told_in_a_sentence() {
        let (_dir, store) = store();
        let options = GcOptions { max_bytes: Some(0), dry_run: true, ..GcOptions::default() };
        let report = store.gc(&options).unwrap();
        let text = gc_sum(&report, true);
        assert!(
            text.starts_with("1 thing would be removed, ") && text.ends_with("models that stay: 0 B"),
            "{text}"
        );
        assert!(removed_lines(&report.removed).starts_with("onnx:m-8 ("));
    }
}
