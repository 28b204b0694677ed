//! Pooling.

use zoo_tensor::Dim;

use super::window::{Spread, Window, ints};
use crate::builder::{Builder, Made};
use crate::{Result, Val};

impl Builder {
    /// `MaxPool` of `x` `[N, C, spatial…]`.
    ///
    /// # Errors
    /// If the window does not fit.
    #[track_caller]
    pub fn max_pool(&mut self, x: Val, window: Window) -> Result<Val> {
        let inferred = infer(self, x, &window);
        let (spread, made) = self.inferred("MaxPool", inferred)?;
        let attributes = vec![
            ("ceil_mode", i64::from(spread.ceil).into()),
            ("dilations", ints(&spread.dilation).into()),
            ("kernel_shape", ints(&spread.kernel).into()),
            ("pads", spread.pads().into()),
            ("strides", ints(&spread.stride).into()),
        ];
        self.node1("MaxPool", &[x], attributes, made)
    }

    /// `AveragePool` of `x` `[N, C, spatial…]`; `count_padding` says whether padding counts as zeros in the mean, which is
    /// PyTorch's default and not ONNX's.
    ///
    /// # Errors
    /// If the window does not fit. Windows that are not full (`ceil`) are refused before opset 19, whose predecessors disagree
    /// about what they are divided by.
    #[track_caller]
    pub fn average_pool(&mut self, x: Val, window: Window, count_padding: bool) -> Result<Val> {
        let inferred = infer(self, x, &window);
        let (spread, made) = self.inferred("AveragePool", inferred)?;
        let mut attributes = vec![
            ("ceil_mode", i64::from(spread.ceil).into()),
            ("count_include_pad", i64::from(count_padding).into()),
            ("kernel_shape", ints(&spread.kernel).into()),
            ("pads", spread.pads().into()),
            ("strides", ints(&spread.stride).into()),
        ];
        if spread.dilation.iter().any(|&d| d != 1) {
            self.needs("AveragePool with dilation", 19)?;
            attributes.push(("dilations", ints(&spread.dilation).into()));
        }
        self.node1("AveragePool", &[x], attributes, made)
    }

    /// The mean over all spatial axes: `[N, C, spatial…]` to `[N, C, 1…]`.
    ///
    /// # Errors
    /// If there are no spatial axes.
    #[track_caller]
    pub fn global_average_pool(&mut self, x: Val) -> Result<Val> {
        let mut dims = self.dims(x).to_vec();
        if dims.len() < 3 {
            return self.fail("GlobalAveragePool", format!("{} has no spatial axes", self.describe(x)));
        }
        dims[2..].fill(Dim::Fixed(1));
        let made = (self.dtype(x), dims);
        self.node1("GlobalAveragePool", &[x], vec![], made)
    }

    /// PyTorch's `AdaptiveAvgPool2d`: `[N, C, H, W]` to `[N, C, h, w]`, where output `i` is the mean of inputs
    /// `floor(i H/h) … ceil((i + 1) H/h) - 1`.
    ///
    /// Where `H` and `W` are multiples, that is a plain pool (or nothing at all). Elsewhere the windows differ in size and overlap,
    /// which ONNX has no operator for: then it is a product with one averaging matrix per axis, which is exact.
    ///
    /// # Errors
    /// If `H` or `W` is free: which windows there are depends on the numbers.
    #[track_caller]
    pub fn adaptive_average_pool(&mut self, x: Val, (h, w): (usize, usize)) -> Result<Val> {
        if (h, w) == (1, 1) {
            return self.global_average_pool(x);
        }
        let sizes = match self.dims(x) {
            [_, _, Dim::Fixed(height), Dim::Fixed(width)] if *height > 0 && *width > 0 => (*height, *width),
            _ => {
                let problem = format!("pooling {} to {h}x{w} needs a fixed image size", self.describe(x));
                return self.fail("adaptive average pool", problem);
            }
        };
        if sizes == (h, w) {
            return Ok(x);
        }
        if sizes.0.is_multiple_of(h) && sizes.1.is_multiple_of(w) {
            let kernel = [sizes.0 / h, sizes.1 / w];
            return self.average_pool(x, Window::of_axes(kernel).stride(kernel), true);
        }
        // [h, H] x [N, C, H, W] x [W, w]
        let rows = averaging(sizes.0, h);
        let columns: Vec<f32> = transposed(&averaging(sizes.1, w), w, sizes.1);
        let rows = self.floats("average_rows", &[h, sizes.0], &rows)?;
        let columns = self.floats("average_columns", &[sizes.1, w], &columns)?;
        let x = self.matmul(rows, x)?;
        self.matmul(x, columns)
    }
}

/// `[out, size]`: row `i` holds the weights of output `i`'s window.
fn averaging(size: usize, out: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; out * size];
    for i in 0..out {
        let (from, to) = (i * size / out, ((i + 1) * size).div_ceil(out));
        matrix[i * size + from..i * size + to].fill(1.0 / (to - from) as f32);
    }
    matrix
}

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns * rows).map(|at| matrix[(at % rows) * columns + at / rows]).collect()
}

fn infer(g: &Builder, x: Val, window: &Window) -> Result<(Spread, Made), String> {
    let dims = g.dims(x);
    if dims.len() < 3 {
        return Err(format!("{} has no spatial axes", g.describe(x)));
    }
    let say = |problem: String| format!("{}: {problem}", g.describe(x));
    let spread = Spread::of(window, dims.len() - 2).map_err(say)?;
    let spatial = spread.apply(&dims[2..]).map_err(say)?;
    let made = dims[..2].iter().cloned().chain(spatial).collect();
    Ok((spread, (g.dtype(x), made)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dims, graph, value};

    #[test]
    fn pools_slide_over_every_spatial_axis() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,64,112,112");
        let y = g.max_pool(x, Window::same(3).stride(2)).unwrap();
        assert_eq!(dims(&g, y), "n,64,56,56");
        let y = g.max_pool(y, Window::of(3).stride(2).ceil()).unwrap();
        assert_eq!(dims(&g, y), "n,64,28,28");
        let y = g.global_average_pool(y).unwrap();
        assert_eq!(dims(&g, y), "n,64,1,1");
        assert!(g.max_pool(y, Window::of(2)).unwrap_err().to_string().contains("does not fit"));
    }

    #[test]
    fn adaptive_pools_choose_the_plainest_form() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,8,14,21");
        assert_eq!(g.adaptive_average_pool(x, (14, 21)).unwrap(), x);
        let y = g.adaptive_average_pool(x, (7, 7)).unwrap();
        assert_eq!(dims(&g, y), "n,8,7,7");
        let y = g.adaptive_average_pool(x, (5, 4)).unwrap();
        assert_eq!(dims(&g, y), "n,8,5,4");
        let ops: Vec<_> = g.finish_with(y).nodes.into_iter().map(|node| node.op).collect();
        assert_eq!(ops, ["AveragePool", "MatMul", "MatMul"]);
    }

    #[test]
    fn windows_of_an_adaptive_pool_overlap() {
        // 5 to 3: windows 0..2, 1..4, 3..5.
        let third = 1.0 / 3.0;
        assert_eq!(
            averaging(5, 3),
            [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, third, third, third, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]
        );
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
