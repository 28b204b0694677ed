//! Operators that work element by element, with ONNX's (and numpy's) broadcasting.

use zoo_tensor::{DType, Dim};

use crate::builder::{Builder, Made};
use crate::{Result, Val, dim};

/// One method per operator that takes one tensor, has no attributes, and keeps type and shape.
macro_rules! unary {
    ($($name:ident $op:literal $doc:literal;)*) => {
        impl Builder {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// None of its own.
                #[track_caller]
                pub fn $name(&mut self, x: Val) -> Result<Val> {
                    let made = (self.dtype(x), self.dims(x).to_vec());
                    self.node1($op, &[x], vec![], made)
                }
            )*
        }
    };
}

/// One method per operator that takes two tensors of one type and broadcasts them.
macro_rules! binary {
    ($($name:ident $op:literal $doc:literal;)*) => {
        impl Builder {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// If the types differ, or the shapes do not broadcast.
                #[track_caller]
                pub fn $name(&mut self, a: Val, b: Val) -> Result<Val> {
                    let inferred = infer(self, a, b);
                    let made = self.inferred($op, inferred)?;
                    self.node1($op, &[a, b], vec![], made)
                }
            )*
        }
    };
}

unary! {
    abs "Abs" "The absolute value.";
    ceil "Ceil" "The nearest whole number that is not smaller.";
    cos "Cos" "The cosine.";
    erf "Erf" "The Gauss error function.";
    exp "Exp" "The exponential.";
    floor "Floor" "The nearest whole number that is not larger.";
    log "Log" "The natural logarithm.";
    neg "Neg" "The negative.";
    reciprocal "Reciprocal" "`1/x`.";
    relu "Relu" "`max(x, 0)`.";
    sign "Sign" "-1, 0 or 1.";
    sin "Sin" "The sine.";
    sigmoid "Sigmoid" "`1/(1 + exp(-x))`.";
    softplus "Softplus" "`log(1 + exp(x))`.";
    sqrt "Sqrt" "The square root.";
    tanh "Tanh" "The hyperbolic tangent.";
    hard_swish "HardSwish" "`x clip(x/6 + 1/2, 0, 1)` (Howard et al., 2019), as `torch.nn.Hardswish`.";
}

binary! {
    add "Add" "The sum.";
    sub "Sub" "The difference.";
    mul "Mul" "The product.";
    div "Div" "The quotient; of integers, the one nearest to 0.";
    pow "Pow" "The power `a^b`.";
    minimum "Min" "The smaller one.";
    maximum "Max" "The larger one.";
}

impl Builder {
    /// `Clip` to `low..=high`; ReLU6 is `0.0..=6.0`.
    ///
    /// # Errors
    /// If the elements are no `f32`.
    #[track_caller]
    pub fn clip(&mut self, x: Val, low: f32, high: f32) -> Result<Val> {
        if self.dtype(x) != DType::F32 {
            return self.fail("Clip", format!("{} is no f32", self.describe(x)));
        }
        let (low, high) = (self.float("clip_low", low), self.float("clip_high", high));
        let made = (self.dtype(x), self.dims(x).to_vec());
        self.node1("Clip", &[x, low, high], vec![], made)
    }

    /// `clip(x/6 + 1/2, 0, 1)`, as `torch.nn.Hardsigmoid`; ONNX's own default slope is another.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn hard_sigmoid(&mut self, x: Val) -> Result<Val> {
        let made = (self.dtype(x), self.dims(x).to_vec());
        let attributes = vec![("alpha", (1.0_f32 / 6.0).into()), ("beta", 0.5_f32.into())];
        self.node1("HardSigmoid", &[x], attributes, made)
    }

    /// `x sigmoid(x)`, also called Swish.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn silu(&mut self, x: Val) -> Result<Val> {
        let gate = self.sigmoid(x)?;
        self.mul(x, gate)
    }

    /// `x/2 (1 + erf(x/√2))`, the exact GELU (Hendrycks and Gimpel, 2016): `Gelu` from opset 20 on; before, the five nodes that
    /// runtimes recognise as one.
    ///
    /// # Errors
    /// If the elements are no `f32`.
    #[track_caller]
    pub fn gelu(&mut self, x: Val) -> Result<Val> {
        if self.opset() >= 20 {
            let made = (self.dtype(x), self.dims(x).to_vec());
            return self.node1("Gelu", &[x], vec![("approximate", "none".into())], made);
        }
        let root = self.float("sqrt_2", std::f32::consts::SQRT_2);
        let one = self.float("one", 1.0);
        let half = self.float("half", 0.5);
        let scaled = self.div(x, root)?;
        let erf = self.erf(scaled)?;
        let shifted = self.add(erf, one)?;
        let twice = self.mul(x, shifted)?;
        self.mul(twice, half)
    }

    /// GELU by its tanh approximation: `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    ///
    /// # Errors
    /// If the elements are no `f32`.
    #[track_caller]
    pub fn gelu_tanh(&mut self, x: Val) -> Result<Val> {
        if self.opset() >= 20 {
            let made = (self.dtype(x), self.dims(x).to_vec());
            return self.node1("Gelu", &[x], vec![("approximate", "tanh".into())], made);
        }
        let (three, cubic) = (self.float("three", 3.0), self.float("gelu_cubic", 0.044_715));
        let scale = self.float("sqrt_2_over_pi", std::f32::consts::FRAC_2_SQRT_PI / std::f32::consts::SQRT_2);
        let (one, half) = (self.float("one", 1.0), self.float("half", 0.5));
        let cube = self.pow(x, three)?;
        let cube = self.mul(cube, cubic)?;
        let inner = self.add(x, cube)?;
        let inner = self.mul(inner, scale)?;
        let tanh = self.tanh(inner)?;
        let shifted = self.add(tanh, one)?;
        let halved = self.mul(x, half)?;
        self.mul(halved, shifted)
    }

    /// `Cast` to another element type.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn cast(&mut self, x: Val, dtype: DType) -> Result<Val> {
        if self.dtype(x) == dtype {
            return Ok(x);
        }
        let made = (dtype, self.dims(x).to_vec());
        self.node1("Cast", &[x], vec![("to", i64::from(dtype.onnx_code()).into())], made)
    }

    /// `Where`: `a` where `condition` holds, `b` elsewhere.
    ///
    /// # Errors
    /// If the condition is no `bool`, the types differ, or the shapes do not broadcast.
    #[track_caller]
    pub fn select(&mut self, condition: Val, a: Val, b: Val) -> Result<Val> {
        if self.dtype(condition) != DType::Bool {
            return self.fail("Where", format!("{} is no condition", self.describe(condition)));
        }
        let inferred = infer(self, a, b);
        let (dtype, dims) = self.inferred("Where", inferred)?;
        let Some(dims) = broadcast(&dims, self.dims(condition)) else {
            let problem = format!("{} does not broadcast with the values", self.describe(condition));
            return self.fail("Where", problem);
        };
        self.node1("Where", &[condition, a, b], vec![], (dtype, dims))
    }

    /// Fails if the operator set is older than `needs`.
    pub(crate) fn needs(&self, what: &'static str, needs: i64) -> Result<()> {
        if self.opset() < needs {
            return Err(crate::Error::NeedsOpset { what, needs, opset: self.opset() });
        }
        Ok(())
    }
}

/// The shape that two shapes broadcast to, aligned at their ends.
pub(crate) fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let one = Dim::Fixed(1);
    let at = |dims: &[Dim], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or_else(|| one.clone(), |own| dims[own].clone())
    };
    (0..rank).map(|axis| dim::broadcast(&at(a, axis), &at(b, axis))).collect()
}

fn infer(g: &Builder, a: Val, b: Val) -> Result<Made, String> {
    let say = |problem: &str| format!("{} and {}: {problem}", g.describe(a), g.describe(b));
    if g.dtype(a) != g.dtype(b) {
        return Err(say("the element types differ"));
    }
    let dims = broadcast(g.dims(a), g.dims(b)).ok_or_else(|| say("the shapes do not broadcast"))?;
    Ok((g.dtype(a), dims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dims, graph, graph_at, ops, value};

    #[test]
    fn shapes_broadcast_from_the_end() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,197,768");
        let p = value(&mut g, "p", "1,197,768");
        let scale = value(&mut g, "s", "768");
        let y = g.add(x, p).unwrap();
        let y = g.mul(y, scale).unwrap();
        assert_eq!(dims(&g, y), "n,197,768");
        let other = value(&mut g, "o", "n,196,768");
        let error = g.add(x, other).unwrap_err().to_string();
        assert!(
            error.contains("x: f32[n,197,768] and o: f32[n,196,768]: the shapes do not broadcast"),
            "{error}"
        );
    }

    #[test]
    fn types_have_to_agree() {
        let mut g = graph();
        let x = value(&mut g, "x", "2");
        let whole = g.cast(x, DType::I64).unwrap();
        assert!(g.add(x, whole).unwrap_err().to_string().contains("types differ"));
        assert_eq!(g.cast(x, DType::F32).unwrap(), x, "a cast to the same type is nothing");
    }

    #[test]
    fn gelu_is_one_node_where_the_opset_has_it() {
        for (opset, expected) in [(18, "Div Erf Add Mul Mul"), (20, "Gelu")] {
            let mut g = graph_at(opset);
            let x = value(&mut g, "x", "2");
            let y = g.gelu(x).unwrap();
            assert_eq!(ops(g, y), expected);
        }
    }

    #[test]
    fn constants_are_shared() {
        let mut g = graph();
        let x = value(&mut g, "x", "2");
        let y = g.clip(x, 0.0, 6.0).unwrap();
        let y = g.clip(y, 0.0, 6.0).unwrap();
        let graph = g.finish_with(y);
        assert_eq!(graph.values().filter(|(_, value)| value.constant().is_some()).count(), 2);
    }

    #[test]
    fn selecting() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,3");
        let c = g.cast(x, DType::Bool).unwrap();
        let y = g.select(c, x, x).unwrap();
        assert_eq!(dims(&g, y), "n,3");
        assert!(g.select(x, x, x).is_err());
    }
}
