//! A sound at another rate, as torchaudio's `resample` makes it, which transformers' pipelines use.
//!
//! Every new sample is a sum of the old ones around it, weighted by a sinc that is cut off below the lower of both rates and faded
//! out by a squared cosine (J. O. Smith, Digital Audio Resampling). Weights repeat with the ratio of the rates, and are computed once.

use std::f64::consts::PI;

use super::Sound;

/// How many zeros of the sinc are used on each side.
const ZEROS: f64 = 6.0;

/// Where it is cut off, as a part of the lower rate's half.
const ROLLOFF: f64 = 0.99;

impl Sound {
    /// The sound at `rate` samples a second.
    #[must_use]
    pub fn at(&self, rate: u32) -> Self {
        let divisor = gcd(self.rate(), rate.max(1));
        let (old, new) = (u64::from(self.rate() / divisor), u64::from(rate.max(1) / divisor));
        if old == new {
            return self.clone();
        }
        let phases: Vec<Phase> = (0..new).map(|phase| Phase::new(phase, old, new)).collect();
        let samples = self.samples();
        let count = (samples.len() as u64 * new).div_ceil(old);
        let sample = |place: u64| {
            let phase = phases.get((place % new) as usize)?;
            let first = (place / new * old) as i64 + phase.first;
            // Before the beginning and after the end there is silence.
            let skipped = usize::try_from(-first).unwrap_or(0);
            let old = samples.get(usize::try_from(first.max(0)).ok()?..).unwrap_or_default();
            let weights = phase.weights.get(skipped..).unwrap_or_default();
            Some(old.iter().zip(weights).map(|(old, weight)| f64::from(*old) * weight).sum::<f64>() as f32)
        };
        Self::new(self.name(), rate, (0..count).map(|place| sample(place).unwrap_or_default()).collect())
    }
}

/// The weights of a new sample that lies a part of the way between old ones.
struct Phase {
    /// Which old sample the first weight is for, counted from where the period of phases begins.
    first: i64,
    weights: Vec<f64>,
}

impl Phase {
    fn new(phase: u64, old: u64, new: u64) -> Self {
        let (old_rate, new_rate) = (old as f64, new as f64);
        let cut_off = old_rate.min(new_rate) * ROLLOFF;
        let middle = phase as f64 / new_rate * old_rate;
        let reach = ZEROS * old_rate / cut_off;
        let first = (middle - reach).ceil() as i64;
        let last = (middle + reach).floor() as i64;
        let weight = |place: i64| {
            let at = ((place as f64 / old_rate - phase as f64 / new_rate) * cut_off).clamp(-ZEROS, ZEROS);
            let fade = (at * PI / ZEROS / 2.0).cos().powi(2);
            let sinc = if at == 0.0 { 1.0 } else { (at * PI).sin() / (at * PI) };
            sinc * fade * cut_off / old_rate
        };
        Self { first, weights: (first..=last).map(weight).collect() }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hertz: f64, seconds: f64) -> Sound {
        let count = (f64::from(rate) * seconds) as usize;
        let sample = |place: usize| (2.0 * PI * hertz * place as f64 / f64::from(rate)).sin() as f32;
        Sound::new("tone", rate, (0..count).map(sample).collect())
    }

    #[test]
    fn samples_are_those_of_torchaudio() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/huggingface/running/resample.json");
        let fixture: serde_json::Value = serde_json::from_reader(std::fs::File::open(path).unwrap()).unwrap();
        let samples: Vec<f32> =
            (0..60).map(f64::from).map(|at| ((0.3 * at).sin() + 0.1 * (1.7 * at).cos()) as f32).collect();
        for (from, to) in [(44_100, 16_000), (8_000, 16_000), (16_000, 22_050)] {
            let expected: Vec<f32> = serde_json::from_value(fixture[format!("{from}_{to}")].clone()).unwrap();
            let made = Sound::new("s", from, samples.clone()).at(to);
            assert_eq!(made.samples().len(), expected.len());
            for (place, (a, b)) in made.samples().iter().zip(&expected).enumerate() {
                assert!((a - b).abs() < 1e-5, "{from} to {to} at {place}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_tone_stays_the_same_tone() {
        for (from, to) in
            [(44_100, 16_000), (8_000, 16_000), (48_000, 16_000), (16_000, 22_050), (16_001, 16_000)]
        {
            let made = tone(from, 440.0, 0.2).at(to);
            let wanted = tone(to, 440.0, 0.2);
            assert!(made.samples().len().abs_diff(wanted.samples().len()) <= 1);
            let middle = 500..made.samples().len().min(wanted.samples().len()) - 500;
            for place in middle {
                let (made, wanted) = (made.samples()[place], wanted.samples()[place]);
                assert!((made - wanted).abs() < 2e-3, "{from} to {to} at {place}: {made} {wanted}");
            }
        }
    }

    #[test]
    fn what_cannot_be_heard_at_the_new_rate_goes() {
        let loudest = tone(48_000, 11_000.0, 0.2)
            .at(16_000)
            .samples()
            .iter()
            .skip(100)
            .take(2800)
            .copied()
            .fold(0.0, f32::max);
        assert!(loudest < 0.02, "{loudest}");
    }

    #[test]
    fn ends_are_silent_and_nothing_stays_nothing() {
        assert_eq!(Sound::new("s", 8000, vec![]).at(16_000).samples(), [0.0_f32; 0]);
        assert_eq!(Sound::new("s", 8000, vec![1.0; 3]).at(16_000).samples().len(), 6);
        assert_eq!(Sound::new("s", 8000, vec![1.0; 3]).at(8000).samples(), [1.0; 3]);
    }
}
