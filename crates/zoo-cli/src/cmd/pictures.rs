//! Pictures as the input of `zoo run`: what the command line and the manifest together say of them.
//!
//! The manifest says how a model wants its pictures (`model.preprocessing`), what it makes of them (`model.task`) and what its
//! classes are called (`model.labels`); options say it for models whose manifest does not, and go before it. What neither
//! says is not guessed, and an option that would mean nothing for the task is an error.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo_core::manifest::{Manifest, ModelFacts};
use zoo_run::image::{self, Labels, Layout, Picture, Recipe, Task};
use zoo_run::{Named, Runner};

use crate::args::{Pictures, Purpose};
use crate::cmd::engine::Subject;
use crate::cmd::results::{Answers, Reading};
use crate::exit::{Failure, Result};

/// Recipes have hundreds of bytes, and labels some hundred thousand.
const MOST: u64 = 16 << 20;

/// How many labels are shown.
const TOP: usize = 5;

/// The pictures that the command line names, and what it says of them.
#[derive(Debug)]
pub(super) struct Wanted {
    images: Vec<PathBuf>,
    recipe: Option<Recipe>,
    labels: Option<Labels>,
    task: Option<Task>,
    top: Option<usize>,
    mask: Option<PathBuf>,
}

impl Wanted {
    /// Reads what the options name; `None` without pictures.
    pub(super) fn read(args: &Pictures) -> Result<Option<Self>> {
        if args.images.is_empty() {
            return Ok(None);
        }
        let labels = args.labels.as_ref().map(PathBuf::from);
        for path in args.images.iter().chain(&args.recipe).chain(&labels) {
            super::must_exist(path)?;
        }
        let task = match args.task {
            None => None,
            Some(Purpose::Picture(task)) => Some(task),
            Some(Purpose::Text(task)) => {
                return Err(Failure::usage(format!("`{}` is no task of pictures alone", task.name()))
                    .hint("give texts with --text, or labels with --labels"));
            }
        };
        let file = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| zoo_core::fs::read_bounded(path, MOST)).transpose()
        };
        Ok(Some(Self {
            images: args.images.clone(),
            recipe: file(&args.recipe)?.map(|text| Recipe::parse(&text)).transpose()?,
            labels: file(&labels)?.map(|text| Labels::parse(&text)).transpose()?,
            task,
            top: args.top.map(Into::into),
            mask: args.mask.clone(),
        }))
    }

    /// Together with what is known of the model.
    pub(super) fn of(self, subject: &Subject) -> Result<Plan> {
        self.with(&facts(subject)?, &subject.name)
    }

    fn with(self, facts: &ModelFacts, model: &str) -> Result<Plan> {
        let recipe = match (&self.recipe, &facts.preprocessing) {
            (Some(recipe), _) => recipe.clone(),
            (None, Some(json)) => Recipe::from_json(json)?,
            (None, None) => {
                let message = format!("nothing says how `{model}` wants its pictures");
                return Err(Failure::usage(message).hint(
                    "give a recipe with --recipe FILE.json, as docs/cli.md shows, or tensors with --input",
                ));
            }
        };
        let (task, unknown) = match (self.task, facts.other.get("task").and_then(Value::as_str)) {
            (Some(task), _) => (Some(task), String::new()),
            (None, Some(word)) => match word.parse() {
                Ok(task) => (Some(task), String::new()),
                Err(_) => {
                    (None, format!("outputs are shown as numbers: no more is known of the task `{word}`"))
                }
            },
            (None, None) => {
                (None, "outputs are shown as numbers: nothing says what they are; --task can".into())
            }
        };
        self.refuse_what_means_nothing(task)?;
        let Some(task) = task else {
            return Ok(Plan { images: self.images, recipe, reading: Reading::Unknown(unknown) });
        };
        let labels = match (self.labels, &facts.labels) {
            (Some(labels), _) => Some(labels),
            (None, json) => json.as_ref().map(Labels::from_json).transpose()?,
        };
        let reading = match task {
            Task::SemanticSegmentation => {
                let masks = masks(&self.images, self.mask.as_deref())?;
                Reading::Pixels { labels, masks }
            }
            _ => Reading::Classes { task, labels, top: self.top.unwrap_or(TOP) },
        };
        Ok(Plan { images: self.images, recipe, reading })
    }

    fn refuse_what_means_nothing(&self, task: Option<Task>) -> Result<()> {
        let segments = task == Some(Task::SemanticSegmentation);
        let given = [
            ("--top", self.top.is_some() && (segments || task.is_none())),
            ("--mask", self.mask.is_some() && !segments),
            ("--labels", self.labels.is_some() && task.is_none()),
        ];
        let Some((option, _)) = given.into_iter().find(|(_, means_nothing)| *means_nothing) else {
            return Ok(());
        };
        let what = task.map_or_else(|| "outputs of an unknown task".to_owned(), |task| task.to_string());
        Err(Failure::usage(format!("{option} does not apply to {what}"))
            .hint(format!("leave out {option}, or say with --task what the model is for")))
    }
}

/// What the manifest says. A file named as such may be what zoo staged into its folder, whose manifest then says more than the file.
fn facts(subject: &Subject) -> Result<ModelFacts> {
    if subject.model.is_none() && subject.facts.preprocessing.is_none() {
        let is_it = |manifest: &Manifest| {
            manifest.staged.iter().any(|staged| staged.path.under(&subject.folder) == subject.path)
        };
        if let Some(manifest) = Manifest::read(&subject.folder)?.filter(is_it) {
            return Ok(manifest.model);
        }
    }
    Ok(subject.facts.clone())
}

/// Where the mask of each picture goes.
fn masks(images: &[PathBuf], wanted: Option<&Path>) -> Result<Vec<PathBuf>> {
    let is_png = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    let folder = match (wanted, images) {
        (Some(file), [_]) if is_png(file) && !file.is_dir() => {
            return not_pictures(vec![file.to_owned()], images);
        }
        (Some(file), _) if is_png(file) && !file.is_dir() => {
            let message =
                format!("`{}` is one file, and {} masks are to be painted", file.display(), images.len());
            return Err(Failure::usage(message).hint("name a folder"));
        }
        (Some(file), _) if file.exists() && !file.is_dir() => {
            let message = format!("`{}` is neither a folder nor ends in .png", file.display());
            return Err(Failure::usage(message).hint("masks are PNG files"));
        }
        (folder, _) => folder.unwrap_or(Path::new("")),
    };
    let mut masks: Vec<PathBuf> = Vec::with_capacity(images.len());
    for image in images {
        let mut name = image.file_stem().unwrap_or_default().to_owned();
        name.push(".mask.png");
        let mask = folder.join(name);
        if masks.contains(&mask) {
            let message = format!("two pictures would have the mask `{}`", mask.display());
            return Err(Failure::usage(message).hint("run them one by one, each with a --mask of its own"));
        }
        masks.push(mask);
    }
    not_pictures(masks, images)
}

/// No mask may take the place of a picture, whatever way it is spelt.
fn not_pictures(masks: Vec<PathBuf>, images: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let real = |path: &PathBuf| path.canonicalize().ok();
    let pictures: Vec<PathBuf> = images.iter().filter_map(real).collect();
    match masks.iter().find(|mask| real(mask).is_some_and(|mask| pictures.contains(&mask))) {
        Some(mask) => {
            Err(Failure::usage(format!("the mask would take the place of the picture `{}`", mask.display())))
        }
        None => Ok(masks),
    }
}

/// Everything that is known before the model is loaded.
#[derive(Debug)]
pub(super) struct Plan {
    images: Vec<PathBuf>,
    recipe: Recipe,
    reading: Reading,
}

/// Pictures at the size that the model wants.
#[derive(Debug)]
pub(super) struct Prepared {
    plan: Plan,
    placed: Vec<Picture>,
    /// Width and height of each as it was.
    sizes: Vec<(usize, usize)>,
    took: Duration,
}

impl Plan {
    /// Reads the pictures and brings them to their size. One at a time is held as it was.
    pub(super) fn prepare(self) -> Result<Prepared> {
        let began = Instant::now();
        let (mut placed, mut sizes): (Vec<Picture>, _) = (Vec::new(), Vec::new());
        for path in &self.images {
            let picture = image::read(path)?;
            sizes.push((picture.width(), picture.height()));
            let picture = self.recipe.place(&picture)?;
            let size = |picture: &Picture| format!("{} by {} pixels", picture.width(), picture.height());
            if let (Some(first), Some(name)) = (placed.first(), self.images.first())
                && size(first) != size(&picture)
            {
                let (name, path) = (name.display(), path.display());
                let message = format!(
                    "`{name}` becomes {} and `{path}` {}, and pictures that are fed together must have one size",
                    size(first),
                    size(&picture),
                );
                return Err(Failure::usage(message).hint("run them one by one"));
            }
            placed.push(picture);
        }
        Ok(Prepared { plan: self, placed, sizes, took: began.elapsed() })
    }
}

impl Prepared {
    /// The model's inputs.
    pub(super) fn feed(&self, runner: &dyn Runner) -> Result<Vec<Named>> {
        Ok(self.plan.recipe.feed(&self.placed, runner.inputs())?)
    }

    /// What the outputs say, and masks painted.
    pub(super) fn answers(&self, model: &Path, outputs: &[Named]) -> Result<Answers> {
        let images = &self.plan.images;
        let groups = match self.plan.recipe.layout() {
            Layout::Ncthw => vec![images.clone()],
            _ => images.iter().map(|path| vec![path.clone()]).collect(),
        };
        self.plan.reading.read(model, outputs, groups)
    }

    /// How long reading and resizing took.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// The pictures as they were.
    pub(super) fn json(&self) -> Value {
        let image = |(path, (width, height)): (&PathBuf, &(usize, usize))| json!({ "path": path.display().to_string(), "width": width, "height": height });
        self.plan.images.iter().zip(&self.sizes).map(image).collect::<Vec<_>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn wanted(images: &[&str]) -> Wanted {
        Wanted {
            images: images.iter().map(PathBuf::from).collect(),
            recipe: None,
            labels: None,
            task: None,
            top: None,
            mask: None,
        }
    }

    fn facts(task: Option<&str>) -> ModelFacts {
        let mut facts = ModelFacts::default();
        facts.preprocessing =
            Some(json!({"kind": "image", "layout": "NCHW", "channels": "RGB", "steps": []}));
        facts.labels = Some(json!(["cat", "dog"]));
        facts.other.extend(task.map(|task| ("task".to_owned(), json!(task))));
        facts
    }

    fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
        let failure = result.unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        format!("{}; {}", failure.error, failure.hint.unwrap_or_default())
    }

    #[test]
    fn the_manifest_says_what_a_picture_becomes() {
        let plan = wanted(&["a.png"]).with(&facts(Some("classification")), "m").unwrap();
        let Reading::Classes { task: Task::ImageClassification, labels: Some(labels), top: 5 } = plan.reading
        else {
            panic!("{plan:?}")
        };
        assert_eq!(labels.names, ["cat", "dog"]);
        let plan = wanted(&["x/a.jpg"]).with(&facts(Some("semantic-segmentation")), "m").unwrap();
        let Reading::Pixels { masks, .. } = plan.reading else { panic!("{plan:?}") };
        assert_eq!(masks, [PathBuf::from("a.mask.png")]);
    }

    #[test]
    fn options_go_before_the_manifest() {
        let mut wanted = wanted(&["a.png"]);
        wanted.task = Some(Task::VideoClassification);
        wanted.labels = Some(Labels::new(vec!["bird".into()]));
        wanted.recipe =
            Some(Recipe::new(vec![], Layout::Nhwc, image::Channels::Bgr, Some("x".into())).unwrap());
        wanted.top = Some(1);
        let plan = wanted.with(&facts(Some("segmentation")), "m").unwrap();
        assert_eq!(plan.recipe.layout(), Layout::Nhwc);
        let Reading::Classes { task: Task::VideoClassification, labels: Some(labels), top: 1 } = plan.reading
        else {
            panic!("{plan:?}")
        };
        assert_eq!(labels.names, ["bird"]);
    }

    #[test]
    fn what_nobody_says_is_not_guessed() {
        let message = refused(wanted(&["a.png"]).with(&ModelFacts::default(), "onnx:m"));
        assert!(
            message.contains("how `onnx:m` wants its pictures") && message.contains("--recipe"),
            "{message}"
        );
        for (task, part) in [(None, "--task can"), (Some("optical_flow"), "`optical_flow`")] {
            let plan = wanted(&["a.png"]).with(&facts(task), "m").unwrap();
            let Reading::Unknown(why) = plan.reading else { panic!("{plan:?}") };
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn options_that_would_mean_nothing_are_refused() {
        let with = |change: fn(&mut Wanted), task| {
            let mut wanted = wanted(&["a.png"]);
            change(&mut wanted);
            refused(wanted.with(&facts(task), "m"))
        };
        let top = with(|w| w.top = Some(2), Some("segmentation"));
        assert!(top.starts_with("--top does not apply to semantic-segmentation"), "{top}");
        let mask = with(|w| w.mask = Some("m.png".into()), Some("video"));
        assert!(mask.starts_with("--mask does not apply to video-classification"), "{mask}");
        let labels = with(|w| w.labels = Some(Labels::new(vec![])), None);
        assert!(labels.starts_with("--labels does not apply to outputs of an unknown task"), "{labels}");
    }

    #[test]
    fn every_picture_has_a_mask_of_its_own() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let two = paths(&["x/a.jpg", "b.png"]);
        assert_eq!(masks(&two, None).unwrap(), paths(&["a.mask.png", "b.mask.png"]));
        assert_eq!(
            masks(&two, Some(Path::new("out"))).unwrap(),
            paths(&["out/a.mask.png", "out/b.mask.png"])
        );
        assert_eq!(masks(&two[..1], Some(Path::new("o.PNG"))).unwrap(), paths(&["o.PNG"]));
        assert!(refused(masks(&two, Some(Path::new("o.png")))).contains("2 masks"));
        assert!(refused(masks(&paths(&["x/a.jpg", "y/a.png"]), None)).contains("two pictures"));
        let dir = tempfile::tempdir().unwrap();
        let picture = dir.path().join("a.png");
        zoo_core::fs::write_atomic(&picture, b"", false).unwrap();
        let spelt_otherwise = dir.path().join(".").join("a.png");
        assert!(refused(masks(&[picture], Some(&spelt_otherwise))).contains("take the place"));
        let file = dir.path().join("a.bmp");
        zoo_core::fs::write_atomic(&file, b"", false).unwrap();
        assert!(refused(masks(&two, Some(&file))).contains("neither a folder"));
    }
}
