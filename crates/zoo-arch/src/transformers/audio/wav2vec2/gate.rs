//! WavLM's bias on scores (Chen et al., 2022): numbers for distances, which all layers share, let through by gates that each frame sets.

use zoo_graph::{Builder, Val, Weights};

use crate::config::Config;
use crate::nn::{Buckets, Rows, bucket_bias, linear};
use crate::transformers::Result;

/// The bias that all layers share: `[1, heads, frames, frames]`.
#[derive(Debug)]
pub(super) struct Gate {
    distances: Val,
}

impl Gate {
    /// The bias of the first layer's table, for frames.
    pub(super) fn of(g: &mut Builder, config: &Config, w: &Weights, rows: &Rows) -> Result<Self> {
        let (count, longest) =
            (config.size(&["num_buckets"], 320)?, config.size(&["max_bucket_distance"], 800)?);
        let heads = config.size(&["num_attention_heads"], 12)?;
        let table = g.weight_of(w, "layers.0.attention.rel_attn_embed.weight", &[count, heads])?;
        let places = g.positions(&rows.sequence)?;
        let buckets = Buckets { count, longest, both_ways: true };
        Ok(Self { distances: bucket_bias(g, table, (places, places), buckets)? })
    }

    /// What of it a layer with the weights `w` adds for `x`, rows: `[batch, heads, frames, frames]`.
    pub(super) fn bias(
        &self,
        g: &mut Builder,
        w: &Weights,
        x: Val,
        rows: &Rows,
        heads: usize,
    ) -> Result<Val> {
        let x = g.split_axis(x, 1, &[g.size(x, 1)? / heads.max(1)])?;
        let x = g.join_axes(x, 0, 2)?;
        // Eight numbers for each head of a frame, of which four and four make a sum.
        let gates = linear(g, &w.at("gru_rel_pos_linear"), x)?;
        let gates =
            g.reshape(gates, [rows.batch.clone(), rows.sequence.clone(), heads.into(), 2.into(), 4.into()])?;
        let gates = g.reduce_sum(gates, &[-1], false)?;
        let gates = g.sigmoid(gates)?;
        let gates = g.transpose(gates, &[0, 2, 1, 3])?;
        let parts = g.split(gates, 3, &[1, 1])?;
        let scale = g.weight_of(w, "gru_rel_pos_const", &[1, heads, 1, 1])?;
        let (one, two) = (g.float("one", 1.0), g.float("two", 2.0));
        let reset = g.mul(parts[1], scale)?;
        let reset = g.sub(reset, one)?;
        let gate = g.mul(parts[0], reset)?;
        let gate = g.add(gate, two)?;
        Ok(g.mul(self.distances, gate)?)
    }
}
