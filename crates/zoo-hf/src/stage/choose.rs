//! Which architecture and which of its classes are meant: by a class or task that is asked for, else by the class that the checkpoint
//! was saved from. There is no guessing: a task that several classes serve takes the checkpoint's own, or the usual one if that has
//! another task, and whether the checkpoint has its head, its tensors tell.

use zoo_arch::transformers::{self, Architecture, Class};
use zoo_arch::{Config, Task};
use zoo_core::stage::StageOptions;

use super::error::StageError;

/// What is to be built.
pub(super) struct Choice {
    pub(super) architecture: &'static Architecture,
    pub(super) class: &'static Class,
    /// Why, in words.
    pub(super) evidence: String,
}

/// The architecture and class for a configuration and wishes; `sentence` says that sentence-transformers wrote the repository.
pub(super) fn class(config: &Config, options: &StageOptions, sentence: bool) -> Result<Choice, StageError> {
    if config.has("quantization_config") {
        return Ok(config.unsupported("quantization_config")?);
    }
    let architecture = architecture(config)?;
    // The same class has another name in another framework.
    let saved: Vec<&str> = config.architectures().into_iter().map(plain).collect();
    let own = saved.iter().find_map(|name| architecture.class(name));
    let choose = |class, evidence: String| Ok(Choice { architecture, class, evidence });
    let task = match (&options.class, &options.task) {
        (Some(name), _) => {
            if let Some(class) = architecture.class(plain(name)) {
                return choose(class, format!("the class {} was asked for", class.name));
            }
            match Task::of_auto_class(name) {
                Some(task) => Some((task, name.clone())),
                None => return Err(StageError::unknown_class(name, architecture)),
            }
        }
        (None, Some(word)) => Some((word.parse::<Task>()?, format!("the task {word}"))),
        (None, None) if sentence => Some((Task::FeatureExtraction, "modules.json".to_owned())),
        (None, None) => None,
    };
    match (task, own) {
        (Some((task, asked)), own) => {
            let class = own.filter(|own| own.task == task).or_else(|| architecture.classes_for(task).next());
            match class {
                Some(class) => choose(class, format!("{asked} was asked for")),
                None => Err(StageError::no_such_task(task, architecture)),
            }
        }
        (None, Some(class)) => choose(class, format!("config.json names {}", class.name)),
        (None, None) => match (saved.as_slice(), architecture.classes.first()) {
            // Old configurations do not say it; the bare model is what every checkpoint has.
            ([], Some(class)) => choose(class, "config.json names no class".to_owned()),
            _ => Err(StageError::unknown_class(saved.first().copied().unwrap_or_default(), architecture)),
        },
    }
}

fn architecture(config: &Config) -> Result<&'static Architecture, StageError> {
    let named = config.model_type();
    if let Some(architecture) = named.and_then(transformers::find) {
        return Ok(architecture);
    }
    // Very old configurations have no type; the class names it.
    if named.is_none() {
        let classes = config.architectures().into_iter().map(plain);
        let mut owners =
            classes.filter_map(|name| transformers::architectures().find(|a| a.class(name).is_some()));
        if let Some(architecture) = owners.next() {
            return Ok(architecture);
        }
    }
    Err(StageError::unknown_model(named, config))
}

/// The class's name in PyTorch.
fn plain(name: &str) -> &str {
    if name.starts_with("TFAuto") || name.starts_with("FlaxAuto") {
        return name;
    }
    name.strip_prefix("TF").or_else(|| name.strip_prefix("Flax")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zoo_core::stage::Target;

    use super::*;

    fn chosen(config: &serde_json::Value, change: impl Fn(&mut StageOptions)) -> Result<Choice, StageError> {
        let mut options = StageOptions::to(Target::Onnx);
        change(&mut options);
        class(&Config::parse(config.to_string().as_bytes()).unwrap(), &options, false)
    }

    #[test]
    fn the_checkpoint_says_what_it_is_unless_somebody_asks() {
        let bert = json!({"model_type": "bert", "architectures": ["TFBertForMaskedLM"]});
        let name = |change: &dyn Fn(&mut StageOptions)| chosen(&bert, change).unwrap().class.name;
        assert_eq!(name(&|_| {}), "BertForMaskedLM");
        assert_eq!(name(&|o| o.class = Some("AutoModel".into())), "BertModel");
        assert_eq!(
            name(&|o| o.class = Some("TFBertForTokenClassification".into())),
            "BertForTokenClassification"
        );
        assert_eq!(
            name(&|o| o.task = Some("sequence-classification".into())),
            "BertForSequenceClassification"
        );
        let old = json!({"architectures": ["BertForQuestionAnswering"]});
        assert_eq!(chosen(&old, |_| {}).unwrap().class.name, "BertForQuestionAnswering");
        assert_eq!(chosen(&json!({"model_type": "bert"}), |_| {}).unwrap().class.name, "BertModel");
    }

    #[test]
    fn what_is_not_built_is_refused_with_what_is() {
        let refused = |config: serde_json::Value, change: &dyn Fn(&mut StageOptions)| {
            let error = chosen(&config, change).err().unwrap();
            format!("{error} {}", error.hint().unwrap_or_default())
        };
        let bert = json!({"model_type": "bert", "architectures": ["BertLMHeadModel"]});
        assert!(refused(bert.clone(), &|_| {}).contains("BertForMaskedLM"));
        assert!(
            refused(bert.clone(), &|o| o.class = Some("BertForMaskedML".into())).contains("BertForMaskedLM")
        );
        assert!(refused(bert.clone(), &|o| o.task = Some("object-detection".into())).contains("fill-mask"));
        assert!(refused(bert, &|o| o.task = Some("what".into())).contains("is not a task"));
        let told = refused(json!({"model_type": "reformer"}), &|_| {});
        assert!(
            told.contains("`reformer`") && told.contains("bert") && told.contains("optimum-cli"),
            "{told}"
        );
        let told = refused(json!({"auto_map": {"AutoModel": "modeling.New"}}), &|_| {});
        assert!(told.contains("modeling.New"), "{told}");
    }
}
