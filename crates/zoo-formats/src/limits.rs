//! How much a checkpoint may ask for before it is refused.
//!
//! A checkpoint is a program for a small machine, inside an archive of promises: a few bytes of either can ask for
//! gigabytes. These bounds are far above every published checkpoint and far below what hurts; each says why it has its
//! value. Where a length can be compared with the bytes that are really there, that is done first, and no bound is needed.

/// The largest pickle. Weights lie outside of it: the pickle of a model of a thousand tensors has about 200 KB. What
/// makes pickles large are numpy arrays and random states inside training checkpoints, tens of megabytes at most.
pub const MAX_PICKLE_BYTES: u64 = 512 << 20;

/// Opcodes that one pickle may run. A tensor takes about 40 of them, its optimizer state twice that again; 50 million
/// are a second of work and four hundred thousand tensors.
pub const MAX_OPCODES: u64 = 50_000_000;

/// Values that one pickle may make, about 40 bytes each (objects about 150). A tensor takes a dozen.
pub const MAX_VALUES: usize = 8_000_000;

/// Entries of the memo. Python's pickler notes nearly every value, so this follows [`MAX_VALUES`]. The memo is a hash
/// map: an index of four billion costs one entry.
pub const MAX_MEMO: usize = MAX_VALUES;

/// The deepest nesting. Python's own pickler recurses and gives up at about 500 levels.
pub const MAX_DEPTH: u16 = 1000;

/// The longest integer in bytes. The longest that real checkpoints hold are states of random generators (16 bytes).
pub const MAX_INTEGER_BYTES: usize = 4096;

/// Different names of classes and functions in one pickle. Whole networks name a few hundred.
pub const MAX_GLOBALS: usize = 65_536;

/// The longest name of a module, class or function.
pub const MAX_GLOBAL_NAME: usize = 1024;

/// Tensors of one state dict. The largest published checkpoints, mixtures of hundreds of experts, have about 100 000
/// over all of their files.
pub const MAX_TENSORS: usize = 1 << 18;

/// The longest name of a tensor: names are paths through a network's modules, a hundred characters or so.
pub const MAX_NAME_BYTES: usize = 4096;

/// All names of one state dict together. A pickle can refer to one long key many times, so the names of a whole module,
/// which are joined from its keys, can be much longer than the pickle.
pub const MAX_ALL_NAMES_BYTES: usize = 64 << 20;

/// The deepest nesting of modules in a whole pickled network, and of dictionaries around a state dict.
pub const MAX_MODULE_DEPTH: usize = 200;

/// Modules visited in a whole pickled network: shared modules count each time, because each has its own name.
pub const MAX_MODULES: usize = 1 << 20;

/// How deep state dicts are searched for inside a checkpoint: `{"model": {"ema": {"state_dict": …}}}` is the deepest seen.
pub const SEARCH_DEPTH: usize = 4;

/// Values that are looked at in that search; a checkpoint has a few dozen that may hold a state dict.
pub const MAX_SEARCHED: usize = 4096;

/// State dicts that are listed of one checkpoint.
pub const MAX_DICTIONARIES: usize = 256;

/// Dimensions of a tensor: PyTorch's own limit.
pub const MAX_RANK: usize = 64;

/// How often a tensor may be wrapped (a parameter, in a subclass, in a parameter): twice is the most that occurs.
pub const MAX_WRAPPERS: usize = 8;

/// Members of an archive: one per tensor, times three in a training checkpoint, and a handful.
pub const MAX_MEMBERS: u64 = 1 << 20;

/// The largest table of contents of an archive, at about 70 bytes per member.
pub const MAX_DIRECTORY_BYTES: u64 = 128 << 20;

/// The largest of the members that hold one short text (`version`, `byteorder`).
pub const MAX_NOTE_BYTES: u64 = 64;

/// What may be held in memory of one state dict (inflated storages, gathered views of them, arrays from inside the
/// pickle): this many bytes, and [`OWNED_PER_FILE_BYTE`] more for each byte of the file. Weights hardly compress, so
/// whoever exceeds it is a bomb.
pub const OWNED_BYTES: u64 = 64 << 20;

/// See [`OWNED_BYTES`].
pub const OWNED_PER_FILE_BYTE: u64 = 8;

/// The largest table of contents of a safetensors file: that of the reference implementation.
pub const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

/// The largest object header of an HDF5 file: old files keep all attributes of an object in it, each up to 64 KB.
pub const MAX_OBJECT_HEADER: u64 = 16 << 20;

/// The largest attribute of an HDF5 file, and all texts of one together. The largest that occurs is the configuration of a
/// whole Keras model, a few megabytes.
pub const MAX_ATTRIBUTE_BYTES: u64 = 64 << 20;

/// Attributes of one object of an HDF5 file: Keras writes a handful.
pub const MAX_ATTRIBUTES: u64 = 1 << 16;

/// The largest table of contents of a TensorFlow bundle: about a hundred bytes for each tensor.
pub const MAX_INDEX_BYTES: u64 = 128 << 20;

/// The largest graph of TensorFlow: what protobuf allows.
pub const MAX_GRAPH_BYTES: u64 = i32::MAX as u64;

/// Messages and texts of a graph, each up to two hundred bytes in memory. A node has about twenty; the largest published graphs have a
/// hundred thousand nodes.
pub const MAX_GRAPH_MESSAGES: usize = 4_000_000;

/// The largest chunk of an HDF5 dataset, beyond [`OWNED_PER_FILE_BYTE`] for each byte of the file. The library chooses chunks
/// below 1 MB by itself.
pub const CHUNK_BYTES: u64 = 8 << 20;

/// Tensors that one error names before it only counts the rest.
pub const MAX_NAMED_PROBLEMS: usize = 10;

/// Entries that are no tensors, listed of one dictionary; and how much of a long key is shown.
pub const MAX_LISTED: usize = 256;

/// See [`MAX_LISTED`].
pub const MAX_SHOWN_KEY: usize = 200;
