//! Pictures through the command: small models in folders whose manifests say what to do with a picture, and what is printed,
//! written and refused. What runs a model needs ONNX Runtime's library and fails without it.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop there"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use zoo_graph::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TensorType, TypeProto, TypeValue, ValueInfoProto,
};

/// Red, green and blue of a plain picture.
type Colour = [u8; 3];

const RED: Colour = [250, 20, 10];
const GREEN: Colour = [10, 240, 30];
const BLUE: Colour = [0, 60, 200];

/// A folder to work in.
struct Place(TempDir);

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn zoo(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
        command.args(args).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        // Where the library is; the store is this folder's own all the same.
        for name in ["ORT_DYLIB_PATH", "HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "USERPROFILE", "SYSTEMROOT"]
        {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let output = command.env("ZOO_HOME", self.path("home")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// A picture of stripes, from the left, as an uncompressed bitmap.
    fn picture(&self, name: &str, width: u32, height: u32, stripes: &[Colour]) -> &Self {
        let row = (width * 3).next_multiple_of(4);
        let mut file = b"BM".to_vec();
        file.extend([54 + row * height, 0, 54, 40, width, height].map(u32::to_le_bytes).concat());
        file.extend([1_u16, 24].map(u16::to_le_bytes).concat());
        file.extend([0_u32; 6].map(u32::to_le_bytes).concat());
        for _ in 0..height {
            let start = file.len();
            for x in 0..width {
                let [r, g, b] = stripes[x as usize * stripes.len() / width as usize];
                file.extend([b, g, r]);
            }
            file.resize(start + row as usize, 0);
        }
        fs::write(self.path(name), file).unwrap();
        self
    }

    /// A folder with a model and a manifest as staging makes them.
    fn model(&self, name: &str, graph: GraphProto, facts: &Value) -> &Self {
        fs::create_dir(self.path(name)).unwrap();
        let opset = OperatorSetIdProto { domain: None, version: Some(17) };
        let model = ModelProto {
            ir_version: Some(9),
            opset_import: vec![opset],
            graph: Some(graph),
            ..Default::default()
        };
        fs::write(self.path(name).join("model.onnx"), model.encode_to_vec()).unwrap();
        let manifest = json!({
            "schema": 1, "handle": format!("test:{name}"), "ecosystem": "test", "name": name, "revision": "1",
            "pulled": "2025-01-01T00:00:00Z", "files": [], "model": facts,
            "staged": [{"target": "onnx", "path": "model.onnx", "zoo": "0.1.0"}],
        });
        fs::write(self.path(name).join("zoo.json"), manifest.to_string()).unwrap();
        self
    }
}

impl Ended {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// What it said to a code and a hint.
    #[track_caller]
    fn fails(self, code: i32, part: &str) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        assert!(self.err.contains(part), "no {part} in\n{}", self.err);
    }

    fn json(self) -> Value {
        let ended = self.ok();
        serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}", ended.out))
    }
}

fn node(op: &str, input: &str, output: &str) -> NodeProto {
    NodeProto {
        input: vec![input.into()],
        output: vec![output.into()],
        op_type: Some(op.into()),
        ..Default::default()
    }
}

/// A tensor of 32-bit floats; a size of 0 is free.
fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |(place, &size): (usize, &i64)| {
        let free = DimensionValue::DimParam(format!("d{place}"));
        Dimension {
            value: Some(if size == 0 { free } else { DimensionValue::DimValue(size) }),
            denotation: None,
        }
    };
    let shape = TensorShapeProto { dim: dims.iter().enumerate().map(dim).collect() };
    let kind = TypeValue::Tensor(TensorType { elem_type: Some(1), shape: Some(shape) });
    let kind = TypeProto { value: Some(kind), denotation: None };
    ValueInfoProto { name: Some(name.into()), r#type: Some(kind), ..Default::default() }
}

fn graph(nodes: Vec<NodeProto>, input: ValueInfoProto, output: ValueInfoProto) -> GraphProto {
    GraphProto {
        name: Some("test".into()),
        node: nodes,
        input: vec![input],
        output: vec![output],
        ..Default::default()
    }
}

/// Its scores are how much of each colour a picture has.
fn classifier(pictures: i64, size: i64) -> GraphProto {
    let nodes = vec![node("GlobalAveragePool", "input", "mean"), node("Flatten", "mean", "logits")];
    graph(nodes, port("input", &[pictures, 3, size, size]), port("logits", &[pictures, 3]))
}

/// Its scores are how much of each colour a pixel has.
fn segmenter() -> GraphProto {
    graph(vec![node("Identity", "input", "out")], port("input", &[0, 3, 0, 0]), port("out", &[0, 3, 0, 0]))
}

/// Of all frames together.
fn video() -> GraphProto {
    let nodes = vec![node("GlobalAveragePool", "input", "mean"), node("Flatten", "mean", "scores")];
    graph(nodes, port("input", &[1, 3, 0, 4, 4]), port("scores", &[1, 3]))
}

/// The recipe of a model of pictures of `size` by `size`.
fn recipe(size: u32) -> Value {
    json!({
        "kind": "image", "layout": "NCHW", "channels": "RGB", "input": "input",
        "steps": [
            {"op": "resize", "size": size, "rule": "shorter_side", "filter": "bilinear", "antialias": true},
            {"op": "center_crop", "size": [size, size]},
            {"op": "rescale", "factor": 1.0 / 255.0},
        ],
    })
}

fn facts(task: &str, recipe: &Value) -> Value {
    let labels = json!({"set": "colours:3", "names": ["red", "green", "blue"]});
    json!({"task": task, "preprocessing": recipe, "labels": labels})
}

#[test]
fn a_picture_is_labelled() {
    let place = Place::new();
    place.model("m", classifier(0, 8), &facts("image-classification", &recipe(8)));
    place.picture("sea.bmp", 31, 17, &[BLUE]);
    let ended = place.zoo(&["run", "m/", "--image", "sea.bmp"]).ok();
    // softmax of 0, 60/255 and 200/255
    let expected = "PROBABILITY  CLASS  LABEL\n     0.4917      2  blue\n     0.2839      1  green\n     0.2244      0  red\n";
    assert_eq!(ended.out, expected);
    assert!(ended.err.contains("prepared in ") && ended.err.contains("ran in "), "{}", ended.err);
    // A file that zoo staged is known by the manifest beside it.
    let file = place.path("m/model.onnx");
    let again = place.zoo(&["run", file.to_str().unwrap(), "--image", "sea.bmp", "--top", "1"]).ok();
    assert_eq!(again.out, "PROBABILITY  CLASS  LABEL\n     0.4917      2  blue\n");
}

#[test]
fn several_pictures_are_a_batch_and_machines_are_told_everything() {
    let place = Place::new();
    place.model("m", classifier(0, 8), &facts("classification", &recipe(8)));
    place.picture("a.bmp", 8, 12, &[GREEN]).picture("b.bmp", 40, 20, &[RED]);
    let args = ["--json", "run", "m/", "--image", "a.bmp", "--image", "b.bmp", "--top", "1", "--save", "out"];
    let value = place.zoo(&args).json();
    assert_eq!(value["task"], "image-classification");
    assert_eq!(value["images"][1], json!({"path": "b.bmp", "width": 40, "height": 20}));
    assert_eq!(value["inputs"][0]["shape"], json!([2, 3, 8, 8]));
    let answer =
        |index: usize| (&value["results"][index]["images"], &value["results"][index]["classes"][0]["label"]);
    assert_eq!(answer(0), (&json!(["a.bmp"]), &json!("green")));
    assert_eq!(answer(1), (&json!(["b.bmp"]), &json!("red")));
    let score = value["results"][1]["classes"][0]["score"].as_f64().unwrap();
    assert!((score - 250.0 / 255.0).abs() < 1e-6, "{score}");
    assert!(value["prepare_seconds"].as_f64().unwrap() > 0.0);

    assert_eq!(value["outputs"][0]["saved"].as_str().map(Path::new), Some(Path::new("out/logits.npy")));
    let expect = ["run", "m/", "--image", "a.bmp", "--image", "b.bmp", "--expect", "out/logits.npy"];
    let table = place.zoo(&expect).ok();
    assert!(table.out.starts_with("IMAGE  PROBABILITY  CLASS  LABEL\na.bmp"), "{}", table.out);
    assert!(table.out.contains("\nok "), "{}", table.out);
    let other =
        place.zoo(&["run", "m/", "--image", "b.bmp", "--image", "a.bmp", "--expect", "out/logits.npy"]);
    assert_eq!(other.code, 1);
}

#[test]
fn the_classes_of_pixels_are_painted_and_counted() {
    let place = Place::new();
    let recipe = json!({"kind": "image", "layout": "NCHW", "channels": "RGB", "input": "input", "steps": []});
    place.model("s", segmenter(), &facts("semantic-segmentation", &recipe));
    place.picture("flag.bmp", 8, 2, &[RED, GREEN, GREEN, BLUE]);
    let ended = place.zoo(&["run", "s/", "--image", "flag.bmp"]).ok();
    let expected = "  SHARE  CLASS  COLOUR   LABEL\n50.00 %      1  #800000  green\n25.00 %      0  #000000  red\n25.00 %      2  #008000  blue\n";
    assert_eq!(ended.out, expected);
    assert!(ended.err.contains("painted flag.mask.png"), "{}", ended.err);
    let mask = fs::read(place.path("flag.mask.png")).unwrap();
    assert!(mask.starts_with(b"\x89PNG") && mask.windows(4).any(|chunk| chunk == b"PLTE"));

    // The mask is a picture too: black, dark red and dark green, of which the largest share of the first is a tie.
    let value = place.zoo(&["run", "s/", "--image", "flag.mask.png", "--mask", "masks", "--json"]).json();
    assert_eq!(
        value["results"][0]["mask"].as_str().map(Path::new),
        Some(Path::new("masks/flag.mask.mask.png"))
    );
    assert!(place.path("masks/flag.mask.mask.png").is_file());
    let shares: Vec<&Value> = value["results"][0]["classes"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&shares[0]["label"], &shares[0]["share"], &shares[0]["pixels"]),
        (&json!("red"), &json!(0.75), &json!(12))
    );
    place
        .zoo(&["run", "s/", "--image", "flag.bmp", "--mask", "flag.bmp"])
        .fails(2, "neither a folder nor ends in .png");
}

#[test]
fn frames_are_one_video() {
    let place = Place::new();
    let mut steps = recipe(4);
    steps["layout"] = json!("NCTHW");
    place.model("v", video(), &facts("video", &steps));
    place.picture("1.bmp", 8, 6, &[BLUE]).picture("2.bmp", 8, 6, &[RED]).picture("3.bmp", 8, 6, &[BLUE]);
    let args = ["--json", "run", "v/", "--image", "1.bmp", "--image", "2.bmp", "--image", "3.bmp"];
    let value = place.zoo(&args).json();
    assert_eq!(value["inputs"][0]["shape"], json!([1, 3, 3, 4, 4]));
    assert_eq!(value["results"].as_array().unwrap().len(), 1);
    assert_eq!(value["results"][0]["images"], json!(["1.bmp", "2.bmp", "3.bmp"]));
    assert_eq!(value["results"][0]["classes"][0]["label"], "blue");
}

#[test]
fn a_model_without_a_manifest_is_told_by_hand() {
    let place = Place::new();
    place.model("m", classifier(1, 8), &json!({})).picture("sea.bmp", 9, 9, &[BLUE]);
    place.zoo(&["run", "m/", "--image", "sea.bmp"]).fails(2, "--recipe FILE.json");
    fs::write(place.path("r.json"), recipe(8).to_string()).unwrap();
    fs::write(place.path("labels.txt"), "rot\ngrün\nblau\n").unwrap();
    let plain = place.zoo(&["run", "m/", "--image", "sea.bmp", "--recipe", "r.json"]).ok();
    assert!(
        plain.out.starts_with("OUTPUT") && plain.err.contains("--task can"),
        "{}{}",
        plain.out,
        plain.err
    );
    let by_hand =
        ["--recipe", "r.json", "--task", "image-classification", "--labels", "labels.txt", "--top", "1"];
    let ended = place.zoo(&[&["run", "m/", "--image", "sea.bmp"], &by_hand[..]].concat()).ok();
    assert_eq!(ended.out, "PROBABILITY  CLASS  LABEL\n     0.4917      2  blau\n");
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let place = Place::new();
    place.model("m", classifier(1, 8), &facts("image-classification", &recipe(8)));
    place.model("other", classifier(1, 9), &facts("image-classification", &recipe(8)));
    let mut free = recipe(8);
    free["steps"].as_array_mut().unwrap().remove(1);
    place.model("free", segmenter(), &facts("semantic-segmentation", &free));
    place.picture("a.bmp", 8, 8, &[RED]).picture("b.bmp", 8, 16, &[RED]);
    fs::write(place.path("no.png"), "no picture").unwrap();
    fs::write(place.path("bad.json"), r#"{"kind": "image", "steps": [{"op": "flip"}]}"#).unwrap();
    fs::write(place.path("two.txt"), "one\ntwo\n").unwrap();
    let cases: [(&[&str], i32, &str); 10] = [
        (&["m/", "--image", "none.png"], 3, "there is no file `none.png`"),
        (&["m/", "--image", "no.png"], 7, "cannot read no.png as a picture"),
        (&["m/", "--image", "a.bmp", "--recipe", "bad.json"], 7, "unknown variant `flip`"),
        (&["m/", "--image", "a.bmp", "--labels", "two.txt"], 7, "there are 2 of them, and the model tells 3"),
        (&["m/", "--image", "a.bmp", "--mask", "x.png"], 2, "--mask does not apply"),
        (&["m/", "--image", "a.bmp", "--seed", "1"], 2, "cannot be used with"),
        (&["m/", "--top", "1"], 2, "required"),
        (&["m/", "--image", "a.bmp", "--image", "a.bmp"], 2, "takes 1 picture at a time"),
        (
            &["other/", "--image", "a.bmp"],
            2,
            "makes [1, 3, 8, 8], and the input \"input\" of the model takes [1, 3, 9, 9]",
        ),
        (
            &["free/", "--image", "a.bmp", "--image", "b.bmp"],
            2,
            "`a.bmp` becomes 8 by 8 pixels and `b.bmp` 8 by 16",
        ),
    ];
    for (args, code, part) in cases {
        place.zoo(&[&["run"], args].concat()).fails(code, part);
    }
}

/// What people copy must work.
#[test]
fn the_recipe_in_the_documents_is_one() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")).unwrap();
    let block = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let recipe = zoo_run::image::Recipe::parse(block.as_bytes()).unwrap();
    assert_eq!((recipe.steps().len(), recipe.input()), (4, Some("data")));
}
