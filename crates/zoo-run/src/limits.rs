//! How much a file or a shape may ask for before it is refused.
//!
//! What is read from a file as it lies there is bounded by the file, which is mapped. These bounds are for what a few
//! bytes can multiply: compression, padding, and shapes that are only written down.

/// The longest header of an array in a `.npy` file. The header of a hundred dimensions takes one kilobyte; this is what
/// the format's first version could say.
pub const MAX_HEADER_BYTES: usize = u16::MAX as usize;

/// The most dimensions of an array in a `.npy` file: numpy's own limit.
pub const MAX_RANK: usize = 64;

/// The most arrays in one `.npz` file. Large language models with every cache as an input have some hundreds.
pub const MAX_ARRAYS: usize = 10_000;

/// The most bytes that all arrays of one `.npz` file may come to. A zip can claim a thousand times its own size.
pub const MAX_UNPACKED_BYTES: u64 = 4 << 30;

/// The most bytes of inputs made from shapes in one call; also the most that strings may be padded to when written.
pub const MAX_MADE_BYTES: u64 = 4 << 30;

/// The most files of one kind (`input_0.pb`, `input_1.pb`, ...) in a test data set.
pub const MAX_SET_FILES: usize = 10_000;

/// The longest side of a picture: the longest that a JPEG can have.
pub const MAX_PICTURE_SIDE: usize = 65_535;

/// The most pixels of a picture, decoded or resized: the number from which Pillow warns of a decompression bomb. It is a
/// quarter of a gigabyte in colour.
pub const MAX_PICTURE_PIXELS: usize = 89_478_485;

/// The most bytes that decoding one picture may take, 16 bits of four channels included.
pub const MAX_PICTURE_BYTES: u64 = 1 << 30;

/// The most steps of a recipe. Those of all known models have four.
pub const MAX_RECIPE_STEPS: usize = 32;

/// The most bytes of a settings file: `config.json`, `tokenizer_config.json`. Those with a hundred thousand labels have ten million.
pub const MAX_SETTINGS_BYTES: u64 = 32 << 20;

/// The most bytes of a tokenizer or a vocabulary. The largest that is widely used (256,000 pieces and their merges) has 35 million.
pub const MAX_TOKENIZER_BYTES: u64 = 512 << 20;

/// The most bytes of one text. Tokenizers hold some hundred bytes for each of them.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// The most tokens that one text may be written on to, whatever settings or options say.
pub const MAX_NEW_TOKENS: usize = 1 << 20;

/// The most bytes of samples in one sound: an hour at 48 kHz in 32-bit stereo has 1.4 billion.
pub const MAX_SOUND_BYTES: u64 = 2 << 30;
