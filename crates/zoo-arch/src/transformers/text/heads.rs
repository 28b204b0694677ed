//! Heads that encoders of texts have in common.

use zoo_graph::{Builder, Val, Weights};
use zoo_tensor::Dim;

use crate::nn::{Rows, activate_by_name, batch_size, linear, unfold_rows};
use crate::transformers::{Model, Outputs, Result};

/// The outputs of one name.
pub(super) fn output(name: &str, val: Val) -> Outputs {
    vec![(name.to_owned(), val)]
}

/// `last_hidden_state` `[batch, sequence, width]` of rows.
pub(super) fn hidden_state(g: &mut Builder, x: Val, rows: &Rows) -> Result<Outputs> {
    Ok(output("last_hidden_state", unfold_rows(g, x, rows)?))
}

/// `logits` `[batch, sequence, …]` of rows.
pub(super) fn token_logits(g: &mut Builder, logits: Val, rows: &Rows) -> Result<Outputs> {
    Ok(output("logits", unfold_rows(g, logits, rows)?))
}

/// `logits` `[batch, labels]` of one vector for each text: `dense`, a nonlinearity, `out_proj`.
pub(super) fn dense_and_out(g: &mut Builder, w: &Weights, x: Val, activation: &str) -> Result<Outputs> {
    let x = linear(g, &w.at("dense"), x)?;
    let x = activate_by_name(g, activation, x)?;
    Ok(output("logits", linear(g, &w.at("out_proj"), x)?))
}

/// The output layer over the vocabulary, on rows: `decoder` of the head `w`, whose matrix is the table of words (a path below the model
/// itself) unless the configuration says that they are two, and whose bias is the head's own, `bias`.
pub(super) fn words(g: &mut Builder, m: &Model<'_>, w: &Weights, x: Val, table: &str) -> Result<Val> {
    let decoder = w.at("decoder");
    let matrix = words_matrix(g, m, &decoder, table)?;
    // The two are one parameter, and checkpoints have it under either name, or both.
    let bias = if w.has("bias") || !decoder.has("bias") {
        g.weight(w, "bias")?
    } else {
        g.weight(&decoder, "bias")?
    };
    decoder.ignore(|name| name == "bias");
    Ok(g.gemm(x, matrix, Some(bias))?)
}

/// The matrix of the output layer `w`: the table of words if the configuration ties them, as it does by default.
pub(super) fn words_matrix(g: &mut Builder, m: &Model<'_>, w: &Weights, table: &str) -> Result<Val> {
    if m.config.flag("tie_word_embeddings", true)? {
        w.ignore(|name| name == "weight");
        return Ok(g.weight(&m.base, table)?);
    }
    Ok(g.weight(w, "weight")?)
}

/// `start_logits` and `end_logits` `[batch, sequence]`: the two columns of `qa_outputs`.
pub(super) fn spans(g: &mut Builder, w: &Weights, x: Val, rows: &Rows) -> Result<Outputs> {
    let logits = linear(g, w, x)?;
    let parts = g.split(logits, 1, &[1, 1])?;
    let mut outputs = Outputs::new();
    for (name, part) in ["start_logits", "end_logits"].into_iter().zip(parts) {
        let part = g.reshape(part, [rows.batch.clone(), rows.sequence.clone()])?;
        outputs.push((name.to_owned(), part));
    }
    Ok(outputs)
}

/// `logits` `[batch_size, num_choices]` of one number for each text.
pub(super) fn choices(g: &mut Builder, scores: Val) -> Result<Outputs> {
    let logits = g.reshape(scores, [batch_size(), Dim::Named("num_choices".to_owned())])?;
    Ok(output("logits", logits))
}
