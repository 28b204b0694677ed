//! zoo's own tools.
fn main() {}
