//! Real files through the whole crate. What needs ONNX Runtime's library fails without it: a skipped test looks like a
//! passed one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![cfg_attr(not(feature = "ort"), allow(dead_code, reason = "most helpers are for models that run"))]

mod files;
#[cfg(all(feature = "text", feature = "ort"))]
mod generation;
#[cfg(feature = "ort")]
mod library;
#[cfg(feature = "ort")]
mod models;
#[cfg(feature = "image")]
mod pictures;
#[cfg(feature = "ort")]
mod refusals;
#[cfg(all(feature = "audio", feature = "ort"))]
mod sounds;
mod support;
#[cfg(feature = "text")]
mod texts;
#[cfg(feature = "tract")]
mod tract;
#[cfg(feature = "ort")]
mod types;
