//! `zoo check`: runs a model on inputs that were published with the outputs they must give.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zoo_run::compare::{Comparison, Tolerance, compare_all};
use zoo_run::data;

use crate::args::Check;
use crate::cmd::engine::{Loader, Subject, comparison_json, tolerance};
use crate::cmd::{App, blocking};
use crate::exit::{Exit, Failure, Result};

pub(super) async fn run(args: &Check, app: &App) -> Result<Exit> {
    let loader = Loader::new(args.engine, &app.settings)?;
    let subject = Subject::find(&args.model, true, app).await?;
    let sets = match &subject.model {
        Some(model) => model.test_data().await?,
        None => beside(&subject.folder)?,
    };
    let (path, tolerance) = (subject.path.clone(), tolerance(args.tolerance));
    let checked = blocking(move || check(&path, &sets, &loader, tolerance)).await?;
    let good = checked.sets.iter().all(Set::is_good);
    if app.out.is_json() {
        let sets: Vec<Value> = checked.sets.iter().map(Set::json).collect();
        app.out.json(&json!({
            "model": subject.name,
            "engine": checked.engine,
            "tolerance": tolerance.relative,
            "good": good,
            "data_sets": sets,
        }))?;
    } else {
        for set in &checked.sets {
            for comparison in &set.comparisons {
                app.out.verdict(comparison.equal, &format!("{}  {comparison}", set.name))?;
            }
        }
        app.out.remark(&sum(&checked, tolerance));
    }
    Ok(if good { Exit::Ok } else { Exit::Missed })
}

/// What came of all data sets.
struct Checked {
    engine: String,
    sets: Vec<Set>,
}

struct Set {
    name: String,
    comparisons: Vec<Comparison>,
}

impl Set {
    fn is_good(&self) -> bool {
        self.comparisons.iter().all(|c| c.equal)
    }

    fn json(&self) -> Value {
        let outputs: Vec<Value> = self.comparisons.iter().map(comparison_json).collect();
        json!({ "name": self.name, "good": self.is_good(), "outputs": outputs })
    }
}

fn check(path: &Path, sets: &[PathBuf], loader: &Loader, tolerance: Tolerance) -> Result<Checked> {
    let (mut runner, _) = loader.load(path)?;
    let mut checked = Checked { engine: runner.engine().to_owned(), sets: Vec::new() };
    for folder in sets {
        let set = data::read_data_set(folder)?;
        // Nothing to compare with would otherwise look like nothing wrong.
        if set.outputs.is_empty() {
            let message = format!("the data set `{}` has no outputs to compare with", folder.display());
            return Err(Failure::new(Exit::Refused, message));
        }
        let inputs = data::assign(set.inputs, runner.inputs())?;
        let found = runner.run(&inputs)?;
        checked.sets.push(Set { name: set.name, comparisons: compare_all(&set.outputs, &found, &tolerance) });
    }
    Ok(checked)
}

fn sum(checked: &Checked, tolerance: Tolerance) -> String {
    let good = checked.sets.iter().filter(|set| set.is_good()).count();
    let count = checked.sets.len();
    let sets = if count == 1 { "data set" } else { "data sets" };
    format!("{good} of {count} {sets} within {} in {}", tolerance.relative, checked.engine)
}

/// The data sets beside a model: folders `test_data_set_N`, and the zoo's oldest form, `test_data_N.npz`.
fn beside(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut sets: Vec<(Option<u64>, PathBuf)> = zoo_core::fs::list_dir(folder)?
        .into_iter()
        .filter_map(|entry| {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_str()?;
            let number = match name.strip_prefix("test_data_set_") {
                Some(number) if path.is_dir() => number,
                _ => name.strip_prefix("test_data_")?.strip_suffix(".npz")?,
            };
            Some((number.parse().ok(), path))
        })
        .collect();
    // By number: set 10 comes after set 9.
    sets.sort();
    if sets.is_empty() {
        let message = format!("there is no test_data_set_* in `{}` to compare with", folder.display());
        return Err(Failure::new(Exit::NotFound, message)
            .hint("`zoo run` makes inputs, and --expect compares with a file"));
    }
    Ok(sets.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_are_found_and_sorted_by_number() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(beside(dir.path()).unwrap_err().exit, Exit::NotFound);
        for name in ["test_data_set_10", "test_data_set_9", "other"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["test_data_0.npz", "test_data_set_3", "m.onnx"] {
            zoo_core::fs::write_atomic(&dir.path().join(name), b"", false).unwrap();
        }
        let found: Vec<String> = beside(dir.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(found, ["test_data_0.npz", "test_data_set_9", "test_data_set_10"]);
    }

    #[test]
    fn the_sum_counts_sets() {
        let set = |equal| {
            let tensor = |value: f32| zoo_tensor::Tensor::from_slice([1], &[value]).unwrap();
            let found = if equal { 1.0 } else { 2.0 };
            let comparison =
                zoo_run::compare::compare("y", &tensor(1.0), &tensor(found), &Tolerance::default());
            Set { name: "s".into(), comparisons: vec![comparison] }
        };
        let checked = Checked { engine: "E 1".into(), sets: vec![set(true), set(false)] };
        assert_eq!(sum(&checked, Tolerance::default()), "1 of 2 data sets within 0.001 in E 1");
        assert_eq!(checked.sets[1].json()["good"], false);
    }
}
