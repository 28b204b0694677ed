//! Texts that are written on: token by token to standard output, as they come.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use zoo_run::Runner as _;
use zoo_run::generate::{
    CausalModel, Decoder, End, Generated, GenerationSettings, Seq2SeqModel, TextStream, write,
};
use zoo_run::text::{Cut, Tokenizer};

use crate::args::Run;
use crate::bars::time;
use crate::cmd::engine::Loader;
use crate::cmd::language::{Graphs, Language};
use crate::cmd::texts::{Asked, Told};
use crate::cmd::{App, blocking};
use crate::exit::{Exit, Failure, Result};
use crate::output::plain;

/// What the command line says of writing.
#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) max_new_tokens: Option<usize>,
    temperature: Option<f64>,
    top_k: Option<usize>,
    top_p: Option<f64>,
    pub(super) seed: u64,
    pub(super) language: Option<String>,
}

impl Wishes {
    pub(super) fn of(args: &Run) -> Self {
        let texts = &args.texts;
        Self {
            max_new_tokens: texts.max_new_tokens.map(Into::into),
            temperature: texts.temperature,
            top_k: texts.top_k.map(Into::into),
            top_p: texts.top_p,
            seed: args.seed,
            language: texts.language.clone(),
        }
    }

    /// Whether anything is said of how tokens are chosen.
    pub(super) fn any(&self) -> bool {
        self.max_new_tokens.is_some()
            || self.temperature.is_some()
            || self.top_k.is_some()
            || self.top_p.is_some()
    }

    /// Puts them before what the model's files say.
    pub(super) fn apply(&self, settings: &mut GenerationSettings) {
        if let Some(most) = self.max_new_tokens {
            settings.max_new_tokens = Some(most);
        }
        if self.temperature == Some(0.0) {
            settings.sampling = None;
            return;
        }
        if self.temperature.is_none() && self.top_k.is_none() && self.top_p.is_none() {
            return;
        }
        let mut sampling = settings.sampling.unwrap_or_default();
        sampling.temperature = self.temperature.map_or(sampling.temperature, |value| value as f32);
        sampling.top_k = self.top_k.unwrap_or(sampling.top_k);
        sampling.top_p = self.top_p.map_or(sampling.top_p, |value| value as f32);
        settings.sampling = Some(sampling);
    }
}

/// Where text goes as it comes; none where only the result is wanted.
pub(super) type Live = Option<UnboundedSender<String>>;

/// Does the work on another thread, and prints the text that it sends meanwhile.
pub(super) async fn live(
    app: &App,
    work: impl FnOnce(Live) -> Result<Told> + Send + 'static,
) -> Result<Told> {
    if app.out.is_json() {
        return blocking(move || work(None)).await;
    }
    let (send, mut receive) = unbounded_channel::<String>();
    let job = blocking(move || work(Some(send)));
    tokio::pin!(job);
    let print = |piece: String| app.out.bytes(plain(&piece).as_bytes());
    let told = loop {
        tokio::select! {
            Some(piece) = receive.recv() => print(piece)?,
            told = &mut job => break told,
        }
    };
    while let Ok(piece) = receive.try_recv() {
        print(piece)?;
    }
    told
}

pub(super) async fn run(language: Language, asked: Asked, loader: Loader, app: &App) -> Result<Told> {
    live(app, move |live| texts(&language, &asked, &loader, &live)).await
}

/// A loaded network that writes.
enum Writer {
    Causal(Box<CausalModel>),
    Seq2Seq(Box<Seq2SeqModel>),
}

fn texts(language: &Language, asked: &Asked, loader: &Loader, live: &Live) -> Result<Told> {
    let tokenizer = Tokenizer::from_folder(&language.files)?;
    let mut settings = GenerationSettings::from_folder(&language.files, &language.config)?;
    asked.writing.apply(&mut settings);
    let (mut writer, engine, loading) = load(language, loader)?;
    let mut told = Told {
        engine,
        results: Value::Null,
        grid: None,
        notes: beams(&settings),
        loading,
        running: Duration::ZERO,
        speed: None,
    };
    let mut results = Vec::new();
    let began = Instant::now();
    for text in &asked.texts {
        let prompt = prompt(&tokenizer, text, &settings, &writer)?;
        let reads = Instant::now();
        let (decoder, given, positions): (&mut dyn Decoder, Vec<i64>, _) = match &mut writer {
            Writer::Causal(model) => {
                model.restart();
                (model.as_mut(), prompt.clone(), positions(language))
            }
            Writer::Seq2Seq(model) => {
                model.read(&prompt)?;
                (model.as_mut(), vec![start(&settings)?], None)
            }
        };
        let reading = reads.elapsed();
        let (mut written, text_out) =
            stream(decoder, &tokenizer, &given, &settings, positions, asked.writing.seed, live)?;
        written.reading += reading;
        told.notes.extend(why(&written, positions));
        told.speed = Some(speed(&prompt, &written));
        results.push(json!({
            "text": text,
            "written": text_out,
            "ids": written.ids,
            "prompt_tokens": prompt.len(),
            "end": written.end,
            "tokens_per_second": written.speed(),
        }));
    }
    told.running = began.elapsed();
    told.results = results.into();
    Ok(told)
}

/// Writes one text, sends it as it comes, and gives it whole.
pub(super) fn stream(
    decoder: &mut dyn Decoder,
    tokenizer: &Tokenizer,
    given: &[i64],
    settings: &GenerationSettings,
    positions: Option<usize>,
    seed: u64,
    live: &Live,
) -> Result<(Generated, String)> {
    let mut stream = TextStream::new(tokenizer, given, true);
    let mut whole = String::new();
    let mut say = |piece: String| {
        whole.push_str(&piece);
        // Whoever closed the pipe wants no more.
        piece.is_empty() || live.as_ref().is_none_or(|live| live.send(piece).is_ok())
    };
    let written =
        write(decoder, given, settings, positions, seed, &mut |token| Ok(say(stream.push(token)?)))?;
    say(stream.finish()?);
    if let Some(live) = live {
        let _ = live.send("\n".to_owned());
    }
    Ok((written, whole))
}

fn load(language: &Language, loader: &Loader) -> Result<(Writer, String, Duration)> {
    let began = Instant::now();
    let (writer, engine, starting) = match &language.graphs {
        Graphs::One(path) => {
            let (runner, starting) = loader.load_ort(path)?;
            let engine = runner.engine().to_owned();
            (Writer::Causal(Box::new(CausalModel::new(runner)?)), engine, starting)
        }
        Graphs::Two { .. } => {
            let (model, engine, starting) = seq2seq(&language.graphs, loader)?;
            (Writer::Seq2Seq(Box::new(model)), engine, starting)
        }
    };
    Ok((writer, engine, began.elapsed().saturating_sub(starting)))
}

/// An encoder and a decoder, the engine's name, and how long its library took to start.
pub(super) fn seq2seq(graphs: &Graphs, loader: &Loader) -> Result<(Seq2SeqModel, String, Duration)> {
    let Graphs::Two { encoder, decoder, with_past } = graphs else {
        return Err(Failure::new(
            Exit::Refused,
            "an encoder and a decoder are needed, and there is one graph",
        ));
    };
    let (encoder, starting) = loader.load_ort(encoder)?;
    let engine = encoder.engine().to_owned();
    let (decoder, _) = loader.load_ort(decoder)?;
    let with_past =
        with_past.as_ref().map(|path| loader.load_ort(path)).transpose()?.map(|(runner, _)| runner);
    Ok((Seq2SeqModel::new(encoder, decoder, with_past)?, engine, starting))
}

/// The tokens of a text to be written on, or about. An empty text to be written on begins with the token for that.
fn prompt(
    tokenizer: &Tokenizer,
    text: &str,
    settings: &GenerationSettings,
    writer: &Writer,
) -> Result<Vec<i64>> {
    let cut = match (writer, tokenizer.max_length()) {
        (Writer::Seq2Seq(_), Some(most)) => Cut::Longest(most),
        _ => Cut::Never,
    };
    let ids = tokenizer.encode(text, None, cut)?.ids;
    let bos = settings.bos.or(tokenizer.special().bos);
    Ok(match (writer, bos) {
        (Writer::Causal(_), Some(bos)) if ids.is_empty() => vec![bos],
        _ => ids,
    })
}

/// The token that a decoder begins with.
pub(super) fn start(settings: &GenerationSettings) -> Result<i64> {
    settings.decoder_start.or(settings.bos).ok_or_else(|| {
        let message = "no file says which token the decoder begins with";
        Failure::new(Exit::Refused, message)
            .hint("`decoder_start_token_id` in generation_config.json or config.json says it")
    })
}

/// How many tokens the network can see, where that is limited.
pub(super) fn positions(language: &Language) -> Option<usize> {
    ["n_positions", "max_position_embeddings", "max_target_positions"]
        .into_iter()
        .find_map(|key| language.config.get(key)?.as_u64())
        .map(|positions| positions as usize)
}

pub(super) fn beams(settings: &GenerationSettings) -> Vec<String> {
    let note = |beams: usize| {
        format!("the model's settings follow {beams} texts at once and keep the best; here one is followed")
    };
    (settings.beams > 1).then(|| note(settings.beams)).into_iter().collect()
}

/// What is worth telling about an end.
fn why(written: &Generated, positions: Option<usize>) -> Option<String> {
    (written.end == End::Full).then(|| {
        format!("the network sees {} tokens, and that is where it ended", positions.unwrap_or_default())
    })
}

pub(super) fn speed(prompt: &[i64], written: &Generated) -> String {
    let read = format!("read {} tokens in {}", prompt.len(), time(written.reading));
    match written.speed() {
        Some(speed) => format!("{read}, wrote {} at {speed:.1} tokens/s", written.ids.len()),
        None => format!("{read}, wrote {}", written.ids.len()),
    }
}

#[cfg(test)]
mod tests {
    use zoo_run::generate::Sampling;

    use super::*;

    #[test]
    fn options_go_before_the_models_files() {
        let apply = |wishes: Wishes, sampling: Option<Sampling>| {
            let mut settings = GenerationSettings::default();
            settings.sampling = sampling;
            wishes.apply(&mut settings);
            settings
        };
        let plain = apply(Wishes { max_new_tokens: Some(3), ..Wishes::default() }, None);
        assert_eq!((plain.max_new_tokens, plain.sampling), (Some(3), None));
        let drawn = apply(Wishes { top_k: Some(7), ..Wishes::default() }, None).sampling.unwrap();
        assert_eq!((drawn.top_k, drawn.temperature), (7, 1.0));
        let mut own = Sampling::default();
        own.top_p = 0.5;
        let both = apply(Wishes { temperature: Some(0.5), ..Wishes::default() }, Some(own)).sampling.unwrap();
        assert_eq!((both.top_p, both.temperature), (0.5, 0.5));
        assert_eq!(apply(Wishes { temperature: Some(0.0), ..Wishes::default() }, Some(own)).sampling, None);
    }
}
