//! `zoo show`: what a model is. A stored model or a file is described from its manifest, one that is not here as its hub
//! describes it; nothing is fetched but the hub's catalogue.

use serde_json::Value;
use zoo_core::error::human;
use zoo_core::manifest::{Dim, Manifest, Port};
use zoo_core::stage::StagedModel;

use crate::args::Show;
use crate::cmd::{App, blocking, manifest_json};
use crate::exit::{Exit, Result};
use crate::hubs::{self, Published};
use crate::output::Grid;

pub(super) async fn run(args: &Show, app: &App) -> Result<Exit> {
    if let Some(path) = hubs::as_path(&args.model)? {
        let staged = blocking(move || hubs::describe_local(&path)).await?;
        return described(&staged, false, app);
    }
    let hubs = app.hubs()?;
    let name = hubs.name(&args.model)?;
    if let Some(model) = hubs.find(&name).await? {
        return match model.stage(&[])?.first() {
            Some(staged) => described(staged, true, app),
            None => Ok(Exit::Ok),
        };
    }
    let published = hubs.about(&name).await?;
    if app.out.is_json() {
        app.out.json(&published)?;
        return Ok(Exit::Ok);
    }
    app.out.text(&published.handle)?;
    app.out.facts(&published_facts(&published))?;
    app.out.remark(&format!("\nit is not in the store; `zoo pull {}` brings it", published.handle));
    Ok(Exit::Ok)
}

fn described(staged: &StagedModel, stored: bool, app: &App) -> Result<Exit> {
    let manifest = staged.manifest();
    if app.out.is_json() {
        let all: Vec<_> = manifest.staged.iter().collect();
        let mut value = manifest_json(staged.folder(), manifest, &all);
        value["stored"] = Value::from(stored);
        app.out.json(&value)?;
        return Ok(Exit::Ok);
    }
    app.out.text(&manifest.handle)?;
    app.out.facts(&facts(staged))?;
    for (heading, ports) in [("INPUT", &manifest.model.inputs), ("OUTPUT", &manifest.model.outputs)] {
        app.out.text("\n")?;
        app.out.table(&table_of(heading, ports))?;
    }
    Ok(Exit::Ok)
}

/// A table without headings: a word, and what is known.
struct Facts(Grid);

impl Facts {
    fn new() -> Self {
        Self(Grid::default())
    }

    fn add(&mut self, word: &str, value: Option<String>) {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            self.0.row([format!("  {word}"), value]);
        }
    }
}

fn facts(staged: &StagedModel) -> Grid {
    let manifest = staged.manifest();
    let model = &manifest.model;
    let mut facts = Facts::new();
    facts.add("file", Some(staged.path().display().to_string()));
    facts.add("size", size(staged));
    let file = manifest.files.iter().find(|f| f.path == staged.staged().path);
    facts.add("digest", file.map(|f| f.sha256.to_string()));
    facts.add("revision", (!manifest.files.is_empty()).then(|| manifest.revision.to_string()));
    let opsets: Vec<String> =
        model.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
    facts.add("opsets", Some(opsets.join(", ")));
    facts.add("IR version", model.ir_version.map(|v| v.to_string()));
    facts.add("producer", model.producer.clone());
    facts.add("nodes", model.nodes.map(grouped));
    facts.add("parameters", model.parameters.map(grouped));
    facts.add("licence", model.licence.clone());
    facts.add("tags", Some(model.tags.join(", ")));
    facts.add("preprocessing", model.preprocessing.as_ref().map(brief));
    facts.add("labels", model.labels.as_ref().map(brief));
    facts.add("documentation", model.documentation.clone());
    facts.add("test data", test_data(manifest));
    facts.add("pulled", (!manifest.files.is_empty()).then(|| manifest.pulled.to_string()));
    facts.0
}

fn published_facts(published: &Published) -> Grid {
    let mut facts = Facts::new();
    facts.add("model", published.model.clone());
    facts.add("size", published.bytes.map(human));
    facts.add("digest", published.sha256.as_ref().map(|hex| format!("sha256:{hex}")));
    facts.add("opset", published.opset.map(|v| v.to_string()));
    facts.add("licence", published.licence.clone());
    facts.add("tags", Some(published.tags.join(", ")));
    facts.add("documentation", published.documentation.clone());
    facts.add("test data", Some(if published.test_data { "published" } else { "none" }.into()));
    facts.0
}

/// Of what the staged form consists of, which is not all that was pulled.
fn size(staged: &StagedModel) -> Option<String> {
    let with = &staged.staged().with;
    let length = |path: &zoo_core::path::EntryPath| zoo_core::fs::file_len(&path.under(staged.folder()));
    let own = length(&staged.staged().path)?;
    let beside: u64 = with.iter().filter_map(length).sum();
    Some(match with.len() {
        0 => human(own),
        1 => format!("{} and {} of external data", human(own), human(beside)),
        n => format!("{} and {} of external data in {n} files", human(own), human(beside)),
    })
}

fn test_data(manifest: &Manifest) -> Option<String> {
    let mut sets: Vec<&str> = manifest
        .files
        .iter()
        .filter_map(|f| f.path.as_str().split('/').find(|part| part.starts_with("test_data_set_")))
        .collect();
    sets.dedup();
    (!sets.is_empty()).then(|| format!("{} stored", sets.len()))
}

fn table_of(heading: &'static str, ports: &[Port]) -> Grid {
    let mut grid = Grid::new([heading, "TYPE", "SHAPE"]);
    for port in ports {
        grid.row([port.name.clone(), port.dtype.clone(), shape(port.shape.as_deref())]);
    }
    grid
}

fn shape(dims: Option<&[Dim]>) -> String {
    match dims {
        Some(dims) => format!("[{}]", dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        None => "any".into(),
    }
}

/// A text as it is, anything else as JSON.
fn brief(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// 25,557,032 is read faster than 25557032.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_a_table() {
        let shape = vec![Dim::Free("N".into()), Dim::Size(3), Dim::Free("?".into())];
        let ports = [Port::new("data", "f32", Some(shape)), Port::new("seq", "seq(map(int64, float))", None)];
        insta::assert_snapshot!(table_of("INPUT", &ports).draw(None), @r"
        INPUT  TYPE                    SHAPE
        data   f32                     [N, 3, ?]
        seq    seq(map(int64, float))  any
        ");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let published = Published {
            handle: "onnx:m".into(),
            stored: false,
            model: Some("M".into()),
            opset: Some(8),
            bytes: Some(26_454),
            sha256: None,
            licence: None,
            tags: vec!["vision".into(), "classification".into()],
            test_data: true,
            documentation: None,
        };
        insta::assert_snapshot!(published_facts(&published).draw(None), @r"
          model      M
          size       25.8 KiB
          opset      8
          tags       vision, classification
          test data  published
        ");
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(25_557_032), "25,557,032");
    }
}
