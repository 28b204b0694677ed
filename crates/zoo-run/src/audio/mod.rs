//! Sounds in; what they are, and what is said in them, out.
//!
//! ```text
//! file ─ read ─▶ Sound ─ AudioSettings::features ─▶ Tensor ─ an engine ─▶ Class, text
//! ```
//!
//! - [`read()`] reads WAV files, and [`Sound::at`] brings a sound to another rate;
//! - [`AudioSettings`] is what a repository's files say of how a network wants its sounds: as samples (Wav2Vec2) or as a picture of
//!   loudness by pitch and time (Whisper), each as transformers' extractors make it;
//! - [`classify`] and [`spell`] ask networks of one graph; [`SpeechTokens`] is what Whisper's decoder begins with.

mod ctc;
mod hear;
mod mel;
mod resample;
mod settings;
#[cfg(feature = "ort")]
mod speech;
mod wav;

pub use ctc::CtcVocabulary;
pub use hear::{classify, spell};
pub use settings::AudioSettings;
#[cfg(feature = "ort")]
pub use speech::SpeechTokens;
pub use wav::{Sound, parse, read};
