//! Files that want something other than to be read. Each is one clear error, or harmless data; nothing is executed, and
//! nothing is reserved that the file's length does not justify (`tests/memory`).

use crate::assemble::{Member, Pickle, SIX, View, Zip, floats, legacy, legacy_storage, one_tensor};
use crate::support::{OneFile, bytes_of, unopened, untaken, use_up};

mod archives;
mod pickles;
mod streams;
mod tensors;

/// `w` and nothing wrong.
fn good() -> Zip {
    Zip::checkpoint(&one_tensor(&SIX), &[&floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])])
}

/// The tensor `w` of a file that is in order.
fn read(bytes: &[u8]) -> Vec<f32> {
    let file = OneFile::of(bytes);
    let checkpoint = file.open().unwrap_or_else(|error| panic!("{}", file.shown(&error)));
    let weights = checkpoint.state_dict().unwrap_or_else(|error| panic!("{}", file.shown(&error)));
    weights.get("w").unwrap().to_tensor().unwrap().to_vec().unwrap()
}

#[test]
fn the_assembler_makes_good_files() {
    assert_eq!(read(&good().write()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(read(&Zip { long: true, ..good() }.write()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(
        read(&Zip { comment: b"a comment".to_vec(), ..good() }.write()),
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    );
}

/// A file that was cut off anywhere is an error and no more.
#[test]
fn truncated_at_every_byte() {
    for name in
        ["plain.pth", "protocol4.pth", "legacy.pth", "deflated.pth", "weights.safetensors", "quantized.pth"]
    {
        let bytes = bytes_of(name);
        let file = OneFile::of(&bytes);
        use_up(&file.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let handle = std::fs::OpenOptions::new().write(true).open(file.path()).unwrap();
        for length in (0..bytes.len() as u64).rev() {
            handle.set_len(length).unwrap();
            let error =
                use_up(&file.path()).err().unwrap_or_else(|| panic!("{name} is read with {length} bytes"));
            assert!(!error.to_string().is_empty());
        }
    }
}
