//! The most probable classes of an output of scores.

use zoo_tensor::Tensor;

use super::scale::Scale;
use crate::{Error, Named, Result};

/// A class and how probable it is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Ranked {
    /// The class: its place in the output, and in the labels.
    pub index: usize,
    /// Between 0 and 1.
    pub probability: f64,
    /// The number in the output.
    pub score: f64,
}

/// An output of scores: a number per class, for each picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores<'a> {
    name: &'a str,
    classes: usize,
    values: Vec<f64>,
}

impl<'a> Scores<'a> {
    /// The scores among a classifier's outputs: the output named `logits`, else the first. It has the shape
    /// `[pictures, classes]`; further dimensions must be 1.
    ///
    /// # Errors
    /// [`Error::Outputs`] if there are none, for another shape or type, or scores that are not finite.
    pub fn of(outputs: &'a [Named]) -> Result<Self> {
        let named = outputs.iter().find(|(name, _)| name == "logits").or(outputs.first());
        let (name, scores) = named.ok_or_else(|| unreadable("there are none".to_owned()))?;
        let classes = match scores.shape() {
            [_, classes, rest @ ..] if *classes > 0 && rest.iter().all(|&size| size == 1) => *classes,
            shape => {
                let needed = "[pictures, classes] is needed";
                return Err(unreadable(format!("\"{name}\" has the shape {shape:?}, and {needed}")));
            }
        };
        Ok(Self { name, classes, values: numbers(name, scores).map_err(unreadable)? })
    }

    /// The output's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// How many classes are told apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The `count` most probable classes of every picture, most probable first; of equal ones, the first in the output
    /// first.
    pub fn top(&self, count: usize, scale: Scale) -> Vec<Vec<Ranked>> {
        self.values.chunks_exact(self.classes).map(|scores| rank(scores, scale, count)).collect()
    }
}

fn rank(scores: &[f64], scale: Scale, top: usize) -> Vec<Ranked> {
    // Subtracting the largest changes nothing but that no power overflows.
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    let probability = |score: f64| match scale {
        Scale::Logits => (score - largest).exp() / sum,
        Scale::Probabilities => score,
    };
    let mut ranked: Vec<Ranked> = scores
        .iter()
        .enumerate()
        .map(|(index, &score)| Ranked { index, probability: probability(score), score })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked.truncate(top);
    ranked
}

/// The output's elements, if all of them are finite.
pub(super) fn numbers(name: &str, tensor: &Tensor) -> Result<Vec<f64>, String> {
    let values = tensor.to_f64_vec().map_err(|_| format!("\"{name}\" holds {} elements", tensor.dtype()))?;
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("\"{name}\" holds {value}, which is no score")),
        None => Ok(values),
    }
}

fn unreadable(problem: String) -> Error {
    Error::Outputs { task: "scores of classes", problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(name: &str, shape: &[usize], values: &[f32]) -> Named {
        (name.to_owned(), Tensor::from_slice(shape, values).unwrap())
    }

    fn indices(ranked: &[Ranked]) -> Vec<usize> {
        ranked.iter().map(|class| class.index).collect()
    }

    fn top(outputs: &[Named], count: usize, scale: Scale) -> Vec<Vec<Ranked>> {
        Scores::of(outputs).unwrap().top(count, scale)
    }

    #[test]
    fn each_picture_has_its_own_ranking() {
        let outputs = [output("y", &[2, 3], &[0.0, 2.0, 1.0, 5.0, 5.0, -1.0])];
        let found = top(&outputs, 2, Scale::Logits);
        assert_eq!(found.iter().map(|ranked| indices(ranked)).collect::<Vec<_>>(), [[1, 2], [0, 1]]);
        // torch.softmax(torch.tensor([0., 2., 1.]), 0)
        assert!((found[0][0].probability - 0.665_240_96).abs() < 1e-7, "{found:?}");
        assert!((found[0][1].probability - 0.244_728_48).abs() < 1e-7, "{found:?}");
        assert_eq!(found[0][0].score.to_bits(), 2.0_f64.to_bits());
        assert_eq!(top(&outputs, 9, Scale::Logits)[0].len(), 3, "there are no more");
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let found = top(&[output("y", &[1, 2], &[3e38, -3e38])], 2, Scale::Logits);
        let probabilities: Vec<f64> = found[0].iter().map(|class| class.probability).collect();
        assert_eq!(probabilities, [1.0, 0.0]);
    }

    #[test]
    fn probabilities_are_left_as_they_are() {
        let found = top(&[output("p", &[1, 3, 1, 1], &[0.25, 0.125, 0.625])], 3, Scale::Probabilities);
        let probabilities: Vec<f64> = found[0].iter().map(|class| class.probability).collect();
        assert_eq!((indices(&found[0]), probabilities), (vec![2, 0, 1], vec![0.625, 0.25, 0.125]));
    }

    #[test]
    fn of_several_outputs_the_logits_are_the_scores() {
        let outputs = [output("aux", &[1, 3], &[0.0; 3]), output("logits", &[1, 2], &[0.0; 2])];
        let found = |outputs: &[Named]| {
            let scores = Scores::of(outputs).unwrap();
            (scores.name().to_owned(), scores.classes())
        };
        assert_eq!(found(&outputs), ("logits".to_owned(), 2));
        assert_eq!(found(&outputs[..1]), ("aux".to_owned(), 3));
    }

    #[test]
    fn what_is_no_scores_is_refused() {
        let message = |outputs: &[Named]| Scores::of(outputs).unwrap_err().to_string();
        assert!(message(&[]).contains("there are none"));
        assert!(message(&[output("y", &[2], &[0.0, 1.0])]).contains("the shape [2]"));
        assert!(message(&[output("y", &[1, 1, 2], &[0.0, 1.0])]).contains("the shape [1, 1, 2]"));
        assert!(message(&[output("y", &[1, 0], &[])]).contains("the shape [1, 0]"));
        assert!(message(&[output("y", &[1, 2], &[0.0, f32::NAN])]).contains("\"y\" holds NaN"));
        let words = Tensor::from_strings([1, 1], vec!["cat".into()]).unwrap();
        assert!(message(&[("y".into(), words)]).contains("string elements"));
    }
}
