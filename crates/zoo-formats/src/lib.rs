//! Readers of weight containers.
