//! Checksums: CRC-32C (Castagnoli), *masked*, as LevelDB and TensorFlow store them.
//!
//! A checksum of bytes that hold checksums of themselves is weak, so what is stored is rotated and moved by a constant.

/// What is added to the rotated checksum (LevelDB, `util/crc32c.h`).
const MASK: u32 = 0xa282_ead8;

/// A checksum that grows with what it is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crc(u32);

impl Crc {
    /// The checksum of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }

    /// The checksum of what was given before and of these bytes behind it.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }

    /// As it is stored.
    pub fn masked(self) -> u32 {
        self.0.rotate_right(15).wrapping_add(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // RFC 3720, B.4, and what TensorFlow stores for it.
        let zeros = Crc::of(&[0; 32]);
        assert_eq!(zeros, Crc(0x8a91_36aa));
        assert_eq!(Crc::of(&[0; 10]).and(&[0; 22]), zeros);
        assert_eq!(zeros.masked(), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(MASK));
    }
}
