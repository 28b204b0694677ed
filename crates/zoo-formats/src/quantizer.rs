//! What a quantized weight's integers stand for.

use zoo_tensor::{DType, Tensor, Weight};

use crate::{Error, Result};

/// How integers become numbers: `(integer - zero point) * scale`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Quantizer {
    /// The same for all (`torch.per_tensor_affine`).
    PerTensor {
        /// The size of one step.
        scale: f64,
        /// The integer that stands for zero.
        zero_point: i64,
    },
    /// One for each slice along an axis (`torch.per_channel_affine`).
    PerChannel {
        /// The step of each slice: `f64`, as many as the weight has along the axis.
        scales: Weight,
        /// The integer of each slice that stands for zero: `i64`, as many.
        zero_points: Weight,
        /// The axis.
        axis: usize,
    },
}

impl Quantizer {
    /// The numbers that a weight's integers stand for, as `f32`, with PyTorch's roundings: the scale becomes an `f32`
    /// first, the difference of the integers is exact, and their product is rounded once.
    ///
    /// # Errors
    /// If the file cannot be read, or the zero points are no integers (`torch.per_channel_affine_float_qparams`).
    pub fn dequantise(&self, weight: &Weight) -> Result<Weight> {
        let integers = weight.to_tensor()?.to_i64_vec()?;
        let step = |integer: &i64, scale: f64, zero_point: i64| {
            integer.wrapping_sub(zero_point) as f32 * (scale as f32)
        };
        let numbers: Vec<f32> = match self {
            Self::PerTensor { scale, zero_point } => {
                integers.iter().map(|integer| step(integer, *scale, *zero_point)).collect()
            }
            Self::PerChannel { scales, zero_points, axis } => {
                if !matches!(zero_points.dtype(), DType::I64 | DType::I32) {
                    let (from, to) = (zero_points.dtype(), DType::I64);
                    return Err(Error::Tensor(zoo_tensor::Error::Conversion { from, to }));
                }
                let scales = scales.to_tensor()?.to_f64_vec()?;
                let zero_points = zero_points.to_tensor()?.to_i64_vec()?;
                // The channel of element `i`, counted in row-major order, changes every `inner` elements.
                let inner = weight.shape().iter().skip(axis + 1).product::<usize>().max(1);
                let channels = scales.iter().zip(&zero_points).cycle();
                integers
                    .chunks(inner)
                    .zip(channels)
                    .flat_map(|(chunk, (&scale, &zero))| {
                        chunk.iter().map(move |integer| step(integer, scale, zero))
                    })
                    .collect()
            }
        };
        Ok(Tensor::from_slice(weight.shape(), &numbers)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(shape: &[usize], values: &[i8]) -> Weight {
        Tensor::from_slice(shape, values).unwrap().into()
    }

    fn numbers(weight: &Weight) -> Vec<f32> {
        weight.to_tensor().unwrap().to_vec().unwrap()
    }

    #[test]
    fn one_scale_for_all() {
        let quantizer = Quantizer::PerTensor { scale: 0.5, zero_point: 3 };
        let weight = quantizer.dequantise(&integers(&[2, 2], &[3, 4, -128, 127])).unwrap();
        assert_eq!((weight.shape(), numbers(&weight)), (&[2, 2][..], vec![0.0, 0.5, -65.5, 62.0]));
    }

    #[test]
    fn one_scale_for_each_slice_along_an_axis() {
        let quantizer = |axis| Quantizer::PerChannel {
            scales: Tensor::from_slice([2], &[1.0_f64, 10.0]).unwrap().into(),
            zero_points: Tensor::from_slice([2], &[0_i64, 1]).unwrap().into(),
            axis,
        };
        let weight = integers(&[2, 2], &[1, 2, 3, 4]);
        assert_eq!(numbers(&quantizer(0).dequantise(&weight).unwrap()), [1.0, 2.0, 20.0, 30.0]);
        assert_eq!(numbers(&quantizer(1).dequantise(&weight).unwrap()), [1.0, 10.0, 3.0, 30.0]);
        assert_eq!(numbers(&quantizer(0).dequantise(&integers(&[2, 0], &[])).unwrap()), [0.0_f32; 0]);
    }

    #[test]
    fn zero_points_that_are_no_integers_are_refused() {
        let quantizer = Quantizer::PerChannel {
            scales: Tensor::from_slice([1], &[1.0_f32]).unwrap().into(),
            zero_points: Tensor::from_slice([1], &[0.5_f32]).unwrap().into(),
            axis: 0,
        };
        assert!(quantizer.dequantise(&integers(&[1, 1], &[1])).is_err());
    }
}
