//! A repository's tokenizer from anywhere: `tokenizer.json` and its settings, with a zero byte between them.
#![no_main]

use std::io::Write as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let Ok(dir) = tempfile::tempdir() else { return };
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let Some(content) = parts.next() else { continue };
        if let Ok(mut file) = std::fs::File::create(dir.path().join(name)) {
            let _ = file.write_all(content);
        }
    }
    if let Ok(tokenizer) = zoo_run::text::Tokenizer::from_folder(dir.path())
        && let Ok(encoded) =
            tokenizer.encode("a text, not long", Some("and its pair"), zoo_run::text::Cut::Longest(8))
    {
        let _ = tokenizer.decode(&encoded.ids, true);
    }
});
