//! wav2vec 2.0 (Baevski et al., 2020), HuBERT (Hsu et al., 2021) and WavLM (Chen et al., 2022): frames of raw sound by convolutions, and an
//! encoder over them.
//!
//! Their training differs more than they do. Norms are behind sublayers in the smaller models and in front of them in the larger ones, as
//! they are in the convolutions. Recordings of a batch are not padded: as optimum has it, there is no mask.

mod features;
mod gate;
mod heads;
mod layers;

use zoo_graph::{Builder, Val};

use self::gate::Gate;
use self::layers::Layers;
use super::whisper::weighted_layers;
use crate::nn::{Rows, unfold_rows};
use crate::task::Task;
use crate::transformers::{Architecture, Class, Model, Outputs, Part, Result};

const fn class(name: &'static str, task: Task, parts: &'static [Part]) -> Class {
    Class { name, task, parts }
}

const BARE: &[Part] = &[Part::new("model", |g, m| {
    let heard = Heard::of(g, m)?;
    Ok(vec![("last_hidden_state".to_owned(), unfold_rows(g, heard.states, &heard.rows)?)])
})];
const CTC: &[Part] = &[Part::new("model", heads::ctc)];
const LABELS: &[Part] = &[Part::new("model", heads::sequence)];
const FRAMES: &[Part] = &[Part::new("model", heads::frames)];
const VOICE: &[Part] = &[Part::new("model", heads::voice)];

pub(super) const ARCHITECTURES: &[Architecture] = &[
    architecture(
        "wav2vec2",
        "wav2vec2",
        &[
            class("Wav2Vec2Model", Task::FeatureExtraction, BARE),
            class("Wav2Vec2ForCTC", Task::AutomaticSpeechRecognition, CTC),
            class("Wav2Vec2ForSequenceClassification", Task::AudioClassification, LABELS),
            class("Wav2Vec2ForAudioFrameClassification", Task::AudioFrameClassification, FRAMES),
            class("Wav2Vec2ForXVector", Task::AudioXVector, VOICE),
        ],
    ),
    architecture(
        "hubert",
        "hubert",
        &[
            class("HubertModel", Task::FeatureExtraction, BARE),
            class("HubertForCTC", Task::AutomaticSpeechRecognition, CTC),
            class("HubertForSequenceClassification", Task::AudioClassification, LABELS),
        ],
    ),
    architecture(
        "wavlm",
        "wavlm",
        &[
            class("WavLMModel", Task::FeatureExtraction, BARE),
            class("WavLMForCTC", Task::AutomaticSpeechRecognition, CTC),
            class("WavLMForSequenceClassification", Task::AudioClassification, LABELS),
            class("WavLMForAudioFrameClassification", Task::AudioFrameClassification, FRAMES),
            class("WavLMForXVector", Task::AudioXVector, VOICE),
        ],
    ),
];

const fn architecture(
    model_type: &'static str,
    prefix: &'static str,
    classes: &'static [Class],
) -> Architecture {
    // The last of them are what training had: a quantizer, projections, a loss with weights.
    let heads = &[
        "lm_head",
        "projector",
        "classifier",
        "layer_weights",
        "tdnn",
        "feature_extractor.weight",
        "feature_extractor.bias",
        "objective",
        "quantizer",
        "project_q",
        "project_hid",
    ];
    Architecture { model_type, prefix, classes, heads, unused: |path| path == "masked_spec_embed" }
}

/// What comes of a recording.
struct Heard {
    /// States in front of each layer, as rows.
    before: Vec<Val>,
    /// States at the end, as rows.
    states: Val,
    rows: Rows,
}

impl Heard {
    fn of(g: &mut Builder, m: &Model<'_>) -> Result<Self> {
        let layers = Layers::of(m.config)?;
        let (x, rows) = features::frames(g, m, layers.epsilon)?;
        let w = m.base.at("encoder");
        let x = features::placed(g, m.config, &w.at("pos_conv_embed"), x, &rows)?;
        let gate = match m.config.model_type() {
            Some("wavlm") => Some(Gate::of(g, m.config, &w, &rows)?),
            _ => None,
        };
        let (before, states) = layers.run(g, &w, x, &rows, gate.as_ref())?;
        if m.config.model_type() != Some("hubert") && m.config.flag("add_adapter", false)? {
            let (states, rows) = layers::adapter(g, m.config, &m.base.at("adapter"), states, &rows)?;
            return Ok(Self { before: Vec::new(), states, rows });
        }
        Ok(Self { before, states, rows })
    }

    /// States of the last layer, or the mean over all of them if the configuration says so.
    fn chosen(mut self, g: &mut Builder, m: &Model<'_>) -> Result<(Val, Rows)> {
        if !m.config.flag("use_weighted_layer_sum", false)? {
            return Ok((self.states, self.rows));
        }
        self.before.push(self.states);
        Ok((weighted_layers(g, &m.top, &self.before)?, self.rows))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Checkpoint;
    use crate::transformers::seq2seq::testing::{built, faces, part};

    #[test]
    fn frames_are_counted_as_convolutions_leave_them() {
        let mut c = Checkpoint::default();
        c.bare("wav2vec2.feature_extractor.conv_layers.0.conv", &[4, 1, 10]);
        c.layer("wav2vec2.feature_extractor.conv_layers.0.layer_norm", &[4]);
        c.layer("wav2vec2.feature_projection.layer_norm", &[4])
            .layer("wav2vec2.feature_projection.projection", &[6, 4]);
        let places = "wav2vec2.encoder.pos_conv_embed.conv";
        c.tensor(format_args!("{places}.parametrizations.weight.original0"), &[1, 1, 4]);
        c.tensor(format_args!("{places}.parametrizations.weight.original1"), &[6, 3, 4]);
        c.tensor(format_args!("{places}.bias"), &[6]);
        c.layer("wav2vec2.encoder.layer_norm", &[6]).layer("lm_head", &[5, 6]);
        c.tensor("wav2vec2.masked_spec_embed", &[6]);
        let mut config = json!({
            "model_type": "wav2vec2", "num_hidden_layers": 0, "conv_kernel": [10], "conv_stride": [5],
            "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
        });
        let model = built(&c, &config, "Wav2Vec2ForCTC", true).unwrap();
        let graph = part(&model, "model");
        assert_eq!(faces(graph, &graph.inputs), ["input_values[batch_size,sequence_length]"]);
        assert_eq!(
            faces(graph, &graph.outputs),
            ["logits[batch_size,floor((sequence_length - 10)/5) + 1,5]"]
        );
        let error = built(&c, &config, "Wav2Vec2ForXVector", true).unwrap_err().to_string();
        assert!(error.contains("\"projector.weight\""), "{error}");
        config["num_conv_pos_embedding_groups"] = json!(3);
        let error = built(&c, &config, "Wav2Vec2ForCTC", true).unwrap_err().to_string();
        assert!(error.contains("`num_conv_pos_embedding_groups` = 3"), "{error}");
    }
}
