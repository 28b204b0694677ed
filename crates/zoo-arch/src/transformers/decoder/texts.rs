//! What models take that continue texts, with optimum's names and axes: tokens, a mask, places, and keys and values of what they have seen.
//!
//! One graph reads a text and continues it: the first time, the past has length 0; then keys and values come back (`present.{layer}.key` and
//! `.value` as `past_key_values.{layer}.key` and `.value`), with one token or several that follow. A key is seen by a query that does not
//! stand before it, if the mask shows it, and if it is within the layer's window.

use zoo_graph::{Builder, Val};
use zoo_tensor::{DType, Dim};

use crate::nn::{Rows, batch_size, sequence_length, unfold_rows};
use crate::transformers::{Model, Outputs, Result};

/// What texts are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transformers) enum Reading {
    /// To go on behind them: `position_ids` are an input if `places`, and keys and values are kept if the options say so.
    Continuing {
        /// Whether `position_ids` are an input.
        places: bool,
    },
    /// As a whole.
    Whole,
    /// As a whole, and one at a time, because nothing tells padding from text.
    Single,
}

/// Texts of a batch, and what is shared by all layers that read them.
#[derive(Debug)]
pub(in crate::transformers) struct Texts {
    /// `input_ids` `[batch, sequence]`.
    pub(in crate::transformers) ids: Val,
    /// `attention_mask` `[batch, past + sequence]`: 1 where there is a token.
    pub(in crate::transformers) mask: Val,
    /// The dimensions of a batch.
    pub(in crate::transformers) rows: Rows,
    /// The input `position_ids`, if there is one.
    positions: Option<Val>,
    cached: bool,
    /// Past and sequence together.
    total: Dim,
    presents: Outputs,
    biases: Vec<(Hidden, Val)>,
    places: Option<(Val, Val)>,
    lengths: Option<(Val, Val)>,
}

/// Which keys a layer's queries do not see, beyond padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transformers) struct Hidden {
    /// How many keys a query sees at most, its own among them.
    pub(in crate::transformers) window: Option<usize>,
    /// Whether keys are hidden twice, once for their place and once with padding, so that some are at minus infinity. It differs for
    /// queries that see nothing at all, which are padding: they see everything where keys are hidden once.
    pub(in crate::transformers) twice: bool,
}

impl Hidden {
    /// Later keys, and those before the window.
    pub(in crate::transformers) const fn within(window: Option<usize>) -> Self {
        Self { window, twice: false }
    }
}

/// The dimension of what was seen before.
fn past_length() -> Dim {
    Dim::Named("past_sequence_length".to_owned())
}

impl Texts {
    /// Adds the inputs `input_ids`, `attention_mask` and, if wanted, `position_ids`.
    pub(in crate::transformers) fn read(g: &mut Builder, m: &Model<'_>, reading: Reading) -> Result<Self> {
        // A vector for a whole text has no use for a cache.
        let whole = m.options.sentence.is_some() || !matches!(reading, Reading::Continuing { .. });
        let cached = m.options.cache && !whole;
        let batch = if reading == Reading::Single { Dim::Fixed(1) } else { batch_size() };
        let rows = Rows { batch: batch.clone(), sequence: sequence_length() };
        // The name is that of the axis of what past and present are joined to.
        let total = if cached {
            Dim::Named("past_sequence_length + sequence_length".to_owned())
        } else {
            sequence_length()
        };
        let ids = g.input("input_ids", DType::I64, [batch.clone(), sequence_length()])?;
        let mask = g.input("attention_mask", DType::I64, [batch.clone(), total.clone()])?;
        let positions = match reading {
            Reading::Continuing { places: true } if !whole => {
                Some(g.input("position_ids", DType::I64, [batch, sequence_length()])?)
            }
            _ => None,
        };
        let (presents, biases) = (Vec::new(), Vec::new());
        Ok(Self { ids, mask, rows, positions, cached, total, presents, biases, places: None, lengths: None })
    }

    /// Whether keys and values are kept.
    pub(in crate::transformers) fn cached(&self) -> bool {
        self.cached
    }

    /// The dimension of past and sequence together.
    pub(in crate::transformers) fn total(&self) -> &Dim {
        &self.total
    }

    /// Places of the tokens: those that are fed, `[batch, sequence]`, or counted from the beginning of the past, `[1, sequence]`.
    pub(in crate::transformers) fn positions(&mut self, g: &mut Builder) -> Result<Val> {
        match self.positions {
            Some(positions) => Ok(positions),
            None => {
                let (queries, _) = self.places(g)?;
                Ok(g.unsqueeze(queries, 0)?)
            }
        }
    }

    /// Places of the tokens: those that are fed, or counted from the first that the mask shows; -1 for padding. `[batch, sequence]`.
    pub(in crate::transformers) fn positions_by_mask(&self, g: &mut Builder) -> Result<Val> {
        if let Some(positions) = self.positions {
            return Ok(positions);
        }
        let counts = g.cumulative_sum(self.mask, 1)?;
        let counts = g.mul(counts, self.mask)?;
        let one = g.int("one_place", 1);
        Ok(g.sub(counts, one)?)
    }

    /// Places of past and sequence together: `[1, past + sequence]`.
    pub(in crate::transformers) fn all_positions(&mut self, g: &mut Builder) -> Result<Val> {
        let (_, keys) = self.places(g)?;
        Ok(g.unsqueeze(keys, 0)?)
    }

    /// Joins keys and values `[batch, heads, sequence, head]` of a layer to those of the past, which become inputs.
    pub(in crate::transformers) fn with_past(
        &mut self,
        g: &mut Builder,
        layer: usize,
        keys: Val,
        values: Val,
    ) -> Result<(Val, Val)> {
        if !self.cached {
            return Ok((keys, values));
        }
        let (past_keys, past_values) = self.past(g, layer, g.size(keys, 1)?, g.size(keys, 3)?)?;
        let keys = g.concat(&[past_keys, keys], 2)?;
        let values = g.concat(&[past_values, values], 2)?;
        self.keep(layer, keys, values);
        Ok((keys, values))
    }

    /// Adds the inputs for keys and values of a layer: `[batch, heads, past, head]`.
    pub(in crate::transformers) fn past(
        &self,
        g: &mut Builder,
        layer: usize,
        heads: usize,
        head: usize,
    ) -> Result<(Val, Val)> {
        let dims = [self.rows.batch.clone(), heads.into(), past_length(), head.into()];
        let keys = g.input(&format!("past_key_values.{layer}.key"), DType::F32, dims.clone())?;
        let values = g.input(&format!("past_key_values.{layer}.value"), DType::F32, dims)?;
        Ok((keys, values))
    }

    /// Makes keys and values of a layer, past and new ones, outputs.
    pub(in crate::transformers) fn keep(&mut self, layer: usize, keys: Val, values: Val) {
        self.presents.push((format!("present.{layer}.key"), keys));
        self.presents.push((format!("present.{layer}.value"), values));
    }

    /// As `GroupQueryAttention` takes them, `i32`: the place of the last token of each text `[batch]`, and how many places there are `[]`.
    pub(in crate::transformers) fn lengths(&mut self, g: &mut Builder) -> Result<(Val, Val)> {
        if let Some(lengths) = self.lengths {
            return Ok(lengths);
        }
        let counts = g.reduce_sum(self.mask, &[1], false)?;
        let one = g.int("one_place", 1);
        let last = g.sub(counts, one)?;
        let last = g.cast(last, DType::I32)?;
        let total = g.length(&self.total)?;
        let total = g.squeeze(total, 0)?;
        let total = g.cast(total, DType::I32)?;
        self.lengths = Some((last, total));
        Ok((last, total))
    }

    /// What is added to scores of keys that are not seen: `[batch, 1, sequence, past + sequence]`, or `[batch, 1, 1, …]`.
    pub(in crate::transformers) fn bias(&mut self, g: &mut Builder, hidden: Hidden) -> Result<Val> {
        if let Some((_, bias)) = self.biases.iter().find(|(own, _)| *own == hidden) {
            return Ok(*bias);
        }
        let (queries, keys) = self.places(g)?;
        let queries = g.unsqueeze(queries, -1)?;
        let before = g.less_or_equal(keys, queries)?;
        let mut near = before;
        if let Some(window) = hidden.window {
            let window = g.int("window", window as i64);
            let first = g.sub(queries, window)?;
            let within = g.greater(keys, first)?;
            near = g.and(near, within)?;
        }
        let mask = g.cast(self.mask, DType::Bool)?;
        let mask = g.unsqueeze(mask, 1)?;
        let mask = g.unsqueeze(mask, 1)?;
        let (zero, least) = (g.float("seen", 0.0), g.float("least", f32::MIN));
        let seen = g.and(if hidden.twice { before } else { near }, mask)?;
        let mut bias = g.select(seen, zero, least)?;
        if hidden.twice {
            let own = g.select(near, zero, least)?;
            bias = g.add(own, bias)?;
        }
        self.biases.push((hidden, bias));
        Ok(bias)
    }

    /// Places among past and sequence, of queries `[sequence]` and of keys `[past + sequence]`.
    fn places(&mut self, g: &mut Builder) -> Result<(Val, Val)> {
        if let Some(places) = self.places {
            return Ok(places);
        }
        let keys = g.positions(&self.total)?;
        let queries = if self.cached {
            let (total, own) = (g.length(&self.total)?, g.length(&self.rows.sequence)?);
            let past = g.sub(total, own)?;
            let own = g.positions(&self.rows.sequence)?;
            g.add(own, past)?
        } else {
            keys
        };
        self.places = Some((queries, keys));
        Ok((queries, keys))
    }

    /// How far each key is from the first that the mask shows, 0 for padding: `f32` `[batch, past + sequence]`.
    pub(in crate::transformers) fn distances(&self, g: &mut Builder) -> Result<Val> {
        let counts = g.cumulative_sum(self.mask, 1)?;
        let one = g.int("one_place", 1);
        let counts = g.sub(counts, one)?;
        let counts = g.mul(counts, self.mask)?;
        Ok(g.cast(counts, DType::F32)?)
    }

    /// The last token that is not padding: `[batch, width]` of rows `[batch*sequence, width]`. Without a token for padding there is only
    /// one text, of which it is the last.
    pub(in crate::transformers) fn last_token(
        &self,
        g: &mut Builder,
        x: Val,
        pad: Option<i64>,
    ) -> Result<Val> {
        let x = unfold_rows(g, x, &self.rows)?;
        let Some(pad) = pad else {
            return Ok(g.pick(x, 1, -1)?);
        };
        let pad = g.int("pad", pad);
        let padding = g.equal(self.ids, pad)?;
        let text = g.not(padding)?;
        let text = g.cast(text, DType::I64)?;
        let places = g.positions(&self.rows.sequence)?;
        let places = g.mul(text, places)?;
        let last = g.reduce_max(places, &[1], false)?;
        Ok(g.pick_each(x, last)?)
    }

    /// The outputs: `val` under `name`, and keys and values if they are kept.
    pub(in crate::transformers) fn outputs(self, name: &str, val: Val) -> Outputs {
        std::iter::once((name.to_owned(), val)).chain(self.presents).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zoo_graph::graph::{Graph, Val};

    use super::super::testing::{graph, llama, llama_config};
    use crate::transformers::{ModelOptions, Pooling, Sentence, SentenceModule};

    /// Names and axes, as `input_ids[batch_size,sequence_length]`.
    fn ports(graph: &Graph, vals: &[Val]) -> Vec<String> {
        let one = |&val: &Val| {
            let value = graph.value(val);
            let dims: Vec<String> = value.dims.iter().map(ToString::to_string).collect();
            format!("{}[{}]", value.name, dims.join(","))
        };
        vals.iter().map(one).collect()
    }

    #[test]
    fn names_and_axes_are_those_of_optimum() {
        let c = llama("lm_head", 11);
        let g = graph(&c, &llama_config(&json!({})), "LlamaForCausalLM", &ModelOptions::default()).unwrap();
        let (ids, all) = ("batch_size,sequence_length", "past_sequence_length + sequence_length");
        let inputs = ports(&g, &g.inputs);
        assert_eq!(
            inputs[..4],
            [
                format!("input_ids[{ids}]"),
                format!("attention_mask[batch_size,{all}]"),
                format!("position_ids[{ids}]"),
                "past_key_values.0.key[batch_size,2,past_sequence_length,16]".to_owned(),
            ]
        );
        assert_eq!(
            (inputs.len(), inputs[6].as_str()),
            (7, "past_key_values.1.value[batch_size,2,past_sequence_length,16]")
        );
        let outputs = ports(&g, &g.outputs);
        assert_eq!((outputs.len(), outputs[0].clone()), (5, format!("logits[{ids},11]")));
        assert_eq!(outputs[1], format!("present.0.key[batch_size,2,{all},16]"));
    }

    #[test]
    fn without_a_cache_the_mask_is_as_long_as_the_text() {
        let c = llama("lm_head", 11);
        let options = ModelOptions { cache: false, ..ModelOptions::default() };
        let g = graph(&c, &llama_config(&json!({})), "LlamaForCausalLM", &options).unwrap();
        let ids = "[batch_size,sequence_length]";
        let names = ["input_ids", "attention_mask", "position_ids"].map(|name| format!("{name}{ids}"));
        assert_eq!(ports(&g, &g.inputs), names);
        assert_eq!(g.outputs.len(), 1);
    }

    #[test]
    fn a_vector_of_a_text_needs_neither_cache_nor_positions() {
        let c = llama("lm_head", 11);
        let modules = vec![SentenceModule::Pooling(vec![Pooling::Last]), SentenceModule::Normalize];
        let options = ModelOptions { sentence: Some(Sentence { modules }), ..ModelOptions::default() };
        let g = graph(&c, &llama_config(&json!({})), "LlamaModel", &options).unwrap();
        let names: Vec<_> = g.inputs.iter().map(|&val| g.value(val).name.as_str()).collect();
        assert_eq!(names, ["input_ids", "attention_mask"]);
        assert_eq!(ports(&g, &g.outputs)[1], "sentence_embedding[batch_size,8]");
    }

    #[test]
    fn where_nothing_is_padding_there_is_one_text() {
        let c = llama("score", 3);
        let class = "LlamaForSequenceClassification";
        for (pad, batch) in [(json!(null), "1"), (json!(2), "batch_size")] {
            let config = llama_config(&json!({"pad_token_id": pad}));
            let g = graph(&c, &config, class, &ModelOptions::default()).unwrap();
            assert_eq!(ports(&g, &g.inputs)[0], format!("input_ids[{batch},sequence_length]"));
            assert_eq!(ports(&g, &g.outputs), [format!("logits[{batch},3]")]);
        }
    }
}
