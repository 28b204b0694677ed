//! What the targets for weight containers share: bytes as a file, and everything that can be done with a checkpoint.

use zoo_formats::open;

/// Writes the bytes, opens them, and takes every dictionary. A weight that is given lies in the file, or was computed
/// within the limits.
pub fn use_up(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("x.pth");
    std::fs::write(&path, bytes).expect("a file can be written");
    let Ok(checkpoint) = open(&path) else { return };
    let _ = (checkpoint.origin().to_string(), checkpoint.foreign_globals(), checkpoint.warnings());
    let _ = checkpoint.check();
    let _ = checkpoint.state_dict();
    for dictionary in checkpoint.dictionaries() {
        let Ok(weights) = checkpoint.state_dict_at(&dictionary.path) else { continue };
        for name in weights.names() {
            let weight = weights.get(name).expect("its own name is known");
            if let Some(place) = weight.place() {
                assert!(place.length == 0 || place.offset + place.length <= bytes.len() as u64);
            }
            let tensor = weight.to_tensor().expect("a place in the file can be read");
            assert_eq!(tensor.bytes().map(|data| data.len() as u64), Some(weight.byte_len()));
            let _ = weights.dequantised(name);
        }
    }
}
