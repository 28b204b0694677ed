//! RoBERTa (Liu et al., 2019), XLM-RoBERTa (Conneau et al., 2019) and CamemBERT (Martin et al., 2019): BERT's encoder whose places are
//! counted over tokens that are no padding, from the number of the padding token on, and whose texts are one.

use zoo_graph::{Builder, Val};

use super::encoder::{Encoded, Encoder};
use super::heads;
use crate::nn::{layer_norm, linear, places_behind_padding, text_inputs};
use crate::transformers::{Architecture, Class, Model, Outputs, Result, class};

/// The classes of one of the three, which differ in their names.
macro_rules! classes {
    ($model:literal $masked:literal $sequence:literal $token:literal $question:literal $choice:literal) => {
        &[
            class!($model, FeatureExtraction, |g, m| {
                let x = encoded(g, m, false)?;
                heads::hidden_state(g, x.hidden, &x.rows)
            }),
            class!($masked, FillMask, masked_lm),
            class!($sequence, TextClassification, |g, m| {
                let x = encoded(g, m, false)?;
                let first = x.first(g)?;
                heads::dense_and_out(g, &m.top.at("classifier"), first, "tanh")
            }),
            class!($token, TokenClassification, |g, m| {
                let x = encoded(g, m, false)?;
                let logits = linear(g, &m.top.at("classifier"), x.hidden)?;
                heads::token_logits(g, logits, &x.rows)
            }),
            class!($question, QuestionAnswering, |g, m| {
                let x = encoded(g, m, false)?;
                heads::spans(g, &m.top.at("qa_outputs"), x.hidden, &x.rows)
            }),
            class!($choice, MultipleChoice, |g, m| {
                let x = encoded(g, m, true)?;
                let pooled = x.pooled(g, m)?;
                let scores = linear(g, &m.top.at("classifier"), pooled)?;
                heads::choices(g, scores)
            }),
        ]
    };
}

pub(super) const ARCHITECTURES: &[Architecture] = &[
    architecture(
        "roberta",
        classes!(
            "RobertaModel" "RobertaForMaskedLM" "RobertaForSequenceClassification" "RobertaForTokenClassification"
            "RobertaForQuestionAnswering" "RobertaForMultipleChoice"
        ),
    ),
    architecture(
        "xlm-roberta",
        classes!(
            "XLMRobertaModel" "XLMRobertaForMaskedLM" "XLMRobertaForSequenceClassification" "XLMRobertaForTokenClassification"
            "XLMRobertaForQuestionAnswering" "XLMRobertaForMultipleChoice"
        ),
    ),
    architecture(
        "camembert",
        classes!(
            "CamembertModel" "CamembertForMaskedLM" "CamembertForSequenceClassification" "CamembertForTokenClassification"
            "CamembertForQuestionAnswering" "CamembertForMultipleChoice"
        ),
    ),
];

/// All three have their tensors below `roberta`.
const fn architecture(model_type: &'static str, classes: &'static [Class]) -> Architecture {
    Architecture {
        model_type,
        prefix: "roberta",
        classes,
        heads: &["lm_head", "classifier", "qa_outputs"],
        unused: |path| path.starts_with("pooler."),
    }
}

fn encoded(g: &mut Builder, m: &Model<'_>, choices: bool) -> Result<Encoded> {
    let encoder = Encoder::of(m.config, 12)?;
    let inputs = text_inputs(g, false, choices)?;
    let padding = m.config.size(&["pad_token_id"], 1)?;
    let places = places_behind_padding(g, inputs.ids, padding)?;
    let x = encoder.embed(g, &m.base.at("embeddings"), &inputs, places)?;
    let hidden = encoder.run(g, &m.base.at("encoder"), x, &inputs)?;
    Ok(Encoded { hidden, rows: inputs.rows })
}

fn masked_lm(g: &mut Builder, m: &Model<'_>) -> Result<Outputs> {
    let x = encoded(g, m, false)?;
    let logits = vocabulary(g, m, x.hidden)?;
    heads::token_logits(g, logits, &x.rows)
}

/// The words behind tokens, as rows `[batch*sequence, vocabulary]`. The nonlinearity is not that of the configuration.
pub(super) fn vocabulary(g: &mut Builder, m: &Model<'_>, hidden: Val) -> Result<Val> {
    let w = m.top.at("lm_head");
    let x = linear(g, &w.at("dense"), hidden)?;
    let x = g.gelu(x)?;
    let x = layer_norm(g, &w.at("layer_norm"), x, m.config.epsilon("layer_norm_eps", 1e-12)?)?;
    heads::words(g, m, &w, x, "embeddings.word_embeddings.weight")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{graph, layer};
    use crate::testing::{Checkpoint, count, dims};

    fn checkpoint() -> Checkpoint {
        let mut c = Checkpoint::default();
        for (table, rows) in [("word", 11), ("position", 9), ("token_type", 1)] {
            c.bare(format_args!("roberta.embeddings.{table}_embeddings"), &[rows, 6]);
        }
        c.layer("roberta.embeddings.LayerNorm", &[6]);
        layer(&mut c, "roberta.encoder.layer.0", 6);
        c.layer("lm_head.dense", &[6, 6]).layer("lm_head.layer_norm", &[6]);
        c
    }

    #[test]
    fn the_bias_of_the_output_layer_has_two_names() {
        let config = json!({"model_type": "roberta", "num_hidden_layers": 1, "num_attention_heads": 2});
        for names in
            [&["lm_head.bias"][..], &["lm_head.decoder.bias"], &["lm_head.bias", "lm_head.decoder.bias"]]
        {
            let mut c = checkpoint();
            for name in names {
                c.tensor(name, &[11]);
            }
            // What is tied is the table, whatever else the checkpoint has.
            c.bare("lm_head.decoder", &[11, 6]);
            let g = graph(&c, &config, "RobertaForMaskedLM").unwrap();
            assert_eq!(dims(&g, "logits"), "batch_size,sequence_length,11");
            assert_eq!(count(&g, "Gemm"), 8);
        }
        let error = graph(&checkpoint(), &config, "RobertaForMaskedLM").unwrap_err().to_string();
        assert!(error.contains("\"lm_head.bias\""), "{error}");
        let error = graph(&checkpoint(), &config, "RobertaForTokenClassification").unwrap_err().to_string();
        assert!(error.contains("\"classifier.weight\""), "{error}");
    }
}
