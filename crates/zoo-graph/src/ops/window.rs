//! Sliding windows: what convolutions and pools have in common.

/// One number per spatial axis, or the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axes {
    /// The same along every axis.
    All(usize),
    /// Height and width.
    Two([usize; 2]),
    /// Time (or depth), height and width.
    Three([usize; 3]),
}

impl Axes {
    /// As many numbers as there are spatial axes.
    pub(crate) fn spread(self, rank: usize) -> Result<Vec<usize>, String> {
        match self {
            Self::All(n) => Ok(vec![n; rank]),
            Self::Two(two) if rank == 2 => Ok(two.to_vec()),
            Self::Three(three) if rank == 3 => Ok(three.to_vec()),
            other => Err(format!("{other:?} is given for {rank} spatial axes")),
        }
    }
}

impl From<usize> for Axes {
    fn from(n: usize) -> Self {
        Self::All(n)
    }
}

impl From<[usize; 2]> for Axes {
    fn from(two: [usize; 2]) -> Self {
        Self::Two(two)
    }
}

impl From<[usize; 3]> for Axes {
    fn from(three: [usize; 3]) -> Self {
        Self::Three(three)
    }
}

/// A sliding window: kernel, stride, padding (the same on both sides) and dilation, along each spatial axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its extent. Checked against the weight where there is one.
    pub kernel: Axes,
    /// The step.
    pub stride: Axes,
    /// Zeros (for a maximum: nothing) added before and after.
    pub pad: Axes,
    /// The distance between elements.
    pub dilation: Axes,
    /// Whether a last window that is not full counts. Pools only.
    pub ceil: bool,
}

impl Window {
    /// A window of this extent that moves by one, without padding.
    pub const fn of(kernel: usize) -> Self {
        let one = Axes::All(1);
        Self { kernel: Axes::All(kernel), stride: one, pad: Axes::All(0), dilation: one, ceil: false }
    }

    /// One of different extents along the axes.
    pub fn of_axes(kernel: impl Into<Axes>) -> Self {
        Self { kernel: kernel.into(), ..Self::of(1) }
    }

    /// An odd window padded such that, moving by one, it keeps the size.
    pub const fn same(kernel: usize) -> Self {
        Self { pad: Axes::All(kernel / 2), ..Self::of(kernel) }
    }

    /// With this step.
    #[must_use]
    pub fn stride(self, stride: impl Into<Axes>) -> Self {
        Self { stride: stride.into(), ..self }
    }

    /// With this padding before and after.
    #[must_use]
    pub fn pad(self, pad: impl Into<Axes>) -> Self {
        Self { pad: pad.into(), ..self }
    }

    /// With this distance between elements.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<Axes>) -> Self {
        Self { dilation: dilation.into(), ..self }
    }

    /// Where a last window that is not full counts, too.
    #[must_use]
    pub fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }
}

/// A window along `rank` spatial axes, number by number.
pub(crate) struct Spread {
    pub(crate) kernel: Vec<usize>,
    pub(crate) stride: Vec<usize>,
    pub(crate) pad: Vec<usize>,
    pub(crate) dilation: Vec<usize>,
    pub(crate) ceil: bool,
}

impl Spread {
    pub(crate) fn of(window: &Window, rank: usize) -> Result<Self, String> {
        let spread = Self {
            kernel: window.kernel.spread(rank)?,
            stride: window.stride.spread(rank)?,
            pad: window.pad.spread(rank)?,
            dilation: window.dilation.spread(rank)?,
            ceil: window.ceil,
        };
        let zero = |numbers: &[usize]| numbers.contains(&0);
        if zero(&spread.kernel) || zero(&spread.stride) || zero(&spread.dilation) {
            return Err("a window needs a kernel, a stride and a dilation of at least 1".to_owned());
        }
        Ok(spread)
    }

    /// The spatial dimensions that come out.
    pub(crate) fn apply(&self, spatial: &[zoo_tensor::Dim]) -> Result<Vec<zoo_tensor::Dim>, String> {
        let out = |(axis, dim): (usize, &zoo_tensor::Dim)| {
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            crate::dim::windows(dim, reach, self.stride[axis], (self.pad[axis], self.pad[axis]), self.ceil)
        };
        spatial.iter().enumerate().map(out).collect()
    }

    /// `pads` as ONNX writes them: all beginnings, then all ends.
    pub(crate) fn pads(&self) -> Vec<i64> {
        self.pad.iter().chain(&self.pad).map(|&n| n as i64).collect()
    }
}

pub(crate) fn ints(numbers: &[usize]) -> Vec<i64> {
    numbers.iter().map(|&n| n as i64).collect()
}
