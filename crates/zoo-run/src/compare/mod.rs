//! Whether an output is the expected one.
//!
//! # The rule for floats
//!
//! The largest difference must not exceed the *tolerance times the spread* of the expected output. The spread is its
//! standard deviation, or a hundredth of its largest absolute value where that is more (an output that is nearly the
//! same everywhere has no deviation to speak of).
//!
//! An absolute bound alone would not do: a classifier's probabilities over a thousand classes are around 0.001, and a
//! graph that computes all of them wrongly differs by no more than 0.001. Nor would a bound relative to each element,
//! which no engine keeps for elements that are nearly zero because large ones cancel.
//!
//! - Four units in the last place of the largest value are always allowed. This matters for the half types only, whose
//!   single roundings can be more than a thousandth of the spread.
//! - If everything expected is zero there is no spread, and differences up to 1e-6 are allowed.
//! - NaN must be in the same places, and infinities of the same sign; they are left out of the spread.
//!
//! Everything that is no float of 16 bits or more (integers, booleans, texts, the 8-bit and narrower types) must be
//! equal. Complex numbers are compared as floats, real and imaginary parts alike.

mod exact;
mod floats;

use std::fmt;

use zoo_tensor::Tensor;

use crate::Named;

/// How far an output may be from its expectation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Tolerance {
    /// The largest difference allowed, as a part of the spread. 1e-3 by default: other orders of `f32` sums stay far
    /// below, wrong arithmetic does not.
    pub relative: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { relative: 1e-3 }
    }
}

/// One output against its expectation. If types or shapes differ, or the output is missing, nothing was compared: then
/// `largest` and `relative` are infinite and `elements` is 0.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The output's name.
    pub name: String,
    /// Whether it is as expected, within the tolerance.
    pub equal: bool,
    /// The largest absolute difference; infinite where there is no number for it: NaN, infinities, texts.
    pub largest: f64,
    /// The index of the largest difference, one number per dimension; of the first element if there is none.
    pub at: Vec<usize>,
    /// What was expected there; NaN where it is no number.
    pub expected: f64,
    /// What was found there; NaN where it is no number.
    pub found: f64,
    /// The spread of what was expected; 0 if all of it is zero, and where elements must be equal.
    pub scale: f64,
    /// The largest difference as a part of the spread; infinite if there is a difference and no spread.
    pub relative: f64,
    /// How many elements were compared.
    pub elements: usize,
    /// What is wrong beyond a difference of numbers: another type or shape, NaN elsewhere, elements that must be equal.
    pub problem: Option<String>,
}

/// Compares one output.
pub fn compare(name: &str, expected: &Tensor, found: &Tensor, tolerance: &Tolerance) -> Comparison {
    let mut comparison = if expected.dtype() != found.dtype() {
        incomparable(format!("{} was expected, {} found", expected.dtype(), found.dtype()))
    } else if expected.shape() != found.shape() {
        incomparable(format!("the shape {:?} was expected, {:?} found", expected.shape(), found.shape()))
    } else {
        floats::compare(expected, found, *tolerance).unwrap_or_else(|| exact::compare(expected, found))
    };
    name.clone_into(&mut comparison.name);
    comparison
}

/// Compares outputs with what was expected: by name, else by position. An output that is expected and not there is a
/// comparison with a problem; outputs that nothing is expected of are not mentioned.
pub fn compare_all(expected: &[Named], found: &[Named], tolerance: &Tolerance) -> Vec<Comparison> {
    let mut taken = vec![false; found.len()];
    let mut pairs: Vec<Option<usize>> = Vec::with_capacity(expected.len());
    for (name, _) in expected {
        let same = |(place, (other, _)): (usize, &Named)| (other == name && !taken[place]).then_some(place);
        let place = if name.is_empty() { None } else { found.iter().enumerate().find_map(same) };
        if let Some(place) = place {
            taken[place] = true;
        }
        pairs.push(place);
    }
    let compare_one = |(place, (name, wanted)): (usize, &Named)| {
        let by_position = || taken.get(place).is_some_and(|taken| !taken).then_some(place);
        let pair =
            pairs.get(place).copied().flatten().or_else(by_position).and_then(|place| found.get(place));
        match pair {
            Some((own, have)) => compare(if own.is_empty() { name } else { own }, wanted, have, tolerance),
            None => Comparison { name: name.clone(), ..incomparable("it is missing".to_owned()) },
        }
    };
    expected.iter().enumerate().map(compare_one).collect()
}

fn incomparable(problem: String) -> Comparison {
    Comparison {
        name: String::new(),
        equal: false,
        largest: f64::INFINITY,
        at: Vec::new(),
        expected: f64::NAN,
        found: f64::NAN,
        scale: 0.0,
        relative: f64::INFINITY,
        elements: 0,
        problem: Some(problem),
    }
}

/// The index of the element with this number in row-major order.
fn index(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (at, &dim) in index.iter_mut().zip(shape).rev() {
        *at = place % dim.max(1);
        place /= dim.max(1);
    }
    index
}

/// A difference as a part of a spread.
fn ratio(difference: f64, scale: f64) -> f64 {
    if difference == 0.0 {
        0.0
    } else if scale == 0.0 {
        f64::INFINITY
    } else {
        difference / scale
    }
}

/// One line: `output: largest difference 3.1e-7 (1.2e-7 of the spread) at [0, 3]: expected 0.25, found 0.2500003`.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, largest, at, elements, .. } = self;
        write!(f, "{}: ", if name.is_empty() { "output" } else { name })?;
        if let Some(problem) = &self.problem {
            f.write_str(problem)?;
            if *elements == 0 {
                return Ok(());
            }
        }
        let separator = if self.problem.is_some() { "; " } else { "" };
        if *largest == 0.0 {
            return if self.problem.is_some() {
                Ok(())
            } else {
                write!(f, "no difference in {elements} element{}", if *elements == 1 { "" } else { "s" })
            };
        }
        if largest.is_finite() {
            write!(f, "{separator}largest difference {largest:.1e}")?;
            if self.relative.is_finite() {
                write!(f, " ({:.1e} of the spread)", self.relative)?;
            }
        } else if self.expected.is_nan() && self.found.is_nan() {
            return Ok(()); // Not numbers: the problem says it all.
        } else {
            write!(f, "{separator}first")?;
        }
        write!(f, " at {at:?}: expected {}, found {}", number(self.expected), number(self.found))
    }
}

/// A number as short as its own type would write it: `0.1` for an `f32` that is nearest to 0.1.
fn number(value: f64) -> String {
    let narrow = value as f32;
    let is_narrow = f64::from(narrow).to_bits() == value.to_bits();
    let text = if is_narrow || value.is_nan() { format!("{narrow:?}") } else { format!("{value:?}") };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
