//! What a network hears: which class a sound is of, and what is said in it.

use zoo_tensor::Tensor;

use super::{AudioSettings, CtcVocabulary, Sound};
use crate::config::ModelConfig;
use crate::text::{Apply, Class};
use crate::{Error, Result, Runner, numbers};

/// Runs a network on a sound, and gives its `logits`.
fn logits(
    runner: &mut dyn Runner,
    settings: &AudioSettings,
    sound: &Sound,
    task: &'static str,
) -> Result<Tensor> {
    let inputs = vec![(settings.input().to_owned(), settings.features(sound)?)];
    let outputs = runner.run(&inputs)?;
    let names = outputs.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let found = outputs.into_iter().find(|(name, _)| name == "logits").map(|(_, tensor)| tensor);
    found.ok_or_else(|| Error::Outputs {
        task,
        problem: format!("none is called \"logits\"; there are {names}"),
    })
}

/// All classes for a sound, best first. The graph's output is `logits`, `[1, classes]`.
///
/// # Errors
/// [`Error::Outputs`] if there is no such output, or `config.json` names another number of classes; and as
/// [`AudioSettings::features`].
pub fn classify(
    runner: &mut dyn Runner,
    settings: &AudioSettings,
    config: &ModelConfig,
    sound: &Sound,
) -> Result<Vec<Class>> {
    const TASK: &str = "audio-classification";
    let logits = logits(runner, settings, sound, TASK)?;
    let scores = match logits.shape() {
        [1, classes] => numbers::slice(&logits, 0, *classes),
        _ => None,
    };
    let scores = scores.ok_or_else(|| {
        let problem =
            format!("\"logits\" is {} {:?}, and [1, classes] is needed", logits.dtype(), logits.shape());
        Error::Outputs { task: TASK, problem }
    })?;
    config.check_labels(TASK, scores.len())?;
    let chances = Apply::Softmax.to(&scores);
    let mut classes: Vec<Class> =
        config.labels().iter().zip(chances).map(|(label, chance)| Class::new(label, chance)).collect();
    Class::sort(&mut classes);
    Ok(classes)
}

/// What is said in a sound, letter by letter. The graph's output is `logits`, `[1, steps, letters]`.
///
/// # Errors
/// [`Error::Outputs`] if there is no such output; and as [`AudioSettings::features`].
pub fn spell(
    runner: &mut dyn Runner,
    settings: &AudioSettings,
    vocabulary: &CtcVocabulary,
    sound: &Sound,
) -> Result<String> {
    const TASK: &str = "automatic-speech-recognition";
    let logits = logits(runner, settings, sound, TASK)?;
    let refuse = || {
        let problem = format!(
            "\"logits\" is {} {:?}, and [1, steps, letters] is needed",
            logits.dtype(),
            logits.shape()
        );
        Error::Outputs { task: TASK, problem }
    };
    let [1, steps, letters] = *logits.shape() else { return Err(refuse()) };
    let mut ids = Vec::with_capacity(steps);
    for step in 0..steps {
        let scores = numbers::slice(&logits, step * letters, letters).ok_or_else(refuse)?;
        ids.push(numbers::largest(&scores).ok_or_else(refuse)? as i64);
    }
    Ok(vocabulary.decode(&ids))
}
