//! Any bytes as a msgpack file: as they are, and as the value of a map with one key.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod weights;

fuzz_target!(|bytes: &[u8]| {
    weights::use_up(bytes);
    weights::use_up(&[b"\x81\xa1a", bytes].concat());
});
