//! A pickle machine that builds data and nothing else.
//!
//! A pickle is a program. Python's own machine looks up any function by its name and calls it, which is why loading a
//! checkpoint can run anything. This machine has the same stack, marks and memo, and no way to call: a global is the two
//! strings of its name, and "calling" one ([`Object`]) notes the name and the arguments. What the names mean is decided
//! by whoever reads the result, by comparing strings.
//!
//! The result is a [`Pickle`]: an arena of values that refer to each other by number ([`Id`]). Values that a pickle
//! shares stay shared, values that contain themselves do no harm, and a million nested lists are dropped without
//! recursion. Byte strings that are pickles themselves stay byte strings.
//!
//! The opcodes are those of PyTorch's own restricted reader, and the ones that `pickle_protocol=3..5` and Python 2 put in
//! their place ([`opcode`]). Everything else, the text opcodes of protocol 0 among them, is refused.

mod input;
mod machine;
pub mod opcode;
mod value;

pub(crate) use input::Input;
pub(crate) use machine::run;
pub use value::{Global, Id, Object, Pickle, Value};

use crate::{Result, limits};

/// How much a pickle may ask for. The defaults are those of [`limits`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes that the pickle may have.
    pub max_bytes: u64,
    /// Opcodes that it may run.
    pub max_opcodes: u64,
    /// Values that it may make.
    pub max_values: usize,
    /// Entries that its memo may have.
    pub max_memo: usize,
    /// Levels that values may be nested.
    pub max_depth: u16,
    /// Bytes that an integer may have.
    pub max_integer_bytes: usize,
    /// Different names that it may mention.
    pub max_globals: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: limits::MAX_PICKLE_BYTES,
            max_opcodes: limits::MAX_OPCODES,
            max_values: limits::MAX_VALUES,
            max_memo: limits::MAX_MEMO,
            max_depth: limits::MAX_DEPTH,
            max_integer_bytes: limits::MAX_INTEGER_BYTES,
            max_globals: limits::MAX_GLOBALS,
        }
    }
}

/// Reads one pickle from the start of `bytes`. [`Pickle::consumed`] says how many of them it took: several may follow
/// each other. `name` is what errors call it.
///
/// # Errors
/// [`crate::Error::Pickle`] with the byte and the opcode, [`crate::Error::TooMuch`] beyond the limits.
pub fn parse(bytes: &[u8], name: &str, options: &Options) -> Result<Pickle> {
    run(&mut Input::bytes(bytes), name, options)
}

#[cfg(test)]
mod tests;
