//! Pictures in, labels and masks out.
//!
//! A model of pictures wants numbers in a shape, and how a picture becomes those is part of the model: it was trained on them. So
//! the stages are those of the framework that trained it, down to the last bit where that is defined:
//!
//! ```text
//! file ─ read ─▶ Picture ─ Recipe::place ─▶ Picture ─ Recipe::tensor ─▶ Tensor ─ an engine ─▶ Scores, segment
//! ```
//!
//! - [`read()`] decodes as Pillow does, [`Recipe::place`] resizes and crops as torchvision does, on pictures with Pillow's
//!   filters and on tensors with PyTorch's; [`Recipe::tensor`] computes as PyTorch does.
//! - [`Recipe`], [`Labels`] and [`Task`] are what a manifest says of a model: what to do with a picture, what the numbers
//!   of its output mean, and what to make of them.
//! - [`Scores`] and [`segment`] read outputs; [`ClassMap::to_png`] paints.

mod classify;
mod decode;
mod feed;
mod gif;
mod interpolate;
mod labels;
mod palette;
mod picture;
mod pillow;
mod place;
mod recipe;
mod scale;
mod segment;
mod task;
mod tensor;
mod wire;

pub use classify::{Ranked, Scores};
pub use decode::{decode, read};
pub use labels::Labels;
pub use palette::colour;
pub use picture::Picture;
pub use recipe::{Channels, Extent, Filter, Layout, Recipe, Step};
pub use scale::Scale;
pub use segment::{ClassMap, segment};
pub use task::Task;

/// Pictures that cannot be used as they are.
fn problem(problem: impl Into<String>) -> crate::Error {
    crate::Error::Pictures { problem: problem.into() }
}
