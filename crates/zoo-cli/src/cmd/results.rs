//! What outputs say of pictures: labels, or a class for every pixel.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zoo_run::Named;
use zoo_run::image::{self, ClassMap, Labels, Ranked, Scale, Scores, Task, colour};

use crate::cmd::App;
use crate::exit::{Exit, Failure, Result};
use crate::output::Grid;

/// How the outputs are to be read.
#[derive(Debug)]
pub(super) enum Reading {
    /// Scores of classes.
    Classes { task: Task, labels: Option<Labels>, top: usize },
    /// Scores of classes for every pixel; a mask is painted for each picture.
    Pixels { labels: Option<Labels>, masks: Vec<PathBuf> },
    /// Nobody knows; this is why.
    Unknown(String),
}

/// What the outputs said.
#[derive(Debug)]
pub(super) enum Answers {
    Classes(Task, Vec<Ranking>),
    Pixels(Vec<Painted>),
    Unknown(String),
}

/// The most probable classes of a picture, or of the pictures that are one video.
#[derive(Debug)]
pub(super) struct Ranking {
    images: Vec<PathBuf>,
    classes: Vec<(Ranked, Option<String>)>,
}

/// The classes of a picture's pixels.
#[derive(Debug)]
pub(super) struct Painted {
    images: Vec<PathBuf>,
    mask: PathBuf,
    map: ClassMap,
    labels: Option<Labels>,
}

impl Reading {
    /// Reads outputs; `groups` are the pictures that belong to each answer.
    pub(super) fn read(&self, model: &Path, outputs: &[Named], groups: Vec<Vec<PathBuf>>) -> Result<Answers> {
        match self {
            Self::Unknown(why) => Ok(Answers::Unknown(why.clone())),
            Self::Classes { task, labels, top } => {
                let scores = Scores::of(outputs)?;
                check(labels.as_ref(), scores.classes())?;
                let rankings = scores.top(*top, Scale::read(model, scores.name())?);
                as_many(rankings.len(), groups.len())?;
                let name = |class: Ranked| {
                    let label = labels.as_ref().and_then(|labels| labels.name(class.index));
                    (class, label.map(str::to_owned))
                };
                let ranking = |(images, classes): (_, Vec<Ranked>)| Ranking {
                    images,
                    classes: classes.into_iter().map(name).collect(),
                };
                Ok(Answers::Classes(*task, groups.into_iter().zip(rankings).map(ranking).collect()))
            }
            Self::Pixels { labels, masks } => {
                let maps = image::segment(outputs)?;
                as_many(maps.len(), groups.len())?;
                let mut painted = Vec::with_capacity(maps.len());
                for ((images, map), mask) in groups.into_iter().zip(maps).zip(masks) {
                    check(labels.as_ref(), map.classes())?;
                    zoo_core::fs::create_parent(mask)?;
                    zoo_core::fs::write_atomic(mask, &map.to_png()?, false)?;
                    painted.push(Painted { images, mask: mask.clone(), map, labels: labels.clone() });
                }
                Ok(Answers::Pixels(painted))
            }
        }
    }
}

fn check(labels: Option<&Labels>, classes: usize) -> Result<()> {
    Ok(labels.map_or(Ok(()), |labels| labels.check(classes))?)
}

fn as_many(answers: usize, pictures: usize) -> Result<()> {
    if answers == pictures {
        return Ok(());
    }
    let message = format!("the model gives {answers} answers, and {pictures} are expected");
    Err(Failure::new(Exit::Refused, message).hint("--save or -o keep the outputs as they are"))
}

impl Answers {
    /// Prints them; false if there is nothing to print and the outputs themselves have to do.
    pub(super) fn print(&self, app: &App) -> Result<bool> {
        match self {
            Self::Classes(_, rankings) => app.out.table(&ranks(rankings))?,
            Self::Pixels(painted) => {
                app.out.table(&shares(painted))?;
                for one in painted {
                    app.out.remark(&format!("painted {}", one.mask.display()));
                }
            }
            Self::Unknown(why) => {
                app.out.remark(why);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The task, and an answer per picture.
    pub(super) fn json(&self) -> (Value, Value) {
        match self {
            Self::Classes(task, rankings) => {
                (json!(task.name()), rankings.iter().map(Ranking::json).collect::<Vec<_>>().into())
            }
            Self::Pixels(painted) => (
                json!(Task::SemanticSegmentation.name()),
                painted.iter().map(Painted::json).collect::<Vec<_>>().into(),
            ),
            Self::Unknown(_) => (Value::Null, Value::Null),
        }
    }
}

fn paths(images: &[PathBuf]) -> Vec<String> {
    images.iter().map(|path| path.display().to_string()).collect()
}

impl Ranking {
    fn json(&self) -> Value {
        let class = |(class, label): &(Ranked, Option<String>)| {
            json!({
                "class": class.index,
                "label": label,
                "probability": class.probability,
                "score": class.score,
            })
        };
        json!({ "images": paths(&self.images), "classes": self.classes.iter().map(class).collect::<Vec<_>>() })
    }
}

impl Painted {
    fn label(&self, class: u8) -> Option<&str> {
        self.labels.as_ref()?.name(usize::from(class))
    }

    fn share(&self, pixels: u64) -> f64 {
        pixels as f64 / self.map.map().len() as f64
    }

    fn json(&self) -> Value {
        let class = |(class, pixels): &(u8, u64)| {
            json!({
                "class": class,
                "label": self.label(*class),
                "pixels": pixels,
                "share": self.share(*pixels),
                "colour": hex(*class),
            })
        };
        json!({
            "images": paths(&self.images),
            "mask": self.mask.display().to_string(),
            "width": self.map.width(),
            "height": self.map.height(),
            "classes": self.map.present().iter().map(class).collect::<Vec<_>>(),
        })
    }
}

/// A class's colour as style sheets write it.
fn hex(class: u8) -> String {
    let [red, green, blue] = colour(class);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Whose answer a row is, where there are several.
fn whose(images: &[PathBuf], several: bool) -> Option<String> {
    several.then(|| paths(images).join(", "))
}

fn ranks(rankings: &[Ranking]) -> Grid {
    let several = rankings.len() > 1;
    let labelled = rankings.iter().flat_map(|ranking| &ranking.classes).any(|(_, label)| label.is_some());
    let first = usize::from(several);
    let headings = several.then_some("IMAGE").into_iter().chain(["PROBABILITY", "CLASS"]);
    let mut grid = Grid::new(headings.chain(labelled.then_some("LABEL"))).right([first, first + 1]);
    for ranking in rankings {
        for (class, label) in &ranking.classes {
            let numbers = [format!("{:.4}", class.probability), class.index.to_string()];
            let label = labelled.then(|| label.clone().unwrap_or_default());
            grid.row(whose(&ranking.images, several).into_iter().chain(numbers).chain(label));
        }
    }
    grid
}

fn shares(painted: &[Painted]) -> Grid {
    let several = painted.len() > 1;
    let labelled = painted.iter().any(|one| one.labels.is_some());
    let first = usize::from(several);
    let headings = several.then_some("IMAGE").into_iter().chain(["SHARE", "CLASS", "COLOUR"]);
    let mut grid = Grid::new(headings.chain(labelled.then_some("LABEL"))).right([first, first + 1]);
    for one in painted {
        for (class, pixels) in one.map.present() {
            let share = format!("{:.2} %", one.share(pixels) * 100.0);
            let facts = [share, class.to_string(), hex(class)];
            let label = labelled.then(|| one.label(class).unwrap_or_default().to_owned());
            grid.row(whose(&one.images, several).into_iter().chain(facts).chain(label));
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use zoo_tensor::Tensor;

    fn output(name: &str, shape: &[usize], values: &[f32]) -> Named {
        (name.to_owned(), Tensor::from_slice(shape, values).unwrap())
    }

    fn groups(names: &[&str]) -> Vec<Vec<PathBuf>> {
        names.iter().map(|name| vec![PathBuf::from(name)]).collect()
    }

    fn labels(names: &[&str]) -> Labels {
        Labels::new(names.iter().map(|&name| name.to_owned()).collect())
    }

    /// A model in a file, for the question whether its scores are probabilities: this one ends in no softmax.
    fn model() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/onnx/validated/vision/classification/mnist/model/mnist-12.onnx")
    }

    fn classes(labels: Option<Labels>, top: usize, pictures: &[&str]) -> Result<Answers> {
        let outputs = [output("y", &[2, 3], &[0.0, 2.0, 1.0, 9.0, -3.0, 4.0])];
        Reading::Classes { task: Task::ImageClassification, labels, top }.read(
            &model(),
            &outputs,
            groups(pictures),
        )
    }

    #[test]
    fn labels_are_a_table() {
        let Answers::Classes(_, rankings) =
            classes(Some(labels(&["cat", "dog", "\u{1b}[2J"])), 2, &["a.png", "b.png"]).unwrap()
        else {
            panic!("other answers")
        };
        insta::assert_snapshot!(ranks(&rankings).draw(None), @r"
        IMAGE  PROBABILITY  CLASS  LABEL
        a.png       0.6652      1  dog
        a.png       0.2447      2  \u{1b}[2J
        b.png       0.9933      0  cat
        b.png       0.0067      2  \u{1b}[2J
        ");
        let Answers::Classes(_, one) = classes(None, 1, &["a.png", "b.png"]).unwrap() else { panic!() };
        insta::assert_snapshot!(ranks(&one[..1]).draw(None), @r"
        PROBABILITY  CLASS
             0.6652      1
        ");
    }

    #[test]
    fn labels_and_pictures_must_be_as_many_as_the_answers() {
        let failure = classes(Some(labels(&["cat"])), 2, &["a.png", "b.png"]).unwrap_err();
        assert!(failure.error.to_string().contains("there are 1 of them"), "{}", failure.error);
        let failure = classes(None, 2, &["a.png"]).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.error.to_string(), "the model gives 2 answers, and 1 are expected");
    }

    #[test]
    fn machines_are_told_everything() {
        let (task, answers) =
            classes(Some(labels(&["cat", "dog", "cow"])), 1, &["a.png", "b.png"]).unwrap().json();
        assert_eq!(task, "image-classification");
        assert_eq!(answers[1]["images"], json!(["b.png"]));
        assert_eq!(
            (&answers[1]["classes"][0]["label"], &answers[1]["classes"][0]["class"]),
            (&json!("cat"), &json!(0))
        );
        assert_eq!(answers[1]["classes"][0]["score"], json!(9.0));
        assert!(answers[1]["classes"][0]["probability"].as_f64().unwrap() > 0.99);
    }

    #[test]
    fn a_mask_is_painted_and_its_classes_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mask = dir.path().join("new/m.png");
        let reading = Reading::Pixels { labels: Some(labels(&["sky", "sea"])), masks: vec![mask.clone()] };
        let outputs = [output("out", &[1, 2, 1, 4], &[0.0, 0.0, 0.0, 9.0, 1.0, 1.0, 1.0, 1.0])];
        let answers = reading.read(&model(), &outputs, groups(&["a.png"])).unwrap();
        let Answers::Pixels(painted) = &answers else { panic!("other answers") };
        insta::assert_snapshot!(shares(painted).draw(None), @r"
          SHARE  CLASS  COLOUR   LABEL
        75.00 %      1  #800000  sea
        25.00 %      0  #000000  sky
        ");
        let (_, json) = answers.json();
        assert_eq!(
            (&json[0]["classes"][0]["pixels"], &json[0]["classes"][0]["share"]),
            (&json!(3), &json!(0.75))
        );
        assert_eq!((&json[0]["width"], &json[0]["height"]), (&json!(4), &json!(1)));
        let picture = image::read(&mask).unwrap();
        assert_eq!(picture.samples(), [128, 0, 0, 128, 0, 0, 128, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_unknown_stays_so() {
        let answers = Reading::Unknown("why".into()).read(&model(), &[], groups(&["a"])).unwrap();
        assert_eq!(answers.json(), (Value::Null, Value::Null));
    }
}
