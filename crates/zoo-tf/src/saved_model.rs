//! A SavedModel whose variables are the checkpoint itself.
//!
//! `variables/variables.data-00000-of-00001` is the safetensors file, byte for byte, under another name; `variables.index` says of each
//! variable where in it its bytes are, and their checksum, for which every weight is read once. What cannot stay as it lies (views,
//! computed weights) is written into a shard of its own behind the others. `saved_model.pb` holds the graph, without any weight.
//!
//! Two signatures, as transformers' models of TensorFlow have them: tokens as `i32`, and as `i64`. It is one graph: the wide inputs have
//! the widened narrow ones as their defaults, so that either can be fed. The graph is in the form that every loader takes, without an
//! object graph: `tf.saved_model.load`, the loader of TensorFlow 1, TensorFlow Serving. The variables are listed in collections, without
//! which two models in one process would share variables that have the same name.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use zoo_formats::tf::bundle::{self, Entry};
use zoo_formats::tf::proto::{
    Attr, AttrList, BytesList, Collection, CollectionDef, GraphDef, MetaGraphDef, MetaInfoDef, NodeDef,
    SavedModel, SaverDef, TensorProto, TensorShapeProto, VariableDef,
};
use zoo_formats::tf::{Crc, DataType, saved_model};
use zoo_graph::graph::Graph;
use zoo_tensor::SourceFile;

use crate::files::{failed, files_below, put_folder, temporary_folder, write as write_file};
use crate::frozen::versions;
use crate::lower::{End, Integers, Piece, Storage, Translated, Variable, translate};
use crate::nodes::{Names, Op, Out, code};
use crate::signature::{port, signature};
use crate::{Error, Result, Written};

/// The version that the graph says it was written by.
const TENSORFLOW: &str = "2.16.0";

/// The tag by which every loader asks for the graph that serves.
const SERVE: &str = "serve";

/// How a file of the checkpoint comes to stand among the variables.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub enum Placing<'p> {
    /// It is copied; by reference where the file system can.
    #[default]
    Copy,
    /// It is the same file under a second name. What is changed under one name is changed under both.
    HardLink,
    /// By this function: from the checkpoint's file to a path that does not exist yet.
    By(&'p dyn Fn(&Path, &Path) -> io::Result<()>),
}

impl fmt::Debug for Placing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copy => "Copy",
            Self::HardLink => "HardLink",
            Self::By(_) => "By(..)",
        })
    }
}

impl Placing<'_> {
    #[expect(clippy::disallowed_methods, reason = "the caller's error names both paths")]
    fn place(self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Copy => std::fs::copy(from, to).map(|_| ()),
            Self::HardLink => std::fs::hard_link(from, to),
            Self::By(place) => place(from, to),
        }
    }
}

/// How a SavedModel is written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SavedModelOptions<'p> {
    /// The signature whose whole numbers are `i32`; if the graph has no inputs of `i64`, the only one.
    pub signature: String,
    /// The signature whose whole numbers are `i64`, if there are any; none if it is not wanted.
    pub wide_signature: Option<String>,
    /// How files of the checkpoint come to stand in the model's folder.
    pub placing: Placing<'p>,
    /// Flush everything to the disk before the folder gets its name. Not done by default: everything staged can be made again.
    pub durable: bool,
}

impl Default for SavedModelOptions<'_> {
    fn default() -> Self {
        Self {
            signature: "serving_default".to_owned(),
            wide_signature: Some("int64_serving".to_owned()),
            placing: Placing::Copy,
            durable: false,
        }
    }
}

impl<'p> SavedModelOptions<'p> {
    /// Placed in this way.
    #[must_use]
    pub fn placing(self, placing: Placing<'p>) -> Self {
        Self { placing, ..self }
    }

    /// Flushed to the disk.
    #[must_use]
    pub fn durable(self, durable: bool) -> Self {
        Self { durable, ..self }
    }
}

/// Writes a graph as a SavedModel. The folder appears whole; a SavedModel that is there is replaced.
///
/// # Errors
/// [`Error::Unsupported`] if something has no counterpart in TensorFlow, [`Error::Occupied`] if something else has the folder's name, or
/// if a weight cannot be read or a file not be written. Nothing is left behind then.
pub fn write(graph: &Graph, folder: &Path, options: &SavedModelOptions<'_>) -> Result<Written> {
    may_go(folder)?;
    let translated = translate(graph, Storage::Variables, Integers::Both)?;
    let Translated { pieces, variables, inputs, outputs, mut names } = translated;
    spare(folder, &variables)?;
    let temporary = temporary_folder(folder)?;
    let root = temporary.path();
    let mut written = Written {
        inputs: inputs.iter().map(|end| port(end, end.narrow.as_ref().unwrap_or(&end.out))).collect(),
        outputs: outputs.iter().map(|end| port(end, &end.out)).collect(),
        ..Written::default()
    };
    if !variables.is_empty() {
        write_variables(root, &variables, options, &mut written)?;
    }
    let mut nodes: Vec<NodeDef> = pieces
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Node(node) => Some(node),
            Piece::Constant { .. } => None,
        })
        .collect();
    let saver = (!variables.is_empty()).then(|| Saver::add(&mut nodes, &mut names, &variables));
    let meta = meta_graph(nodes, saver.as_ref(), &variables, (&inputs, &outputs), options);
    let model = SavedModel { saved_model_schema_version: 1, meta_graphs: vec![meta] };
    let bytes = model.encode_to_vec();
    write_file(&root.join(saved_model::GRAPHS), &bytes)?;
    written.bytes_written += bytes.len() as u64;
    written.files = files_below(root)?;
    put_folder(temporary, folder, options.durable, may_go)?;
    Ok(written)
}

/// Only a SavedModel, or nothing, is replaced.
fn may_go(folder: &Path) -> Result<()> {
    let occupied = |problem| Error::Occupied { path: folder.to_owned(), problem };
    let Ok(metadata) = folder.symlink_metadata() else { return Ok(()) };
    if !metadata.is_dir() {
        return Err(occupied("is no folder"));
    }
    let empty = std::fs::read_dir(folder).map_err(failed("list", folder))?.next().is_none();
    if empty || folder.join(saved_model::GRAPHS).is_file() {
        return Ok(());
    }
    Err(occupied("is no SavedModel"))
}

/// Fails if a weight is read from the folder that is about to be replaced.
fn spare(folder: &Path, variables: &[Variable<'_>]) -> Result<()> {
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    for place in variables.iter().filter_map(|variable| variable.content.place()) {
        let path = place.file.path();
        if path.canonicalize().map_err(failed("examine", path))?.starts_with(&folder) {
            return Err(Error::Occupied { path: folder, problem: "has the model's weights in it" });
        }
    }
    Ok(())
}

/// The shards: files of the checkpoint, sorted, and behind them what is rewritten.
fn write_variables(
    root: &Path,
    variables: &[Variable<'_>],
    options: &SavedModelOptions<'_>,
    written: &mut Written,
) -> Result<()> {
    let prefix = saved_model::variables(root);
    let folder = root.join("variables");
    std::fs::create_dir(&folder).map_err(failed("create", &folder))?;
    let mut files: Vec<Arc<SourceFile>> = Vec::new();
    for place in variables.iter().filter_map(|variable| variable.content.place()) {
        if place.length > 0 && !files.contains(&place.file) {
            files.push(Arc::clone(&place.file));
        }
    }
    files.sort_by(|a, b| (a.path().file_name(), a.path()).cmp(&(b.path().file_name(), b.path())));
    let moved = |variable: &&Variable<'_>| variable.content.place().is_none_or(|place| place.length == 0);
    let shards = files.len() as u32 + u32::from(variables.iter().any(|variable| moved(&variable)));

    for (shard, file) in files.iter().enumerate() {
        let path = bundle::shard_path(&prefix, shard as u32, shards);
        options
            .placing
            .place(file.path(), &path)
            .map_err(failed("place as a shard of variables", file.path()))?;
        let length = std::fs::metadata(&path).map_err(failed("examine", &path))?.len();
        if length != file.len() {
            let problem = format!("it has {length} bytes now instead of {}", file.len());
            return Err(failed("place as a shard of variables", file.path())(io::Error::other(problem)));
        }
        written.placed_bytes += length;
    }
    let mut entries = checked_in_place(&files, variables)?;
    if variables.iter().any(|variable| moved(&variable)) {
        let path = bundle::shard_path(&prefix, shards - 1, shards);
        written.bytes_written +=
            write_moved(&path, shards - 1, variables.iter().filter(moved), &mut entries)?;
    }
    let path = bundle::index_path(&prefix);
    let index = bundle::write_index(&path, shards, &entries)?;
    write_file(&path, &index)?;
    written.bytes_written += index.len() as u64;
    Ok(())
}

fn entry(variable: &Variable<'_>, shard: u32, offset: u64, crc32c: u32) -> Entry {
    let content = &variable.content;
    let (dtype, shape, size) = (code(content.dtype), content.shape.clone(), content.byte_len());
    Entry { dtype, shape, shard, offset, size, crc32c, sliced: false }
}

/// What is said of the variables that stay where they are. Their bytes are read once, in the order in which they lie.
fn checked_in_place(
    files: &[Arc<SourceFile>],
    variables: &[Variable<'_>],
) -> Result<BTreeMap<String, Entry>> {
    let mut placed = Vec::new();
    for variable in variables {
        let Some(place) = variable.content.place().filter(|place| place.length > 0) else { continue };
        if let Some(shard) = files.iter().position(|file| *file == place.file) {
            placed.push((shard, place.offset, place.length, variable));
        }
    }
    placed.sort_by_key(|(shard, offset, length, _)| (*shard, *offset, *length));
    let mut entries = BTreeMap::new();
    let mut last = None;
    for (shard, offset, length, variable) in placed {
        let crc = match last {
            Some((place, crc)) if place == (shard, offset, length) => crc,
            _ => {
                let mut crc = Crc::default();
                variable.content.pieces(&mut |piece| {
                    crc = crc.and(piece);
                    Ok(())
                })?;
                crc
            }
        };
        last = Some(((shard, offset, length), crc));
        entries.insert(variable.key.clone(), entry(variable, shard as u32, offset, crc.masked()));
    }
    Ok(entries)
}

/// Writes the shard of what could not stay; its length.
fn write_moved<'v, 'g: 'v>(
    path: &Path,
    shard: u32,
    variables: impl Iterator<Item = &'v Variable<'g>>,
    entries: &mut BTreeMap<String, Entry>,
) -> Result<u64> {
    let file = std::fs::File::create_new(path).map_err(failed("create", path))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut at = 0_u64;
    for variable in variables {
        let mut crc = Crc::default();
        variable.content.pieces(&mut |piece| {
            crc = crc.and(piece);
            out.write_all(piece).map_err(failed("write", path))
        })?;
        entries.insert(variable.key.clone(), entry(variable, shard, at, crc.masked()));
        at += variable.content.byte_len();
    }
    out.flush().map_err(failed("write", path))?;
    Ok(at)
}

/// The nodes that fill the variables from the bundle.
struct Saver {
    filename: String,
    restore: String,
    /// What fills each variable.
    assigns: Vec<String>,
}

impl Saver {
    fn add(nodes: &mut Vec<NodeDef>, names: &mut Names, variables: &[Variable<'_>]) -> Self {
        let texts = |texts: &[&str], shape: TensorShapeProto| TensorProto {
            dtype: DataType::String as i32,
            tensor_shape: Some(shape),
            string_val: texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect(),
            ..TensorProto::default()
        };
        let text_type = Attr::Type(DataType::String as i32);
        let mut constant = |nodes: &mut Vec<NodeDef>, name: &str, value: TensorProto| {
            let name = names.unique(name);
            let op = Op::new("Const", &[])
                .attribute("dtype", text_type.clone())
                .attribute("value", Attr::Tensor(Box::new(value)));
            nodes.push(op.named(name.clone()));
            name
        };
        let count = variables.len() as i64;
        let filename = constant(nodes, "save/Const", texts(&["model"], TensorShapeProto::default()));
        let keys: Vec<&str> = variables.iter().map(|variable| variable.key.as_str()).collect();
        let keys =
            constant(nodes, "save/RestoreV2/tensor_names", texts(&keys, TensorShapeProto::of([count])));
        let whole = vec![""; variables.len()];
        let whole =
            constant(nodes, "save/RestoreV2/shape_and_slices", texts(&whole, TensorShapeProto::of([count])));

        let dtypes = AttrList {
            r#type: variables.iter().map(|variable| code(variable.content.dtype)).collect(),
            ..AttrList::default()
        };
        let mut op = Op::new("RestoreV2", &[]).attribute("dtypes", Attr::List(Box::new(dtypes)));
        op.inputs = vec![filename.clone(), keys, whole];
        let read = names.unique("save/RestoreV2");
        nodes.push(op.named(read.clone()));

        let mut assigns = Vec::with_capacity(variables.len());
        for (index, variable) in variables.iter().enumerate() {
            let name = if index == 0 { read.clone() } else { format!("{read}:{index}") };
            let value = Out { name, dtype: variable.content.dtype };
            let mut op =
                Op::new("AssignVariableOp", &[]).of("dtype", value.dtype).flag("validate_shape", true);
            op.inputs = vec![variable.handle.clone(), value.name];
            let assign = names.unique("save/AssignVariableOp");
            nodes.push(op.named(assign.clone()));
            assigns.push(assign);
        }
        let mut all = Op::new("NoOp", &[]);
        all.inputs = assigns.iter().map(|assign| format!("^{assign}")).collect();
        let restore = names.unique("save/restore_all");
        nodes.push(all.named(restore.clone()));
        Self { filename, restore, assigns }
    }

    fn message(&self) -> SaverDef {
        SaverDef {
            filename_tensor_name: format!("{}:0", self.filename),
            // Nobody saves what was staged, but loaders ask for the tensor that would tell of it.
            save_tensor_name: format!("{}:0", self.filename),
            restore_op_name: self.restore.clone(),
            version: 2,
            ..SaverDef::default()
        }
    }

    /// The variables as collections list them.
    fn listed(&self, variables: &[Variable<'_>]) -> CollectionDef {
        let listed = variables.iter().zip(&self.assigns).map(|(variable, assign)| {
            let listed = VariableDef {
                variable_name: format!("{}:0", variable.handle),
                initializer_name: assign.clone(),
                snapshot_name: format!("{}:0", variable.read),
                is_resource: true,
                trainable: true,
                ..VariableDef::default()
            };
            listed.encode_to_vec().into()
        });
        CollectionDef { kind: Some(Collection::Bytes(BytesList { value: listed.collect() })) }
    }
}

fn meta_graph(
    nodes: Vec<NodeDef>,
    saver: Option<&Saver>,
    variables: &[Variable<'_>],
    (inputs, outputs): (&[End], &[End]),
    options: &SavedModelOptions<'_>,
) -> MetaGraphDef {
    let mut signatures = BTreeMap::from([(options.signature.clone(), signature(inputs, outputs, true))]);
    if let Some(name) = &options.wide_signature
        && inputs.iter().any(|end| end.narrow.is_some())
    {
        signatures.insert(name.clone(), signature(inputs, outputs, false));
    }
    let info = MetaInfoDef {
        tags: vec![SERVE.to_owned()],
        tensorflow_version: TENSORFLOW.to_owned(),
        stripped_default_attrs: true,
        ..MetaInfoDef::default()
    };
    let collections = saver.map(|saver| {
        let listed = saver.listed(variables);
        ["trainable_variables", "variables"].map(|name| (name.to_owned(), listed.clone()))
    });
    MetaGraphDef {
        meta_info_def: Some(info),
        graph_def: Some(GraphDef { node: nodes, versions: Some(versions()), library: None }),
        saver_def: saver.map(Saver::message),
        collection_def: collections.into_iter().flatten().collect(),
        signature_def: signatures,
        asset_file_def: Vec::new(),
    }
}

/// The shards of a SavedModel, for callers that want to know where the checkpoint's files are in it.
pub fn shards(folder: &Path) -> Result<Vec<PathBuf>> {
    let prefix = saved_model::variables(folder);
    let shards = bundle::Bundle::open(&prefix)?.shards();
    Ok((0..shards).map(|shard| bundle::shard_path(&prefix, shard, shards)).collect())
}
