//! End-to-end tests, in one binary: everything that takes more than one crate, against hubs that `zoo-mirror` plays.
#![expect(clippy::unwrap_used, reason = "a test that meets an error it does not expect ends there")]

mod cli;
mod clients;
mod fetch;
mod hf;
mod kill;
mod mirror;
mod models;
mod networks;
mod networks_formula;
mod onnx;
mod pictures;
mod reliability;
mod repositories;
mod sentences;
mod support;
mod tensorflow;
mod texts;
mod torch;
