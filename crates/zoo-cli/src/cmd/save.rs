//! Outputs as files of their own, for `zoo run --save`.

use std::path::{Path, PathBuf};

use zoo_run::{Named, data};

use crate::exit::{Failure, Result};

/// More than this of a name only makes paths that some systems refuse.
const LONGEST: usize = 100;

/// Writes the outputs: into a folder, or the only one to a file that ends in `.npy`. The answer is where each is.
pub(super) fn save(outputs: &[Named], to: &Path) -> Result<Vec<PathBuf>> {
    if is_npy(to) && !to.is_dir() {
        let [(_, only)] = outputs else {
            let message =
                format!("`{}` is one file, and the model has {} outputs", to.display(), outputs.len());
            return Err(
                Failure::usage(message).hint("name a folder, or write all into one file with -o OUT.npz")
            );
        };
        data::write_npy(to, only)?;
        return Ok(vec![to.to_owned()]);
    }
    zoo_core::fs::create_dir_all(to)?;
    let paths: Vec<PathBuf> = names(outputs).into_iter().map(|name| to.join(name)).collect();
    for ((_, tensor), path) in outputs.iter().zip(&paths) {
        data::write_npy(path, tensor)?;
    }
    Ok(paths)
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"))
}

/// A file name per output: its own name, with `_` for every character that a path or a shell would read, and a number
/// where two would be the same.
fn names(outputs: &[Named]) -> Vec<String> {
    let keep = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let mut names: Vec<String> = Vec::with_capacity(outputs.len());
    for (place, (name, _)) in outputs.iter().enumerate() {
        let mut stem: String = name.chars().map(keep).take(LONGEST).collect();
        if stem.is_empty() || stem.starts_with('.') {
            stem = format!("output_{place}{stem}");
        }
        let mut file = format!("{stem}.npy");
        let mut number = 2;
        while names.iter().any(|taken| taken.eq_ignore_ascii_case(&file)) {
            file = format!("{stem}-{number}.npy");
            number += 1;
        }
        names.push(file);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use zoo_tensor::Tensor;

    fn outputs(names: &[&str]) -> Vec<Named> {
        let tensor = |value| Tensor::from_slice([1], &[value]).unwrap();
        names.iter().enumerate().map(|(place, name)| ((*name).to_owned(), tensor(place as f32))).collect()
    }

    #[test]
    fn names_are_safe_and_different() {
        let given = ["out", "a/../b:0", "OUT", "", "..", "out", "é"];
        let expected =
            ["out.npy", "a_.._b_0.npy", "OUT-2.npy", "output_3.npy", "output_4...npy", "out-3.npy", "_.npy"];
        assert_eq!(names(&outputs(&given)), expected);
        assert_eq!(names(&outputs(&[&"x".repeat(300)]))[0].len(), LONGEST + 4);
    }

    #[test]
    fn outputs_are_written_each_to_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/folder");
        let paths = save(&outputs(&["x", "y"]), &folder).unwrap();
        assert_eq!(paths, [folder.join("x.npy"), folder.join("y.npy")]);
        assert_eq!(data::read(&paths[1]).unwrap()[0].1.to_vec::<f32>().unwrap(), [1.0]);

        let file = dir.path().join("only.npy");
        assert_eq!(save(&outputs(&["x"]), &file).unwrap(), std::slice::from_ref(&file));
        let failure = save(&outputs(&["x", "y"]), &file).unwrap_err();
        assert!(failure.error.to_string().contains("the model has 2 outputs"), "{}", failure.error);
    }
}
