//! Fixtures, the library, and small models made on the spot.

use std::path::{Path, PathBuf};

use prost::Message as _;
use tempfile::TempDir;
use zoo_graph::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TensorType, TypeProto, TypeValue, ValueInfoProto,
};
use zoo_tensor::DType;

/// A folder or file of the repository's fixtures.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(path)
}

/// Every file below the ONNX fixtures with this extension, in a fixed order.
pub(crate) fn onnx_fixtures(extension: &str) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![fixture("onnx")], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() >= 11, "fixtures are missing");
    found
}

/// An archive of the zoo, unpacked: a model and its data sets.
pub(crate) struct Unpacked {
    _dir: TempDir,
    pub(crate) name: String,
    pub(crate) model: PathBuf,
    pub(crate) data_sets: Vec<PathBuf>,
}

/// Unpacks a `.tar.gz` of the fixtures.
pub(crate) fn unpack(archive: &Path) -> Unpacked {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(archive).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(dir.path()).unwrap();
    let (mut open, mut models, mut data_sets) = (vec![dir.path().to_owned()], Vec::new(), Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with("test_data_set_") {
                data_sets.push(path);
            } else if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == "onnx") {
                models.push(path);
            }
        }
    }
    data_sets.sort();
    assert_eq!(models.len(), 1, "{}", archive.display());
    assert!(!data_sets.is_empty(), "{}", archive.display());
    let name = archive.file_name().unwrap().to_str().unwrap().to_owned();
    Unpacked { _dir: dir, name, model: models.remove(0), data_sets }
}

/// ONNX Runtime's library: the one `ORT_DYLIB_PATH` names, or what `cargo xtask setup` put into the user's cache.
#[cfg(feature = "ort")]
#[expect(clippy::disallowed_methods, reason = "tests are told where the library is by the environment")]
pub(crate) fn search() -> zoo_run::ort::LibrarySearch {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut search = zoo_run::ort::LibrarySearch::default();
    search.explicit = variable("ORT_DYLIB_PATH");
    let home = |below: &str| variable("HOME").map(|home| home.join(below));
    let cache = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home("Library/Caches")
    } else {
        variable("XDG_CACHE_HOME").or_else(|| home(".cache"))
    };
    search.folders.extend(cache.map(|cache| cache.join("zoo/runtime")));
    if let Err(error @ zoo_run::Error::NoLibrary { .. }) = zoo_run::ort::library(&search) {
        panic!("run `cargo xtask setup` first: {error}");
    }
    search
}

/// Loads a model in ONNX Runtime.
#[cfg(feature = "ort")]
pub(crate) fn load(model: &Path) -> zoo_run::Result<zoo_run::ort::OrtRunner> {
    zoo_run::ort::OrtRunner::load(&search(), model, &zoo_run::ort::OrtOptions::default())
}

/// A model written to a file.
pub(crate) struct Written {
    dir: TempDir,
}

impl Written {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("model.onnx")
    }
}

/// Writes a model of the given graph.
pub(crate) fn write(graph: GraphProto) -> Written {
    write_at(17, graph)
}

/// Writes a model of the given graph, at the given opset.
pub(crate) fn write_at(opset: i64, graph: GraphProto) -> Written {
    write_model(&ModelProto {
        ir_version: Some(9),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(opset) }],
        graph: Some(graph),
        ..Default::default()
    })
}

#[expect(clippy::disallowed_methods, reason = "a file in a temporary folder")]
pub(crate) fn write_model(model: &ModelProto) -> Written {
    let written = Written { dir: tempfile::tempdir().unwrap() };
    std::fs::write(written.path(), model.encode_to_vec()).unwrap();
    written
}

pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: outputs.iter().map(|&name| name.into()).collect(),
        op_type: Some(op.into()),
        ..Default::default()
    }
}

/// A port of a type and fixed sizes; a size of 0 is a free one, named `n`.
pub(crate) fn port(name: &str, dtype: DType, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size| Dimension {
        value: Some(if size == 0 {
            DimensionValue::DimParam("n".into())
        } else {
            DimensionValue::DimValue(size)
        }),
        denotation: None,
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = TensorType { elem_type: Some(dtype.onnx_code()), shape: Some(shape) };
    value(name, TypeValue::Tensor(tensor))
}

pub(crate) fn value(name: &str, kind: TypeValue) -> ValueInfoProto {
    let kind = TypeProto { value: Some(kind), denotation: None };
    ValueInfoProto { name: Some(name.into()), r#type: Some(kind), ..Default::default() }
}

/// A graph of one node from all inputs to all outputs.
pub(crate) fn graph(op: &str, inputs: Vec<ValueInfoProto>, outputs: Vec<ValueInfoProto>) -> GraphProto {
    let names =
        |ports: &[ValueInfoProto]| ports.iter().map(|port| port.name().to_owned()).collect::<Vec<_>>();
    let node = NodeProto {
        input: names(&inputs),
        output: names(&outputs),
        op_type: Some(op.into()),
        ..Default::default()
    };
    GraphProto {
        name: Some("test".into()),
        node: vec![node],
        input: inputs,
        output: outputs,
        ..Default::default()
    }
}

/// A network of `tests/fixtures/huggingface/running`, unpacked: its graphs, the repository's files in `original`, and what
/// transformers made of it.
#[cfg(feature = "text")]
pub(crate) struct Running {
    dir: TempDir,
    pub(crate) expected: serde_json::Value,
}

#[cfg(feature = "text")]
impl Running {
    pub(crate) fn unpack(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::open(fixture(&format!("huggingface/running/{name}.tar.gz"))).unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(dir.path()).unwrap();
        let expected = std::fs::File::open(dir.path().join("expected.json")).unwrap();
        let expected = serde_json::from_reader(std::io::BufReader::new(expected)).unwrap();
        Self { dir, expected }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn original(&self) -> PathBuf {
        self.dir.path().join("original")
    }
}
