//! The command line: what can be typed, in clap's words, and the few texts that are parsed here.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};
use zoo_core::stage::{FloatType, ImageSize, StageOptions, Target, WeightPolicy};
use zoo_run::image::Task;

use crate::cmd::TextTask;
use crate::exit;

/// What a model can be named by, told once for all commands. Lines of the help fit into 80 columns.
const NAMES: &str = "\
Names of models:
  onnx:mnist-12, onnx:MNIST@8  handles: the hub, a colon, the hub's own name, and
                               perhaps @ and a revision or an opset
  torchvision:resnet50         the builder's DEFAULT weights; @IMAGENET1K_V1 and
                               @pretrained choose others
  hf:org/name, hf:org/name@rev, hf:org/name/file, hf://org/name@rev
                               a repository; rev is a branch, a tag, a commit or
                               refs/pr/N
  https://…                    a page or a file of a hub
  org/name                     a repository of Hugging Face
  mnist-12, ResNet50_Weights.IMAGENET1K_V2
                               a bare name that exactly one hub knows
  ./mnist.onnx, models/        a file or a folder. A word is one if that exists
                               and it has a separator or ends in .onnx, .pth,
                               .pt, .bin, .ckpt, .th, .safetensors, .zip, .tar,
                               .gz or .tgz; ./NAME always is one.";

const ENVIRONMENT: &str = "\
Environment:
  ZOO_HOME                     the store [default: zoo in the platform's cache]
  ZOO_OFFLINE, HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
                               1: never use the network
  ZOO_LOG                      what to log, such as info,zoo_core=debug
  ZOO_ONNX_ENDPOINT            where the ONNX Model Zoo's manifest is served
  ZOO_TORCH_ENDPOINT           where torchvision's weights are served
  ZOO_TORCHVISION_CATALOG      what of them there is, in place of what zoo knows
  ORT_DYLIB_PATH               the ONNX Runtime library
  HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, ONNX_HOME, TORCH_HOME,
  XDG_CACHE_HOME               as the hubs' own tools use them
  http_proxy, https_proxy, all_proxy, no_proxy, SSL_CERT_FILE, NO_COLOR
                               as everywhere";

fn after_help() -> String {
    format!("{NAMES}\n\n`zoo --help` also tells exit codes and environment variables.")
}

fn after_long_help() -> String {
    format!("{NAMES}\n\n{}\n\n{ENVIRONMENT}", exit::help())
}

/// Fetches pretrained models, proves that every byte is the published one, keeps them, and stages them for frameworks.
#[derive(Debug, Parser)]
#[command(name = "zoo", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = after_help(), after_long_help = after_long_help())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Keep models below DIR
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Never use the network
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Print JSON; an error is then JSON too, the last line on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Tell what happens; more with -vv
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch models into the store, and print the path of what a framework opens
    Pull(Pull),
    /// Make a model ready for a framework: a hub's, or a file that no hub knows
    ///
    /// Without -o nothing is copied: a stored model is ready in the store, a file is ready where it is, and an archive is
    /// unpacked beside itself.
    Stage(Stage),
    /// Tell what a model is: inputs, outputs, versions, size, licence, where it lies
    ///
    /// A model that is not in the store is shown as its hub describes it; no file of it is fetched.
    Show(Show),
    /// Feed a model, and print what comes out
    ///
    /// Inputs come from files (.npy, .npz, ONNX's .pb, or a folder as test data has it), are made from pictures as the model
    /// wants them, or all of them are generated. The same seed makes the same numbers everywhere.
    Run(Box<Run>),
    /// Compare a model's outputs with published ones
    ///
    /// A hub's model is compared with the test data that the hub publishes, a file or folder with test_data_set_* beside
    /// it. A difference ends with code 1.
    Check(Check),
    /// List what the hubs have
    List(List),
    /// Search the hubs' names and tags
    Search(Search),
    /// Look after the store
    #[command(subcommand)]
    Cache(Cache),
    /// Print completions for a shell
    Completions(Completions),
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Models by handle, URL or bare name
    #[arg(value_name = "HANDLE", required = true)]
    pub(crate) handles: Vec<String>,
    /// What to stage [default: what the hub's files are made for]
    #[arg(long, value_name = "TARGET", value_parser = target())]
    pub(crate) to: Option<Target>,
    #[command(flatten)]
    pub(crate) how: How,
    #[command(flatten)]
    pub(crate) repository: Repository,
}

#[derive(Debug, Args)]
pub(crate) struct Stage {
    /// A model by handle, URL or bare name, or a file or folder
    #[arg(value_name = "HANDLE|PATH")]
    pub(crate) model: String,
    /// What to make, several with commas [default: what the files are made for]
    #[arg(long, value_name = "TARGET,…", value_delimiter = ',', value_parser = target())]
    pub(crate) to: Vec<Target>,
    /// Write a self-contained folder, which must be empty or absent
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Hard-link large files into the folder where that is possible
    #[arg(long, requires = "out")]
    pub(crate) link: bool,
    #[command(flatten)]
    pub(crate) how: How,
    #[command(flatten)]
    pub(crate) repository: Repository,
}

/// Which files of a repository, and as what.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of Hugging Face repositories")]
pub(crate) struct Repository {
    /// Whose weights to take, where there are several: pt, tf or flax
    #[arg(long, value_name = "NAME")]
    pub(crate) framework: Option<zoo_hf::select::Framework>,
    /// The class to load the model as, such as AutoModelForMaskedLM, where its files serve several
    #[arg(long, value_name = "CLASS")]
    pub(crate) auto: Option<String>,
    /// The task to export the model for, such as text-classification, where its files serve several
    #[arg(long, value_name = "TASK", conflicts_with = "auto")]
    pub(crate) task: Option<String>,
    /// Fetch every file; nothing is made of them unless --to says so
    #[arg(long)]
    pub(crate) all_files: bool,
    /// Take the repository's own ONNX files; with a suffix those that have it, such as fp16 or q4
    #[arg(
        long,
        value_name = "SUFFIX",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with_all = ["framework", "all_files", "auto", "task"]
    )]
    pub(crate) onnx_files: Option<String>,
    /// Make decoders without keys and values of the tokens before: every step computes the whole text
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Use operators that only ONNX Runtime has, where there are faster ones; for texts without padding in front
    #[arg(long)]
    pub(crate) contrib: bool,
}

impl Repository {
    /// With those of [`How`], in the library's words.
    pub(crate) fn options(&self, how: &How) -> StageOptions {
        let mut options = how.options();
        options.framework = self.framework.map(|framework| framework.name().to_owned());
        options.class.clone_from(&self.auto);
        options.task.clone_from(&self.task);
        options.no_cache = self.no_cache;
        options.contrib = self.contrib;
        options
    }
}

/// How to make it, for files that hold weights and no graph.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of PyTorch checkpoints")]
pub(crate) struct How {
    /// The network that a checkpoint belongs to, for files that do not say
    #[arg(long, value_name = "NAME")]
    pub(crate) arch: Option<String>,
    /// The version of ONNX's operator set
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) opset: Option<i64>,
    /// Copy the weights to a file of the graph's own; otherwise they stay in the original
    #[arg(long)]
    pub(crate) packed: bool,
    /// Convert the weights to f16, bf16 or f32; implies --packed
    #[arg(long, value_name = "TYPE")]
    pub(crate) dtype: Option<FloatType>,
    /// Fold batch norms into the convolutions before them; implies --packed
    #[arg(long)]
    pub(crate) fold: bool,
    /// The size of pictures: N, HxW, or `any` [default: the model's own]
    #[arg(long, value_name = "SIZE")]
    pub(crate) image_size: Option<ImageSize>,
    /// Which dictionary of a training checkpoint to take, such as `model_ema`
    #[arg(long, value_name = "NAME")]
    pub(crate) dictionary: Option<String>,
}

impl How {
    /// In the library's words. Which target they are for is said elsewhere.
    pub(crate) fn options(&self) -> StageOptions {
        let mut options = StageOptions::to(Target::Onnx);
        options.arch.clone_from(&self.arch);
        options.opset = self.opset;
        options.weights = if self.packed { WeightPolicy::Packed } else { WeightPolicy::InPlace };
        options.dtype = self.dtype;
        options.fold = self.fold;
        options.image_size = self.image_size;
        options.dictionary.clone_from(&self.dictionary);
        options
    }
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A model by handle, URL or bare name, or a file or folder
    #[arg(value_name = "HANDLE|PATH")]
    pub(crate) model: String,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("media").multiple(true)))]
pub(crate) struct Run {
    /// A model by handle, URL or bare name, or a file or folder
    #[arg(value_name = "HANDLE|PATH")]
    pub(crate) model: String,
    /// Feed tensors from a file: to the input NAME, or to those that the file names
    #[arg(short, long = "input", value_name = "[NAME=]FILE")]
    pub(crate) inputs: Vec<String>,
    /// Generate inputs from this number
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "inputs")]
    pub(crate) seed: u64,
    /// The size of a free dimension of generated inputs [default: 1]
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dim, conflicts_with = "inputs")]
    pub(crate) dims: Vec<(String, usize)>,
    /// Write all outputs to a file
    #[arg(short, long, value_name = "OUT.npz")]
    pub(crate) out: Option<PathBuf>,
    /// Write each output to a file of its own in a folder, or the only one to NAME.npy
    #[arg(long, value_name = "DIR|NAME.npy")]
    pub(crate) save: Option<PathBuf>,
    /// Compare with the outputs in a file or folder; a difference ends with code 1
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
    /// The largest difference that passes, as a part of the expected spread [default: 0.001]
    #[arg(long, value_name = "T", value_parser = tolerance, requires = "expect")]
    pub(crate) tolerance: Option<f64>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) pictures: Pictures,
    #[command(flatten)]
    pub(crate) texts: Texts,
}

/// Texts and sounds in; labels, spans, vectors and texts out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of texts and sounds")]
pub(crate) struct Texts {
    /// Feed a text, with the model's own tokenizer; several are answered one by one, or compared
    #[arg(id = "texts", long = "text", value_name = "TEXT", group = "media", conflicts_with_all = ["inputs", "dims"])]
    pub(crate) given: Vec<String>,
    /// What belongs to every --text, for models that read two
    #[arg(long, value_name = "TEXT", requires = "texts")]
    pub(crate) text_pair: Option<String>,
    /// Where the answer to every --text is to be found
    #[arg(long, value_name = "TEXT", requires = "texts")]
    pub(crate) context: Option<String>,
    /// Feed a sound, prepared as the model's own files say
    #[arg(long, value_name = "FILE.wav", group = "media", conflicts_with_all = ["inputs", "dims", "images"])]
    pub(crate) audio: Vec<PathBuf>,
    /// The language that is spoken, for models that know several, such as en [default: the model hears it]
    #[arg(long, value_name = "NAME", requires = "audio")]
    pub(crate) language: Option<String>,
    /// Write at most N tokens [default: what the model's files say, else 256]
    #[arg(long, value_name = "N", requires = "media")]
    pub(crate) max_new_tokens: Option<NonZeroUsize>,
    /// Draw tokens by lot, the improbable more often the higher it is; 0 takes the most probable
    #[arg(long, value_name = "T", requires = "media", value_parser = tolerance)]
    pub(crate) temperature: Option<f64>,
    /// Draw from the N most probable tokens
    #[arg(long, value_name = "N", requires = "media")]
    pub(crate) top_k: Option<NonZeroUsize>,
    /// Draw from the most probable tokens that come to this probability together
    #[arg(long, value_name = "P", requires = "media", value_parser = tolerance)]
    pub(crate) top_p: Option<f64>,
}

/// Pictures in, labels and masks out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of pictures")]
pub(crate) struct Pictures {
    /// Feed a picture, prepared as the model's manifest says; several are a batch, or the frames of a video in order
    #[arg(long = "image", value_name = "FILE", group = "media", conflicts_with_all = ["inputs", "seed", "dims"])]
    pub(crate) images: Vec<PathBuf>,
    /// Show the N most probable labels or words [default: 5]
    #[arg(long, value_name = "N", requires = "media")]
    pub(crate) top: Option<NonZeroUsize>,
    /// Where to paint which class each pixel is of [default: NAME.mask.png for NAME.jpg, in the current folder]
    #[arg(long, value_name = "DIR|NAME.png", requires = "images")]
    pub(crate) mask: Option<PathBuf>,
    /// How to prepare pictures, for models whose manifest does not say [default: what the manifest says]
    #[arg(long, value_name = "FILE.json", requires = "images")]
    pub(crate) recipe: Option<PathBuf>,
    /// What to make of the outputs [default: what the manifest says]
    #[arg(long, value_name = "TASK", requires = "media", value_parser = task())]
    pub(crate) task: Option<Purpose>,
    /// Names of the classes, one per line or as JSON in a file [default: what the manifest says]; to choose from any
    /// labels, their names with commas between them
    #[arg(long, value_name = "FILE|A,B,…", requires = "media")]
    pub(crate) labels: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// A model by handle, URL or bare name, or a file or folder
    #[arg(value_name = "HANDLE|PATH")]
    pub(crate) model: String,
    /// The largest difference that passes, as a part of the expected spread [default: 0.001]
    #[arg(long, value_name = "T", value_parser = tolerance)]
    pub(crate) tolerance: Option<f64>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EngineArgs {
    /// What computes: ONNX Runtime, or tract, if zoo was built with it
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Engine::Ort)]
    pub(crate) engine: Engine,
    /// Threads within one operator, for ONNX Runtime [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Ort,
    Tract,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this hub, such as `onnx`
    #[arg(value_name = "HUB")]
    pub(crate) hub: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Words that must all occur in the name or the tags
    #[arg(value_name = "WORD", required = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// List what is stored
    Ls,
    /// Hash every original again; a difference ends with code 1
    Verify {
        /// Stored models; all without any
        #[arg(value_name = "HANDLE")]
        handles: Vec<String>,
    },
    /// Remove what is old, too much, or unfinished
    Gc(Gc),
    /// Remove models, every revision of them unless one is named
    Rm {
        /// Stored models
        #[arg(value_name = "HANDLE", required = true)]
        handles: Vec<String>,
    },
    /// Print where the store is, or what a framework opens of a stored model
    Path {
        /// A stored model
        #[arg(value_name = "HANDLE")]
        handle: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct Gc {
    /// Models not used for this long: 12h, 30d, 8w
    #[arg(long, value_name = "AGE", value_parser = age, group = "what")]
    pub(crate) older_than: Option<Duration>,
    /// The longest unused models, until the rest is no larger: 500MB, 10GiB
    #[arg(long, value_name = "SIZE", value_parser = size, group = "what")]
    pub(crate) max_size: Option<u64>,
    /// Unfinished transfers; what they had is fetched again
    #[arg(long, group = "what")]
    pub(crate) unfinished: bool,
    /// Only tell what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

fn target() -> impl TypedValueParser<Value = Target> {
    PossibleValuesParser::new(Target::ALL.map(Target::name)).try_map(|text| text.parse::<Target>())
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Picture(Task),
    Text(TextTask),
}

fn task() -> impl TypedValueParser<Value = Purpose> {
    let names = Task::ALL.map(Task::name).into_iter().chain(TextTask::ALL.map(TextTask::name));
    PossibleValuesParser::new(names).try_map(|text| {
        let text_task = TextTask::named(&text).map(Purpose::Text);
        text_task.map_or_else(|| text.parse::<Task>().map(Purpose::Picture), Ok)
    })
}

/// `NAME=N`. The name is the model's own and may hold any character; the number may not.
fn dim(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.rsplit_once('=').ok_or("write NAME=N, such as batch=4")?;
    if name.is_empty() {
        return Err("the name before `=` is missing".into());
    }
    let size = size.parse().map_err(|_| format!("`{size}` is not a size"))?;
    Ok((name.to_owned(), size))
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("write a number that is not negative, such as 0.001 or 1e-5".into()),
    }
}

/// `30d`: a whole number and a unit.
fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text).ok_or("write a whole number and a unit, such as 30d")?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(format!("`{unit}` is not a unit of time; there are s, min, h, d and w")),
    };
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(|| "that is longer than time itself".into())
}

/// `10GB` is decimal and `10GiB` binary, as the units are defined; a bare letter is binary, as in `du` and `ls`.
fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text).ok_or("write a whole number and a unit, such as 10GB")?;
    let lower = unit.to_ascii_lowercase();
    let (letter, base) = match lower.as_str() {
        "" | "b" => ("", 1),
        unit => match unit.strip_suffix("ib") {
            Some(letter) => (letter, 1024),
            None => match unit.strip_suffix('b') {
                Some(letter) => (letter, 1000),
                None => (unit, 1024),
            },
        },
    };
    let power = match letter {
        "" if base == 1 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => {
            return Err(format!(
                "`{unit}` is not a unit of size; there are B, KB, MB, GB, TB and KiB, MiB, GiB, TiB"
            ));
        }
    };
    number.checked_mul(u64::pow(base, power)).ok_or_else(|| "that is more than any disk holds".into())
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(text: &str) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from(text.split_whitespace()).map_err(|e| e.kind())
    }

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_decimal_or_binary_as_their_units_say() {
        let cases = [
            ("10GB", 10_000_000_000),
            ("10 GiB", 10 << 30),
            ("10G", 10 << 30),
            ("500mb", 500_000_000),
            ("1k", 1024),
            ("7", 7),
            ("7B", 7),
            ("2TiB", 2 << 40),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for bad in ["", "GB", "1.5GB", "-1", "10XB", "10iB", "99999999999TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_have_units() {
        let cases = [
            ("30d", 30 * 86_400),
            ("12h", 43_200),
            ("90min", 5_400),
            ("5m", 300),
            ("2w", 14 * 86_400),
            ("0s", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(age(text), Ok(Duration::from_secs(expected)), "{text}");
        }
        for bad in ["30", "d", "1y", "-3d", "99999999999999999w"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dimensions_and_tolerances() {
        assert_eq!(dim("batch=4"), Ok(("batch".into(), 4)));
        assert_eq!(dim("a=b=4"), Ok(("a=b".into(), 4)));
        assert!(dim("batch").is_err() && dim("=4").is_err() && dim("batch=x").is_err());
        assert_eq!(tolerance("1e-5"), Ok(1e-5));
        assert!(tolerance("-1").is_err() && tolerance("nan").is_err() && tolerance("inf").is_err());
    }

    #[test]
    fn global_options_stand_anywhere() {
        let cli = parse("zoo --home h pull onnx:a --offline -q").unwrap();
        assert!(cli.global.offline && cli.global.quiet && cli.global.home == Some("h".into()));
        assert_eq!(parse("zoo cache ls -vv --json").unwrap().global.verbose, 2);
        assert_eq!(parse("zoo pull a -q -v").unwrap_err(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn targets_are_lists_of_known_names() {
        let Command::Stage(stage) = parse("zoo stage a --to onnx,original").unwrap().command else {
            panic!("another command")
        };
        assert_eq!(stage.to, [Target::Onnx, Target::Original]);
        assert_eq!(parse("zoo stage a --to tflite").unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(parse("zoo stage a --link").unwrap_err(), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn how_a_checkpoint_becomes_a_graph_is_told_to_pull_and_to_stage() {
        let options =
            "--arch resnet50 --opset 17 --packed --dtype bf16 --fold --image-size 320x480 --dictionary ema";
        for command in ["zoo stage m.pth", "zoo pull torchvision:resnet50"] {
            let how = match parse(&format!("{command} {options}")).unwrap().command {
                Command::Stage(stage) => stage.how,
                Command::Pull(pull) => pull.how,
                _ => panic!("another command"),
            };
            let given = how.options();
            assert_eq!(given.given().len(), 7);
            assert_eq!(given.file_name("m"), "m-opset17-bf16-fold-320x480-dict_ema.onnx");
        }
        for bad in ["--opset 0", "--opset x", "--dtype f64", "--image-size 0"] {
            assert_eq!(
                parse(&format!("zoo stage m {bad}")).unwrap_err(),
                ErrorKind::ValueValidation,
                "{bad}"
            );
        }
    }

    #[test]
    fn which_files_of_a_repository_is_told_to_pull_and_to_stage() {
        for command in ["zoo pull hf:a/b", "zoo stage a/b"] {
            let repository = |options: &str| match parse(&format!("{command} {options}"))?.command {
                Command::Stage(stage) => Ok::<_, ErrorKind>(stage.repository),
                Command::Pull(pull) => Ok(pull.repository),
                _ => panic!("another command"),
            };
            let given = repository("--framework tf --auto AutoModel --all-files").unwrap();
            assert!(given.all_files && given.framework == Some(zoo_hf::select::Framework::Tf));
            assert_eq!(given.auto.as_deref(), Some("AutoModel"));
            assert_eq!(repository("--onnx-files").unwrap().onnx_files.as_deref(), Some(""));
            assert_eq!(repository("--onnx-files=fp16").unwrap().onnx_files.as_deref(), Some("fp16"));
            assert_eq!(repository("").unwrap().onnx_files, None);
            assert_eq!(repository("--framework jax").unwrap_err(), ErrorKind::ValueValidation);
            assert_eq!(repository("--auto x --task y").unwrap_err(), ErrorKind::ArgumentConflict);
            assert_eq!(repository("--onnx-files --all-files").unwrap_err(), ErrorKind::ArgumentConflict);
        }
    }

    #[test]
    fn gc_wants_to_be_told_what_to_remove() {
        assert_eq!(parse("zoo cache gc").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("zoo cache gc --dry-run").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert!(parse("zoo cache gc --older-than 30d --max-size 10GB --unfinished").is_ok());
    }

    #[test]
    fn inputs_are_fed_or_generated() {
        assert!(parse("zoo run m --input x=a.npy --input b.npz --expect y.npz --tolerance 1e-4").is_ok());
        assert!(parse("zoo run m --seed 3 --dim N=2 --dim M=3").is_ok());
        assert_eq!(parse("zoo run m --input a.npy --seed 3").unwrap_err(), ErrorKind::ArgumentConflict);
        assert_eq!(parse("zoo run m --tolerance 1e-4").unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(parse("zoo run m --threads 0").unwrap_err(), ErrorKind::ValueValidation);
    }

    #[test]
    fn pictures_are_fed_instead_of_tensors() {
        let options =
            "--top 3 --mask m.png --recipe r.json --task semantic-segmentation --labels l.txt --save out";
        let Command::Run(run) =
            parse(&format!("zoo run m --image a.png --image b.png {options}")).unwrap().command
        else {
            panic!("another command")
        };
        assert_eq!(run.pictures.images, ["a.png", "b.png"].map(PathBuf::from));
        assert_eq!(run.pictures.task, Some(Purpose::Picture(Task::SemanticSegmentation)));
        for with in ["--input x.npy", "--seed 3", "--dim N=2"] {
            let both = parse(&format!("zoo run m --image a.png {with}"));
            assert_eq!(both.unwrap_err(), ErrorKind::ArgumentConflict, "{with}");
        }
        for alone in ["--top 3", "--mask m.png", "--recipe r.json", "--labels l.txt"] {
            let missing = parse(&format!("zoo run m {alone}"));
            assert_eq!(missing.unwrap_err(), ErrorKind::MissingRequiredArgument, "{alone}");
        }
        assert_eq!(parse("zoo run m --image a --task flow").unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(parse("zoo run m --image a --top 0").unwrap_err(), ErrorKind::ValueValidation);
    }

    #[test]
    fn texts_and_sounds_are_fed_instead_of_tensors() {
        let text =
            "zoo run m --text a --text b --seed 3 --max-new-tokens 5 --temperature 0.7 --top-k 4 --top-p 0.9";
        let Command::Run(run) = parse(&format!("{text} --task text-generation")).unwrap().command else {
            panic!("another command")
        };
        assert_eq!((run.texts.given.len(), run.seed), (2, 3));
        assert_eq!(run.pictures.task, Some(Purpose::Text(TextTask::TextGeneration)));
        assert!(parse("zoo run m --image a.png --text x --labels a,b").is_ok());
        assert!(parse("zoo run m --audio a.wav --language en --top 3").is_ok());
        for bad in
            ["--text a --input x.npy", "--audio a --dim N=2", "--audio a --image b", "--text a --mask m.png"]
        {
            assert!(parse(&format!("zoo run m {bad}")).is_err(), "{bad}");
        }
        for alone in
            ["--context x", "--text-pair x", "--language en", "--temperature 1", "--max-new-tokens 3"]
        {
            let missing = parse(&format!("zoo run m {alone}"));
            assert_eq!(missing.unwrap_err(), ErrorKind::MissingRequiredArgument, "{alone}");
        }
    }

    #[test]
    fn completions_know_every_command() {
        let mut script = Vec::new();
        clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "zoo", &mut script);
        let script = String::from_utf8(script).unwrap();
        for command in ["pull", "stage", "show", "run", "check", "list", "search", "cache", "completions"] {
            assert!(script.contains(command), "{command}");
        }
    }
}
