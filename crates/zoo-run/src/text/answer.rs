//! Which part of a text answers a question, as transformers' `question-answering` says it.

use serde::Serialize;

use super::model::Row;
use super::spans::characters;
use super::{Cut, TextModel};
use crate::{Error, Result, numbers};

const TASK: &str = "question-answering";

/// Tokens that question and context may have together, at most; longer contexts are read in windows.
const WINDOW: usize = 384;

/// How many tokens a window shares with the one before, at most.
const OVERLAP: usize = 128;

/// Tokens that an answer may have, at most.
const LONGEST: usize = 15;

/// What scores are put to where no answer can be.
const IMPOSSIBLE: f32 = -10_000.0;

/// A part of a context that answers a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// The part.
    pub answer: String,
    /// How probable it is, between 0 and 1.
    pub score: f64,
    /// Where it begins in the context, in characters.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl TextModel<'_> {
    /// The `count` best answers to a question, best first; fewer if the context has no more. With `or_none`, one of them may be
    /// empty: the context holds no answer. The graph's outputs are `start_logits` and `end_logits`, `[texts, tokens]`.
    ///
    /// # Errors
    /// [`Error::Texts`] if question or context are empty, or the question is too long; [`Error::Outputs`] if there are no such
    /// outputs.
    pub fn answer(
        &mut self,
        question: &str,
        context: &str,
        count: usize,
        or_none: bool,
    ) -> Result<Vec<Answer>> {
        if question.is_empty() || context.is_empty() {
            return Err(Error::Texts {
                problem: "a question and a context are needed, and one is empty".to_owned(),
            });
        }
        let most = self.tokenizer().max_length().map_or(WINDOW, |length| length.min(WINDOW));
        let overlap = (most / 2).min(OVERLAP);
        let question_first = !self.tokenizer().pads_left();
        let windows = if question_first {
            self.tokenizer().windows(question, Some(context), Cut::Second(most), overlap)?
        } else {
            self.tokenizer().windows(context, Some(question), Cut::First(most), overlap)?
        };
        let rows = self.run(windows, &[])?;
        let cls = self.tokenizer().special().cls;
        let (mut answers, mut least_none) = (Vec::new(), f64::INFINITY);
        for row in &rows {
            let (start, end, allowed) = chances(row, cls, question_first)?;
            if let (Some(start), Some(end)) = (start.first(), end.first()) {
                least_none = least_none.min(start * end);
            }
            for (from, to, score) in best(&start, &end, count * 2 + 10) {
                if !(allowed.get(from) == Some(&true) && allowed.get(to) == Some(&true)) {
                    continue;
                }
                add(&mut answers, row, context, (from, to), score);
            }
        }
        if or_none {
            answers.push(Answer { answer: String::new(), score: least_none, start: 0, end: 0 });
        }
        answers.sort_by(|a, b| b.score.total_cmp(&a.score));
        answers.truncate(count);
        Ok(answers)
    }
}

/// For each token, how probable it is that an answer begins and that it ends there, and whether it may.
fn chances(row: &Row, cls: Option<i64>, question_first: bool) -> Result<(Vec<f64>, Vec<f64>, Vec<bool>)> {
    let (mut start, mut end) = (row.whole(TASK, "start_logits")?, row.whole(TASK, "end_logits")?);
    let tokens = row.encoded.len();
    // These two outputs have no dimension behind the tokens, so padding is still on them.
    for scores in [&mut start, &mut end] {
        if scores.len() < tokens {
            let problem = format!("{tokens} tokens have {} scores", scores.len());
            return Err(Error::Outputs { task: TASK, problem });
        }
        scores.drain(if question_first { tokens..scores.len() } else { 0..scores.len() - tokens });
    }
    let is_allowed =
        |(id, sequence): (&i64, &Option<usize>)| !question_first || *sequence == Some(1) || Some(*id) == cls;
    let allowed: Vec<bool> = row.encoded.ids.iter().zip(&row.encoded.sequences).map(is_allowed).collect();
    let spread = |scores: Vec<f32>| {
        let scores: Vec<f32> = scores
            .into_iter()
            .zip(&allowed)
            .map(|(score, allowed)| if *allowed { score } else { IMPOSSIBLE })
            .collect();
        numbers::softmax(&scores)
    };
    Ok((spread(start), spread(end), allowed))
}

/// The most probable spans: first token, last token, probability. The first token of all stands for no answer.
fn best(start: &[f64], end: &[f64], count: usize) -> Vec<(usize, usize, f64)> {
    let mut spans = Vec::new();
    for (from, a) in start.iter().enumerate().skip(1) {
        spans.extend(end.iter().enumerate().skip(from).take(LONGEST).map(|(to, b)| (from, to, a * b)));
    }
    spans.sort_by(|a, b| b.2.total_cmp(&a.2));
    spans.truncate(count);
    spans
}

/// Adds a span, widened to whole words; the same words add up.
fn add(answers: &mut Vec<Answer>, row: &Row, context: &str, (from, to): (usize, usize), score: f64) {
    let encoded = &row.encoded;
    let offset = |token: usize| encoded.offsets.get(token).copied().unwrap_or_default();
    let (start, end) = match (encoded.word(from), encoded.word(to)) {
        (Some(first), Some(last)) => (first.0, last.1),
        _ => (offset(from).0, offset(to).1),
    };
    let answer = characters(context, start, end);
    let lower = answer.to_lowercase();
    match answers.iter_mut().find(|other| other.answer.to_lowercase() == lower) {
        Some(same) => same.score += score,
        None => answers.push(Answer { answer, score, start, end }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_run_forward_and_are_short() {
        let start = [0.5, 0.3, 0.2];
        let end = [0.6, 0.1, 0.3];
        let spans: Vec<_> = best(&start, &end, 9).into_iter().map(|(from, to, _)| (from, to)).collect();
        assert_eq!(spans, [(1, 2), (2, 2), (1, 1)]);
        assert_eq!(best(&start, &end, 1).len(), 1);
        let long = vec![0.05; 20];
        assert_eq!(best(&long, &long, 1000).iter().filter(|(from, ..)| *from == 1).count(), LONGEST);
    }
}
