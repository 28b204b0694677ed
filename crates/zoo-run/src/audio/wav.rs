//! Sounds from WAV files: one channel of numbers between -1 and 1.
//!
//! Several channels are mixed to their mean, and whole numbers divided by what their bits can hold, as ffmpeg does for transformers'
//! pipelines.

use std::io::Cursor;
use std::path::Path;

use hound::{SampleFormat, WavReader};

use crate::limits::MAX_SOUND_BYTES;
use crate::{Error, Result, guard};

/// Rates beyond this are no sound's.
const MAX_RATE: u32 = 400_000;

/// One channel of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    name: String,
    rate: u32,
    samples: Vec<f32>,
}

/// Reads a WAV file: 8, 16, 24 or 32 bits, or floats of 32.
///
/// # Errors
/// [`Error::Sound`] if the file is none, is cut, or has samples of another kind; [`Error::TooMuch`] for a sound beyond
/// [`MAX_SOUND_BYTES`].
pub fn read(path: &Path) -> Result<Sound> {
    let file = zoo_tensor::map::map_file(path)?;
    parse(&path.display().to_string(), &file)
}

/// As [`read`], of a file's content; `name` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, file: &[u8]) -> Result<Sound> {
    let refuse = |problem: String| Error::Sound { sound: name.to_owned(), problem };
    if !file.starts_with(b"RIFF") {
        return Err(refuse(format!("it is no WAV file; it looks like {}", zoo_graph::Looks::of(file))));
    }
    let decoded = guard::catch(|| decode(name, file));
    decoded.unwrap_or_else(|problem| Err(refuse(problem)))
}

fn decode(name: &str, file: &[u8]) -> Result<Sound> {
    let refuse = |problem: String| Error::Sound { sound: name.to_owned(), problem };
    let broken = |error: hound::Error| refuse(error.to_string());
    let mut reader = WavReader::new(Cursor::new(file)).map_err(broken)?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    if channels == 0 || spec.sample_rate == 0 || spec.sample_rate > MAX_RATE {
        return Err(refuse(format!("it has {channels} channels of {} samples a second", spec.sample_rate)));
    }
    let count = u64::from(reader.len());
    if count * 4 > MAX_SOUND_BYTES {
        return Err(Error::TooMuch {
            what: format!("the sound {name}"),
            limit: MAX_SOUND_BYTES,
            unit: "bytes",
        });
    }
    // What the header promises is no reason to reserve memory: the file must have it.
    if count * u64::from(spec.bits_per_sample.div_ceil(8)) > file.len() as u64 {
        return Err(refuse(format!("it should have {count} samples, and is cut before")));
    }
    let all: Vec<f32> = match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, 32) => reader.samples::<f32>().collect::<Result<_, _>>().map_err(broken)?,
        (SampleFormat::Int, bits @ 1..=32) => {
            let full = (1_u64 << (bits - 1)) as f64;
            let scaled = reader.samples::<i32>().map(|sample| Ok((f64::from(sample?) / full) as f32));
            scaled.collect::<Result<_, hound::Error>>().map_err(broken)?
        }
        (format, bits) => return Err(refuse(format!("its samples are {format:?}s of {bits} bits"))),
    };
    if all.iter().any(|sample| !sample.is_finite()) {
        return Err(refuse("some of its samples are no numbers".to_owned()));
    }
    let mix = |frame: &[f32]| frame.iter().sum::<f32>() / channels as f32;
    let samples = if channels == 1 { all } else { all.chunks_exact(channels).map(mix).collect() };
    Ok(Sound { name: name.to_owned(), rate: spec.sample_rate, samples })
}

impl Sound {
    /// A sound of samples.
    pub fn new(name: impl Into<String>, rate: u32, samples: Vec<f32>) -> Self {
        Self { name: name.into(), rate: rate.max(1), samples }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// The samples.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wav(channels: u16, bits: u16, format: SampleFormat, samples: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let spec =
            hound::WavSpec { channels, sample_rate: 8000, bits_per_sample: bits, sample_format: format };
        let mut writer = hound::WavWriter::new(Cursor::new(&mut bytes), spec).unwrap();
        for &sample in samples {
            match format {
                SampleFormat::Float => writer.write_sample(sample).unwrap(),
                SampleFormat::Int => {
                    writer.write_sample((sample * 2.0_f32.powi(i32::from(bits) - 1)) as i32).unwrap();
                }
            }
        }
        writer.finalize().unwrap();
        bytes
    }

    #[test]
    fn every_kind_of_samples() {
        let samples = [0.5, -0.25, 0.0, -1.0];
        for (bits, format) in [
            (8, SampleFormat::Int),
            (16, SampleFormat::Int),
            (24, SampleFormat::Int),
            (32, SampleFormat::Int),
            (32, SampleFormat::Float),
        ] {
            let sound = parse("s", &wav(1, bits, format, &samples)).unwrap();
            assert_eq!(sound.samples(), samples, "{bits}");
        }
        let stereo = parse("s", &wav(2, 16, SampleFormat::Int, &samples)).unwrap();
        assert_eq!((stereo.samples(), stereo.rate()), (&[0.125, -0.5][..], 8000));
        assert!((stereo.seconds() - 2.0 / 8000.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_sound_is_told() {
        let message = |bytes: &[u8]| parse("s", bytes).unwrap_err().to_string();
        assert!(message(b"").contains("no WAV file"));
        assert!(message(b"\xff\xd8\xff\xe0").contains("no WAV file"));
        assert!(message(b"RIFF\x24\0\0\0WAVE").starts_with("cannot use s as a sound"));
        let nan = wav(1, 32, SampleFormat::Float, &[f32::NAN]);
        assert!(message(&nan).contains("no numbers"));
        assert!(parse("s", b"").unwrap_err().hint().unwrap().contains("WAV"));
    }

    /// A file cut anywhere, or changed anywhere, is a sound or an error.
    #[test]
    fn a_cut_file_is_refused() {
        let whole = wav(1, 16, SampleFormat::Int, &[0.5; 20]);
        for end in 0..whole.len() {
            assert!(parse("s", &whole[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn changed_bytes_do_no_harm(place in 0_usize..84, byte: u8) {
            let mut file = wav(2, 16, SampleFormat::Int, &[0.5; 20]);
            file[place] = byte;
            let _ = parse("s", &file);
        }
    }
}
