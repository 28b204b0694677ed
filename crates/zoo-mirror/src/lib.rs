//! zoo-mirror
