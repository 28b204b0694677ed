//! Comparisons, and what is done with their results.

use zoo_tensor::DType;

use super::pointwise::broadcast;
use crate::builder::Builder;
use crate::{Result, Val};

/// One method per operator that takes two tensors of one type (`bool` where said so), broadcasts them, and answers with `bool`.
macro_rules! answers {
    ($($name:ident $op:literal $of_bool:literal $doc:literal;)*) => {
        impl Builder {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// If the types differ or do not suit the operator, or the shapes do not broadcast.
                #[track_caller]
                pub fn $name(&mut self, a: Val, b: Val) -> Result<Val> {
                    self.answer($op, $of_bool, a, b)
                }
            )*
        }
    };
}

answers! {
    equal "Equal" false "Whether elements are equal.";
    less "Less" false "Whether `a < b`.";
    less_or_equal "LessOrEqual" false "Whether `a <= b`.";
    greater "Greater" false "Whether `a > b`.";
    greater_or_equal "GreaterOrEqual" false "Whether `a >= b`.";
    and "And" true "Whether both hold.";
    or "Or" true "Whether one of them holds.";
}

impl Builder {
    /// `Not` of a `bool`.
    ///
    /// # Errors
    /// If it is none.
    #[track_caller]
    pub fn not(&mut self, x: Val) -> Result<Val> {
        if self.dtype(x) != DType::Bool {
            return self.fail("Not", format!("{} is no condition", self.describe(x)));
        }
        let made = (DType::Bool, self.dims(x).to_vec());
        self.node1("Not", &[x], vec![], made)
    }

    #[track_caller]
    fn answer(&mut self, op: &str, of_bool: bool, a: Val, b: Val) -> Result<Val> {
        let dims = broadcast(self.dims(a), self.dims(b));
        let suits = self.dtype(a) == self.dtype(b) && (self.dtype(a) == DType::Bool) == of_bool;
        match dims {
            Some(dims) if suits => self.node1(op, &[a, b], vec![], (DType::Bool, dims)),
            _ => {
                let problem = format!("{} and {} do not go together", self.describe(a), self.describe(b));
                self.fail(op, problem)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dims, graph, value};

    #[test]
    fn comparing_broadcasts_and_answers() {
        let mut g = graph();
        let (a, b) = (value(&mut g, "a", "n,1,s"), value(&mut g, "b", "t,1"));
        let less = g.less(a, b).unwrap();
        assert_eq!((dims(&g, less).as_str(), g.dtype(less)), ("n,t,s", DType::Bool));
        let no = g.not(less).unwrap();
        let both = g.and(less, no).unwrap();
        assert_eq!(dims(&g, both), "n,t,s");
        assert!(g.and(a, less).is_err() && g.equal(less, a).is_err() && g.not(a).is_err());
    }
}
