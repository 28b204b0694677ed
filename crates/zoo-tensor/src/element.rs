//! Rust types that are elements, and how they lie in little-endian bytes.

use half::{bf16, f16};

use crate::DType;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a tensor's bytes can be read as. Implemented for the numeric types, `half`'s two and `bool`.
pub trait Element: sealed::Sealed + Copy + Send + Sync + 'static {
    /// The element type it stands for.
    const DTYPE: DType;
    /// Its size in bytes.
    const SIZE: usize = size_of::<Self>();

    /// Reads one element. `bytes` shorter than [`Self::SIZE`] count as padded with zeros.
    fn read(bytes: &[u8]) -> Self;

    /// Appends one element.
    fn write(self, out: &mut Vec<u8>);
}

macro_rules! number {
    ($($type:ty => $dtype:ident),* $(,)?) => {
        $(
            impl sealed::Sealed for $type {}
            impl Element for $type {
                const DTYPE: DType = DType::$dtype;

                fn read(bytes: &[u8]) -> Self {
                    let mut buffer = [0; size_of::<Self>()];
                    let taken = bytes.len().min(buffer.len());
                    buffer[..taken].copy_from_slice(&bytes[..taken]);
                    Self::from_le_bytes(buffer)
                }

                fn write(self, out: &mut Vec<u8>) {
                    out.extend_from_slice(&self.to_le_bytes());
                }
            }
        )*
    };
}

number! {
    f32 => F32, f64 => F64, f16 => F16, bf16 => BF16,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
}

impl sealed::Sealed for bool {}
impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn read(bytes: &[u8]) -> Self {
        bytes.first().is_some_and(|&byte| byte != 0)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(u8::from(self));
    }
}
