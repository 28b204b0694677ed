//! Texts written on, token by token.
//!
//! ```text
//! tokens ─ Decoder ─▶ scores ─ settings ─▶ the next token ─ TextStream ─▶ text
//!             ▲                                  │
//!             └──────────────────────────────────┘
//! ```
//!
//! - [`CausalModel`] is a decoder alone, [`Seq2SeqModel`] one that writes about what an encoder read. What they remember stays in the
//!   engine between steps;
//! - [`GenerationSettings`] is what `generation_config.json` says: which tokens are ruled out, forced or made less probable, and
//!   whether the most probable comes next or one that is drawn by lot;
//! - [`write()`] goes on until it should end; without lots it gives what transformers' `generate(do_sample=False)` gives, token for
//!   token;
//! - [`TextStream`] makes text of tokens as they come.
//!
//! One text is followed at a time: settings that ask for several (beams) are followed with one.

mod choose;
mod decoder;
mod settings;
mod stream;
mod write;

pub use decoder::{CausalModel, Decoder, Seq2SeqModel};
pub use settings::{GenerationSettings, Sampling};
pub use stream::TextStream;
pub use write::{End, Generated, write};
