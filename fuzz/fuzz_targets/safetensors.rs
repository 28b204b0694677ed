//! Any bytes as a safetensors file, and any bytes as its header with a length that is right.
#![no_main]

use libfuzzer_sys::fuzz_target;

mod weights;

fuzz_target!(|bytes: &[u8]| {
    if bytes.first() == Some(&b'{') {
        let end = bytes.iter().rposition(|&byte| byte == b'}').map_or(bytes.len(), |at| at + 1);
        weights::use_up(&[&(end as u64).to_le_bytes(), bytes].concat());
    } else {
        weights::use_up(bytes);
    }
});
