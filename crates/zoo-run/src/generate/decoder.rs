//! Networks that write: tokens in, scores of the next token out, and what they remember stays in the engine.

use zoo_graph::{Port, PortType};
use zoo_tensor::{DType, Dim, Tensor};

use crate::ort::{Kept, OrtRunner};
use crate::text::integers;
use crate::{Error, Result, Runner as _};

const TASK: &str = "text-generation";

/// Something that tells what comes after the tokens it was given.
pub trait Decoder {
    /// Takes further tokens; gives a score for each token of the vocabulary to come next.
    ///
    /// # Errors
    /// [`Error::Run`] with what the engine said; [`Error::Outputs`] if the graph gives no scores.
    fn next(&mut self, ids: &[i64]) -> Result<Vec<f32>>;
}

/// A decoder alone, such as GPT-2 and Llama: one graph with `input_ids`, and `past_key_values.N.…` if it remembers.
#[derive(Debug)]
pub struct CausalModel {
    graph: Graph,
    memory: Memory,
}

impl CausalModel {
    /// Takes a loaded graph.
    ///
    /// # Errors
    /// [`Error::Task`] if it has no `input_ids` or `logits`, other inputs than those of a decoder, or a memory of a size that is not
    /// said.
    pub fn new(runner: OrtRunner) -> Result<Self> {
        Ok(Self { graph: Graph::new(runner)?, memory: Memory::default() })
    }

    /// Forgets everything: the next tokens are a new text's.
    pub fn restart(&mut self) {
        self.memory = Memory::default();
    }
}

impl Decoder for CausalModel {
    fn next(&mut self, ids: &[i64]) -> Result<Vec<f32>> {
        self.graph.next(ids, &mut self.memory, &[])
    }
}

/// An encoder and a decoder, such as T5, BART, Marian and Whisper: what the encoder made of the input goes into every step.
#[derive(Debug)]
pub struct Seq2SeqModel {
    encoder: OrtRunner,
    /// For the first step.
    first: Graph,
    /// For the other steps; none if the first one's graph serves for them too.
    then: Option<Graph>,
    memory: Memory,
    /// What the encoder made, under the names of the decoder's inputs.
    encoded: Vec<(String, Kept)>,
    /// The encoder's mask, where the decoder wants it.
    mask: Option<Tensor>,
}

impl Seq2SeqModel {
    /// Takes loaded graphs: `encoder_model.onnx`, `decoder_model.onnx` and, where there is one, `decoder_with_past_model.onnx`; or
    /// `decoder_model_merged.onnx` as the only decoder.
    ///
    /// # Errors
    /// [`Error::Task`] as [`CausalModel::new`].
    pub fn new(encoder: OrtRunner, decoder: OrtRunner, with_past: Option<OrtRunner>) -> Result<Self> {
        let then = with_past.map(Graph::new).transpose()?;
        Ok(Self {
            encoder,
            first: Graph::new(decoder)?,
            then,
            memory: Memory::default(),
            encoded: Vec::new(),
            mask: None,
        })
    }

    /// Reads tokens: what the decoder will write about.
    ///
    /// # Errors
    /// [`Error::Run`] with what the engine said; [`Error::Outputs`] if the encoder gives no `last_hidden_state`.
    pub fn read(&mut self, ids: &[i64]) -> Result<()> {
        let mask = Tensor::from_slice([1, ids.len()], &vec![1_i64; ids.len()])?;
        let ids = Tensor::from_slice([1, ids.len()], ids)?;
        self.encode(&[("input_ids", &ids), ("attention_mask", &mask)])?;
        self.mask = Some(mask);
        Ok(())
    }

    /// Reads a tensor that the encoder takes under this name: Whisper's `input_features`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_tensor(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        self.encode(&[(name, tensor)])?;
        self.mask = None;
        Ok(())
    }

    /// Forgets what was written, and not what was read.
    pub fn restart(&mut self) {
        self.memory = Memory::default();
    }

    fn encode(&mut self, given: &[(&str, &Tensor)]) -> Result<()> {
        let wanted = |name: &str| self.encoder.inputs().iter().any(|port| port.name == name);
        let inputs: Vec<_> = given.iter().copied().filter(|(name, _)| wanted(name)).collect();
        let mut outputs = self.encoder.step(&inputs, &[])?;
        let Some(place) = outputs.iter().position(|(name, _)| name == "last_hidden_state") else {
            let names: Vec<_> = outputs.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let problem = format!("the encoder has no \"last_hidden_state\"; it has {}", names.join(", "));
            return Err(Error::Outputs { task: TASK, problem });
        };
        self.encoded = vec![("encoder_hidden_states".to_owned(), outputs.swap_remove(place).1)];
        self.memory = Memory::default();
        Ok(())
    }
}

impl Decoder for Seq2SeqModel {
    fn next(&mut self, ids: &[i64]) -> Result<Vec<f32>> {
        let graph = match &mut self.then {
            Some(then) if self.memory.length > 0 => then,
            _ => &mut self.first,
        };
        let mut more: Vec<(&str, Given<'_>)> =
            self.encoded.iter().map(|(name, kept)| (name.as_str(), Given::Kept(kept))).collect();
        more.extend(self.mask.as_ref().map(|mask| ("encoder_attention_mask", Given::Tensor(mask))));
        graph.next(ids, &mut self.memory, &more)
    }
}

/// An input of a step.
#[derive(Clone, Copy)]
enum Given<'v> {
    Tensor(&'v Tensor),
    Kept(&'v Kept),
}

/// What a network remembers.
#[derive(Debug, Default)]
struct Memory {
    /// Values by the name of the input that they go into.
    values: Vec<(String, Kept)>,
    /// How many tokens they are of.
    length: usize,
    /// All tokens, for networks that remember nothing.
    ids: Vec<i64>,
}

/// A decoder's graph.
#[derive(Debug)]
struct Graph {
    runner: OrtRunner,
    /// Empty values for the first step.
    nothing: Vec<(String, Tensor)>,
}

impl Graph {
    fn new(runner: OrtRunner) -> Result<Self> {
        let refuse = |problem: String| Error::Task { task: TASK, problem };
        let names = |ports: &[Port]| {
            ports.iter().map(|port| format!("\"{}\"", port.name)).collect::<Vec<_>>().join(", ")
        };
        let has = |ports: &[Port], name: &str| ports.iter().any(|port| port.name == name);
        if !has(runner.inputs(), "input_ids") {
            return Err(refuse(format!(
                "the graph has no input \"input_ids\"; it has {}",
                names(runner.inputs())
            )));
        }
        if !has(runner.outputs(), "logits") {
            return Err(refuse(format!(
                "the graph has no output \"logits\"; it has {}",
                names(runner.outputs())
            )));
        }
        let mut nothing = Vec::new();
        for port in runner.inputs().iter().filter(|port| port.name.starts_with("past_key_values.")) {
            nothing.push((port.name.clone(), empty(port)?));
        }
        let present = |name: &str| name.replacen("past_key_values.", "present.", 1);
        let lost = nothing
            .iter()
            .find(|(name, _)| !name.contains(".encoder.") && !has(runner.outputs(), &present(name)));
        if let Some((name, _)) = lost {
            return Err(refuse(format!("the graph takes \"{name}\", and gives no \"{}\"", present(name))));
        }
        Ok(Self { runner, nothing })
    }

    fn next(&mut self, ids: &[i64], memory: &mut Memory, more: &[(&str, Given<'_>)]) -> Result<Vec<f32>> {
        memory.ids.extend_from_slice(ids);
        // A graph that cannot be told what is remembered reads everything again.
        let forgets = self.nothing.is_empty();
        let ids = if forgets { memory.ids.clone() } else { ids.to_vec() };
        let past = if forgets { 0 } else { memory.length };
        let total = past + ids.len();
        let mut made: Vec<(String, Tensor)> = Vec::new();
        for port in self.runner.inputs() {
            let tensor = match port.name.as_str() {
                "input_ids" => integers(port, [1, ids.len()], &ids)?,
                "attention_mask" | "decoder_attention_mask" => integers(port, [1, total], &vec![1; total])?,
                "position_ids" => {
                    let places: Vec<i64> = (past as i64..total as i64).collect();
                    integers(port, [1, ids.len()], &places)?
                }
                "use_cache_branch" => Tensor::from_slice([1], &[memory.length > 0])?,
                _ => continue,
            };
            made.push((port.name.clone(), tensor));
        }
        let mut inputs: Vec<(&str, &Tensor)> =
            made.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut kept: Vec<(&str, &Kept)> = Vec::new();
        let wanted = |name: &str| self.runner.inputs().iter().any(|port| port.name == name);
        for (name, given) in more.iter().filter(|(name, _)| wanted(name)) {
            match given {
                Given::Tensor(tensor) => inputs.push((name, tensor)),
                Given::Kept(value) => kept.push((name, value)),
            }
        }
        for (name, nothing) in &self.nothing {
            match memory.values.iter().find(|(own, _)| own == name) {
                Some((name, value)) => kept.push((name, value)),
                None => inputs.push((name, nothing)),
            }
        }
        let outputs = self.runner.step(&inputs, &kept)?;
        drop(kept);
        let mut scores = None;
        for (name, value) in outputs {
            if name == "logits" {
                scores = Some(last(&value)?);
            } else if let Some(rest) = name.strip_prefix("present.") {
                // What is remembered of the encoder comes out once; graphs with one branch for all steps give an empty one later.
                let name = format!("past_key_values.{rest}");
                match memory.values.iter_mut().find(|(own, _)| *own == name) {
                    Some(_) if rest.contains(".encoder.") => {}
                    Some((_, old)) => *old = value,
                    None => memory.values.push((name, value)),
                }
            }
        }
        memory.length = total;
        let refuse = |problem: &str| Error::Outputs { task: TASK, problem: problem.to_owned() };
        scores.ok_or_else(|| refuse("there is no \"logits\""))
    }
}

/// The scores after the last token: `[1, tokens, vocabulary]`.
fn last(logits: &Kept) -> Result<Vec<f32>> {
    let refuse = |problem: String| Error::Outputs { task: TASK, problem };
    let shape = logits.shape().unwrap_or_default();
    let (tokens, vocabulary) = match shape.as_slice() {
        [1, tokens, vocabulary] if *tokens > 0 && *vocabulary > 0 => (*tokens, *vocabulary),
        _ => {
            return Err(refuse(format!(
                "\"logits\" has the shape {shape:?}, and [1, tokens, vocabulary] is needed"
            )));
        }
    };
    let scores = logits
        .floats((tokens - 1) * vocabulary, vocabulary)
        .ok_or_else(|| refuse("\"logits\" holds no floats".to_owned()))?;
    if scores.iter().any(|score| score.is_nan()) {
        return Err(refuse("\"logits\" holds NaN, which is no score".to_owned()));
    }
    Ok(scores)
}

/// A memory of no tokens: `[1, heads, 0, width]`.
fn empty(port: &Port) -> Result<Tensor> {
    let refuse = || {
        let problem =
            format!("how large the memory \"{}\" is, its shape does not say: {}", port.name, port.kind);
        Error::Task { task: TASK, problem }
    };
    let PortType::Tensor { dtype, shape } = &port.kind else { return Err(refuse()) };
    let [_, heads, _, width] = shape.dims().unwrap_or_default() else { return Err(refuse()) };
    let (Some(heads), Some(width)) = (Dim::fixed(heads), Dim::fixed(width)) else { return Err(refuse()) };
    if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16) {
        return Err(refuse());
    }
    Ok(Tensor::from_bytes(*dtype, [1, heads, 0, width], bytes::Bytes::new())?)
}
