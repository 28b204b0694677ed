//! Rows of outputs, and what turns scores into probabilities.

use half::{bf16, f16};
use zoo_tensor::{DType, Tensor};

/// `count` elements of a tensor of floats from place `start` on, without reading the others; none if it has fewer or is of another
/// type.
pub(crate) fn slice(tensor: &Tensor, start: usize, count: usize) -> Option<Vec<f32>> {
    let size = match tensor.dtype() {
        DType::F32 => 4,
        DType::F16 | DType::BF16 => 2,
        DType::F64 => 8,
        _ => return None,
    };
    let end = start.checked_add(count)?.checked_mul(size)?;
    let bytes = tensor.bytes()?.get(start.checked_mul(size)?..end)?;
    Some(match tensor.dtype() {
        DType::F32 => bytes.as_chunks().0.iter().map(|&raw| f32::from_le_bytes(raw)).collect(),
        DType::F16 => bytes.as_chunks().0.iter().map(|&raw| f16::from_le_bytes(raw).to_f32()).collect(),
        DType::BF16 => bytes.as_chunks().0.iter().map(|&raw| bf16::from_le_bytes(raw).to_f32()).collect(),
        _ => bytes.as_chunks().0.iter().map(|&raw| f64::from_le_bytes(raw) as f32).collect(),
    })
}

/// Probabilities that sum to 1.
pub(crate) fn softmax(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> =
        scores.iter().map(|&score| (f64::from(score) - f64::from(largest)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// A probability for each score by itself.
pub(crate) fn sigmoid(score: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(score)).exp())
}

/// The place of the largest; of equal ones, the first.
pub(crate) fn largest(scores: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (place, &score) in scores.iter().enumerate() {
        if best.is_none_or(|(_, largest)| score > largest) {
            best = Some((place, score));
        }
    }
    best.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_every_type_of_floats() {
        let values = [0.5_f32, -2.0, 8.0, 1.0];
        let tensors = [
            Tensor::from_slice([4], &values).unwrap(),
            Tensor::from_slice([4], &values.map(f16::from_f32)).unwrap(),
            Tensor::from_slice([4], &values.map(bf16::from_f32)).unwrap(),
            Tensor::from_slice([4], &values.map(f64::from)).unwrap(),
        ];
        for tensor in &tensors {
            assert_eq!(slice(tensor, 1, 2).unwrap(), [-2.0, 8.0]);
            assert_eq!((slice(tensor, 3, 2), slice(tensor, usize::MAX, 2)), (None, None));
        }
        assert_eq!(slice(&Tensor::from_slice([1], &[1_i64]).unwrap(), 0, 1), None);
    }

    #[test]
    fn probabilities() {
        // torch.softmax(torch.tensor([0., 2., 1.]), 0), and with a score that is ruled out
        let near = |found: &[f64], expected: &[f64]| {
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7) && found.len() == expected.len()
        };
        assert!(near(&softmax(&[0.0, 2.0, 1.0]), &[0.090_030_57, 0.665_240_96, 0.244_728_48]));
        assert!(near(&softmax(&[3e38, f32::NEG_INFINITY]), &[1.0, 0.0]));
        assert!((sigmoid(2.0) - 0.880_797_08).abs() < 1e-7);
        assert_eq!((largest(&[1.0, 3.0, 3.0]), largest(&[])), (Some(1), None));
    }
}
