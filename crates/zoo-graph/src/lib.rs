//! zoo-graph
