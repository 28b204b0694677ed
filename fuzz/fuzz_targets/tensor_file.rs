//! Any bytes as a tensor file of any kind (`.npy`, `.npz`, `.pb`): no panic, and no more memory than the file can back.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let name = ["x.npy", "x.npz", "x.pb"][usize::from(choice % 3)];
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file can be written");
    if let Ok(tensors) = zoo_run::data::read(&path) {
        for (_, tensor) in tensors {
            assert!(tensor.bytes().is_none_or(|data| data.len() <= bytes.len().saturating_mul(1100) + 1024));
        }
    }
});
