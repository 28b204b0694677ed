//! Numbers that Python and Rust compute alike, bit for bit. `tests/fixtures/torch/formula.py` is the same in Python.
//!
//! A name gives a seed (FNV-1a), the seed a sequence (splitmix64), its upper 53 bits numbers in [0, 1), and a range stretches
//! those in double precision. No other arithmetic is needed, so that no library's generator has to be copied.

use anyhow::{Context as _, Result, ensure};
use zoo_tensor::{Tensor, element_count};

/// Along every axis behind batch and channel, this many neighbours share one value of the coarse part of an input.
const BLOCK: usize = 8;

/// FNV-1a, 64 bits, of the name's UTF-8 bytes.
pub fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The endless sequence of numbers in [0, 1) that belongs to a name.
pub fn unit(name: &str) -> impl Iterator<Item = f64> + use<> {
    let mut state = seed(name);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 * 2.0_f64.powi(-53)
    })
}

/// The tensor of that name, uniform between `low` and `high`, in single precision.
///
/// # Errors
/// If the shape overflows.
pub fn values(name: &str, shape: &[usize], low: f64, high: f64) -> Result<Tensor> {
    let count = element_count(shape).context("too large")?;
    let values: Vec<f32> = unit(name).take(count).map(|unit| (low + (high - low) * unit) as f32).collect();
    Ok(Tensor::from_slice(shape, &values)?)
}

/// The input of that name: a level for each sample and channel, coarse blocks, and fine noise, all uniform around zero.
///
/// Noise alone would not do: global pooling averages it away, and every sample of a batch would give the same output.
///
/// # Errors
/// If the shape overflows, or has no batch and channel.
pub fn picture(name: &str, shape: &[usize]) -> Result<Tensor> {
    ensure!(shape.len() >= 2, "an input has a batch and channels, not the shape {shape:?}");
    let count = element_count(shape).context("too large")?;
    let (outer, inner) = shape.split_at(2);
    let blocks: Vec<usize> = inner.iter().map(|size| size.div_ceil(BLOCK)).collect();
    let planes = element_count(outer).context("too large")?;
    let plane = element_count(inner).context("too large")?;
    let plane_blocks: usize = blocks.iter().product();
    let block_of: Vec<usize> = (0..plane).map(|at| block(at, inner, &blocks)).collect();

    let mut levels = unit(&format!("{name}:level"));
    let mut coarse = unit(&format!("{name}:coarse"));
    let mut fine = unit(&format!("{name}:fine"));
    let mut values = Vec::with_capacity(count);
    for level in levels.by_ref().take(planes).map(|unit| 2.0 * unit - 1.0) {
        let coarse: Vec<f64> = coarse.by_ref().take(plane_blocks).map(|unit| 2.0 * unit - 1.0).collect();
        for (block, fine) in block_of.iter().zip(fine.by_ref()) {
            values.push(((level + coarse[*block]) + (fine - 0.5)) as f32);
        }
    }
    Ok(Tensor::from_slice(shape, &values)?)
}

/// The index of the block in which the element at `position` of a plane lies.
fn block(position: usize, sizes: &[usize], blocks: &[usize]) -> usize {
    let (mut rest, mut index, mut stride) = (position, 0, 1);
    for (size, blocks) in sizes.iter().zip(blocks).rev() {
        index += (rest % size / BLOCK) * stride;
        rest /= size;
        stride *= blocks;
    }
    index
}
