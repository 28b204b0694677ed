//! Which class a text is of, as transformers' `text-classification` says it.

use serde::Serialize;

use super::TextModel;
use crate::config::Problem;
use crate::{Result, numbers};

const TASK: &str = "text-classification";

/// A class, and how well a text fits.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Class {
    /// What the class is called.
    pub label: String,
    /// How probable it is, between 0 and 1; for a regression, the number itself.
    pub score: f64,
}

impl Class {
    /// A class by its name.
    pub fn new(label: impl Into<String>, score: f64) -> Self {
        Self { label: label.into(), score }
    }

    /// Classes in their order, the best first; of equal ones, those that were first stay so.
    pub(crate) fn sort(classes: &mut [Self]) {
        classes.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
}

/// What to make of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// Probabilities that sum to 1.
    Softmax,
    /// A probability for each class by itself.
    Sigmoid,
    /// Nothing.
    Nothing,
}

impl Apply {
    /// What the settings of a network say: nothing for a regression, a sigmoid for several labels at once or a single one, a softmax
    /// otherwise.
    pub fn by(problem: Option<Problem>, classes: usize) -> Self {
        match problem {
            Some(Problem::Regression) => Self::Nothing,
            Some(Problem::MultiLabel) => Self::Sigmoid,
            _ if classes == 1 => Self::Sigmoid,
            _ => Self::Softmax,
        }
    }

    /// The scores, made into what it says.
    pub(crate) fn to(self, scores: &[f32]) -> Vec<f64> {
        match self {
            Self::Softmax => numbers::softmax(scores),
            Self::Sigmoid => scores.iter().map(|&score| numbers::sigmoid(score)).collect(),
            Self::Nothing => scores.iter().map(|&score| f64::from(score)).collect(),
        }
    }
}

impl TextModel<'_> {
    /// All classes for every text, or pair of texts, best first. The graph's output is `logits`, `[texts, classes]`.
    ///
    /// # Errors
    /// [`crate::Error::Outputs`] if there is no such output, or `config.json` names another number of classes.
    pub fn classify(
        &mut self,
        texts: &[(&str, Option<&str>)],
        apply: Option<Apply>,
    ) -> Result<Vec<Vec<Class>>> {
        let encoded = texts.iter().map(|(text, pair)| self.encode(text, *pair)).collect::<Result<_>>()?;
        let rows = self.run(encoded, &[])?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let scores = row.whole(TASK, "logits")?;
            self.config().check_labels(TASK, scores.len())?;
            let apply = apply.unwrap_or_else(|| Apply::by(self.config().problem(), scores.len()));
            let mut classes: Vec<Class> = self
                .config()
                .labels()
                .iter()
                .zip(apply.to(&scores))
                .map(|(label, score)| Class::new(label, score))
                .collect();
            Class::sort(&mut classes);
            all.push(classes);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_becomes_of_scores() {
        assert_eq!(Apply::by(None, 2), Apply::Softmax);
        assert_eq!(Apply::by(Some(Problem::SingleLabel), 3), Apply::Softmax);
        assert_eq!(Apply::by(None, 1), Apply::Sigmoid);
        assert_eq!(Apply::by(Some(Problem::MultiLabel), 3), Apply::Sigmoid);
        assert_eq!(Apply::by(Some(Problem::Regression), 1), Apply::Nothing);
        assert_eq!(Apply::Nothing.to(&[1.5, -2.0]), [1.5, -2.0]);
    }

    #[test]
    fn the_best_is_first() {
        let mut classes = vec![Class::new("a", 0.1), Class::new("b", 0.5), Class::new("c", 0.5)];
        Class::sort(&mut classes);
        assert_eq!(classes.iter().map(|class| class.label.as_str()).collect::<String>(), "bca");
    }
}
