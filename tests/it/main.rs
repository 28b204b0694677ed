//! End-to-end tests, in one binary: everything that takes more than one crate, against hubs that `zoo-mirror` plays.

mod cli;
mod clients;
mod fetch;
mod kill;
mod mirror;
mod onnx;
mod reliability;
mod support;
