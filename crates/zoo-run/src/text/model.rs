//! A network of language in an engine: texts by rows go in, outputs by rows come out.

use zoo_graph::{Port, PortType};
use zoo_tensor::{DType, Tensor};

use super::{Cut, Encoded, Tokenizer};
use crate::config::ModelConfig;
use crate::{Error, Named, Result, Runner, numbers};

/// As many rows are run together at most. More bring little on a processor, and take memory.
const TOGETHER: usize = 16;

/// A network of language: its graph in an engine, its tokenizer and its settings.
pub struct TextModel<'a> {
    runner: &'a mut dyn Runner,
    tokenizer: &'a Tokenizer,
    config: &'a ModelConfig,
    notes: Vec<String>,
}

/// What the network made of one text.
pub(super) struct Row {
    pub(super) encoded: Encoded,
    /// Its part of each output, without what belongs to padding.
    outputs: Vec<(String, Part)>,
}

/// A text's part of an output.
struct Part {
    shape: Vec<usize>,
    tensor: Tensor,
    start: usize,
}

impl<'a> TextModel<'a> {
    /// Puts together what belongs together.
    pub fn new(runner: &'a mut dyn Runner, tokenizer: &'a Tokenizer, config: &'a ModelConfig) -> Self {
        Self { runner, tokenizer, config, notes: Vec::new() }
    }

    /// What a person should know of what was done, such as that a text was cut.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The network's settings.
    pub fn config(&self) -> &'a ModelConfig {
        self.config
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &'a Tokenizer {
        self.tokenizer
    }

    pub(super) fn has_output(&self, name: &str) -> bool {
        self.runner.outputs().iter().any(|port| port.name == name)
    }

    pub(super) fn outputs(&self) -> String {
        self.runner.outputs().iter().map(|port| format!("\"{}\"", port.name)).collect::<Vec<_>>().join(", ")
    }

    /// The tokens of a text, cut at what the network was made for.
    pub(super) fn encode(&mut self, text: &str, pair: Option<&str>) -> Result<Encoded> {
        let most = self.tokenizer.max_length();
        self.encode_within(text, pair, most.map_or(Cut::Never, Cut::Longest))
    }

    pub(super) fn encode_within(&mut self, text: &str, pair: Option<&str>, cut: Cut) -> Result<Encoded> {
        let encoded = self.tokenizer.encode(text, pair, cut)?;
        if encoded.cut {
            let start: String = text.chars().take(20).collect();
            self.notes
                .push(format!("the text that begins with \"{start}\" was cut to {} tokens", encoded.len()));
        }
        Ok(encoded)
    }

    /// Runs the network on texts; `more` are inputs that are the same for all of them.
    pub(super) fn run(&mut self, texts: Vec<Encoded>, more: &[Named]) -> Result<Vec<Row>> {
        let ports = self.runner.inputs();
        let batch = ports.iter().find(|port| port.name == "input_ids").and_then(|port| fixed(port, 0));
        let mut rows = Vec::with_capacity(texts.len());
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let some: Vec<Encoded> =
                texts.by_ref().take(batch.unwrap_or(TOGETHER).clamp(1, TOGETHER)).collect();
            let width = width(self.runner.inputs(), &some)?;
            let mut inputs = feed(self.runner.inputs(), &some, width, self.tokenizer)?;
            inputs.extend(more.iter().cloned());
            let outputs = self.runner.run(&inputs)?;
            let left = self.tokenizer.pads_left();
            let count = some.len();
            for (place, encoded) in some.into_iter().enumerate() {
                let parts = outputs.iter().filter_map(|(name, tensor)| {
                    Some((name.clone(), Part::of(tensor, place, count, &encoded, width, left)?))
                });
                let outputs = parts.collect();
                rows.push(Row { encoded, outputs });
            }
        }
        Ok(rows)
    }

    /// Runs the network once on all texts, filled up to a width if one is given, and gives one output whole.
    pub(super) fn run_at_once(
        &mut self,
        texts: &[Encoded],
        more: &[Named],
        fill_to: Option<usize>,
        output: &str,
        task: &'static str,
    ) -> Result<Tensor> {
        let width = width(self.runner.inputs(), texts)?.max(fill_to.unwrap_or(0));
        let mut inputs = feed(self.runner.inputs(), texts, width, self.tokenizer)?;
        inputs.extend(more.iter().cloned());
        let outputs = self.runner.run(&inputs)?;
        let found = outputs.into_iter().find(|(name, _)| name == output).map(|(_, tensor)| tensor);
        found.ok_or_else(|| {
            let problem = format!("none is called \"{output}\"; there are {}", self.outputs());
            Error::Outputs { task, problem }
        })
    }
}

impl Part {
    /// A row of a tensor whose first dimension counts texts, and the second, where it is the tokens, what is no padding of it.
    fn of(
        tensor: &Tensor,
        place: usize,
        count: usize,
        encoded: &Encoded,
        width: usize,
        left: bool,
    ) -> Option<Self> {
        let (&first, rest) = tensor.shape().split_first()?;
        if first != count {
            return None;
        }
        let mut shape = rest.to_vec();
        let each: usize = rest.iter().product();
        let mut start = place * each;
        if let Some(tokens) = shape.first_mut().filter(|tokens| rest.len() > 1 && **tokens == width)
            && width > 0
        {
            *tokens = encoded.len();
            if left {
                start += each / width * (width - encoded.len());
            }
        }
        // Tensors share their bytes.
        Some(Self { shape, tensor: tensor.clone(), start })
    }
}

impl Row {
    fn part(&self, task: &'static str, name: &str) -> Result<&Part> {
        let part = self.outputs.iter().find(|(own, _)| own == name).map(|(_, part)| part);
        part.ok_or_else(|| {
            let names: Vec<_> = self.outputs.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let problem =
                format!("none is called \"{name}\" with a row for each text; there are {}", names.join(", "));
            Error::Outputs { task, problem }
        })
    }

    /// The numbers of an output that has as many for a text: `[texts, n]`.
    pub(super) fn whole(&self, task: &'static str, name: &str) -> Result<Vec<f32>> {
        let part = self.part(task, name)?;
        let [count] = part.shape.as_slice() else {
            return Err(shape(task, name, &part.shape, "[texts, numbers]"));
        };
        read(task, name, part, 0, *count)
    }

    /// How many numbers an output has for each token: `[texts, tokens, n]`.
    pub(super) fn depth(&self, task: &'static str, name: &str) -> Result<usize> {
        let part = self.part(task, name)?;
        match part.shape.as_slice() {
            [tokens, depth] if *tokens == self.encoded.len() => Ok(*depth),
            shape_ => Err(shape(task, name, shape_, "[texts, tokens, numbers]")),
        }
    }

    /// The numbers of an output for one token: `[texts, tokens, n]`.
    pub(super) fn token(&self, task: &'static str, name: &str, token: usize) -> Result<Vec<f32>> {
        let depth = self.depth(task, name)?;
        read(task, name, self.part(task, name)?, token * depth, depth)
    }
}

fn read(task: &'static str, name: &str, part: &Part, start: usize, count: usize) -> Result<Vec<f32>> {
    let refuse = |problem: String| Error::Outputs { task, problem };
    let numbers = numbers::slice(&part.tensor, part.start + start, count)
        .ok_or_else(|| refuse(format!("\"{name}\" holds {} elements", part.tensor.dtype())))?;
    if numbers.iter().any(|number| number.is_nan()) {
        return Err(refuse(format!("\"{name}\" holds NaN, which is no score")));
    }
    Ok(numbers)
}

fn shape(task: &'static str, name: &str, found: &[usize], wanted: &str) -> Error {
    let problem = format!("\"{name}\" has {found:?} numbers for a text, and {wanted} is needed");
    Error::Outputs { task, problem }
}

fn fixed(port: &Port, dim: usize) -> Option<usize> {
    port.shape()?.dims()?.get(dim)?.fixed()
}

/// How many tokens each row gets: as many as the longest has, or what the graph is fixed to.
fn width(ports: &[Port], rows: &[Encoded]) -> Result<usize> {
    let longest = rows.iter().map(Encoded::len).max().unwrap_or(0);
    let fixed = ports.iter().find(|port| port.name == "input_ids").and_then(|port| fixed(port, 1));
    match fixed {
        Some(width) if width < longest => {
            Err(Error::Texts { problem: format!("a text has {longest} tokens, and the graph takes {width}") })
        }
        Some(width) => Ok(width),
        None => Ok(longest),
    }
}

/// Rows as the inputs that a graph has of those that are made from texts: `input_ids`, `attention_mask`, `token_type_ids` and
/// `position_ids`, each `[texts, tokens]`, padded to a width.
pub(super) fn feed(
    ports: &[Port],
    rows: &[Encoded],
    width: usize,
    tokenizer: &Tokenizer,
) -> Result<Vec<Named>> {
    let pads = rows.iter().any(|row| row.len() < width);
    let pad = match tokenizer.special().pad {
        Some(pad) => pad,
        None if pads => {
            let problem =
                "they have different lengths, and the tokenizer has no token to fill them up with".to_owned();
            return Err(Error::Texts { problem });
        }
        None => 0,
    };
    let fill = |values: &dyn Fn(&Encoded) -> Vec<i64>, padding: i64| {
        let mut all = Vec::with_capacity(rows.len() * width);
        for row in rows {
            let values = values(row);
            let gap = std::iter::repeat_n(padding, width - values.len());
            if tokenizer.pads_left() {
                all.extend(gap.chain(values));
            } else {
                all.extend(values.into_iter().chain(gap));
            }
        }
        all
    };
    let mut inputs = Vec::new();
    for port in ports {
        let values = match port.name.as_str() {
            "input_ids" => fill(&|row| row.ids.clone(), pad),
            "attention_mask" => fill(&|row| vec![1; row.len()], 0),
            "token_type_ids" => fill(&|row| row.types.clone(), tokenizer.pad_type()),
            "position_ids" => fill(&|row| (0..row.len() as i64).collect(), 1),
            _ => continue,
        };
        inputs.push((port.name.clone(), integers(port, [rows.len(), width], &values)?));
    }
    if !inputs.iter().any(|(name, _)| name == "input_ids") {
        let names: Vec<_> = ports.iter().map(|port| format!("\"{}\"", port.name)).collect();
        let problem = format!("the graph has no input \"input_ids\"; it has {}", names.join(", "));
        return Err(Error::Task { task: "reading texts", problem });
    }
    Ok(inputs)
}

/// Integers in the type that a port wants.
pub(crate) fn integers(port: &Port, shape: impl Into<Vec<usize>>, values: &[i64]) -> Result<Tensor> {
    match &port.kind {
        PortType::Tensor { dtype: DType::I64, .. } => Ok(Tensor::from_slice(shape, values)?),
        PortType::Tensor { dtype: DType::I32, .. } => {
            let values: Vec<i32> = values.iter().map(|&value| value as i32).collect();
            Ok(Tensor::from_slice(shape, &values)?)
        }
        kind => {
            let problem =
                format!("the input \"{}\" is {kind}, and integers are what texts are made of", port.name);
            Err(Error::Task { task: "reading texts", problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{Dim, Shape};

    use super::*;

    fn free(name: &str) -> Dim {
        Dim::Named(name.to_owned())
    }

    fn rows() -> Vec<Encoded> {
        [vec![5, 6, 7], vec![8]]
            .map(|ids: Vec<i64>| Encoded { types: vec![1; ids.len()], ids, ..Encoded::default() })
            .into()
    }

    fn port(name: &str, dtype: DType) -> Port {
        Port::tensor(name, dtype, Shape::new([free("batch"), free("length")]))
    }

    fn tokenizer(settings: &str) -> Tokenizer {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in
            [("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"), ("tokenizer_config.json", settings)]
        {
            std::io::Write::write_all(
                &mut std::fs::File::create(dir.path().join(name)).unwrap(),
                text.as_bytes(),
            )
            .unwrap();
        }
        Tokenizer::from_folder(dir.path()).unwrap()
    }

    #[test]
    fn a_graph_gets_what_it_has_inputs_for() {
        let bert = tokenizer(r#"{"tokenizer_class": "BertTokenizer"}"#);
        let ports = [
            port("attention_mask", DType::I64),
            port("input_ids", DType::I32),
            port("position_ids", DType::I64),
        ];
        let fed = feed(&ports, &rows(), 3, &bert).unwrap();
        let values: Vec<_> =
            fed.iter().map(|(name, tensor)| (name.as_str(), tensor.to_i64_vec().unwrap())).collect();
        assert_eq!(
            values,
            [
                ("attention_mask", vec![1, 1, 1, 1, 0, 0]),
                ("input_ids", vec![5, 6, 7, 8, 0, 0]),
                ("position_ids", vec![0, 1, 2, 0, 1, 1]),
            ]
        );
        let left = tokenizer(
            r#"{"tokenizer_class": "BertTokenizer", "padding_side": "left", "pad_token_type_id": 3}"#,
        );
        let fed =
            feed(&[port("token_type_ids", DType::I64), port("input_ids", DType::I64)], &rows(), 3, &left)
                .unwrap();
        assert_eq!(fed[0].1.to_i64_vec().unwrap(), [1, 1, 1, 3, 3, 1]);
        assert_eq!(fed[1].1.to_i64_vec().unwrap(), [5, 6, 7, 0, 0, 8]);
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let bert = tokenizer(r#"{"tokenizer_class": "BertTokenizer"}"#);
        let message = |ports: &[Port], tokenizer: &Tokenizer| {
            feed(ports, &rows(), 3, tokenizer).unwrap_err().to_string()
        };
        assert!(message(&[port("x", DType::F32)], &bert).contains("no input \"input_ids\"; it has \"x\""));
        assert!(message(&[port("input_ids", DType::F32)], &bert).contains("\"input_ids\" is f32"));
        let bare = tokenizer(r#"{"tokenizer_class": "BertTokenizer", "pad_token": null}"#);
        assert!(message(&[port("input_ids", DType::I64)], &bare).contains("no token to fill them up with"));
        let narrow = Port::tensor("input_ids", DType::I64, Shape::new([1, 2].map(Dim::Fixed)));
        assert!(
            width(std::slice::from_ref(&narrow), &rows())
                .unwrap_err()
                .to_string()
                .contains("3 tokens, and the graph takes 2")
        );
        assert_eq!(width(std::slice::from_ref(&narrow), &rows()[1..]).unwrap(), 2);
    }
}
