//! `zoo run`: feeds a model, and prints what comes out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo_run::compare::{Comparison, Tolerance, compare_all};
use zoo_run::data::{self, Generate};
use zoo_run::{Named, Runner};
use zoo_tensor::Tensor;

use crate::args::Run;
use crate::bars::time;
use crate::cmd::engine::{Loader, Subject, comparison_json, tolerance};
use crate::cmd::pictures::{Prepared, Wanted};
use crate::cmd::results::Answers;
use crate::cmd::save::save;
use crate::cmd::{App, blocking, must_exist, texts};
use crate::exit::{Exit, Failure, Result};
use crate::output::Grid;

/// How many values of an output are shown.
const FIRST: usize = 4;

pub(super) async fn run(args: &Run, app: &App) -> Result<Exit> {
    if texts::are_wanted(args) {
        return texts::run(args, app).await;
    }
    let mut generate = Generate::default();
    generate.seed = args.seed;
    generate.dims = args.dims.iter().cloned().collect();
    let inputs = args.inputs.iter().map(|text| Input::parse(text)).collect::<Result<Vec<_>>>()?;
    let pictures = Wanted::read(&args.pictures)?;
    if let Some(path) = &args.expect {
        must_exist(path)?;
    }
    let loader = Loader::new(args.engine, &app.settings)?;
    let subject = Subject::find(&args.model, false, app).await?;
    let feed = match pictures {
        // A broken picture is found before a large model is loaded for it.
        Some(pictures) => {
            let plan = pictures.of(&subject)?;
            Feed::Pictures(blocking(move || plan.prepare()).await?)
        }
        None if inputs.is_empty() => Feed::Generated(generate),
        None => Feed::Files(inputs),
    };
    let job = Job {
        path: subject.path.clone(),
        loader,
        feed,
        out: args.out.clone(),
        save: args.save.clone(),
        expect: args.expect.clone(),
        tolerance: tolerance(args.tolerance),
    };
    let done = blocking(move || job.run()).await?;
    if app.out.is_json() {
        app.out.json(&done.json(&subject.name))?;
    } else {
        if !done.seen.as_ref().map_or(Ok(false), |seen| seen.answers.print(app))? {
            app.out.table(&table(&done.outputs))?;
        }
        for path in &done.saved {
            app.out.remark(&format!("saved {}", path.display()));
        }
        for comparison in &done.comparisons {
            app.out.verdict(comparison.equal, &comparison.to_string())?;
        }
        let prepared = done.seen.as_ref().map(|seen| format!("prepared in {}, ", time(seen.preparing)));
        app.out.remark(&format!(
            "{}: {}loaded in {}, ran in {}",
            done.engine,
            prepared.unwrap_or_default(),
            time(done.loading),
            time(done.running)
        ));
    }
    Ok(if done.comparisons.iter().all(|c| c.equal) { Exit::Ok } else { Exit::Missed })
}

/// `[NAME=]FILE`.
#[derive(Debug, PartialEq, Eq)]
struct Input {
    name: Option<String>,
    path: PathBuf,
}

impl Input {
    /// A file that exists may have `=` in its name.
    fn parse(text: &str) -> Result<Self> {
        let input = match text.split_once('=').filter(|_| !Path::new(text).exists()) {
            Some((name, path)) => Self { name: Some(name.to_owned()), path: path.into() },
            None => Self { name: None, path: text.into() },
        };
        must_exist(&input.path)?;
        Ok(input)
    }

    fn read(&self) -> Result<Vec<Named>> {
        let mut tensors = if self.path.is_dir() {
            data::read_data_set(&self.path)?.inputs
        } else {
            data::read(&self.path)?
        };
        if let Some(name) = &self.name {
            let [(own, _)] = tensors.as_mut_slice() else {
                let message = format!(
                    "`{}` holds {} tensors, and `{name}` takes one",
                    self.path.display(),
                    tensors.len()
                );
                return Err(
                    Failure::usage(message).hint("give the file without a name, and its own names decide")
                );
            };
            own.clone_from(name);
        }
        Ok(tensors)
    }
}

/// Everything that is done on a thread of its own.
struct Job {
    path: PathBuf,
    loader: Loader,
    feed: Feed,
    out: Option<PathBuf>,
    save: Option<PathBuf>,
    expect: Option<PathBuf>,
    tolerance: Tolerance,
}

/// Where inputs come from.
enum Feed {
    Generated(Generate),
    Files(Vec<Input>),
    Pictures(Prepared),
}

/// What came of it.
struct Done {
    engine: String,
    inputs: Vec<Named>,
    outputs: Vec<Named>,
    /// The files of the outputs, in their order; none if they are not saved.
    saved: Vec<PathBuf>,
    /// None: the inputs were no pictures.
    seen: Option<Seen>,
    comparisons: Vec<Comparison>,
    loading: Duration,
    running: Duration,
}

/// Pictures, and what the model said of them.
struct Seen {
    pictures: Value,
    answers: Answers,
    preparing: Duration,
}

impl Job {
    fn run(&self) -> Result<Done> {
        let (mut runner, loading) = self.loader.load(&self.path)?;
        let inputs = self.feed.inputs(runner.as_ref())?;
        let expected = self.expect.as_deref().map(expected).transpose()?;
        let began = Instant::now();
        let outputs = runner.run(&inputs)?;
        let running = began.elapsed();
        if let Some(out) = &self.out {
            data::write_npz(out, &outputs)?;
        }
        let saved = self.save.as_deref().map_or(Ok(Vec::new()), |to| save(&outputs, to))?;
        let seen = match &self.feed {
            Feed::Pictures(pictures) => Some(Seen {
                pictures: pictures.json(),
                answers: pictures.answers(&self.path, &outputs)?,
                preparing: pictures.took(),
            }),
            Feed::Generated(_) | Feed::Files(_) => None,
        };
        let comparisons = expected.map_or_else(Vec::new, |e| compare_all(&e, &outputs, &self.tolerance));
        let engine = runner.engine().to_owned();
        Ok(Done { engine, inputs, outputs, saved, seen, comparisons, loading, running })
    }
}

impl Feed {
    fn inputs(&self, runner: &dyn Runner) -> Result<Vec<Named>> {
        match self {
            Self::Generated(how) => Ok(data::generate(runner.inputs(), how)?),
            Self::Pictures(pictures) => pictures.feed(runner),
            Self::Files(files) => {
                let mut given = Vec::new();
                for file in files {
                    given.extend(file.read()?);
                }
                Ok(data::assign(given, runner.inputs())?)
            }
        }
    }
}

/// The outputs in a file of tensors, or those of a data set.
fn expected(path: &Path) -> Result<Vec<Named>> {
    let outputs = if path.is_dir() { data::read_data_set(path)?.outputs } else { data::read(path)? };
    // Nothing to compare with would otherwise look like nothing wrong.
    if outputs.is_empty() {
        let message = format!("`{}` has no outputs to compare with", path.display());
        return Err(Failure::new(Exit::Refused, message));
    }
    Ok(outputs)
}

impl Done {
    fn json(&self, model: &str) -> Value {
        let port = |(name, tensor): &Named| json!({ "name": name, "dtype": tensor.dtype().name(), "shape": tensor.shape() });
        let output = |named: &Named| {
            let mut value = port(named);
            let facts = Facts::of(&named.1);
            let numbers = [("min", facts.min), ("max", facts.max), ("mean", facts.mean), ("std", facts.std)];
            for (word, number) in numbers {
                value[word] = json!(number);
            }
            value["first"] = json!(facts.first);
            value
        };
        let mut value = json!({
            "model": model,
            "engine": self.engine,
            "load_seconds": self.loading.as_secs_f64(),
            "run_seconds": self.running.as_secs_f64(),
            "inputs": self.inputs.iter().map(port).collect::<Vec<_>>(),
            "outputs": self.outputs.iter().map(output).collect::<Vec<_>>(),
            "comparisons": self.comparisons.iter().map(comparison_json).collect::<Vec<_>>(),
        });
        let outputs = value["outputs"].as_array_mut().into_iter().flatten();
        for (output, path) in outputs.zip(&self.saved) {
            output["saved"] = Value::from(path.display().to_string());
        }
        if let Some(seen) = &self.seen {
            value["prepare_seconds"] = json!(seen.preparing.as_secs_f64());
            value["images"] = seen.pictures.clone();
            (value["task"], value["results"]) = seen.answers.json();
        }
        value
    }
}

/// What can be told of a tensor in one line. Texts, and types that are no numbers here, have no statistics.
#[derive(Debug, Default, PartialEq)]
struct Facts {
    min: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
    std: Option<f64>,
    first: Vec<Value>,
}

impl Facts {
    fn of(tensor: &Tensor) -> Self {
        if let Some(strings) = tensor.strings() {
            return Self { first: strings.iter().take(FIRST).map(|s| json!(s)).collect(), ..Self::default() };
        }
        let Ok(values) = tensor.to_f64_vec() else { return Self::default() };
        let first = match tensor.to_i64_vec() {
            Ok(integers) => integers.iter().take(FIRST).map(|v| json!(v)).collect(),
            Err(_) => values.iter().take(FIRST).map(|v| json!(v)).collect(),
        };
        if values.is_empty() {
            return Self::default();
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        Self {
            min: values.iter().copied().reduce(f64::min),
            max: values.iter().copied().reduce(f64::max),
            mean: Some(mean),
            std: Some(variance.sqrt()),
            first,
        }
    }
}

fn table(outputs: &[Named]) -> Grid {
    let headings = ["OUTPUT", "TYPE", "SHAPE", "MIN", "MAX", "MEAN", "STD", "FIRST"];
    let mut grid = Grid::new(headings).right(3..7);
    for (name, tensor) in outputs {
        let facts = Facts::of(tensor);
        let number = |value: Option<f64>| value.map(short).unwrap_or_default();
        let mut first: Vec<String> = facts
            .first
            .iter()
            .map(|v| v.as_f64().filter(|_| v.is_f64()).map_or_else(|| v.to_string(), short))
            .collect();
        if tensor.len() > first.len() && !first.is_empty() {
            first.push("…".into());
        }
        grid.row([
            name.clone(),
            tensor.dtype().to_string(),
            format!("{:?}", tensor.shape()),
            number(facts.min),
            number(facts.max),
            number(facts.mean),
            number(facts.std),
            first.join(" "),
        ]);
    }
    grid
}

/// A number to be read, not to be computed with: five digits.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if (1e-4..1e6).contains(&size) {
        let digits = (4 - size.log10().floor() as i32).clamp(0, 8) as usize;
        return trimmed(&format!("{value:.digits$}"));
    }
    let text = format!("{value:.4e}");
    text.split_once('e')
        .map_or_else(|| text.clone(), |(number, power)| format!("{}e{power}", trimmed(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_a_table() {
        let named = |name: &str, tensor: zoo_tensor::Result<Tensor>| (name.to_owned(), tensor.unwrap());
        let outputs = [
            named("scores", Tensor::from_slice([1, 5], &[0.1_f32, -2.0, 3.5, 1e-7, 12345.678])),
            named("label", Tensor::from_slice([], &[7_i64])),
            named("word", Tensor::from_strings([2], vec!["a".into(), "b\u{1b}".into()])),
            named("none", Tensor::from_slice::<f32>([0, 4], &[])),
        ];
        insta::assert_snapshot!(table(&outputs).draw(None), @r#"
        OUTPUT  TYPE    SHAPE   MIN    MAX    MEAN     STD  FIRST
        scores  f32     [1, 5]   -2  12346  2469.5  4938.1  0.1 -2 3.5 1e-7 …
        label   i64     []        7      7       7       0  7
        word    string  [2]                                 "a" "b\u001b"
        none    f32     [0, 4]
        "#);
    }

    #[test]
    fn numbers_have_five_digits() {
        let all: Vec<String> =
            [0.0, 1.0, -0.1, 0.123_456_78, 123_456.78, 1e-9, 1e9, f64::NAN, 2.5e-4].map(short).into();
        assert_eq!(all, ["0", "1", "-0.1", "0.12346", "123457", "1e-9", "1e9", "NaN", "0.00025"]);
    }

    #[test]
    fn an_input_may_have_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a=b.npy");
        data::write_npy(&file, &Tensor::from_slice([1], &[1.0_f32]).unwrap()).unwrap();
        let text = file.to_str().unwrap();
        assert_eq!(Input::parse(text).unwrap(), Input { name: None, path: file.clone() });
        let named = Input::parse(&format!("x:0={text}")).unwrap();
        assert_eq!(named, Input { name: Some("x:0".into()), path: file.clone() });
        assert_eq!(named.read().unwrap()[0].0, "x:0");
        assert_eq!(Input::parse("x=no/such.npy").unwrap_err().exit, Exit::NotFound);

        let several = dir.path().join("s.npz");
        let tensor = Tensor::from_slice([1], &[1.0_f32]).unwrap();
        data::write_npz(&several, &[("a".into(), tensor.clone()), ("b".into(), tensor)]).unwrap();
        let named = Input { name: Some("x".into()), path: several };
        assert_eq!(named.read().unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn json_gives_statistics_and_first_values() {
        let done = Done {
            engine: "E 1".into(),
            inputs: vec![],
            outputs: vec![("y".into(), Tensor::from_slice([2], &[1_i64, 3]).unwrap())],
            saved: vec!["out/y.npy".into()],
            seen: None,
            comparisons: vec![],
            loading: Duration::from_millis(1),
            running: Duration::from_millis(2),
        };
        let value = done.json("onnx:m");
        assert_eq!(value["outputs"][0]["mean"], 2.0);
        assert_eq!(value["outputs"][0]["first"], json!([1, 3]));
        assert_eq!(value["outputs"][0]["shape"], json!([2]));
        assert_eq!(value["outputs"][0]["saved"], "out/y.npy");
        assert_eq!((&value["run_seconds"], value.get("results")), (&json!(0.002), None));
    }
}
