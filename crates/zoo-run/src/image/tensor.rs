//! The second half of a recipe: numbers from samples, in the order that a model wants.
//!
//! A sample has 256 values, so a recipe's arithmetic is 256 results per channel, computed once. They are what PyTorch
//! computes: rescaling rounds the product to 32 bits once, which for 1/255 is its division by 255; subtracting and dividing
//! round to 32 bits each.

use half::{bf16, f16};
use zoo_tensor::{DType, Element, Tensor};

use super::picture::Picture;
use super::problem;
use super::recipe::{Channels, Layout, Recipe, Step};
use crate::limits::MAX_MADE_BYTES;
use crate::{Error, Result};

/// What each value of a sample becomes.
type Table<T> = [T; 256];

impl Recipe {
    /// A tensor of placed pictures: a batch, or one video.
    ///
    /// # Errors
    /// [`Error::Pictures`] if there are none or their sizes differ, [`Error::Recipe`] if the element type cannot hold what
    /// the recipe makes.
    pub fn tensor(&self, placed: &[Picture], dtype: DType) -> Result<Tensor> {
        let Some(first) = placed.first() else {
            return Err(problem("there are no pictures"));
        };
        let size = |picture: &Picture| (picture.width(), picture.height(), picture.channels());
        let count = self.channels().count();
        if placed.iter().any(|picture| size(picture) != size(first)) || first.channels() != count {
            let sizes: Vec<String> =
                placed.iter().map(|picture| format!("{} by {}", picture.width(), picture.height())).collect();
            let message =
                format!("pictures in one batch must have one size, and these are {}", sizes.join(", "));
            return Err(problem(message));
        }
        let elements = placed.len() as u64 * first.samples().len() as u64;
        if elements.saturating_mul(size_of::<f32>() as u64) > MAX_MADE_BYTES {
            let what = format!("a tensor of {} pictures", placed.len());
            return Err(Error::TooMuch { what, limit: MAX_MADE_BYTES, unit: "bytes" });
        }
        match dtype {
            DType::F32 => self.fill(placed, &self.tables()),
            DType::F16 => self.fill(placed, &convert(&self.tables(), f16::from_f32)),
            DType::BF16 => self.fill(placed, &convert(&self.tables(), bf16::from_f32)),
            DType::U8 if !self.has_numbers() => {
                self.fill(placed, &vec![std::array::from_fn(|v| v as u8); count])
            }
            DType::U8 => {
                Err(Error::recipe("the model wants samples of 8 bits, and the recipe makes other numbers"))
            }
            other => Err(Error::recipe(format!("the model wants {other} elements, which no recipe makes"))),
        }
    }

    fn has_numbers(&self) -> bool {
        self.steps().iter().any(|step| matches!(step, Step::Rescale { .. } | Step::Normalize { .. }))
    }

    /// For each of the tensor's channels, what each value of a sample becomes.
    fn tables(&self) -> Vec<Table<f32>> {
        let mut tables = vec![std::array::from_fn(|value| value as f32); self.channels().count()];
        for step in self.steps() {
            match step {
                Step::Rescale { factor } => {
                    for value in tables.as_flattened_mut() {
                        *value = (f64::from(*value) * factor) as f32;
                    }
                }
                Step::Normalize { mean, std } => {
                    for (table, (&mean, &std)) in tables.iter_mut().zip(mean.iter().zip(std)) {
                        for value in table {
                            *value = (*value - mean as f32) / std as f32;
                        }
                    }
                }
                Step::Resize { .. } | Step::CenterCrop { .. } => {}
            }
        }
        tables
    }

    /// The pictures' samples through the tables, one per channel of the tensor.
    fn fill<T: Element>(&self, placed: &[Picture], tables: &[Table<T>]) -> Result<Tensor> {
        let (width, height) = placed.first().map_or((0, 0), |picture| (picture.width(), picture.height()));
        let (pictures, channels) = (placed.len(), tables.len());
        // The channel of the picture that a channel of the tensor is.
        let source = |channel: usize| match self.channels() {
            Channels::Bgr => channels - 1 - channel,
            Channels::Rgb | Channels::Grey => channel,
        };
        let number = |table: &Table<T>, sample: u8| table[usize::from(sample)];
        let plane = |picture: &Picture, channel: usize, out: &mut Vec<T>| {
            let samples = picture.samples().iter().skip(source(channel)).step_by(channels);
            out.extend(
                tables.get(channel).into_iter().flat_map(|table| samples.clone().map(|&s| number(table, s))),
            );
        };
        let mut out = Vec::with_capacity(pictures * channels * width * height);
        let shape = match self.layout() {
            Layout::Nchw => {
                for picture in placed {
                    for channel in 0..channels {
                        plane(picture, channel, &mut out);
                    }
                }
                vec![pictures, channels, height, width]
            }
            Layout::Ncthw => {
                for channel in 0..channels {
                    for picture in placed {
                        plane(picture, channel, &mut out);
                    }
                }
                vec![1, channels, pictures, height, width]
            }
            Layout::Nhwc => {
                for pixel in placed.iter().flat_map(|picture| picture.samples().chunks_exact(channels)) {
                    let sample = |channel| pixel.get(source(channel)).copied().unwrap_or_default();
                    out.extend(
                        tables.iter().enumerate().map(|(channel, table)| number(table, sample(channel))),
                    );
                }
                vec![pictures, height, width, channels]
            }
        };
        Ok(Tensor::from_slice(shape, &out)?)
    }
}

fn convert<T>(tables: &[Table<f32>], to: impl Fn(f32) -> T + Copy) -> Vec<Table<T>> {
    tables.iter().map(|table| table.map(to)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn recipe(layout: &str, channels: &str, numbers: &Value) -> Recipe {
        Recipe::from_json(&json!({"kind": "image", "layout": layout, "channels": channels, "steps": numbers}))
            .unwrap()
    }

    /// Two pixels beside each other, twice.
    fn pictures() -> [Picture; 2] {
        [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
            .map(|samples| Picture::rgb(2, 1, samples.to_vec()).unwrap())
    }

    fn numbers(layout: &str, channels: &str) -> (Vec<usize>, Vec<u8>) {
        let tensor = recipe(layout, channels, &json!([])).tensor(&pictures(), DType::U8).unwrap();
        (tensor.shape().to_vec(), tensor.to_vec().unwrap())
    }

    #[test]
    fn layouts_and_channels() {
        assert_eq!(numbers("NCHW", "RGB"), (vec![2, 3, 1, 2], vec![1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12]));
        assert_eq!(numbers("NCHW", "BGR"), (vec![2, 3, 1, 2], vec![3, 6, 2, 5, 1, 4, 9, 12, 8, 11, 7, 10]));
        assert_eq!(numbers("NHWC", "RGB"), (vec![2, 1, 2, 3], (1..=12).collect()));
        assert_eq!(numbers("NHWC", "BGR"), (vec![2, 1, 2, 3], vec![3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]));
        assert_eq!(
            numbers("NCTHW", "RGB"),
            (vec![1, 3, 2, 1, 2], vec![1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12])
        );
        let grey = recipe("NCHW", "L", &json!([]));
        let placed = grey.place(&pictures()[0]).unwrap();
        assert_eq!(grey.tensor(&[placed], DType::U8).unwrap().shape(), [1, 1, 1, 2]);
    }

    /// PyTorch divides by 255 in 32 bits; a product with 1/255 in 64 bits, rounded once, is the same for every sample.
    #[test]
    fn rescaling_is_a_division() {
        let tables = recipe("NCHW", "L", &json!([{"op": "rescale", "factor": 1.0 / 255.0}])).tables();
        for (value, scaled) in (0_u8..=255).zip(tables[0]) {
            assert_eq!(scaled.to_bits(), (f32::from(value) / 255.0).to_bits(), "{value}");
        }
    }

    #[test]
    fn each_channel_is_normalised_by_its_own() {
        let steps = json!([
            {"op": "rescale", "factor": 1.0 / 255.0},
            {"op": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        ]);
        let picture = Picture::rgb(1, 1, vec![255, 0, 128]).unwrap();
        let tensor = |channels, dtype| {
            recipe("NCHW", channels, &steps).tensor(std::slice::from_ref(&picture), dtype).unwrap()
        };
        // torchvision.transforms.functional.normalize of these samples.
        let expected = [2.248_908_3, -2.035_714_1, 0.426_492_57];
        assert_eq!(tensor("RGB", DType::F32).to_vec::<f32>().unwrap(), expected);
        let halves: Vec<f16> = tensor("RGB", DType::F16).to_vec().unwrap();
        assert_eq!(halves, expected.map(f16::from_f32));
        let brains: Vec<bf16> = tensor("RGB", DType::BF16).to_vec().unwrap();
        assert_eq!(brains, expected.map(bf16::from_f32));
        // The first mean is the tensor's first channel's, which is blue here.
        let first = tensor("BGR", DType::F32).to_vec::<f32>().unwrap()[0];
        assert_eq!(first.to_bits(), ((128.0_f32 / 255.0 - 0.485) / 0.229).to_bits());
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let steps = json!([{"op": "rescale", "factor": 0.5}]);
        let message = |placed: &[Picture], dtype| {
            recipe("NCHW", "RGB", &steps).tensor(placed, dtype).unwrap_err().to_string()
        };
        assert!(message(&[], DType::F32).contains("there are no pictures"));
        let [one, _] = pictures();
        let other = Picture::rgb(1, 2, vec![0; 6]).unwrap();
        let text = message(&[one.clone(), other], DType::F32);
        assert!(text.contains("one size, and these are 2 by 1, 1 by 2"), "{text}");
        assert!(message(std::slice::from_ref(&one), DType::U8).contains("samples of 8 bits"));
        assert!(message(&[one], DType::I64).contains("i64 elements"));
    }
}
