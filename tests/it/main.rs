//! End-to-end tests, in one binary: everything that takes more than one crate, against hubs that `zoo-mirror` plays.

mod fetch;
mod mirror;
mod support;
