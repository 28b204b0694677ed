//! How a network wants its sounds: `preprocessor_config.json`, as transformers' feature extractors read it.

use std::path::Path;

use serde_json::Value;
use zoo_tensor::Tensor;

use super::Sound;
use super::mel::{MelSizes, log_mel};
use crate::{Error, Result, files};

/// More samples of one chunk than anybody takes: an hour at 16 kHz.
const MAX_CHUNK: usize = 3600 * 16_000;

/// How a sound becomes numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct AudioSettings {
    /// Samples a second.
    pub rate: u32,
    kind: Kind,
}

/// What becomes of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// The samples themselves, perhaps with their mean at 0 and their variance at 1: Wav2Vec2 and its relatives.
    Samples { normalize: bool },
    /// A picture of loudness by pitch and time, of a fixed length: Whisper.
    LogMel { frame: usize, hop: usize, bands: usize, samples: usize },
}

impl AudioSettings {
    /// Reads `preprocessor_config.json`, or `processor_config.json`, in a folder.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is none, it cannot be read, or it is of an extractor that is not known here.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("preprocessor_config.json");
        if let Some(json) = files::settings(&path)? {
            return Self::from_json(&json).map_err(|problem| Error::settings(&path, problem));
        }
        let newer = folder.join("processor_config.json");
        let nested = files::settings(&newer)?.and_then(|json| json.get("feature_extractor").cloned());
        match nested {
            Some(json) => Self::from_json(&json).map_err(|problem| Error::settings(&newer, problem)),
            None => Err(Error::settings(&path, "there is no such file")),
        }
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        let count = |key: &str, otherwise: u64| match json.get(key) {
            None | Some(Value::Null) => Ok(otherwise),
            Some(value) => {
                value.as_u64().filter(|count| *count > 0).ok_or_else(|| format!("{key} is {value}"))
            }
        };
        let flag = |key: &str, otherwise: bool| json.get(key).and_then(Value::as_bool).unwrap_or(otherwise);
        let rate = u32::try_from(count("sampling_rate", 16_000)?)
            .map_err(|_| "sampling_rate is too large".to_owned())?;
        let name = json.get("feature_extractor_type").and_then(Value::as_str).unwrap_or_default();
        let kind = match name {
            // Older repositories do not name it.
            "Wav2Vec2FeatureExtractor" | "" => {
                let size = count("feature_size", 1)?;
                if size != 1 {
                    return Err(format!(
                        "feature_size is {size}, and which extractor makes that is not said"
                    ));
                }
                Kind::Samples { normalize: flag("do_normalize", true) }
            }
            "WhisperFeatureExtractor" => {
                if flag("do_normalize", false) {
                    return Err("do_normalize is true, which is not done for Whisper's pictures".to_owned());
                }
                if json.get("dither").and_then(Value::as_f64).unwrap_or(0.0) != 0.0 {
                    return Err("dither adds noise, which is not done".to_owned());
                }
                let size = |key: &str, otherwise: u64| {
                    let size = count(key, otherwise)? as usize;
                    if size > 1 << 16 { Err(format!("{key} is {size}")) } else { Ok(size) }
                };
                let samples = (rate as usize).saturating_mul(size("chunk_length", 30)?);
                if samples > MAX_CHUNK {
                    return Err(format!("a chunk would have {samples} samples"));
                }
                Kind::LogMel {
                    frame: size("n_fft", 400)?,
                    hop: size("hop_length", 160)?,
                    bands: size("feature_size", 80)?,
                    samples,
                }
            }
            other => return Err(format!("no extractor `{other}` is known")),
        };
        Ok(Self { rate, kind })
    }

    /// The input's name in transformers' networks: `input_values` or `input_features`.
    pub fn input(&self) -> &'static str {
        match self.kind {
            Kind::Samples { .. } => "input_values",
            Kind::LogMel { .. } => "input_features",
        }
    }

    /// The longest sound, in seconds, where there is a limit.
    pub fn longest(&self) -> Option<f64> {
        match self.kind {
            Kind::Samples { .. } => None,
            Kind::LogMel { samples, .. } => Some(samples as f64 / f64::from(self.rate)),
        }
    }

    /// A sound as the input: `[1, samples]`, or `[1, bands, frames]`. It is brought to the network's rate first.
    ///
    /// # Errors
    /// [`Error::Sound`] if it is empty, or longer than [`Self::longest`].
    pub fn features(&self, sound: &Sound) -> Result<Tensor> {
        let refuse = |problem: String| Error::Sound { sound: sound.name().to_owned(), problem };
        let sound = &sound.at(self.rate);
        if sound.samples().is_empty() {
            return Err(refuse("it has no samples".to_owned()));
        }
        match self.kind {
            Kind::Samples { normalize } => {
                let values = if normalize { normalized(sound.samples()) } else { sound.samples().to_vec() };
                Ok(Tensor::from_slice([1, values.len()], &values)?)
            }
            Kind::LogMel { frame, hop, bands, samples } => {
                if sound.samples().len() > samples {
                    let (has, hears) = (sound.seconds(), samples as f64 / f64::from(self.rate));
                    return Err(refuse(format!(
                        "it has {has:.1} seconds, and the network hears {hears:.0} at a time"
                    )));
                }
                let mut filled = sound.samples().to_vec();
                filled.resize(samples, 0.0);
                let sizes = MelSizes { rate: self.rate, frame, hop, bands };
                let picture = log_mel(&filled, sizes)
                    .ok_or_else(|| refuse(format!("a chunk of {samples} samples has no frame of {frame}")))?;
                Ok(Tensor::from_slice([1, bands, picture.len() / bands], &picture)?)
            }
        }
    }
}

/// With the mean at 0 and the variance at 1.
fn normalized(samples: &[f32]) -> Vec<f32> {
    let count = samples.len() as f64;
    let mean = samples.iter().map(|&sample| f64::from(sample)).sum::<f64>() / count;
    let variance = samples.iter().map(|&sample| (f64::from(sample) - mean).powi(2)).sum::<f64>() / count;
    let spread = (variance + 1e-7).sqrt();
    samples.iter().map(|&sample| ((f64::from(sample) - mean) / spread) as f32).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_say_which_extractor_it_is() {
        let read = |json: Value| AudioSettings::from_json(&json);
        let plain = read(json!({"do_normalize": false, "sampling_rate": 8000})).unwrap();
        assert_eq!((plain.input(), plain.rate, plain.longest()), ("input_values", 8000, None));
        let whisper =
            read(json!({"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128})).unwrap();
        assert_eq!((whisper.input(), whisper.longest()), ("input_features", Some(30.0)));
        for (bad, part) in [
            (json!({"feature_extractor_type": "ASTFeatureExtractor"}), "no extractor `ASTFeatureExtractor`"),
            (json!({"feature_size": 80}), "feature_size is 80"),
            (json!({"sampling_rate": 0}), "sampling_rate is 0"),
            (
                json!({"feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 1_000_000}),
                "chunk_length is",
            ),
            (
                json!({"feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 60_000}),
                "would have",
            ),
            (json!({"feature_extractor_type": "WhisperFeatureExtractor", "dither": 0.1}), "dither"),
        ] {
            let message = read(bad).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn sounds_are_brought_to_what_is_wanted() {
        let settings = AudioSettings::from_json(&json!({})).unwrap();
        let tensor = settings.features(&Sound::new("s", 16_000, vec![1.0, 3.0, 1.0, 3.0])).unwrap();
        let values = tensor.to_f32_vec().unwrap();
        assert!(values.iter().zip([-1.0, 1.0, -1.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
        assert!(
            settings
                .features(&Sound::new("s", 16_000, vec![]))
                .unwrap_err()
                .to_string()
                .contains("no samples")
        );
        let whisper = json!({"feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 1});
        let whisper = AudioSettings::from_json(&whisper).unwrap();
        let error = whisper.features(&Sound::new("s", 16_000, vec![0.0; 20_000])).unwrap_err();
        assert!(error.to_string().contains("1.2 seconds, and the network hears 1 at"), "{error}");
    }
}
