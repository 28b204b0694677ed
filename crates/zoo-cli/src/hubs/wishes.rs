//! What is to be made of a model, as the command line says it, and which of it an ecosystem can honour. A wish that would be
//! ignored is an error that names it.

use zoo_core::stage::{StageOptions, Target};
use zoo_hf::select::{OnnxFiles, Wanted};

use crate::args::{How, Repository};
use crate::exit::{Failure, Result};

/// Options that only repositories of Hugging Face have.
const OF_REPOSITORIES: [&str; 7] =
    ["--task", "--auto", "--framework", "--no-cache", "--contrib", "--all-files", "--onnx-files"];

/// What to make of a model.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    /// None: what the files are made for.
    pub(crate) to: Vec<Target>,
    /// How. The target in it means nothing; `to` is asked.
    pub(crate) options: StageOptions,
    /// Every file of a repository is to be fetched.
    pub(crate) all_files: bool,
    /// A repository's own ONNX files are to be taken: those with this suffix, or without one.
    pub(crate) onnx_files: Option<String>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { to: Vec::new(), options: StageOptions::to(Target::Onnx), all_files: false, onnx_files: None }
    }
}

impl Wishes {
    /// What the command line says.
    pub(crate) fn new(to: Vec<Target>, how: &How, repository: &Repository) -> Self {
        Self {
            to,
            options: repository.options(how),
            all_files: repository.all_files,
            onnx_files: repository.onnx_files.clone(),
        }
    }

    /// Which files of a repository they need.
    pub(super) fn wanted(&self) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        wanted.framework = self
            .options
            .framework
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: zoo_hf::select::UnknownFramework| Failure::usage(error.to_string()))?;
        wanted.all = self.all_files;
        let suffix = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        wanted.onnx = self.onnx_files.as_ref().map(|text| OnnxFiles::new(suffix(text)));
        wanted.as_it_is = self.to == [Target::Original];
        Ok(wanted)
    }

    /// The options for each target; without a wish, for the one given.
    pub(super) fn each(&self, usual: Target) -> Vec<StageOptions> {
        let to = if self.to.is_empty() { &[usual] } else { self.to.as_slice() };
        to.iter()
            .map(|target| {
                let mut options = self.options.clone();
                options.target = *target;
                options
            })
            .collect()
    }

    /// What is made where no target was named: nothing, if all that was wanted is a repository's files.
    pub(super) fn usual(&self) -> Target {
        if self.all_files { Target::Original } else { Target::Onnx }
    }

    /// Whether it is left to zoo how the model is made.
    pub(super) fn is_plain(&self) -> bool {
        self.to.is_empty() && self.given().is_empty()
    }

    /// The options that were given, as they are written.
    fn given(&self) -> Vec<String> {
        let fetched = [("all-files", self.all_files), ("onnx-files", self.onnx_files.is_some())];
        let fetched = fetched.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        self.options.given().into_iter().chain(fetched).map(|name| format!("--{name}")).collect()
    }

    /// ONNX files say everything themselves and are kept as they were published.
    pub(super) fn allow_onnx(&self) -> Result<()> {
        if let Some(option) = self.given().first() {
            return Err(ignored(option, "an ONNX model: its graph is in the file"));
        }
        match self.to.iter().find(|target| !matches!(target, Target::Onnx | Target::Original)) {
            Some(target) => Err(zoo_onnx::Error::Target { target: *target }.into()),
            None => Ok(()),
        }
    }

    /// Checkpoints become ONNX; `is_published`: the catalogue says what network it is.
    pub(super) fn allow_torch(&self, is_published: bool) -> Result<()> {
        let given = self.given();
        let unread = |option: &&String| OF_REPOSITORIES.contains(&option.as_str());
        if let Some(option) = given.iter().find(unread) {
            return Err(ignored(option, "a PyTorch checkpoint"));
        }
        if is_published && let Some(option) = given.iter().find(|option| *option == "--arch") {
            return Err(ignored(option, "a model of a hub: its catalogue says what network it is"));
        }
        if let Some(target) = self.to.iter().find(|target| !matches!(target, Target::Onnx | Target::Original))
        {
            return Err(zoo_torch::Error::Target { target: *target }.into());
        }
        if self.to == [Target::Original]
            && let Some(option) = given.first()
        {
            return Err(ignored(option, "originals: they stay as they were published"));
        }
        Ok(())
    }
}

impl Wishes {
    /// A repository's configuration says what network it is.
    pub(super) fn allow_hf(&self) -> Result<()> {
        let given = self.given();
        let foreign = |option: &&String| ["--arch", "--dictionary"].contains(&option.as_str());
        if let Some(option) = given.iter().find(foreign) {
            return Err(ignored(
                option,
                "a repository of Hugging Face: its configuration says what network it is",
            ));
        }
        let made =
            |option: &&String| !["--all-files", "--onnx-files", "--framework"].contains(&option.as_str());
        if (self.onnx_files.is_some() || self.to == [Target::Original])
            && let Some(option) = given.iter().find(made)
        {
            return Err(ignored(option, "files that stay as they were published"));
        }
        Ok(())
    }
}

fn ignored(option: &str, to: &str) -> Failure {
    Failure::usage(format!("{option} does not apply to {to}")).hint(format!("leave out {option}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn wishes(change: impl Fn(&mut Wishes)) -> Wishes {
        let mut wishes = Wishes::default();
        change(&mut wishes);
        wishes
    }

    fn message(result: Result<()>) -> (Exit, String) {
        let failure = result.unwrap_err();
        (failure.exit, failure.error.to_string())
    }

    #[test]
    fn options_that_say_what_a_checkpoint_is_are_refused_for_onnx() {
        let arch = wishes(|w| w.options.arch = Some("resnet50".into()));
        let (exit, said) = message(arch.allow_onnx());
        assert_eq!(exit, Exit::Usage);
        assert!(said.starts_with("--arch does not apply"), "{said}");
        for (option, wish) in [
            ("--fold", wishes(|w| w.options.fold = true)),
            ("--opset", wishes(|w| w.options.opset = Some(17))),
            ("--task", wishes(|w| w.options.task = Some("t".into()))),
            ("--all-files", wishes(|w| w.all_files = true)),
        ] {
            assert!(message(wish.allow_onnx()).1.starts_with(option));
        }
        assert_eq!(message(wishes(|w| w.to = vec![Target::Keras]).allow_onnx()).0, Exit::Refused);
        assert!(wishes(|w| w.to = vec![Target::Onnx, Target::Original]).allow_onnx().is_ok());
    }

    #[test]
    fn a_checkpoint_takes_what_says_how_and_a_published_one_no_network() {
        let arch = wishes(|w| w.options.arch = Some("resnet50".into()));
        assert!(arch.allow_torch(false).is_ok());
        assert!(message(arch.allow_torch(true)).1.contains("catalogue"));
        let fold = wishes(|w| w.options.fold = true);
        assert!(fold.allow_torch(true).is_ok());
        let original = wishes(|w| {
            w.options.fold = true;
            w.to = vec![Target::Original];
        });
        assert!(message(original.allow_torch(true)).1.starts_with("--fold does not apply to originals"));
        assert_eq!(message(wishes(|w| w.to = vec![Target::H5]).allow_torch(true)).0, Exit::Refused);
        assert!(
            message(wishes(|w| w.options.class = Some("x".into())).allow_torch(false))
                .1
                .starts_with("--auto")
        );
    }

    #[test]
    fn each_target_gets_the_options() {
        let wishes = wishes(|w| {
            w.options.opset = Some(17);
            w.to = vec![Target::Onnx, Target::Original];
        });
        let each = wishes.each(Target::Onnx);
        assert_eq!(
            each.iter().map(|o| (o.target, o.opset)).collect::<Vec<_>>(),
            [(Target::Onnx, Some(17)), (Target::Original, Some(17))]
        );
        assert_eq!(Wishes::default().each(Target::Onnx), [StageOptions::to(Target::Onnx)]);
        assert!(Wishes::default().is_plain() && !wishes.is_plain());
    }
}
