//! sentence-transformers: one vector for a text, made of the vectors of its tokens (Reimers and Gurevych, 2019).
//!
//! `modules.json` lists what follows on the transformer: pooling over tokens, dense layers, normalisation. All of it becomes part of
//! the graph, as the output `sentence_embedding` `[batch, width]` behind `last_hidden_state`, so that clients that pool by themselves find
//! what they know. Formulas: `sentence_transformers.models.{Pooling, Dense, Normalize, LayerNorm}`.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::DType;

use super::{Error, Outputs, Result};
use crate::nn::{activate_by_name, layer_norm, linear};

/// How tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token.
    Cls,
    /// The largest value of each feature among tokens that are not padding.
    Max,
    /// The mean of tokens that are not padding.
    Mean,
    /// Their sum over the root of their number.
    MeanSqrtLength,
    /// The mean with weights 1, 2, 3 … along the text.
    WeightedMean,
    /// The last token that is not padding.
    Last,
}

impl Pooling {
    /// The mode of this name, as `pooling_mode` has it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "cls" => Self::Cls,
            "max" => Self::Max,
            "mean" => Self::Mean,
            "mean_sqrt_len_tokens" => Self::MeanSqrtLength,
            "weightedmean" => Self::WeightedMean,
            "lasttoken" => Self::Last,
            _ => return None,
        })
    }
}

/// One step behind the transformer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SentenceModule {
    /// Vectors of tokens become one; several modes are joined in their order.
    Pooling(Vec<Pooling>),
    /// A dense layer `linear` with an activation (a name of `torch.nn`, in lower case; none for the identity).
    Dense {
        /// Its weights: `linear.weight` and, mostly, `linear.bias`.
        weights: Weights,
        /// What follows on it.
        activation: Option<String>,
    },
    /// Vectors of length 1.
    Normalize,
    /// A layer norm `norm`.
    LayerNorm(Weights),
}

/// The steps behind the transformer, in order.
#[derive(Debug, Clone, Default)]
pub struct Sentence {
    /// Pooling first.
    pub modules: Vec<SentenceModule>,
}

/// What `torch.nn.functional.normalize` divides by at least.
const LEAST_LENGTH: f32 = 1e-12;

impl Sentence {
    /// Adds the output `sentence_embedding` to a graph with the input `attention_mask` and the output `last_hidden_state`.
    pub(super) fn add_to(&self, g: &mut Builder, outputs: &mut Outputs) -> Result<()> {
        let tokens = outputs.iter().find(|(name, _)| name == "last_hidden_state").map(|&(_, val)| val);
        let (Some(tokens), Some(mask)) = (tokens, g.find_input("attention_mask")) else {
            return Error::unsupported("pooling over a model without tokens or without an attention mask");
        };
        let mut sentence = None;
        for module in &self.modules {
            sentence = Some(match (module, sentence) {
                (SentenceModule::Pooling(modes), None) => pool(g, modes, tokens, mask)?,
                (SentenceModule::Dense { weights, activation }, Some(x)) => {
                    let x = linear(g, &weights.at("linear"), x)?;
                    match activation {
                        Some(name) => activate_by_name(g, name, x)?,
                        None => x,
                    }
                }
                (SentenceModule::Normalize, Some(x)) => {
                    let length = g.reduce_l2(x, &[-1], true)?;
                    let length = g.clip(length, LEAST_LENGTH, f32::INFINITY)?;
                    g.div(x, length)?
                }
                (SentenceModule::LayerNorm(weights), Some(x)) => layer_norm(g, &weights.at("norm"), x, 1e-5)?,
                (SentenceModule::Pooling(_), Some(_)) => return Error::unsupported("pooling twice"),
                (_, None) => return Error::unsupported("a module before pooling"),
            });
        }
        if let Some(sentence) = sentence {
            outputs.push(("sentence_embedding".to_owned(), sentence));
        }
        for module in &self.modules {
            if let SentenceModule::Dense { weights, .. } | SentenceModule::LayerNorm(weights) = module {
                weights.finish()?;
            }
        }
        Ok(())
    }
}

/// `tokens` `[batch, sequence, width]`, `mask` `[batch, sequence]`; gives `[batch, modes * width]`.
fn pool(g: &mut Builder, modes: &[Pooling], tokens: Val, mask: Val) -> Result<Val> {
    let mask = g.cast(mask, DType::F32)?;
    let mut pooled = Vec::with_capacity(modes.len());
    for mode in modes {
        pooled.push(match mode {
            Pooling::Cls => {
                // The first token that is not padding, which stands behind it where a tokenizer pads in front.
                let first = g.arg_max(mask, 1, false)?;
                g.pick_each(tokens, first)?
            }
            Pooling::Max => {
                let hidden = g.float("hidden", f32::NEG_INFINITY);
                let mask = g.unsqueeze(mask, -1)?;
                let half = g.float("half", 0.5);
                let seen = g.greater(mask, half)?;
                let seen = g.select(seen, tokens, hidden)?;
                g.reduce_max(seen, &[1], false)?
            }
            Pooling::Mean => weighted(g, tokens, mask, false)?,
            Pooling::MeanSqrtLength => weighted(g, tokens, mask, true)?,
            Pooling::WeightedMean => {
                // Counted from the first token that is not padding; behind the last one, the mask takes over.
                let places = g.cumulative_sum(mask, 1)?;
                let weights = g.mul(places, mask)?;
                weighted(g, tokens, weights, false)?
            }
            Pooling::Last => {
                let sequence = g.dims(mask)[1].clone();
                let places = g.positions(&sequence)?;
                let places = g.cast(places, DType::F32)?;
                let one = g.float("one", 1.0);
                let places = g.add(places, one)?;
                let seen = g.mul(places, mask)?;
                let last = g.arg_max(seen, 1, false)?;
                g.pick_each(tokens, last)?
            }
        });
    }
    Ok(g.concat(&pooled, -1)?)
}

/// The sum of tokens with weights `[batch, sequence]` over the sum of the weights, or over its root.
fn weighted(g: &mut Builder, tokens: Val, weights: Val, root: bool) -> Result<Val> {
    let total = g.reduce_sum(weights, &[1], true)?;
    let total = g.clip(total, 1e-9, f32::INFINITY)?;
    let total = if root { g.sqrt(total)? } else { total };
    // As a product of matrices, [batch, 1, sequence] with [batch, sequence, width]: nothing of the size of all tokens is made.
    let weights = g.unsqueeze(weights, 1)?;
    let sum = g.matmul(weights, tokens)?;
    let sum = g.squeeze(sum, 1)?;
    Ok(g.div(sum, total)?)
}

#[cfg(test)]
mod tests {
    use zoo_tensor::Dim;

    use super::*;

    fn tokens(g: &mut Builder) -> Val {
        let named = |name: &str| Dim::Named(name.to_owned());
        g.input("attention_mask", DType::I64, [named("batch_size"), named("sequence_length")]).unwrap();
        g.input("tokens", DType::F32, [named("batch_size"), named("sequence_length"), Dim::Fixed(8)]).unwrap()
    }

    #[test]
    fn modes_are_joined_and_steps_follow() {
        let mut g = Builder::new("g", 18).unwrap();
        let x = tokens(&mut g);
        let mut outputs = vec![("last_hidden_state".to_owned(), x)];
        let modes = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"];
        let modes = modes.map(|name| Pooling::named(name).unwrap()).to_vec();
        let steps = Sentence { modules: vec![SentenceModule::Pooling(modes), SentenceModule::Normalize] };
        steps.add_to(&mut g, &mut outputs).unwrap();
        assert_eq!(outputs[0].0, "last_hidden_state");
        assert_eq!(g.dims(outputs[1].1), [Dim::Named("batch_size".into()), Dim::Fixed(48)]);
        let wrong = Sentence { modules: vec![SentenceModule::Normalize] };
        assert!(wrong.add_to(&mut g, &mut outputs).unwrap_err().to_string().contains("before pooling"));
    }
}
