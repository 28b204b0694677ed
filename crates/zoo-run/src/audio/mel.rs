//! Whisper's picture of a sound: how loud each pitch is at each time, as a logarithm.
//!
//! A frame of 400 samples every 160, faded by a Hann window, gives the power of 201 frequencies; triangles on Slaney's mel scale sum
//! them up to 80 or 128 bands (Slaney, Auditory Toolbox, 1998); what is more than 80 decibels below the loudest is raised to that,
//! and the rest scaled (Radford et al., 2022).

use std::f64::consts::PI;

use realfft::RealFftPlanner;

/// Where Slaney's scale turns from even steps to even ratios: hertz, mel, and mel per factor e.
const TURN: (f64, f64) = (1000.0, 15.0);

/// Sizes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MelSizes {
    /// Samples a second.
    pub(super) rate: u32,
    /// Samples in a frame.
    pub(super) frame: usize,
    /// Samples from one frame to the next.
    pub(super) hop: usize,
    /// Bands.
    pub(super) bands: usize,
}

/// `[bands, frames]` of samples, with as many frames as hops fit; none if there are fewer samples than half a frame.
pub(super) fn log_mel(samples: &[f32], sizes: MelSizes) -> Option<Vec<f32>> {
    let MelSizes { frame, hop, bands, .. } = sizes;
    let half = frame / 2;
    let frames = samples.len().checked_div(hop)?;
    if samples.len() <= half || frames == 0 {
        return None;
    }
    let filters = filters(sizes);
    let window: Vec<f64> =
        (0..frame).map(|place| 0.5 - 0.5 * (2.0 * PI * place as f64 / frame as f64).cos()).collect();
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(frame);
    let (mut input, mut output) = (transform.make_input_vec(), transform.make_output_vec());
    let mut out = vec![0.0_f32; bands * frames];
    let mut loudest = f64::NEG_INFINITY;
    for at in 0..frames {
        for (place, (value, fade)) in input.iter_mut().zip(&window).enumerate() {
            *value = f64::from(mirrored(samples, (at * hop + place) as i64 - half as i64)) * fade;
        }
        transform.process(&mut input, &mut output).ok()?;
        let power: Vec<f64> = output.iter().map(realfft::num_complex::Complex::norm_sqr).collect();
        for (band, filter) in filters.iter().enumerate() {
            let sum: f64 = filter
                .weights
                .iter()
                .zip(power.get(filter.first..)?)
                .map(|(weight, power)| weight * power)
                .sum();
            let level = sum.max(1e-10).log10();
            loudest = loudest.max(level);
            *out.get_mut(band * frames + at)? = level as f32;
        }
    }
    for level in &mut out {
        *level = (f64::from(*level).max(loudest - 8.0) as f32 + 4.0) / 4.0;
    }
    Some(out)
}

/// The sample at a place; beyond the ends, the sound runs backwards.
fn mirrored(samples: &[f32], place: i64) -> f32 {
    let last = samples.len() as i64 - 1;
    let place = if place < 0 {
        -place
    } else if place > last {
        2 * last - place
    } else {
        place
    };
    usize::try_from(place).ok().and_then(|place| samples.get(place)).copied().unwrap_or_default()
}

/// A triangle over neighbouring frequencies.
struct Filter {
    first: usize,
    weights: Vec<f64>,
}

fn filters(sizes: MelSizes) -> Vec<Filter> {
    let bins = sizes.frame / 2 + 1;
    let highest = f64::from(sizes.rate / 2);
    let top = to_mel(highest);
    let corner = |place: usize| to_hertz(top * place as f64 / (sizes.bands + 1) as f64);
    let frequency = |bin: usize| highest * bin as f64 / (bins - 1).max(1) as f64;
    (0..sizes.bands)
        .map(|band| {
            let (low, middle, high) = (corner(band), corner(band + 1), corner(band + 2));
            let weight = |bin: usize| {
                let hertz = frequency(bin);
                let triangle =
                    ((hertz - low) / (middle - low)).min((high - hertz) / (high - middle)).max(0.0);
                triangle * 2.0 / (high - low)
            };
            let first = (0..bins).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..bins).map(weight).take_while(|weight| *weight > 0.0).collect();
            Filter { first, weights }
        })
        .collect()
}

fn to_mel(hertz: f64) -> f64 {
    let (turn, mel) = TURN;
    if hertz < turn { hertz * mel / turn } else { mel + (hertz / turn).ln() * 27.0 / 6.4_f64.ln() }
}

fn to_hertz(mel: f64) -> f64 {
    let (turn, at) = TURN;
    if mel < at { mel * turn / at } else { turn * ((mel - at) * 6.4_f64.ln() / 27.0).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHISPER: MelSizes = MelSizes { rate: 16_000, frame: 400, hop: 160, bands: 80 };

    #[test]
    fn the_scale_is_slaneys() {
        // librosa.hz_to_mel(60, 1000, 4000, 8000)
        for (hertz, mel) in [(60.0, 0.9), (1000.0, 15.0), (4000.0, 35.163_76), (8000.0, 45.245_64)] {
            assert!((to_mel(hertz) - mel).abs() < 1e-4, "{hertz}: {}", to_mel(hertz));
            assert!((to_hertz(to_mel(hertz)) - hertz).abs() < 1e-6);
        }
        assert!(filters(WHISPER).iter().all(|filter| !filter.weights.is_empty()));
    }

    #[test]
    fn silence_is_even_and_a_tone_is_a_line() {
        let silence = log_mel(&vec![0.0; 16_000], WHISPER).unwrap();
        assert_eq!(silence.len(), 80 * 100);
        assert!(silence.iter().all(|level| (level + 1.5).abs() < 1e-6), "(-10 + 4) / 4");
        let tone: Vec<f32> =
            (0..16_000).map(|at| (2.0 * PI * 1000.0 * f64::from(at) / 16_000.0).sin() as f32).collect();
        let picture = log_mel(&tone, WHISPER).unwrap();
        let at = |band: usize| picture[band * 100 + 50];
        let loudest = (0..80).max_by(|&a, &b| at(a).total_cmp(&at(b))).unwrap();
        // 1000 hertz are 15 mel of 45.2, in steps of 45.2 / 81.
        assert!((25..=27).contains(&loudest), "{loudest}");
        assert_eq!(log_mel(&[0.0; 100], WHISPER), None);
        assert_eq!(log_mel(&[], WHISPER), None);
    }
}
