//! What is done to chunks before they are stored, and how it is undone.

use std::io::Read as _;

use super::checksum::fletcher32;
use super::cursor::Cursor;
use crate::Result;

/// Filters of one dataset: every chunk went through all of them, in this order, unless its mask says otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters(Vec<Filter>);

#[derive(Debug, Clone)]
enum Filter {
    Deflate,
    /// First bytes of all elements, then second ones, and so on; with the size of an element.
    Shuffle(usize),
    Fletcher32,
    /// One that is not known, by name.
    Other(String),
}

/// More filters than anybody uses.
const MOST: u8 = 32;

impl Filters {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let version = cursor.version(1..=2, "a list of filters")?;
        let count = cursor.u8()?;
        if count > MOST {
            return Err(cursor.damaged(format!("a dataset has {count} filters")));
        }
        cursor.skip(if version == 1 { 6 } else { 0 })?;
        let mut filters = Vec::new();
        for _ in 0..count {
            let id = cursor.u16()?;
            let named = version == 1 || id >= 256;
            let name_length = if named { usize::from(cursor.u16()?) } else { 0 };
            cursor.skip(2)?; // Whether it may be left out; each chunk's mask says whether it was.
            let values = usize::from(cursor.u16()?);
            let padded = if version == 1 { name_length.next_multiple_of(8) } else { name_length };
            let name = cursor.take(padded)?;
            let first = if values > 0 { cursor.u32()? as usize } else { 0 };
            cursor.skip(4 * values.saturating_sub(1))?;
            cursor.skip(if version == 1 && values % 2 == 1 { 4 } else { 0 })?;
            filters.push(match id {
                1 => Filter::Deflate,
                2 => Filter::Shuffle(first),
                3 => Filter::Fletcher32,
                _ => Filter::Other(other(id, name)),
            });
        }
        Ok(Self(filters))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the first filter that cannot be undone.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.0
            .iter()
            .find_map(|filter| if let Filter::Other(name) = filter { Some(name.as_str()) } else { None })
    }

    /// Undoes all filters that `mask` (bit i: filter i was left out) does not exclude. What is wrong, otherwise. A chunk
    /// never becomes larger than `size` and a few bytes.
    pub(super) fn undo(&self, mut bytes: Vec<u8>, mask: u32, size: usize) -> Result<Vec<u8>, String> {
        // Checksums inside of what is deflated.
        let most = size.saturating_add(4 * self.0.len());
        for (place, filter) in self.0.iter().enumerate().rev() {
            if mask >> place & 1 != 0 {
                continue;
            }
            bytes = match filter {
                Filter::Deflate => inflate(&bytes, most)?,
                Filter::Shuffle(element) => unshuffle(&bytes, *element),
                Filter::Fletcher32 => checked(bytes)?,
                Filter::Other(name) => {
                    return Err(format!("is stored with the filter {name}, which is not known"));
                }
            };
        }
        if bytes.len() != size {
            return Err(format!("has {} bytes where {size} should be", bytes.len()));
        }
        Ok(bytes)
    }
}

fn inflate(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut source = flate2::read::ZlibDecoder::new(bytes).take(most as u64 + 1);
    source.read_to_end(&mut out).map_err(|error| format!("cannot be inflated: {error}"))?;
    if out.len() > most {
        return Err("is larger than its shape when it is inflated".to_owned());
    }
    Ok(out)
}

fn unshuffle(bytes: &[u8], element: usize) -> Vec<u8> {
    let count = bytes.len().checked_div(element).unwrap_or(0);
    if element < 2 || count < 2 {
        return bytes.to_vec();
    }
    let (shuffled, rest) = bytes.split_at(count * element);
    let mut out = vec![0; shuffled.len()];
    for (place, plane) in shuffled.chunks_exact(count).enumerate() {
        out.iter_mut().skip(place).step_by(element).zip(plane).for_each(|(to, &from)| *to = from);
    }
    // What is too short for an element stays behind.
    out.extend_from_slice(rest);
    out
}

fn checked(mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let length = bytes.len().checked_sub(4).ok_or("is too short for its checksum")?;
    let stored = bytes.split_off(length);
    if fletcher32(&bytes).to_le_bytes() != *stored {
        return Err("does not have its checksum".to_owned());
    }
    Ok(bytes)
}

/// The name of a filter that is not known: its usual one, the one in the file, or its number.
fn other(id: u16, name: &[u8]) -> String {
    match id {
        4 => return "szip".to_owned(),
        5 => return "nbit".to_owned(),
        6 => return "scaleoffset".to_owned(),
        32000 => return "lzf".to_owned(),
        32001 => return "blosc".to_owned(),
        32015 => return "zstd".to_owned(),
        _ => {}
    }
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len()).min(64);
    match std::str::from_utf8(name.get(..end).unwrap_or_default()) {
        Ok(text) if !text.is_empty() => format!("{text} ({id})"),
        _ => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffled_elements_come_back() {
        assert_eq!(unshuffle(&[1, 3, 5, 2, 4, 6, 9], 2), [1, 2, 3, 4, 5, 6, 9]);
        assert_eq!(unshuffle(&[1, 2, 3], 1), [1, 2, 3]);
        assert_eq!(unshuffle(&[1, 2, 3], 0), [1, 2, 3]);
    }

    #[test]
    fn checksums_and_sizes_are_checked() {
        let filters = Filters(vec![Filter::Fletcher32]);
        let mut bytes = vec![1, 2, 3];
        bytes.extend_from_slice(&fletcher32(&bytes).to_le_bytes());
        assert_eq!(filters.undo(bytes.clone(), 0, 3).unwrap(), [1, 2, 3]);
        assert_eq!(filters.undo(vec![1, 2], 1, 2).unwrap(), [1, 2], "left out of this chunk");
        bytes[0] = 0;
        assert!(filters.undo(bytes, 0, 3).unwrap_err().contains("checksum"));
        assert!(filters.undo(vec![1], 0, 3).is_err());
        assert!(Filters::default().undo(vec![1], 0, 3).unwrap_err().contains("1 bytes where 3"));
        let unknown = Filters(vec![Filter::Deflate, Filter::Other("lzf".to_owned())]);
        assert_eq!(unknown.unknown(), Some("lzf"));
    }

    #[test]
    fn nothing_is_inflated_beyond_a_chunk() {
        use std::io::Write as _;
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; 100_000]).unwrap();
        let bytes = encoder.finish().unwrap();
        let filters = Filters(vec![Filter::Deflate]);
        assert!(filters.undo(bytes.clone(), 0, 99_000).unwrap_err().contains("larger than its shape"));
        assert_eq!(filters.undo(bytes, 0, 100_000).unwrap().len(), 100_000);
    }
}
