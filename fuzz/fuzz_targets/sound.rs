//! A WAV file from anywhere, and what becomes of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(sound) = zoo_run::audio::parse("fuzzed", bytes) {
        let _ = sound.at(16_000);
    }
});
