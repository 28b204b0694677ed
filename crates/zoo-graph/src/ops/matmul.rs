//! Matrix products.

use crate::builder::{Builder, Made};
use crate::{Result, Val, dim};

impl Builder {
    /// `Gemm` with the weight as PyTorch has it: `x` `[M, K]`, `weight` `[N, K]`, `bias` `[N]`; gives `x weightᵀ + bias`,
    /// `[M, N]`. The transposition is an attribute, so that the weight stays as it lies in the checkpoint.
    ///
    /// # Errors
    /// If ranks or sizes do not agree.
    #[track_caller]
    pub fn gemm(&mut self, x: Val, weight: Val, bias: Option<Val>) -> Result<Val> {
        let inferred = infer_gemm(self, x, weight, bias);
        let made = self.inferred("Gemm", inferred)?;
        // A weight that lies the other way round in its file is used as it lies.
        let (weight, attributes) = match self.transposed.get(&weight) {
            Some(&dense) => (dense, vec![]),
            None => (weight, vec![("transB", 1_i64.into())]),
        };
        let mut inputs = vec![Some(x), Some(weight)];
        inputs.extend(bias.map(Some));
        Ok(self.node("Gemm", &inputs, attributes, vec![made])?[0])
    }

    /// A dense layer whose weight is `[in, out]`, as the `Conv1D` of GPT-2 and Keras have it, over the last axis of an `x` of any rank.
    ///
    /// # Errors
    /// If sizes do not agree.
    #[track_caller]
    pub fn linear_in_out(&mut self, x: Val, weight: Val, bias: Option<Val>) -> Result<Val> {
        let turned = self.transpose(weight, &[1, 0])?;
        self.transposed.insert(turned, weight);
        self.linear(x, turned, bias)
    }

    /// PyTorch's `Linear` over the last axis of an `x` of any rank: [`Builder::gemm`], with the leading axes joined around it
    /// where there are several.
    ///
    /// # Errors
    /// If sizes do not agree.
    #[track_caller]
    pub fn linear(&mut self, x: Val, weight: Val, bias: Option<Val>) -> Result<Val> {
        let dims = self.dims(x).to_vec();
        if dims.len() == 2 {
            return self.gemm(x, weight, bias);
        }
        let Some((last, leading)) = dims.split_last().filter(|(_, leading)| !leading.is_empty()) else {
            return self.fail("Gemm", format!("{} has no axis to multiply along", self.describe(x)));
        };
        let rows = dim::product(leading);
        let flat = self.reshape(x, [rows, last.clone()])?;
        let y = self.gemm(flat, weight, bias)?;
        let out = self.dims(y)[1].clone();
        self.reshape(y, leading.iter().cloned().chain([out]))
    }

    /// `MatMul`: `[…, M, K]` times `[…, K, N]`, leading axes as elementwise operators have them.
    ///
    /// # Errors
    /// If sizes do not agree.
    #[track_caller]
    pub fn matmul(&mut self, a: Val, b: Val) -> Result<Val> {
        let inferred = infer_matmul(self, a, b);
        let made = self.inferred("MatMul", inferred)?;
        self.node1("MatMul", &[a, b], vec![], made)
    }
}

fn infer_gemm(g: &Builder, x: Val, weight: Val, bias: Option<Val>) -> Result<Made, String> {
    let say = |problem: &str| format!("{} with {}: {problem}", g.describe(x), g.describe(weight));
    let ([rows, k], [n, wk]) = (g.dims(x), g.dims(weight)) else {
        return Err(say("both have to be matrices"));
    };
    if k != wk {
        return Err(say(&format!("the weight takes {wk} values, the input has {k}")));
    }
    if g.dtype(x) != g.dtype(weight) {
        return Err(say("the element types differ"));
    }
    if let Some(bias) = bias
        && g.dims(bias) != std::slice::from_ref(n)
    {
        return Err(say(&format!("the bias {} has to have {n} values", g.describe(bias))));
    }
    Ok((g.dtype(x), vec![rows.clone(), n.clone()]))
}

fn infer_matmul(g: &Builder, a: Val, b: Val) -> Result<Made, String> {
    let say = |problem: &str| format!("{} with {}: {problem}", g.describe(a), g.describe(b));
    let (ad, bd) = (g.dims(a), g.dims(b));
    let ([a_lead @ .., m, k], [b_lead @ .., bk, n]) = (ad, bd) else {
        return Err(say("both have to be matrices, or stacks of them"));
    };
    if dim::broadcast(k, bk).is_none() || (k != bk && k.fixed().is_some() && bk.fixed().is_some()) {
        return Err(say(&format!("the inner sizes {k} and {bk} differ")));
    }
    if g.dtype(a) != g.dtype(b) {
        return Err(say("the element types differ"));
    }
    let mut dims =
        super::pointwise::broadcast(a_lead, b_lead).ok_or_else(|| say("the leading sizes differ"))?;
    dims.extend([m.clone(), n.clone()]);
    Ok((g.dtype(a), dims))
}

#[cfg(test)]
mod tests {
    use crate::testing::{dims, graph, value};

    #[test]
    fn linear_joins_leading_axes() {
        let mut g = graph();
        let x = value(&mut g, "x", "batch,197,768");
        let w = value(&mut g, "w", "3072,768");
        let b = value(&mut g, "b", "3072");
        let y = g.linear(x, w, Some(b)).unwrap();
        assert_eq!(dims(&g, y), "batch,197,3072");
        let graph = g.finish_with(y);
        let ops: Vec<_> = graph.nodes.iter().map(|node| node.op.as_str()).collect();
        assert_eq!(ops, ["Reshape", "Gemm", "Reshape"]);
    }

    #[test]
    fn stacks_broadcast() {
        let mut g = graph();
        let a = value(&mut g, "a", "n,12,197,64");
        let b = value(&mut g, "b", "n,12,64,197");
        let y = g.matmul(a, b).unwrap();
        assert_eq!(dims(&g, y), "n,12,197,197");
        let row = value(&mut g, "r", "7,197");
        assert!(g.matmul(row, a).is_ok());
        assert!(g.matmul(a, row).unwrap_err().to_string().contains("inner sizes 64 and 7"));
    }

    #[test]
    fn sizes_have_to_agree() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,512");
        let w = value(&mut g, "w", "10,256");
        let error = g.gemm(x, w, None).unwrap_err().to_string();
        assert!(error.contains("the weight takes 256 values, the input has 512"), "{error}");
    }
}
