//! Convolution.

use zoo_tensor::{DType, Dim};

use super::window::{Spread, Window, ints};
use crate::builder::{Builder, Made};
use crate::{Result, Val};

impl Builder {
    /// `Conv`: `x` `[N, C, spatial…]`, `weight` `[O, C/groups, kernel…]`, `bias` `[O]`; gives `[N, O, spatial…]`.
    ///
    /// The number of groups is read off the weight: `C` divided by its second dimension.
    ///
    /// # Errors
    /// If channels, kernel or ranks do not agree.
    #[track_caller]
    pub fn conv(&mut self, x: Val, weight: Val, bias: Option<Val>, window: Window) -> Result<Val> {
        let inferred = infer(self, x, weight, bias, &window);
        let (spread, groups, made) = self.inferred("Conv", inferred)?;
        let attributes = vec![
            ("dilations", ints(&spread.dilation).into()),
            ("group", groups.into()),
            ("kernel_shape", ints(&spread.kernel).into()),
            ("pads", spread.pads().into()),
            ("strides", ints(&spread.stride).into()),
        ];
        let mut inputs = vec![Some(x), Some(weight)];
        inputs.extend(bias.map(Some));
        Ok(self.node("Conv", &inputs, attributes, vec![made])?[0])
    }
}

fn infer(
    g: &Builder,
    x: Val,
    weight: Val,
    bias: Option<Val>,
    window: &Window,
) -> Result<(Spread, i64, Made), String> {
    let (xd, wd) = (g.dims(x), g.dims(weight));
    let say = |problem: &str| format!("{} with {}: {problem}", g.describe(x), g.describe(weight));
    if xd.len() < 3 || wd.len() != xd.len() {
        return Err(say("both need the same rank, of at least 3"));
    }
    if g.dtype(x) != g.dtype(weight) || g.dtype(x) == DType::String {
        return Err(say("the element types differ"));
    }
    let (Some(channels), Some(out), Some(per_group)) = (xd[1].fixed(), wd[0].fixed(), wd[1].fixed()) else {
        return Err(say("the numbers of channels have to be known"));
    };
    let spread = Spread::of(window, xd.len() - 2).map_err(|problem| say(&problem))?;
    let kernel: Option<Vec<usize>> = wd[2..].iter().map(Dim::fixed).collect();
    if kernel.as_ref() != Some(&spread.kernel) {
        return Err(say(&format!("the kernel was expected to be {:?}", spread.kernel)));
    }
    if per_group == 0
        || !channels.is_multiple_of(per_group)
        || !out.is_multiple_of((channels / per_group).max(1))
    {
        return Err(say(&format!(
            "a weight for {per_group} channels per group does not fit {channels} channels"
        )));
    }
    if let Some(bias) = bias
        && g.dims(bias) != [Dim::Fixed(out)]
    {
        return Err(say(&format!("the bias {} has to have one value per output", g.describe(bias))));
    }
    let spatial = spread.apply(&xd[2..]).map_err(|problem| say(&problem))?;
    let dims = [xd[0].clone(), Dim::Fixed(out)].into_iter().chain(spatial).collect();
    Ok((spread, (channels / per_group) as i64, (g.dtype(x), dims)))
}

#[cfg(test)]
mod tests {
    use crate::ops::Window;
    use crate::testing::{dims, graph, value};

    #[test]
    fn groups_are_read_off_the_weight() {
        let mut g = graph();
        let x = value(&mut g, "x", "batch,64,56,56");
        let w = value(&mut g, "w", "128,2,3,3");
        let y = g.conv(x, w, None, Window::same(3).stride(2)).unwrap();
        assert_eq!(dims(&g, y), "batch,128,28,28");
        assert_eq!(g.finish_with(y).nodes[0].int("group"), Some(32));
    }

    #[test]
    fn three_spatial_axes() {
        let mut g = graph();
        let x = value(&mut g, "x", "1,3,16,112,112");
        let w = value(&mut g, "w", "64,3,3,7,7");
        let window = Window::of_axes([3, 7, 7]).stride([1, 2, 2]).pad([1, 3, 3]);
        let y = g.conv(x, w, None, window).unwrap();
        assert_eq!(dims(&g, y), "1,64,16,56,56");
    }

    #[test]
    fn what_does_not_fit_is_named_with_the_line() {
        let mut g = graph();
        let x = value(&mut g, "x", "n,64,8,8");
        let w = value(&mut g, "w", "128,48,3,3");
        let error = g.conv(x, w, None, Window::same(3)).unwrap_err().to_string();
        assert!(error.contains("x: f32[n,64,8,8] with w: f32[128,48,3,3]"), "{error}");
        assert!(error.contains("48 channels per group") && error.contains("conv.rs:"), "{error}");
        let w = value(&mut g, "v", "128,64,3,3");
        assert!(g.conv(x, w, None, Window::of(1)).unwrap_err().to_string().contains("expected to be [1, 1]"));
        let bias = value(&mut g, "b", "64");
        assert!(
            g.conv(x, w, Some(bias), Window::same(3))
                .unwrap_err()
                .to_string()
                .contains("one value per output")
        );
    }
}
