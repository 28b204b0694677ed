//! ONNX's operators as methods of [`crate::Builder`], by topic, with shape inference.
//!
//! A method is named after the operator (or, where several ways of writing it exist, after what it computes: `silu`, `gelu`,
//! `adaptive_average_pool`), checks its operands, infers what comes out, and alone knows how each operator set writes it.
//! Meaning: <https://onnx.ai/onnx/operators/>. To add one: the method, its inference, and a test that names a shape and a
//! refusal.

mod branch;
mod conv;
mod conv_transpose;
mod gather;
mod group_norm;
mod index;
mod instance_norm;
mod logic;
mod lookup;
mod matmul;
mod norm;
mod pointwise;
mod pool;
mod reduce;
mod resize;
mod rms_norm;
mod shape;
mod window;

pub use norm::BatchNorm;
pub use resize::{Coordinates, Interpolation};
pub(crate) use shape::reshape_target;
pub use window::{Axes, Window};

/// An axis as ONNX counts it: negative ones from the end.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(at)
        .ok()
        .filter(|&at| at < rank)
        .ok_or_else(|| format!("there is no axis {axis} among {rank}"))
}
