//! `zoo show`: what a model is. A stored model or a file is described from its manifest, one that is not here as its hub
//! describes it; nothing is fetched but the hub's catalogue.

use serde_json::Value;
use zoo_core::error::human;
use zoo_core::manifest::{Dim, Manifest, ModelFacts, Port, Staged};
use zoo_core::stage::StagedModel;

use crate::args::Show;
use crate::cmd::{App, blocking, checkpoint, manifest_json};
use crate::exit::{Exit, Result};
use crate::hubs::{self, Described, Published};
use crate::output::Grid;

pub(super) async fn run(args: &Show, app: &App) -> Result<Exit> {
    if let Some(path) = hubs::as_path(&args.model)? {
        return match blocking(move || hubs::describe_local(&path)).await? {
            Described::Model(staged) => described(&staged, false, app),
            Described::Checkpoint(checkpoint) => checkpoint::show(&checkpoint, app),
        };
    }
    let hubs = app.hubs()?;
    let name = hubs.name(&args.model)?;
    if let Some(model) = hubs.find(&name).await? {
        return described(&model.as_it_is()?, true, app);
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
    // Weights alone have neither.
    for (heading, ports) in [("INPUT", &manifest.model.inputs), ("OUTPUT", &manifest.model.outputs)] {
        if !ports.is_empty() {
            app.out.text("\n")?;
            app.out.table(&table_of(heading, ports))?;
        }
    }
    Ok(Exit::Ok)
}

/// A table without headings: a word, and what is known.
pub(super) struct Facts(Grid);

impl Facts {
    pub(super) fn new() -> Self {
        Self(Grid::default())
    }

    pub(super) fn add(&mut self, word: &str, value: Option<String>) {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            self.0.row([format!("  {word}"), value]);
        }
    }

    pub(super) fn grid(self) -> Grid {
        self.0
    }

    /// What is known of any model, here or not.
    fn add_model(&mut self, model: &ModelFacts) {
        let text = |name: &str| model.other.get(name).and_then(Value::as_str).map(str::to_owned);
        self.add("task", text("task").map(|task| task.replace('_', " ")));
        self.add("parameters", model.parameters.map(grouped));
        self.add("licence", model.licence.clone());
        self.add("tags", Some(model.tags.join(", ")));
        self.add("measured", model.other.get("metrics").map(metrics));
        self.add("preprocessing", model.preprocessing.as_ref().map(preprocessing));
        self.add("labels", model.labels.as_ref().map(labels));
        let meaning = |name: &str| model.other.get("meaning")?.get(name)?.as_str().map(str::to_owned);
        self.add("goes in", meaning("input"));
        self.add("comes out", meaning("output"));
        self.add("documentation", model.documentation.clone());
    }
}

fn facts(staged: &StagedModel) -> Grid {
    let manifest = staged.manifest();
    let model = &manifest.model;
    let mut facts = Facts::new();
    facts.add("file", Some(staged.path().display().to_string()));
    facts.add("size", size(staged));
    facts.add("digest", digest(staged));
    facts.add("revision", (!manifest.files.is_empty()).then(|| manifest.revision.to_string()));
    facts.add("asked for as", Some(manifest.asked_for.join(", ")));
    facts.add("staged", several(&manifest.staged));
    let note = |name: &str| staged.staged().other.get(name).and_then(Value::as_str).map(str::to_owned);
    facts.add("network", note("network"));
    facts.add("evidence", note("evidence"));
    let opsets: Vec<String> =
        model.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
    facts.add("opsets", Some(opsets.join(", ")));
    facts.add("IR version", model.ir_version.map(|v| v.to_string()));
    facts.add("producer", model.producer.clone());
    facts.add("nodes", model.nodes.map(grouped));
    facts.add_model(model);
    facts.add("test data", test_data(manifest));
    facts.add("pulled", (!manifest.files.is_empty()).then(|| manifest.pulled.to_string()));
    facts.grid()
}

fn published_facts(published: &Published) -> Grid {
    let mut facts = Facts::new();
    facts.add("model", published.model.clone());
    facts.add("file", published.url.clone());
    facts.add("size", published.bytes.or(published.about_bytes).map(human));
    let whole = published.sha256.as_ref().map(|hex| format!("sha256:{hex}"));
    facts.add("digest", whole.or(published.sha256_prefix.as_ref().map(|hex| format!("sha256-prefix:{hex}"))));
    facts.add("opset", published.opset.map(|v| v.to_string()));
    facts.add_model(&published.facts);
    facts.add("test data", Some(if published.test_data { "published" } else { "none" }.into()));
    facts.grid()
}

/// Of the file itself, or of the original that holds its weights.
fn digest(staged: &StagedModel) -> Option<String> {
    let files = &staged.manifest().files;
    let (own, with) = (&staged.staged().path, &staged.staged().with);
    if let Some(file) = files.iter().find(|f| f.path == *own) {
        return Some(file.sha256.to_string());
    }
    let original = files.iter().find(|f| with.contains(&f.path))?;
    Some(format!("{} of {}", original.sha256, original.path.file_name()))
}

/// The forms that were staged, where there are several.
fn several(staged: &[Staged]) -> Option<String> {
    let form = |staged: &Staged| {
        let options: Vec<String> =
            staged.options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        if options.is_empty() {
            staged.path.to_string()
        } else {
            format!("{} ({})", staged.path, options.join(", "))
        }
    };
    (staged.len() > 1).then(|| staged.iter().map(form).collect::<Vec<_>>().join(", "))
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

/// The name of the set and how many labels it has; the labels themselves are in `--json`.
fn labels(value: &Value) -> String {
    match (value["set"].as_str(), value["names"].as_array()) {
        (Some(set), Some(names)) => format!("{set} ({})", names.len()),
        _ => brief(value),
    }
}

/// `ImageNet-1K: acc@1 80.858, acc@5 95.434`.
fn metrics(value: &Value) -> String {
    let Some(sets) = value.as_object() else { return brief(value) };
    let one = |(data, values): (&String, &Value)| {
        let values = values.as_object().map_or_else(
            || brief(values),
            |values| values.iter().map(|(name, v)| format!("{name} {v}")).collect::<Vec<_>>().join(", "),
        );
        format!("{data}: {values}")
    };
    sets.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A recipe in words; anything else as JSON.
fn preprocessing(value: &Value) -> String {
    let Some(steps) = value["steps"].as_array() else { return brief(value) };
    let size = |size: &Value| match size.as_array().map(Vec::as_slice) {
        Some([height, width]) => format!("{height}x{width}"),
        _ => brief(size),
    };
    let words = |step: &Value| match step["op"].as_str() {
        Some("resize") => {
            let rule = if step["rule"] == "shorter_side" { "shorter side to" } else { "resized to" };
            let how = if step["antialias"] == true { ", antialiased" } else { "" };
            format!("{rule} {} ({}{how})", size(&step["size"]), brief(&step["filter"]))
        }
        Some("center_crop") => format!("middle {}", size(&step["size"])),
        Some("rescale") => "bytes to 0..1".to_owned(),
        Some("normalize") => format!("mean {} std {}", step["mean"], step["std"]),
        _ => step.to_string(),
    };
    steps.iter().map(words).collect::<Vec<_>>().join("; ")
}

/// 25,557,032 is read faster than 25557032.
pub(super) fn grouped(number: u64) -> String {
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
        let mut published = Published {
            handle: "onnx:m".into(),
            model: Some("M".into()),
            opset: Some(8),
            bytes: Some(26_454),
            test_data: true,
            ..Published::default()
        };
        published.facts.tags = vec!["vision".into(), "classification".into()];
        insta::assert_snapshot!(published_facts(&published).draw(None), @r"
          model      M
          size       25.8 KiB
          opset      8
          tags       vision, classification
          test data  published
        ");
    }

    #[tokio::test]
    async fn weights_that_are_not_here_are_told_by_their_catalogue() {
        let zoo = zoo_core::Zoo::open(zoo_core::ZooConfig::new("unused"));
        let handle = "torchvision:resnet50@pretrained".parse().unwrap();
        let published: Published = zoo_torch::Hub::new(&zoo).resolve(&handle).await.unwrap().into();
        insta::assert_snapshot!(published_facts(&published).draw(None));
        let json = serde_json::to_value(&published).unwrap();
        assert_eq!((&json["sha256_prefix"], &json["bytes"]), (&"0676ba61".into(), &Value::Null));
        assert_eq!((&json["licence"], &json["task"]), (&"unknown".into(), &"classification".into()));
        assert_eq!(json["labels"]["names"][0], "tench");
    }

    #[test]
    fn what_is_not_a_recipe_or_a_set_is_shown_as_it_is() {
        let file = serde_json::json!("labels.txt");
        assert_eq!((labels(&file), preprocessing(&file)), ("labels.txt".to_owned(), "labels.txt".to_owned()));
        let clip = serde_json::json!({"steps": [{"op": "resize", "rule": "exact", "size": [128, 171], "filter": "bilinear",
            "antialias": false}, {"op": "odd"}]});
        assert_eq!(preprocessing(&clip), "resized to 128x171 (bilinear); {\"op\":\"odd\"}");
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(25_557_032), "25,557,032");
    }
}
