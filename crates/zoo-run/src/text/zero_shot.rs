//! Which of any labels a text is of, asked of a network that knows whether one sentence follows from another, as transformers'
//! `zero-shot-classification` does it.

use super::{Class, Cut, TextModel};
use crate::{Error, Result, numbers};

const TASK: &str = "zero-shot-classification";

/// The sentence that a label is put into where none is given.
pub const HYPOTHESIS: &str = "This example is {}.";

impl TextModel<'_> {
    /// Every label for every text, best first. `hypothesis` has `{}` where the label goes. With `several`, labels do not exclude
    /// each other: each is weighed against its contradiction.
    ///
    /// # Errors
    /// [`Error::Task`] if `config.json` has no label that begins with `entail`, or there are no labels or no place for them.
    pub fn zero_shot(
        &mut self,
        texts: &[&str],
        labels: &[&str],
        hypothesis: &str,
        several: bool,
    ) -> Result<Vec<Vec<Class>>> {
        let refuse = |problem: String| Error::Task { task: TASK, problem };
        let entails = |label: &String| label.to_lowercase().starts_with("entail");
        let Some(entailment) = self.config().labels().iter().position(entails) else {
            let labels = self.config().labels().join(", ");
            return Err(refuse(format!("no label of the network begins with \"entail\"; it has {labels}")));
        };
        if labels.is_empty() {
            return Err(refuse("there are no labels to choose from".to_owned()));
        }
        if !hypothesis.contains("{}") {
            return Err(refuse(format!("the sentence \"{hypothesis}\" has no {{}} where a label could go")));
        }
        let most = self.tokenizer().max_length();
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let mut pairs = Vec::with_capacity(labels.len());
            for label in labels {
                let hypothesis = hypothesis.replace("{}", label);
                pairs.push(self.encode_within(
                    text,
                    Some(&hypothesis),
                    most.map_or(Cut::Never, Cut::First),
                )?);
            }
            let rows = self.run(pairs, &[])?;
            let scores = rows.iter().map(|row| row.whole(TASK, "logits")).collect::<Result<Vec<_>>>()?;
            for scores in &scores {
                self.config().check_labels(TASK, scores.len())?;
            }
            let at = |scores: &Vec<f32>, place: usize| scores.get(place).copied().unwrap_or_default();
            let chances: Vec<f64> = if several || labels.len() == 1 {
                let contradiction = if entailment == 0 { self.config().labels().len() - 1 } else { 0 };
                let chance = |scores: &Vec<f32>| {
                    numbers::softmax(&[at(scores, contradiction), at(scores, entailment)])
                };
                scores.iter().map(|scores| chance(scores).pop().unwrap_or_default()).collect()
            } else {
                numbers::softmax(&scores.iter().map(|scores| at(scores, entailment)).collect::<Vec<_>>())
            };
            let mut classes: Vec<Class> =
                labels.iter().zip(chances).map(|(label, chance)| Class::new(*label, chance)).collect();
            Class::sort(&mut classes);
            all.push(classes);
        }
        Ok(all)
    }
}
