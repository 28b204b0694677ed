//! What is written for TensorFlow, read back by zoo's own readers. That TensorFlow itself computes the same with it is tested in the
//! workspace's `tests/it/tensorflow.rs`.
#![expect(clippy::unwrap_used, reason = "a test that meets an error it does not expect ends there")]

mod frozen;
mod saved_model;
mod support;
mod translation;
