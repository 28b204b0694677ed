//! Element types: one name each, the names used on the command line, in the manifest and in messages.
//!
//! The list is ONNX's (`TensorProto.DataType`), because ONNX is what everything is staged into; types narrower than
//! a byte are here so that a model that uses them can be described, checked and carried, not computed with.

use std::fmt;
use std::str::FromStr;

use crate::Error;

macro_rules! dtypes {
    ($($variant:ident, $name:literal, $onnx_name:literal, $code:literal, $bits:expr, $doc:literal;)*) => {
        /// The type of one element of a tensor.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum DType {
            $(#[doc = $doc] $variant,)*
        }

        impl DType {
            /// Every type, in the order of the ONNX codes.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The short name: `f32`, `i64`, `bool`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The name ONNX uses in text: `float`, `int64`, `bool`.
            pub const fn onnx_name(self) -> &'static str {
                match self { $(Self::$variant => $onnx_name,)* }
            }

            /// The code in `TensorProto.DataType`.
            pub const fn onnx_code(self) -> i32 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The type with this code in `TensorProto.DataType`; none for 0 (undefined) and codes not yet known.
            pub const fn from_onnx_code(code: i32) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// Bits per element; none for strings, whose elements differ in length.
            pub const fn bits(self) -> Option<usize> {
                match self { $(Self::$variant => $bits,)* }
            }
        }
    };
}

dtypes! {
    F32, "f32", "float", 1, Some(32), "IEEE single precision.";
    U8, "u8", "uint8", 2, Some(8), "Unsigned, 8 bits.";
    I8, "i8", "int8", 3, Some(8), "Signed, 8 bits.";
    U16, "u16", "uint16", 4, Some(16), "Unsigned, 16 bits.";
    I16, "i16", "int16", 5, Some(16), "Signed, 16 bits.";
    I32, "i32", "int32", 6, Some(32), "Signed, 32 bits.";
    I64, "i64", "int64", 7, Some(64), "Signed, 64 bits.";
    String, "string", "string", 8, None, "Text of any length.";
    Bool, "bool", "bool", 9, Some(8), "One byte, 0 or 1.";
    F16, "f16", "float16", 10, Some(16), "IEEE half precision.";
    F64, "f64", "double", 11, Some(64), "IEEE double precision.";
    U32, "u32", "uint32", 12, Some(32), "Unsigned, 32 bits.";
    U64, "u64", "uint64", 13, Some(64), "Unsigned, 64 bits.";
    C64, "c64", "complex64", 14, Some(64), "Complex: two `f32`.";
    C128, "c128", "complex128", 15, Some(128), "Complex: two `f64`.";
    BF16, "bf16", "bfloat16", 16, Some(16), "The upper half of an `f32`.";
    F8E4M3FN, "f8e4m3fn", "float8e4m3fn", 17, Some(8), "8-bit float, 4 exponent bits, no infinities.";
    F8E4M3FNUZ, "f8e4m3fnuz", "float8e4m3fnuz", 18, Some(8), "8-bit float, 4 exponent bits, no infinities, no negative zero.";
    F8E5M2, "f8e5m2", "float8e5m2", 19, Some(8), "8-bit float, 5 exponent bits.";
    F8E5M2FNUZ, "f8e5m2fnuz", "float8e5m2fnuz", 20, Some(8), "8-bit float, 5 exponent bits, no infinities, no negative zero.";
    U4, "u4", "uint4", 21, Some(4), "Unsigned, 4 bits, two to a byte, the first in the low half.";
    I4, "i4", "int4", 22, Some(4), "Signed, 4 bits, two to a byte, the first in the low half.";
    F4E2M1, "f4e2m1", "float4e2m1", 23, Some(4), "4-bit float, two to a byte.";
    F8E8M0, "f8e8m0", "float8e8m0", 24, Some(8), "A power of two: exponent only.";
    U2, "u2", "uint2", 25, Some(2), "Unsigned, 2 bits, four to a byte.";
    I2, "i2", "int2", 26, Some(2), "Signed, 2 bits, four to a byte.";
    F6E2M3, "f6e2m3", "float6e2m3", 27, Some(6), "6-bit float, four in three bytes.";
    F6E3M2, "f6e3m2", "float6e3m2", 28, Some(6), "6-bit float, four in three bytes.";
}

impl DType {
    /// Bytes per element; none for strings and for types narrower than a byte.
    pub const fn size(self) -> Option<usize> {
        match self.bits() {
            Some(bits) if bits % 8 == 0 => Some(bits / 8),
            _ => None,
        }
    }

    /// Bytes that `elements` elements take, packed where elements are narrower than a byte; none for strings and
    /// when the count overflows.
    pub const fn byte_len(self, elements: usize) -> Option<usize> {
        match self.size() {
            Some(size) => elements.checked_mul(size),
            None => match self.bits() {
                Some(bits) => match elements.checked_mul(bits) {
                    Some(total) => Some(total.div_ceil(8)),
                    None => None,
                },
                None => None,
            },
        }
    }

    /// Whether the type is a real floating-point number of any width.
    pub const fn is_float(self) -> bool {
        matches!(
            self,
            Self::F64
                | Self::F32
                | Self::F16
                | Self::BF16
                | Self::F8E4M3FN
                | Self::F8E4M3FNUZ
                | Self::F8E5M2
                | Self::F8E5M2FNUZ
                | Self::F8E8M0
                | Self::F6E2M3
                | Self::F6E3M2
                | Self::F4E2M1
        )
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DType {
    type Err = Error;

    /// Reads the short name, and the names ONNX and numpy use for the same type.
    fn from_str(name: &str) -> Result<Self, Error> {
        let alias = match name {
            "float32" => Some(Self::F32),
            "float64" => Some(Self::F64),
            "half" => Some(Self::F16),
            "str" => Some(Self::String),
            _ => None,
        };
        alias
            .or_else(|| {
                Self::ALL.iter().copied().find(|dtype| dtype.name() == name || dtype.onnx_name() == name)
            })
            .ok_or_else(|| Error::UnknownDType { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_round_trip() {
        for &dtype in DType::ALL {
            assert_eq!(dtype.name().parse::<DType>().unwrap(), dtype);
            assert_eq!(dtype.onnx_name().parse::<DType>().unwrap(), dtype);
            assert_eq!(DType::from_onnx_code(dtype.onnx_code()), Some(dtype));
        }
        assert_eq!(DType::ALL.len(), 28);
        assert_eq!(DType::from_onnx_code(0), None);
        assert_eq!(DType::from_onnx_code(29), None);
        assert_eq!(DType::from_onnx_code(-1), None);
    }

    #[test]
    fn numpy_names_are_understood_and_others_are_listed() {
        assert_eq!("float32".parse::<DType>().unwrap(), DType::F32);
        assert_eq!("int64".parse::<DType>().unwrap(), DType::I64);
        let error = "flaot32".parse::<DType>().unwrap_err();
        assert_eq!(error.to_string(), "\"flaot32\" is not an element type");
        assert!(error.hint().unwrap().contains("bf16"));
    }

    #[test]
    fn sizes() {
        assert_eq!(DType::F32.size(), Some(4));
        assert_eq!(DType::C128.size(), Some(16));
        assert_eq!(DType::String.size(), None);
        assert_eq!(DType::U4.size(), None);
        assert_eq!(DType::U4.byte_len(3), Some(2));
        assert_eq!(DType::F6E2M3.byte_len(5), Some(4));
        assert_eq!(DType::I2.byte_len(0), Some(0));
        assert_eq!(DType::F64.byte_len(usize::MAX / 2), None);
        assert_eq!(DType::String.byte_len(1), None);
    }
}
