//! zoo-run
