//! How much a model file may ask for before it is refused, and how much goes where when one is written.
//!
//! Protobuf lets a few bytes ask for a lot: an empty node is two bytes in the file and over two hundred in memory.
//! These bounds are far above every published model and far below what hurts; each says why it has its value.

/// The largest file that is read: protobuf's own limit for one message. Larger models keep their weights in external
/// files.
pub const MAX_FILE_BYTES: u64 = (1 << 31) - 1;

/// The deepest nesting of messages. One level of subgraph (`If` in `Loop` in ...) takes three: node, attribute,
/// graph. The decoder's own limit is 100, which it reports less clearly.
pub const MAX_DEPTH: usize = 96;

/// Messages and strings in one file. A network of a hundred thousand nodes has about two million; at this bound they
/// take some 2 GB of memory.
pub const MAX_OBJECTS: u64 = 8_000_000;

/// Numbers in repeated fields (`float_data`, `ints`, dims): as many 4-byte floats as fit in the largest file. Weights
/// as raw bytes, which is how exporters write them, do not count.
pub const MAX_NUMBERS: u64 = 1 << 29;

/// Problems that one check lists before it only counts the rest.
pub const MAX_PROBLEMS: usize = 50;

/// Weights that are written, not pointed at, stand in the model itself if all of them together are at most this large; else in a
/// data file beside it. One file is easier to keep together than two, and up to here it costs nothing that could be measured:
/// readers copy embedded weights instead of mapping them, and the writer holds them in memory twice.
pub const MAX_EMBEDDED_BYTES: u64 = 1 << 20;

/// Whole numbers up to this many bytes (128 of 64 bits) always stand in the model itself: they may be shapes or axes, which shape
/// inference does not look for in other files. The threshold is that of `onnx.save` and of torch's exporters.
pub const MAX_INLINE_BYTES: u64 = 1024;

/// The largest constant that folding makes. What is folded is written into the model, so folding must not make a small model large;
/// shapes, which folding is for, have a few dozen bytes. Runtimes fold the rest when they load.
pub const MAX_FOLDED_BYTES: u64 = 4096;
