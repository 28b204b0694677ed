//! One text, token by token.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::choose::Chooser;
use super::{Decoder, GenerationSettings};
use crate::{Error, Result};

/// A text that was written on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Generated {
    /// The new tokens, a token that ends the text included.
    pub ids: Vec<i64>,
    /// Why it ends.
    pub end: End,
    /// How long the network read what was given, and chose the first token.
    #[serde(skip)]
    pub reading: Duration,
    /// How long it wrote the others.
    #[serde(skip)]
    pub writing: Duration,
}

/// Why a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// A token said so.
    Token,
    /// There were as many as were wanted.
    Length,
    /// The network cannot see further.
    Full,
    /// Whoever watches wanted no more.
    Stopped,
}

impl Generated {
    /// Tokens per second, the first one not counted; none if there is no other.
    pub fn speed(&self) -> Option<f64> {
        let seconds = self.writing.as_secs_f64();
        (self.ids.len() > 1 && seconds > 0.0).then(|| (self.ids.len() - 1) as f64 / seconds)
    }
}

/// Writes on what is given.
///
/// `positions` is how many tokens the network can see, where that is limited. `each` is told every new token as it comes, and says
/// whether to go on. The same seed gives the same text.
///
/// # Errors
/// [`Error::Texts`] if nothing is given, or more than the network can see; [`Error::Task`] for settings whose numbers make no
/// sense, or that rule out every token; and what [`Decoder::next`] says.
pub fn write(
    decoder: &mut dyn Decoder,
    given: &[i64],
    settings: &GenerationSettings,
    positions: Option<usize>,
    seed: u64,
    each: &mut dyn FnMut(i64) -> Result<bool>,
) -> Result<Generated> {
    settings.check().map_err(|problem| Error::Task { task: "text-generation", problem })?;
    if given.is_empty() {
        return Err(Error::Texts {
            problem: "there is nothing to write on: the text has no tokens".to_owned(),
        });
    }
    if let Some(positions) = positions.filter(|positions| given.len() > *positions) {
        let problem = format!("the text has {} tokens, and the network sees {positions}", given.len());
        return Err(Error::Texts { problem });
    }
    let wanted = settings.new_tokens(given.len());
    let room = positions.map_or(wanted, |positions| wanted.min(positions - given.len() + 1));
    let mut chooser = Chooser::new(settings, given.len(), given.len() + wanted, seed);
    let mut ids = given.to_vec();
    let mut end = if room < wanted { End::Full } else { End::Length };
    let (began, mut reading) = (Instant::now(), Duration::ZERO);
    let mut fresh = given.len();
    for count in 0..room {
        let scores = decoder.next(ids.get(ids.len() - fresh..).unwrap_or_default())?;
        let Some(token) = chooser.next(&ids, scores) else {
            let problem = "every token is ruled out by the settings".to_owned();
            return Err(Error::Task { task: "text-generation", problem });
        };
        ids.push(token);
        fresh = 1;
        if count == 0 {
            reading = began.elapsed();
        }
        let goes_on = each(token)?;
        if settings.eos.contains(&token) {
            end = End::Token;
            break;
        }
        if !goes_on {
            end = End::Stopped;
            break;
        }
    }
    let writing = began.elapsed().saturating_sub(reading);
    Ok(Generated { ids: ids.split_off(given.len()), end, reading, writing })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts: after n comes n + 1.
    struct Counts(Vec<usize>);

    impl Decoder for Counts {
        fn next(&mut self, ids: &[i64]) -> Result<Vec<f32>> {
            self.0.push(ids.len());
            let last = *ids.last().unwrap() as usize;
            Ok((0..10).map(|token| if token == last + 1 { 1.0 } else { 0.0 }).collect())
        }
    }

    fn run(settings: &GenerationSettings, positions: Option<usize>) -> Result<(Generated, Vec<usize>)> {
        let mut counts = Counts(Vec::new());
        let written = write(&mut counts, &[1, 2], settings, positions, 0, &mut |token| Ok(token != 7))?;
        Ok((written, counts.0))
    }

    #[test]
    fn it_ends_where_it_should() {
        let mut settings = GenerationSettings { max_new_tokens: Some(3), ..GenerationSettings::default() };
        let (written, steps) = run(&settings, None).unwrap();
        assert_eq!((written.ids.as_slice(), written.end), (&[3, 4, 5][..], End::Length));
        assert_eq!(steps, [2, 1, 1], "what was given is read once");
        settings.max_new_tokens = Some(30);
        assert_eq!(run(&settings, None).unwrap().0.end, End::Stopped);
        settings.eos = vec![5, 6];
        let (written, _) = run(&settings, None).unwrap();
        assert_eq!((written.ids.as_slice(), written.end), (&[3, 4, 5][..], End::Token));
        // With four places the network sees three tokens and chooses a fourth and a fifth.
        let (written, _) = run(&settings, Some(3)).unwrap();
        assert_eq!((written.ids.as_slice(), written.end), (&[3, 4][..], End::Full));
        assert!(
            run(&settings, Some(1)).unwrap_err().to_string().contains("2 tokens, and the network sees 1")
        );
        settings.repetition_penalty = -1.0;
        assert!(run(&settings, None).unwrap_err().to_string().contains("repetition_penalty is -1"));
    }
}
