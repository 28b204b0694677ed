//! Test data sets: inputs with the outputs they must give, as they are published beside models.
//!
//! The usual form is a folder `test_data_set_0` with one ONNX tensor per file, `input_0.pb`, `output_0.pb` and so on,
//! numbered by port. The zoo's oldest archives hold `test_data_0.npz` instead, in which the array `inputs` has all inputs
//! along its first axis, and `outputs` all outputs: that works only where they are of one shape, otherwise numpy
//! pickles them, which is refused.

use std::path::Path;

use zoo_tensor::Tensor;

use super::read::{read, read_pb};
use crate::limits::MAX_SET_FILES;
use crate::{Error, Named, Result};

/// Inputs and the outputs they must give.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DataSet {
    /// The folder's or file's name, such as `test_data_set_0`.
    pub name: String,
    /// The inputs, in the order of the files' numbers.
    pub inputs: Vec<Named>,
    /// The expected outputs, in the order of the files' numbers; empty if none were published.
    pub outputs: Vec<Named>,
}

/// Reads a data set: a folder with `input_0.pb`, `output_0.pb` and so on, a folder with `inputs.npz` and `outputs.npz`
/// (arrays named as the ports), or a `.npz` file with the arrays `inputs` and `outputs`. Other files in the folder are
/// not looked at.
///
/// # Errors
/// [`Error::BadDataSet`] if there is none of these, or a number is missing; as [`read`](super::read()) for the files.
pub fn read_data_set(folder: &Path) -> Result<DataSet> {
    let stem = if folder.is_dir() { folder.file_name() } else { folder.file_stem() };
    let name = stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (inputs, outputs) = if folder.is_dir() { from_folder(folder)? } else { from_npz(folder)? };
    Ok(DataSet { name, inputs, outputs })
}

type InputsAndOutputs = (Vec<Named>, Vec<Named>);

fn from_folder(folder: &Path) -> Result<InputsAndOutputs> {
    let names = list(folder)?;
    let inputs = numbered(folder, &names, "input")?;
    let outputs = numbered(folder, &names, "output")?;
    if !inputs.is_empty() || !outputs.is_empty() {
        return Ok((inputs, outputs));
    }
    let archive = |name: &str| {
        if names.iter().any(|found| found == name) { read(&folder.join(name)).map(Some) } else { Ok(None) }
    };
    match (archive("inputs.npz")?, archive("outputs.npz")?) {
        (None, None) => Err(bad(folder, "it has neither input_0.pb nor inputs.npz")),
        (inputs, outputs) => Ok((inputs.unwrap_or_default(), outputs.unwrap_or_default())),
    }
}

/// The tensors of `KIND_0.pb`, `KIND_1.pb` and so on.
fn numbered(folder: &Path, names: &[String], kind: &str) -> Result<Vec<Named>> {
    let number = |name: &String| {
        let digits = name.strip_prefix(kind)?.strip_prefix('_')?.strip_suffix(".pb")?;
        // Only as they are written, so that `input_01.pb` cannot take the place of `input_1.pb`.
        digits.parse::<usize>().ok().filter(|number| number.to_string() == digits)
    };
    let mut numbers: Vec<usize> = names.iter().filter_map(number).collect();
    if numbers.len() > MAX_SET_FILES {
        let what = format!("the number of {kind} files in {}", folder.display());
        return Err(Error::TooMuch { what, limit: MAX_SET_FILES as u64, unit: "files" });
    }
    numbers.sort_unstable();
    if let Some(missing) =
        numbers.iter().enumerate().find_map(|(place, &found)| (place != found).then_some(place))
    {
        return Err(bad(folder, format!("{kind}_{missing}.pb is missing")));
    }
    numbers.iter().map(|number| read_pb(&folder.join(format!("{kind}_{number}.pb")))).collect()
}

fn list(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let mut names = Vec::new();
    for entry in entries {
        // What has no name in Unicode is no file of a data set.
        names.extend(entry.map_err(Error::file("list", folder))?.file_name().into_string());
    }
    Ok(names)
}

fn from_npz(path: &Path) -> Result<InputsAndOutputs> {
    let (mut inputs, mut outputs) = (None, None);
    for (name, tensor) in read(path)? {
        match name.as_str() {
            "inputs" => inputs = Some(unstack(path, &name, &tensor)?),
            "outputs" => outputs = Some(unstack(path, &name, &tensor)?),
            _ => {
                return Err(bad(
                    path,
                    format!("beside \"inputs\" and \"outputs\" it has an array \"{name}\""),
                ));
            }
        }
    }
    match (inputs, outputs) {
        (None, None) => Err(bad(path, "it has no arrays \"inputs\" and \"outputs\"")),
        (inputs, outputs) => Ok((inputs.unwrap_or_default(), outputs.unwrap_or_default())),
    }
}

/// The tensors along the first axis; slices of the same bytes.
fn unstack(path: &Path, name: &str, stacked: &Tensor) -> Result<Vec<Named>> {
    let Some((&count, shape)) = stacked.shape().split_first() else {
        return Err(bad(path, format!("its array \"{name}\" has no axis to count along")));
    };
    if count > MAX_SET_FILES {
        let what = format!("the number of {name} in {}", path.display());
        return Err(Error::TooMuch { what, limit: MAX_SET_FILES as u64, unit: "tensors" });
    }
    let elements = stacked.len().checked_div(count).unwrap_or(0);
    let nth = |index: usize| {
        Ok((
            String::new(),
            match (stacked.bytes(), stacked.strings()) {
                (Some(bytes), _) => {
                    let size = bytes.len().checked_div(count).unwrap_or(0);
                    Tensor::from_bytes(stacked.dtype(), shape, bytes.slice(index * size..(index + 1) * size))?
                }
                (None, strings) => {
                    let strings = strings.unwrap_or_default().iter().skip(index * elements).take(elements);
                    Tensor::from_strings(shape, strings.cloned().collect())?
                }
            },
        ))
    };
    (0..count).map(nth).collect()
}

fn bad(path: &Path, problem: impl Into<String>) -> Error {
    Error::BadDataSet { path: path.to_owned(), problem: problem.into() }
}
