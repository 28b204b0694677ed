//! Which token comes next: what the settings make of a network's scores, in the order of transformers' processors.

use fastrand::Rng;

use super::{GenerationSettings, Sampling};
use crate::numbers;

/// A score that rules a token out.
const NEVER: f32 = f32::NEG_INFINITY;

/// Chooses tokens by settings.
#[derive(Debug)]
pub(super) struct Chooser<'s> {
    settings: &'s GenerationSettings,
    /// How many tokens were given.
    given: usize,
    /// How many there may be in the end.
    most: usize,
    lot: Rng,
}

impl<'s> Chooser<'s> {
    pub(super) fn new(settings: &'s GenerationSettings, given: usize, most: usize, seed: u64) -> Self {
        Self { settings, given, most, lot: Rng::with_seed(seed) }
    }

    /// The token after `ids`; none if there is no vocabulary or every token is ruled out.
    pub(super) fn next(&mut self, ids: &[i64], mut scores: Vec<f32>) -> Option<i64> {
        self.rule(ids, &mut scores);
        let chosen = match self.settings.sampling {
            None => numbers::largest(&scores),
            Some(sampling) => {
                narrow(sampling, &mut scores);
                self.draw(&scores)
            }
        };
        chosen
            .filter(|&place| scores.get(place).is_some_and(|score| *score > NEVER))
            .map(|place| place as i64)
    }

    /// What settings rule out or make less probable.
    fn rule(&self, ids: &[i64], scores: &mut [f32]) {
        let settings = self.settings;
        repetition(settings.repetition_penalty, ids, scores);
        ngrams(settings.no_repeat_ngram, ids, scores);
        for row in &settings.bad_words {
            if !matches!(row.as_slice(), [one] if settings.eos.contains(one)) {
                bad_word(row, ids, scores);
            }
        }
        if ids.len() < settings.min_length || ids.len() - self.given.min(ids.len()) < settings.min_new_tokens
        {
            never(&settings.eos, scores);
        }
        if ids.len() == 1
            && let Some(token) = settings.forced_bos
        {
            only(&[token], scores);
        }
        if ids.len() + 1 == self.most && !settings.forced_eos.is_empty() {
            only(&settings.forced_eos, scores);
        }
        never(&settings.suppress, scores);
        // Where the first token is forced, the one after it is the first that is chosen.
        let begin = self.given + usize::from(self.given <= 1 && settings.forced_bos.is_some());
        if ids.len() == begin {
            never(&settings.begin_suppress, scores);
        }
    }

    fn draw(&mut self, scores: &[f32]) -> Option<usize> {
        let chances = numbers::softmax(scores);
        let mut left = self.lot.f64();
        let possible = |(_, chance): &(usize, &f64)| **chance > 0.0;
        for (place, chance) in chances.iter().enumerate().filter(possible) {
            left -= chance;
            if left < 0.0 {
                return Some(place);
            }
        }
        // Rounding may leave a rest.
        chances.iter().enumerate().rfind(possible).map(|(place, _)| place)
    }
}

fn set(scores: &mut [f32], token: i64, score: f32) {
    if let Some(place) = usize::try_from(token).ok().and_then(|place| scores.get_mut(place)) {
        *place = score;
    }
}

/// None of these tokens can come.
fn never(tokens: &[i64], scores: &mut [f32]) {
    for &token in tokens {
        set(scores, token, NEVER);
    }
}

/// Only these tokens can come.
fn only(tokens: &[i64], scores: &mut [f32]) {
    scores.fill(NEVER);
    for &token in tokens {
        set(scores, token, 0.0);
    }
}

/// Tokens that are there already are less probable.
fn repetition(penalty: f32, ids: &[i64], scores: &mut [f32]) {
    if (penalty - 1.0).abs() <= f32::EPSILON {
        return;
    }
    let mut seen = ids.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for token in seen {
        if let Some(score) = usize::try_from(token).ok().and_then(|place| scores.get_mut(place)) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
}

/// What would repeat `size` tokens in a row is ruled out.
fn ngrams(size: usize, ids: &[i64], scores: &mut [f32]) {
    let Some(end) = size.checked_sub(1).and_then(|before| ids.len().checked_sub(before)) else { return };
    let last = ids.get(end..).unwrap_or_default();
    for window in ids.windows(size) {
        if let Some((&next, before)) = window.split_last()
            && before == last
        {
            set(scores, next, NEVER);
        }
    }
}

fn bad_word(row: &[i64], ids: &[i64], scores: &mut [f32]) {
    if let Some((&next, before)) = row.split_last()
        && (before.is_empty() || (row.len() <= ids.len() && ids.ends_with(before)))
    {
        set(scores, next, NEVER);
    }
}

/// Rules out what is too improbable to be drawn.
fn narrow(sampling: Sampling, scores: &mut [f32]) {
    if (sampling.temperature - 1.0).abs() > f32::EPSILON {
        for score in scores.iter_mut() {
            *score /= sampling.temperature;
        }
    }
    if sampling.top_k > 0 && sampling.top_k < scores.len() {
        let mut sorted = scores.to_vec();
        let (_, &mut least, _) = sorted.select_nth_unstable_by(sampling.top_k - 1, |a, b| b.total_cmp(a));
        scores.iter_mut().filter(|score| **score < least).for_each(|score| *score = NEVER);
    }
    if sampling.top_p < 1.0 {
        let chances = numbers::softmax(scores);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| at(scores, a).total_cmp(&at(scores, b)));
        order.pop();
        let mut sum = 0.0;
        for place in order {
            sum += chances.get(place).copied().unwrap_or_default();
            if sum > f64::from(1.0 - sampling.top_p) {
                break;
            }
            set(scores, place as i64, NEVER);
        }
    }
    if sampling.min_p > 0.0 {
        let chances = numbers::softmax(scores);
        let largest = chances.iter().copied().fold(0.0, f64::max);
        for (score, chance) in scores.iter_mut().zip(chances) {
            if chance < f64::from(sampling.min_p) * largest {
                *score = NEVER;
            }
        }
    }
}

fn at(scores: &[f32], place: usize) -> f32 {
    scores.get(place).copied().unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Scores before and after transformers' processors.
    fn fixture() -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/huggingface/running/sampling.json");
        serde_json::from_reader(std::fs::File::open(path).unwrap()).unwrap()
    }

    fn floats(json: &Value) -> Vec<f32> {
        json.as_array().unwrap().iter().map(|v| v.as_f64().map_or(NEVER, |v| v as f32)).collect()
    }

    fn same(found: &[f32], expected: &Value, what: &str) {
        for (place, (a, b)) in found.iter().zip(floats(expected)).enumerate() {
            assert!((a - b).abs() < 1e-5 || (*a == NEVER && b == NEVER), "{what} at {place}: {a} {b}");
        }
    }

    #[test]
    fn every_rule_is_that_of_transformers() {
        let fixture = fixture();
        let ids: Vec<i64> = serde_json::from_value(fixture["ids"].clone()).unwrap();
        let all = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 };
        for (key, sampling) in [
            ("temperature", Sampling { temperature: 0.7, ..all }),
            ("top_k", Sampling { top_k: 5, ..all }),
            ("top_p", Sampling { top_p: 0.6, ..all }),
            ("min_p", Sampling { min_p: 0.2, ..all }),
        ] {
            let mut scores = floats(&fixture["scores"]);
            narrow(sampling, &mut scores);
            same(&scores, &fixture[key], key);
        }
        let rule = |change: fn(&mut GenerationSettings)| {
            let mut settings = GenerationSettings { eos: vec![0], ..GenerationSettings::default() };
            change(&mut settings);
            let mut scores = floats(&fixture["scores"]);
            Chooser::new(&settings, 2, 100, 0).rule(&ids, &mut scores);
            scores
        };
        same(&rule(|s| s.repetition_penalty = 1.5), &fixture["repetition_penalty"], "repetition");
        same(&rule(|s| s.no_repeat_ngram = 2), &fixture["no_repeat_ngram_size"], "ngrams");
        same(
            &rule(|s| s.bad_words = vec![vec![7], vec![3, 5, 11], vec![9, 12], vec![0]]),
            &fixture["bad_words"],
            "words",
        );
        let mut together = rule(|s| s.repetition_penalty = 1.2);
        narrow(Sampling { temperature: 0.8, top_k: 12, top_p: 0.9, min_p: 0.0 }, &mut together);
        same(&together, &fixture["together"], "together");
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let settings =
            GenerationSettings { sampling: Some(Sampling::default()), ..GenerationSettings::default() };
        let draw = |seed| {
            let mut chooser = Chooser::new(&settings, 1, 100, seed);
            (0..50).map(|_| chooser.next(&[1], vec![0.0, 1.0, 2.0, NEVER]).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        // Half of a thousand and more are of the most probable: 0.665.
        let mut chooser = Chooser::new(&settings, 1, 100, 0);
        let count = (0..2000).filter(|_| chooser.next(&[1], vec![0.0, 1.0, 2.0, NEVER]) == Some(2)).count();
        assert!((1250..1410).contains(&count), "{count}");
    }

    #[test]
    fn ends_are_forced_and_forbidden() {
        let mut settings =
            GenerationSettings { eos: vec![1], min_new_tokens: 2, ..GenerationSettings::default() };
        let scores = || vec![0.0, 5.0, 3.0, 1.0];
        let next =
            |settings: &GenerationSettings, ids: &[i64]| Chooser::new(settings, 1, 6, 0).next(ids, scores());
        assert_eq!((next(&settings, &[0, 2]), next(&settings, &[0, 2, 2])), (Some(2), Some(1)));
        settings.forced_bos = Some(3);
        settings.forced_eos = vec![0];
        settings.begin_suppress = vec![1];
        assert_eq!(next(&settings, &[0]), Some(3));
        settings.min_new_tokens = 0;
        assert_eq!(next(&settings, &[0, 3]), Some(2), "the first that is chosen");
        assert_eq!(next(&settings, &[0, 3, 2, 2, 2]), Some(0), "the last there is room for");
        settings.suppress = vec![0, 1, 2, 3, 99, -1];
        assert_eq!(next(&settings, &[0, 3, 2]), None);
        assert_eq!(Chooser::new(&settings, 0, 6, 0).next(&[], Vec::new()), None);
    }
}
