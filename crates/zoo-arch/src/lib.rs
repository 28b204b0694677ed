//! Networks whose checkpoints hold weights only.
