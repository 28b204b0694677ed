//! zoo-core
