//! How a checkpoint is told: what it holds, which of it `zoo stage` takes, and which classes and functions its pickle names
//! besides data.

use zoo_core::error::human;
use zoo_torch::inspect::{Inspected, Inspection};

use crate::cmd::App;
use crate::cmd::show::{Facts, grouped};
use crate::exit::{Exit, Result};
use crate::output::Grid;

pub(super) fn show(checkpoint: &Inspection, app: &App) -> Result<Exit> {
    if app.out.is_json() {
        app.out.json(checkpoint)?;
        return Ok(Exit::Ok);
    }
    app.out.text(&checkpoint.file.display().to_string())?;
    app.out.facts(&facts(checkpoint))?;
    if !checkpoint.dictionaries.is_empty() {
        app.out.text("\n")?;
        app.out.table(&dictionaries(checkpoint))?;
    }
    if !checkpoint.foreign.is_empty() {
        app.out.text("\n")?;
        app.out.table(&foreign(checkpoint))?;
        app.out.remark(
            "\nzoo only reads these names; Python would import them, and call them as often as that, if it loaded the file",
        );
    }
    Ok(Exit::Ok)
}

fn facts(checkpoint: &Inspection) -> Grid {
    let mut facts = Facts::new();
    facts.add("container", Some(checkpoint.container.clone()));
    facts.add("size", Some(human(checkpoint.bytes)));
    facts.add("published as", checkpoint.published.clone());
    let harmless = "it names nothing but data";
    facts.add("safety", checkpoint.foreign.is_empty().then(|| harmless.to_owned()));
    facts.add("beside", Some(checkpoint.beside.join(", ")));
    for warning in &checkpoint.warnings {
        facts.add("odd", Some(warning.clone()));
    }
    facts.grid()
}

fn dictionaries(checkpoint: &Inspection) -> Grid {
    let mut grid = Grid::new(["DICTIONARY", "STAGED", "TENSORS", "VALUES", "TYPES", "REMARKS"]).right([2, 3]);
    for dictionary in &checkpoint.dictionaries {
        let dtypes: Vec<String> =
            dictionary.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
        let is_taken = checkpoint.taken.as_ref() == Some(&dictionary.path);
        grid.row([
            if dictionary.path.is_empty() { "(the whole file)" } else { &dictionary.path }.to_owned(),
            if is_taken { "yes" } else { "" }.to_owned(),
            dictionary.tensors.to_string(),
            grouped(dictionary.parameters),
            dtypes.join(", "),
            remarks(dictionary),
        ]);
    }
    grid
}

fn remarks(dictionary: &Inspected) -> String {
    let module = dictionary.module.as_ref().map(|class| format!("a pickled {class}"));
    let ema = dictionary.ema.then(|| "a moving average".to_owned());
    let prefix = dictionary.prefix.as_ref().map(|prefix| format!("names without `{prefix}`"));
    let parts = [module, ema, prefix, dictionary.problem.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn foreign(checkpoint: &Inspection) -> Grid {
    let mut grid = Grid::new(["FOREIGN GLOBAL", "NAMED", "CALLED"]).right([1, 2]);
    for global in &checkpoint.foreign {
        grid.row([global.name.clone(), global.mentions.to_string(), global.calls.to_string()]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn told(name: &str) -> String {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/torch/checkpoints");
        let checkpoint = zoo_torch::inspect::inspect(&fixtures.join(name)).unwrap();
        let tables = [facts(&checkpoint), dictionaries(&checkpoint), foreign(&checkpoint)];
        tables.map(|table| table.draw(None)).join("\n")
    }

    #[test]
    fn weights_alone() {
        insta::assert_snapshot!(told("plain.pth"));
        insta::assert_snapshot!(told("weights.safetensors"));
    }

    #[test]
    fn a_training_checkpoint() {
        insta::assert_snapshot!(told("training.pth"));
    }

    #[test]
    fn a_pickled_network() {
        insta::assert_snapshot!(told("module.pth"));
    }

    #[test]
    fn tensors_that_cannot_be_taken() {
        let told = told("refused.pth");
        assert!(told.contains("yes") && told.contains("\"sparse\" is sparse; "), "{told}");
    }
}
