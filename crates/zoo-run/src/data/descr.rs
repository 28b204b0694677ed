//! numpy's names for element types: `<f4`, `|b1`, `<U12`. A byte order, a letter, and a size in bytes (for `U`, in
//! characters of four bytes).

use zoo_tensor::DType;

/// What the elements of a numpy array are, as far as a tensor can hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descr {
    /// Numbers, in one of the two byte orders.
    Number { dtype: DType, big_endian: bool },
    /// Text of at most so many characters, each as four bytes, filled up with zeros.
    Unicode { characters: usize, big_endian: bool },
    /// Text of at most so many bytes, filled up with zeros.
    Bytes { length: usize },
}

/// Why a type cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// Python objects: the data is a pickle.
    Pickle,
    /// Anything else, as a sentence about the array.
    Other(String),
}

impl Descr {
    /// Reads a type string.
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        let unknown = || Refused::Other(format!("its type \"{text}\" is none that a tensor can have"));
        let mut characters = text.chars();
        let big_endian = match characters.next() {
            Some('<' | '|') => false,
            Some('>') => true,
            // Without one numpy means the machine's own, which a file must not depend on.
            _ => return Err(unknown()),
        };
        let (Some(letter), size) = (characters.next(), characters.as_str()) else { return Err(unknown()) };
        if letter == 'O' {
            return Err(Refused::Pickle);
        }
        let size: usize = size.parse().map_err(|_| unknown())?;
        let dtype = match (letter, size) {
            ('U', characters) => return Ok(Self::Unicode { characters, big_endian }),
            ('S', length) => return Ok(Self::Bytes { length }),
            ('b', 1) => DType::Bool,
            ('i', 1) => DType::I8,
            ('i', 2) => DType::I16,
            ('i', 4) => DType::I32,
            ('i', 8) => DType::I64,
            ('u', 1) => DType::U8,
            ('u', 2) => DType::U16,
            ('u', 4) => DType::U32,
            ('u', 8) => DType::U64,
            ('f', 2) => DType::F16,
            ('f', 4) => DType::F32,
            ('f', 8) => DType::F64,
            ('c', 8) => DType::C64,
            ('c', 16) => DType::C128,
            _ => return Err(unknown()),
        };
        Ok(Self::Number { dtype, big_endian })
    }

    /// The type string numpy writes for numbers of this type; none where numpy has no such type.
    pub(super) fn of(dtype: DType) -> Option<&'static str> {
        Some(match dtype {
            DType::Bool => "|b1",
            DType::I8 => "|i1",
            DType::I16 => "<i2",
            DType::I32 => "<i4",
            DType::I64 => "<i8",
            DType::U8 => "|u1",
            DType::U16 => "<u2",
            DType::U32 => "<u4",
            DType::U64 => "<u8",
            DType::F16 => "<f2",
            DType::F32 => "<f4",
            DType::F64 => "<f8",
            DType::C64 => "<c8",
            DType::C128 => "<c16",
            _ => return None,
        })
    }

    /// Bytes per element; none if it overflows.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Self::Number { dtype, .. } => dtype.size(),
            Self::Unicode { characters, .. } => characters.checked_mul(4),
            Self::Bytes { length } => Some(length),
        }
    }

    /// The size of what a byte order turns around: half an element for complex numbers.
    pub(super) fn part(self) -> usize {
        match self {
            Self::Number { dtype: DType::C64, .. } | Self::Unicode { .. } => 4,
            Self::Number { dtype: DType::C128, .. } => 8,
            Self::Number { dtype, .. } => dtype.size().unwrap_or(1),
            Self::Bytes { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for &dtype in DType::ALL {
            if let Some(text) = Descr::of(dtype) {
                assert_eq!(Descr::parse(text), Ok(Descr::Number { dtype, big_endian: false }), "{text}");
            }
        }
        assert_eq!(Descr::of(DType::BF16), None);
        assert_eq!(Descr::of(DType::U4), None);
    }

    #[test]
    fn what_no_tensor_can_hold_is_refused() {
        assert_eq!(Descr::parse("|O"), Err(Refused::Pickle));
        for text in ["", "<", "f4", "=f4", "<f3", "<M8[ns]", "|V8", "<f16", "<i", "<é4"] {
            assert!(matches!(Descr::parse(text), Err(Refused::Other(_))), "{text:?}");
        }
        assert_eq!(Descr::parse("<U3"), Ok(Descr::Unicode { characters: 3, big_endian: false }));
        assert_eq!(Descr::Unicode { characters: usize::MAX, big_endian: false }.size(), None);
    }
}
