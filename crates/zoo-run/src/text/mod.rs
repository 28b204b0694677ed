//! Texts in; labels, spans, embeddings and answers out.
//!
//! A network of language takes numbers, and what is behind them lies in a few files beside it. So everything here is made of those
//! files (of a folder, whoever put them there) and of an engine with the graph loaded:
//!
//! ```text
//! text ─ Tokenizer::encode ─▶ Encoded ─ TextModel ─▶ Class, Span, Answer, Fill, Features
//! ```
//!
//! - [`Tokenizer`] gives the tokens that transformers' fast tokenizers give, number for number;
//! - [`TextModel`] has a method for each task, whose answers are those of transformers' pipelines: [`TextModel::classify`],
//!   [`TextModel::spans`], [`TextModel::answer`], [`TextModel::fill`], [`TextModel::embed`], [`TextModel::features`],
//!   [`TextModel::zero_shot`], [`TextModel::match_images`];
//! - [`SentenceSettings`] is what sentence-transformers' files say of making one vector of a text.
//!
//! Graphs are known by the names of their inputs and outputs, which are those that Hugging Face's optimum gives them. What a graph
//! does not have, or what no file says, is refused by name.

mod answer;
mod classify;
mod embed;
mod encoded;
mod family;
mod fill;
mod match_images;
mod model;
mod pooling;
mod slow;
mod spans;
mod tokenizer;
mod zero_shot;

pub use answer::Answer;
pub use classify::{Apply, Class};
pub use embed::Features;
pub use encoded::Encoded;
pub use fill::Fill;
pub use match_images::CAPTION;
pub use model::TextModel;
#[cfg(feature = "ort")]
pub(crate) use model::integers;
pub use pooling::{Pooling, SentenceSettings, Similarity};
pub use spans::{Grouping, Span};
#[cfg(any(feature = "audio", feature = "ort"))]
pub(crate) use tokenizer::clean_up;
pub use tokenizer::{Cut, Special, Tokenizer};
pub use zero_shot::HYPOTHESIS;
