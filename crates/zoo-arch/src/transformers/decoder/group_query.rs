//! Attention as one node: `GroupQueryAttention` of ONNX Runtime, which turns queries and keys, joins keys to those of the past, and hides what
//! comes later or is beyond the window.
//!
//! It takes lengths of texts instead of a mask and counts places by itself, so that `position_ids` are no input. Texts of one length give what
//! the plain graph gives. Of shorter ones, padding is taken to stand behind the text, and the next token follows on the text instead of on the
//! padding; it must not stand before it. More than one token behind a past can be read for one text only.
//! A window is one key wider in versions of the runtime before 1.23, which counted it otherwise.
//! Operator: <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>.

use zoo_graph::graph::Attribute;
use zoo_graph::{Builder, Val};
use zoo_tensor::{DType, Dim};

use super::texts::Texts;
use crate::transformers::{Error, Result};

/// What the node is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupQuery {
    pub(super) layer: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Features of a head.
    pub(super) head: usize,
    /// What scores are multiplied by.
    pub(super) scale: f32,
    /// Scores `s` become `cap tanh(s/cap)`.
    pub(super) cap: Option<f32>,
    /// How many keys a query sees at most.
    pub(super) window: Option<usize>,
    /// Cosines and sines of all places `[past + sequence, pairs]`, if queries and keys are turned.
    pub(super) turns: Option<(Val, Val)>,
}

impl GroupQuery {
    /// From rows of queries, keys and values, the latter two none where the first has all three: rows `[batch*sequence, heads*head]`.
    pub(super) fn attention(
        &self,
        g: &mut Builder,
        texts: &mut Texts,
        queries: Val,
        others: Option<(Val, Val)>,
    ) -> Result<Val> {
        if !self.head.is_multiple_of(16) {
            return Error::unsupported(format!(
                "`GroupQueryAttention` for heads of {} features, which is no multiple of 16",
                self.head
            ));
        }
        let pairs = self.turns.map_or(Ok(0), |(cos, _)| g.size(cos, 1))?;
        if !pairs.is_multiple_of(8) {
            return Error::unsupported(format!(
                "`GroupQueryAttention` that turns {} features, which is no multiple of 16",
                2 * pairs
            ));
        }
        let (own, shared) = (self.heads * self.head, self.kv_heads * self.head);
        let fits = match others {
            Some((keys, values)) => {
                g.size(queries, 1)? == own && g.size(keys, 1)? == shared && g.size(values, 1)? == shared
            }
            None => g.size(queries, 1)? == own + 2 * shared,
        };
        if !fits {
            return Error::unsupported(format!(
                "{} and {} heads of {} features, of {}",
                self.heads,
                self.kv_heads,
                self.head,
                g.describe(queries)
            ));
        }
        let (batch, sequence) = (texts.rows.batch.clone(), texts.rows.sequence.clone());
        let unfold = |g: &mut Builder, x: Val| {
            let width = g.dims(x)[1].clone();
            g.reshape(x, [batch.clone(), sequence.clone(), width])
        };
        let queries = unfold(g, queries)?;
        let (keys, values) = match others {
            Some((keys, values)) => (Some(unfold(g, keys)?), Some(unfold(g, values)?)),
            None => (None, None),
        };
        let (past_key, past_value) = texts.past(g, self.layer, self.kv_heads, self.head)?;
        let (last, total) = texts.lengths(g)?;
        let mut inputs =
            vec![Some(queries), keys, values, Some(past_key), Some(past_value), Some(last), Some(total)];
        if let Some((cos, sin)) = self.turns {
            inputs.extend([Some(cos), Some(sin)]);
        }
        let int = |value: usize| Attribute::Int(value as i64);
        let mut attributes = vec![
            ("num_heads", int(self.heads)),
            ("kv_num_heads", int(self.kv_heads)),
            ("scale", self.scale.into()),
            ("do_rotary", int(usize::from(self.turns.is_some()))),
        ];
        if let Some(window) = self.window {
            // Since ONNX Runtime 1.23 the query's own key counts, as it does here; before, it was one more.
            attributes.push(("local_window_size", int(window)));
        }
        if let Some(cap) = self.cap {
            attributes.push(("softcap", cap.into()));
        }
        let present = vec![batch.clone(), self.kv_heads.into(), texts.total().clone(), self.head.into()];
        let made = vec![
            (DType::F32, vec![batch.clone(), sequence.clone(), (self.heads * self.head).into()]),
            (DType::F32, present.clone()),
            (DType::F32, present),
        ];
        let outputs = g.contrib("GroupQueryAttention", &inputs, attributes, made)?;
        let &[y, key, value] = outputs.as_slice() else {
            return Error::unsupported("`GroupQueryAttention` with other than three outputs");
        };
        texts.keep(self.layer, key, value);
        Ok(g.join_axes(y, 0, 2)?)
    }
}

/// Tables `[1, 1, past + sequence, pairs]` of all places as the node takes them.
pub(super) fn whole_tables(g: &mut Builder, total: &Dim, (cos, sin): (Val, Val)) -> Result<(Val, Val)> {
    let pairs = g.dims(cos)[3].clone();
    let flat = |g: &mut Builder, x: Val| g.reshape(x, [total.clone(), pairs.clone()]);
    Ok((flat(g, cos)?, flat(g, sin)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, llama, llama_config};
    use crate::testing::count;
    use crate::transformers::ModelOptions;

    #[test]
    fn attention_is_one_node_that_counts_places() {
        let options = ModelOptions { contrib: true, ..ModelOptions::default() };
        let c = llama("lm_head", 11);
        let g = graph(&c, &llama_config(&json!({})), "LlamaForCausalLM", &options).unwrap();
        assert_eq!(count(&g, "GroupQueryAttention"), 2);
        for op in ["Softmax", "Transpose", "Where", "Split"] {
            assert_eq!(count(&g, op), 0, "{op}");
        }
        assert!(g.inputs.iter().all(|&val| g.value(val).name != "position_ids"));
    }

    #[test]
    fn heads_that_the_node_does_not_take_are_told() {
        let options = ModelOptions { contrib: true, ..ModelOptions::default() };
        let c = llama("lm_head", 11);
        for (config, told) in [
            (
                json!({"head_dim": 8, "num_attention_heads": 8, "num_key_value_heads": 4}),
                "heads of 8 features",
            ),
            (json!({"rope_parameters": {"partial_rotary_factor": 0.5}}), "turns 8 features"),
            (json!({"num_attention_heads": 2}), "2 and 2 heads of 16 features"),
        ] {
            let error =
                graph(&c, &llama_config(&config), "LlamaForCausalLM", &options).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
