//! The checksums of the format: lookup3 of metadata, Fletcher's of chunks.

/// Bob Jenkins's lookup3 (`hashlittle` with initial value 0), which protects metadata since version 2 of object headers.
pub(super) fn lookup3(bytes: &[u8]) -> u32 {
    let start = 0xdead_beef_u32.wrapping_add(bytes.len() as u32);
    let [mut a, mut b, mut c] = [start; 3];
    let word = |block: &[u8], index: usize| {
        // Bytes behind the end count as zeros.
        let bytes = block.iter().skip(4 * index).take(4);
        bytes.enumerate().fold(0_u32, |word, (place, &byte)| word | u32::from(byte) << (8 * place))
    };
    let mut blocks = bytes.chunks(12).peekable();
    while let Some(block) = blocks.next() {
        a = a.wrapping_add(word(block, 0));
        b = b.wrapping_add(word(block, 1));
        c = c.wrapping_add(word(block, 2));
        if blocks.peek().is_some() {
            a = a.wrapping_sub(c) ^ c.rotate_left(4);
            c = c.wrapping_add(b);
            b = b.wrapping_sub(a) ^ a.rotate_left(6);
            a = a.wrapping_add(c);
            c = c.wrapping_sub(b) ^ b.rotate_left(8);
            b = b.wrapping_add(a);
            a = a.wrapping_sub(c) ^ c.rotate_left(16);
            c = c.wrapping_add(b);
            b = b.wrapping_sub(a) ^ a.rotate_left(19);
            a = a.wrapping_add(c);
            c = c.wrapping_sub(b) ^ b.rotate_left(4);
            b = b.wrapping_add(a);
        } else {
            c = (c ^ b).wrapping_sub(b.rotate_left(14));
            a = (a ^ c).wrapping_sub(c.rotate_left(11));
            b = (b ^ a).wrapping_sub(a.rotate_left(25));
            c = (c ^ b).wrapping_sub(b.rotate_left(16));
            a = (a ^ c).wrapping_sub(c.rotate_left(4));
            b = (b ^ a).wrapping_sub(a.rotate_left(14));
            c = (c ^ b).wrapping_sub(b.rotate_left(24));
        }
    }
    c
}

/// Fletcher's checksum of 16-bit words, highest byte first, as the filter `fletcher32` appends it to a chunk. An odd last
/// byte is the high half of a word.
pub(super) fn fletcher32(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (0_u32, 0_u32);
    // 360 words are as many as can be added before a sum of 32 bits could overflow.
    for part in bytes.chunks(720) {
        for pair in part.chunks(2) {
            let word = match *pair {
                [first, second] => u32::from(first) << 8 | u32::from(second),
                [first] => u32::from(first) << 8,
                _ => 0,
            };
            low += word;
            high += low;
        }
        low = (low & 0xffff) + (low >> 16);
        high = (high & 0xffff) + (high >> 16);
    }
    low = (low & 0xffff) + (low >> 16);
    high = (high & 0xffff) + (high >> 16);
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that the algorithm's author gives.
    #[test]
    fn lookup3_of_known_texts() {
        assert_eq!(lookup3(b""), 0xdead_beef);
        assert_eq!(lookup3(b"Four score and seven years ago"), 0x1777_0551);
    }

    #[test]
    fn fletcher_of_known_bytes() {
        assert_eq!(fletcher32(b""), 0);
        assert_eq!(fletcher32(&[1, 2, 3]), (0x0102 + 0x0402) << 16 | 0x0402);
        assert_eq!(fletcher32(&[0xff; 4000]), 0xffff_ffff);
    }
}
