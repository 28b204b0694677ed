//! How rotary embeddings are stretched to texts longer than those that a model was trained on.
//!
//! Configurations state it as `rope_scaling` beside `rope_theta` (transformers 4), or all in `rope_parameters` (transformers 5). Methods:
//! position interpolation (`linear`; Chen et al., 2023), NTK-aware bases that grow with the text (`dynamic`), Llama 3's division by wavelength
//! (`llama3`), YaRN (`yarn`; Peng et al., 2023) and LongRoPE (`longrope`; Ding et al., 2024). What depends on the length of the text, which
//! is the largest position plus one, is decided in the graph. Numbers are of single precision, rounded where the library rounds them.

use std::f64::consts::TAU;

use zoo_graph::{Builder, Val};
use zoo_tensor::DType;

use super::rotary::{inverse_frequencies, rotary_tables, rotary_tables_of};
use crate::config::Config;
use crate::transformers::{Error, Result};

/// What holds where a configuration says nothing: the defaults of its class.
#[derive(Debug, Clone, Copy)]
pub struct RopeDefaults {
    /// `rope_theta`, the base of the wavelengths.
    pub theta: f64,
    /// `partial_rotary_factor`: which part of each head is turned.
    pub partial: f64,
    /// `max_position_embeddings`.
    pub max_positions: usize,
    /// `original_max_position_embeddings`, if the class has one.
    pub original: Option<usize>,
}

/// A head of more features is refused, since frequencies are made for all of them: there is none of more than a few hundred.
const MOST_FEATURES: usize = 1 << 16;

/// A rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    frequencies: Frequencies,
    /// Cosines and sines are multiplied by it.
    scale: f32,
}

#[derive(Debug, Clone, PartialEq)]
enum Frequencies {
    /// The same for every text.
    Fixed(Vec<f32>),
    /// The first for texts up to `limit`, the second for longer ones.
    ByLength { limit: usize, short: Vec<f32>, long: Vec<f32> },
    /// Beyond `limit`, the base grows with the length of the text.
    Growing { theta: f64, factor: f64, limit: usize, dim: usize },
}

impl Rope {
    /// The rotary embedding of a model whose heads have `head` features.
    ///
    /// # Errors
    /// If the configuration asks for a method that is not known, or leaves out what one needs.
    pub fn of(config: &Config, head: usize, defaults: RopeDefaults) -> Result<Self> {
        if config.has("rope_parameters") {
            let own = config.at("rope_parameters");
            let theta = own.number(&["rope_theta"], defaults.theta)?;
            return Self::scaled(config, &own, theta, head, defaults);
        }
        let theta = config.number(&["rope_theta"], defaults.theta)?;
        Self::scaled(config, &config.at("rope_scaling"), theta, head, defaults)
    }

    /// The same by `own`, an object of the form of `rope_parameters` or `rope_scaling`, with this base.
    ///
    /// # Errors
    /// As [`Rope::of`].
    pub fn scaled(
        config: &Config,
        own: &Config,
        theta: f64,
        head: usize,
        defaults: RopeDefaults,
    ) -> Result<Self> {
        let partial = config.number(&["partial_rotary_factor"], defaults.partial)?;
        let partial = own.number(&["partial_rotary_factor"], partial)?;
        if !(0.0..=1.0).contains(&partial) || theta <= 0.0 {
            return Error::unsupported(format!("a rotary base of {theta} over {partial} of each head"));
        }
        if head > MOST_FEATURES {
            return Error::unsupported(format!("heads of {head} features, more than {MOST_FEATURES}"));
        }
        let dim = (head as f64 * partial) as usize;
        let max = config.size(&["max_position_embeddings"], defaults.max_positions)?.max(1);
        let plain = inverse_frequencies(theta, dim);
        let kind = own.word(&["rope_type", "type"], "default")?;
        // Early configurations of Phi-3 call LongRoPE `su` or `yarn`.
        let kind = if own.has("short_factor") { "longrope" } else { kind };
        let (frequencies, scale) = match kind {
            "default" => (Frequencies::Fixed(plain), 1.0),
            "linear" => {
                let factor = needed(own, "factor")? as f32;
                (Frequencies::Fixed(plain.into_iter().map(|f| f / factor).collect()), 1.0)
            }
            "dynamic" if dim <= 2 => {
                return Error::unsupported("a rotary base that grows, for one pair of features");
            }
            "dynamic" => {
                let factor = needed(own, "factor")?;
                (Frequencies::Growing { theta, factor, limit: max, dim }, 1.0)
            }
            "llama3" => (Frequencies::Fixed(by_wavelength(own, plain)?), 1.0),
            "yarn" => {
                let original =
                    own.size_if(&["original_max_position_embeddings"])?.filter(|&n| n > 0).unwrap_or(max);
                let factor = needed(own, "factor")?;
                (
                    Frequencies::Fixed(yarn(own, theta, dim, original, factor)?),
                    yarn_scale(own, factor)? as f32,
                )
            }
            "longrope" => long(config, own, theta, dim, max, defaults.original)?,
            _ => return Ok(own.unsupported(if own.has("rope_type") { "rope_type" } else { "type" })?),
        };
        Ok(Self { frequencies, scale })
    }

    /// How many features of each head are turned.
    pub fn width(&self) -> usize {
        match &self.frequencies {
            Frequencies::Fixed(all) | Frequencies::ByLength { short: all, .. } => 2 * all.len(),
            Frequencies::Growing { dim, .. } => dim / 2 * 2,
        }
    }

    /// Cosines and sines at `positions` (`i64` `[batch, sequence]` or `[1, sequence]`): `[batch or 1, 1, sequence, pairs]`.
    ///
    /// # Errors
    /// If `positions` is no matrix.
    #[track_caller]
    pub fn tables(&self, g: &mut Builder, positions: Val) -> Result<(Val, Val)> {
        let frequencies = match &self.frequencies {
            Frequencies::Fixed(all) => return Ok(rotary_tables(g, positions, all, self.scale)?),
            Frequencies::ByLength { limit, short, long } => {
                let last = g.reduce_max(positions, &[0, 1], false)?;
                let limit = g.int("rotary_limit", *limit as i64);
                let is_long = g.greater_or_equal(last, limit)?;
                let short = g.floats("short_frequencies", &[short.len()], short)?;
                let long = g.floats("long_frequencies", &[long.len()], long)?;
                g.select(is_long, long, short)?
            }
            Frequencies::Growing { theta, factor, limit, dim } => {
                let last = g.reduce_max(positions, &[0, 1], false)?;
                let one = g.int("one_place", 1);
                let length = g.add(last, one)?;
                let most = g.int("rotary_limit", *limit as i64);
                let length = g.maximum(length, most)?;
                let length = g.cast(length, DType::F32)?;
                let (factor, limit) = (*factor, *limit as f64);
                let (slope, limit) =
                    (g.float("rotary_slope", factor as f32), g.float("rotary_original", limit as f32));
                let less = g.float("rotary_less", (factor - 1.0) as f32);
                let power = g.float("rotary_power", *dim as f32 / (*dim as f32 - 2.0));
                let growth = g.mul(length, slope)?;
                let growth = g.div(growth, limit)?;
                let growth = g.sub(growth, less)?;
                let growth = g.pow(growth, power)?;
                let theta = g.float("rotary_base", *theta as f32);
                let base = g.mul(growth, theta)?;
                let exponents: Vec<f32> = (0..dim / 2).map(|pair| (2 * pair) as f32 / *dim as f32).collect();
                let exponents = g.floats("rotary_exponents", &[exponents.len()], &exponents)?;
                let wavelengths = g.pow(base, exponents)?;
                g.reciprocal(wavelengths)?
            }
        };
        Ok(rotary_tables_of(g, positions, frequencies, self.scale)?)
    }
}

/// A number that a method cannot do without.
fn needed(own: &Config, name: &str) -> Result<f64> {
    if !own.has(name) {
        return Ok(own.missing(name)?);
    }
    Ok(own.number(&[name], 0.0)?)
}

/// Llama 3: long wavelengths are stretched, short ones stay, and between the two there is a blend.
fn by_wavelength(own: &Config, plain: Vec<f32>) -> Result<Vec<f32>> {
    let factor = needed(own, "factor")? as f32;
    let (low, high) = (needed(own, "low_freq_factor")?, needed(own, "high_freq_factor")?);
    let original = needed(own, "original_max_position_embeddings")?;
    let (longest, shortest) = ((original / low) as f32, (original / high) as f32);
    let stretched = |frequency: f32| {
        let wavelength = frequency.recip() * TAU as f32;
        if wavelength > longest {
            frequency / factor
        } else if wavelength < shortest {
            frequency
        } else {
            let smooth = (wavelength.recip() * original as f32 - low as f32) / (high - low) as f32;
            (1.0 - smooth) * frequency / factor + smooth * frequency
        }
    };
    Ok(plain.into_iter().map(stretched).collect())
}

/// YaRN: features that turn often within the original length stay, those that turn seldom are interpolated, with a ramp between.
fn yarn(own: &Config, theta: f64, dim: usize, original: usize, factor: f64) -> Result<Vec<f32>> {
    let turns = |name: &str, default: f64| -> Result<f64> {
        let turns = own.number(&[name], default)?;
        Ok(if turns == 0.0 { default } else { turns })
    };
    let feature = |turns: f64| (dim as f64 * (original as f64 / (turns * TAU)).ln()) / (2.0 * theta.ln());
    let (mut low, mut high) = (feature(turns("beta_fast", 32.0)?), feature(turns("beta_slow", 1.0)?));
    if own.flag("truncate", true)? {
        (low, high) = (low.floor(), high.ceil());
    }
    let low = low.max(0.0);
    let mut high = high.min(dim as f64 - 1.0);
    if low.to_bits() == high.to_bits() {
        high += 0.001;
    }
    let one = |pair: usize| {
        let ramp = ((pair as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        let wavelength = (theta as f32).powf((2 * pair) as f32 / dim as f32);
        let (kept, interpolated) = (wavelength.recip(), (factor as f32 * wavelength).recip());
        let share = 1.0 - ramp;
        interpolated * (1.0 - share) + kept * share
    };
    Ok((0..dim / 2).map(one).collect())
}

/// What YaRN multiplies cosines and sines by, so that attention stays as sharp over more places.
fn yarn_scale(own: &Config, factor: f64) -> Result<f64> {
    let scale = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
    if own.has("attention_factor") {
        return Ok(own.number(&["attention_factor"], 1.0)?);
    }
    let (one, all) = (own.number(&["mscale"], 0.0)?, own.number(&["mscale_all_dim"], 0.0)?);
    Ok(if one != 0.0 && all != 0.0 { scale(one) / scale(all) } else { scale(1.0) })
}

/// LongRoPE: a factor for each feature, and other ones for texts longer than the original length.
fn long(
    config: &Config,
    own: &Config,
    theta: f64,
    dim: usize,
    max: usize,
    original: Option<usize>,
) -> Result<(Frequencies, f32)> {
    let outer = config.size_if(&["original_max_position_embeddings"])?;
    let inner = if config.has("rope_parameters") {
        own.size_if(&["original_max_position_embeddings"])?
    } else {
        None
    };
    let original = outer.or(inner).or(original).filter(|&original| original > 0);
    let (limit, factor) = match original {
        Some(original) => (original, max as f64 / original as f64),
        None if own.has("factor") => (max, needed(own, "factor")?),
        None => return Ok(own.missing("factor")?),
    };
    let scale = match factor {
        _ if own.has("attention_factor") => own.number(&["attention_factor"], 1.0)?,
        _ if factor <= 1.0 => 1.0,
        _ => (1.0 + factor.ln() / (limit as f64).ln()).sqrt(),
    };
    let stretched = |name: &str| -> Result<Vec<f32>> {
        let Some(factors) = own.numbers(name)? else { return Ok(own.missing(name)?) };
        if factors.len() != dim / 2 {
            return Error::unsupported(format!(
                "`{name}` with {} numbers for {} features",
                factors.len(),
                dim / 2
            ));
        }
        let wavelength = |pair: usize| (theta as f32).powf((2 * pair) as f32 / dim as f32);
        Ok(factors.iter().enumerate().map(|(pair, &by)| (by as f32 * wavelength(pair)).recip()).collect())
    };
    let (short, long) = (stretched("short_factor")?, stretched("long_factor")?);
    Ok((Frequencies::ByLength { limit, short, long }, scale as f32))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DEFAULTS: RopeDefaults =
        RopeDefaults { theta: 10_000.0, partial: 1.0, max_positions: 64, original: None };

    fn rope(config: &Value) -> Result<Rope> {
        Rope::of(&Config::parse(config.to_string().as_bytes()).unwrap(), 8, DEFAULTS)
    }

    #[test]
    fn old_and_new_configurations_say_the_same() {
        let old = json!({"rope_theta": 500.0, "partial_rotary_factor": 0.5, "rope_scaling": {"type": "linear", "factor": 4.0}});
        let new = json!({"rope_parameters": {
            "rope_theta": 500.0, "partial_rotary_factor": 0.5, "rope_type": "linear", "factor": 4.0
        }});
        let old = rope(&old).unwrap();
        assert_eq!(old, rope(&new).unwrap());
        assert_eq!(old.width(), 4);
        assert_eq!(old.frequencies, Frequencies::Fixed(vec![0.25, 500.0_f32.powf(0.5).recip() / 4.0]));
    }

    #[test]
    fn what_is_not_said_and_not_known_is_refused() {
        let error = |value: &Value| rope(value).unwrap_err().to_string();
        let unknown = error(&json!({"rope_scaling": {"rope_type": "proportional", "factor": 2.0}}));
        assert!(unknown.contains("`rope_scaling.rope_type` = \"proportional\""), "{unknown}");
        let missing = error(&json!({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}));
        assert!(missing.contains("`rope_scaling.low_freq_factor`"), "{missing}");
        let short = json!({"rope_scaling": {"type": "su", "factor": 2.0, "short_factor": [1.0], "long_factor": [1.0]}});
        let short = error(&short);
        assert!(short.contains("`short_factor` with 1 numbers for 4 features"), "{short}");
        assert!(
            rope(&json!({"rope_theta": -1.0})).is_err()
                && rope(&json!({"partial_rotary_factor": 1.5})).is_err()
        );
        let huge = Rope::of(&Config::parse(b"{}").unwrap(), 1 << 31, DEFAULTS).unwrap_err().to_string();
        assert!(huge.contains("heads of 2147483648 features"), "{huge}");
    }

    #[test]
    fn long_texts_have_their_own_frequencies() {
        let ones = json!({"original_max_position_embeddings": 16, "rope_scaling": {
            "type": "longrope", "short_factor": [1.0, 1.0, 1.0, 1.0], "long_factor": [1.0, 2.0, 4.0, 8.0]
        }});
        let rope = rope(&ones).unwrap();
        let Frequencies::ByLength { limit, short, long } = rope.frequencies else { panic!("{rope:?}") };
        assert_eq!((limit, short[3].to_bits()), (16, (8.0 * long[3]).to_bits()));
        let scale = (1.0 + 4.0_f64.ln() / 16.0_f64.ln()).sqrt() as f32;
        assert_eq!(rope.scale.to_bits(), scale.to_bits());
    }
}
