//! How much a model file may ask for before it is refused.
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
