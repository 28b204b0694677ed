//! What the rest of zoo agrees on when it speaks of tensors, and nothing more.
//!
//! - [`DType`]: every element type ONNX can name, with its size, its short name (`f32`) and its ONNX code.
//! - [`Shape`] and [`Dim`]: a *declared* shape, whose dimensions may be numbers, names or unknown.
//! - [`Tensor`]: a *concrete* one: a type, a shape of numbers, and little-endian bytes (or strings).
//! - [`Weight`]: a tensor as staging handles it: a type, a shape, and a [`Place`] in a file that stays where it is.
//! - `compute`, with the feature `candle`: casts and permutations.
//! - [`map`]: a file as [`bytes::Bytes`] without reading it, so that weights are paged in only when touched.
//!
//! Architecture invariant: this crate depends on no sibling and knows neither the network nor any file format. It
//! holds the workspace's only `unsafe` block, in [`map`].

#[cfg(feature = "candle")]
pub mod compute;
mod dtype;
mod element;
mod error;
pub mod map;
mod shape;
mod tensor;
mod weight;

pub use dtype::DType;
pub use element::Element;
pub use error::{Error, Result};
pub use shape::{Dim, Shape, element_count};
pub use tensor::Tensor;
pub use weight::{Place, SourceFile, Weight};
