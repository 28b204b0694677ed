//! Everything that must be equal: integers, booleans, texts, and floats too narrow to be computed with.

use std::fmt::Write as _;

use zoo_tensor::{DType, Element as _, Tensor};

use super::{Comparison, index, ratio};

/// Compares two tensors of one type and shape.
pub(super) fn compare(expected: &Tensor, found: &Tensor) -> Comparison {
    match (expected.strings(), found.strings()) {
        (Some(expected_texts), Some(found_texts)) => {
            compare_texts(expected, expected_texts.iter().zip(found_texts))
        }
        _ => match reader(expected.dtype()) {
            Some((size, read)) => compare_integers(expected, found, size, read),
            None => compare_bytes(expected, found),
        },
    }
}

/// Reads an integer from its bytes, into a type that holds all of them.
type Read = fn(&[u8]) -> i128;

/// How an integer of this type is read, and its size.
fn reader(dtype: DType) -> Option<(usize, Read)> {
    Some(match dtype {
        DType::Bool => (1, |bytes| bool::read(bytes).into()),
        DType::I8 => (1, |bytes| i8::read(bytes).into()),
        DType::I16 => (2, |bytes| i16::read(bytes).into()),
        DType::I32 => (4, |bytes| i32::read(bytes).into()),
        DType::I64 => (8, |bytes| i64::read(bytes).into()),
        DType::U8 => (1, |bytes| u8::read(bytes).into()),
        DType::U16 => (2, |bytes| u16::read(bytes).into()),
        DType::U32 => (4, |bytes| u32::read(bytes).into()),
        DType::U64 => (8, |bytes| u64::read(bytes).into()),
        _ => return None,
    })
}

fn compare_integers(expected: &Tensor, found: &Tensor, size: usize, read: Read) -> Comparison {
    let values = |tensor: &Tensor| {
        let bytes = tensor.bytes().cloned().unwrap_or_default();
        (0..bytes.len() / size).map(move |place| read(&bytes[place * size..]))
    };
    let (mut different, mut largest, mut at, mut there) = (0_usize, 0, 0, (f64::NAN, f64::NAN));
    for (place, (expected, found)) in values(expected).zip(values(found)).enumerate() {
        let difference = expected.abs_diff(found);
        different += usize::from(difference > 0);
        if place == 0 || difference > largest {
            (largest, at, there) = (difference, place, (expected as f64, found as f64));
        }
    }
    let what = if expected.dtype() == DType::Bool { "booleans" } else { "integers" };
    Comparison { expected: there.0, found: there.1, ..verdict(expected, different, what, largest as f64, at) }
}

fn compare_texts<'a>(tensor: &Tensor, pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Comparison {
    let (mut different, mut first) = (0_usize, None);
    for (place, (expected, found)) in pairs.enumerate().filter(|(_, (expected, found))| expected != found) {
        different += 1;
        first.get_or_insert((place, expected, found));
    }
    let place = first.map_or(0, |(place, ..)| place);
    let mut comparison = verdict(tensor, different, "texts", f64::INFINITY, place);
    if let (Some(problem), Some((_, expected, found))) = (&mut comparison.problem, first) {
        let (expected, found) = (shortened(expected), shortened(found));
        let _ = write!(problem, ", first at {:?}: expected {expected}, found {found}", comparison.at);
    }
    comparison
}

/// Types that are only carried: their bytes. Where elements share bytes, the first element of a byte stands for all.
fn compare_bytes(expected: &Tensor, found: &Tensor) -> Comparison {
    let bytes = |tensor: &Tensor| tensor.bytes().cloned().unwrap_or_default();
    let (wanted, have) = (bytes(expected), bytes(found));
    let (mut different, mut first) = (0_usize, None);
    for (place, _) in wanted.iter().zip(&have).enumerate().filter(|(_, (wanted, have))| wanted != have) {
        different += 1;
        first.get_or_insert(place);
    }
    let bits = expected.dtype().bits().unwrap_or(8).max(1);
    verdict(expected, different, "bytes", f64::INFINITY, first.unwrap_or(0).saturating_mul(8) / bits)
}

/// A comparison in which `different` things differ. `largest` counts only if any do.
fn verdict(tensor: &Tensor, different: usize, what: &str, largest: f64, place: usize) -> Comparison {
    let largest = if different == 0 { 0.0 } else { largest };
    Comparison {
        name: String::new(),
        equal: different == 0,
        largest,
        at: index(place, tensor.shape()),
        expected: f64::NAN,
        found: f64::NAN,
        scale: 0.0,
        relative: ratio(largest, 0.0),
        elements: tensor.len(),
        problem: (different > 0).then(|| format!("{different} {what} differ that must be equal")),
    }
}

/// A text in quotes, cut where it gets long.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}
