//! What was staged once is kept beside its originals and found again by its options; the manifest notes it.
//!
//! The ecosystems differ in how a graph is made and described. That something is made at most once, under the model's lock, and noted
//! only when it is there, is the same for all.

use crate::manifest::{ModelFacts, Staged};
use crate::store::StoredModel;
use crate::{Error, Zoo, blocking};

use super::{StageOptions, StagedModel, Target};

/// What was made in a model's folder.
#[derive(Debug, Clone)]
pub struct Made {
    /// The manifest's entry: which files, from which options.
    pub staged: Staged,
    /// What is known of the model now.
    pub facts: ModelFacts,
}

/// The form with these options, if it is there whole and this version of zoo made it. `describe` adds to the facts what the staged file says,
/// and fails if the file is damaged; then it counts as not there.
///
/// # Errors
/// If the manifest cannot be read.
pub fn find_made<E: std::fmt::Display>(
    stored: &StoredModel,
    options: &StageOptions,
    describe: impl Fn(&StoredModel, &Staged, &mut ModelFacts) -> Result<(), E>,
) -> Result<Option<StagedModel>, Error> {
    let Some(now) = StoredModel::read(&stored.folder)? else { return Ok(None) };
    let recorded = options.recorded();
    let is_it = |staged: &&Staged| {
        staged.target == options.target.name()
            && staged.options == recorded
            && staged.zoo == env!("CARGO_PKG_VERSION")
            && std::iter::once(&staged.path).chain(&staged.with).all(|path| path.under(&now.folder).exists())
    };
    let Some(staged) = now.manifest.staged.iter().find(is_it).cloned() else { return Ok(None) };
    let mut manifest = now.manifest.clone();
    if let Err(error) = describe(&now, &staged, &mut manifest.model) {
        tracing::warn!(%error, "making it anew");
        return Ok(None);
    }
    Ok(Some(StagedModel::new(now.folder, staged, manifest)))
}

/// The form with these options: found again, or made now under the model's lock and noted in the manifest.
///
/// # Errors
/// As making fails; and if the store cannot be written.
pub async fn keep<E, M>(
    zoo: &Zoo,
    stored: &StoredModel,
    options: &StageOptions,
    describe: impl Fn(&StoredModel, &Staged, &mut ModelFacts) -> Result<(), E>,
    make: M,
) -> Result<StagedModel, E>
where
    E: std::fmt::Display + From<Error> + Send + 'static,
    M: FnOnce() -> Result<Made, E> + Send + 'static,
{
    if let Some(staged) = find_made(stored, options, &describe)? {
        return Ok(staged);
    }
    let pull = zoo.extend(stored).await?;
    // Somebody may have made it while we waited for the lock.
    if let Some(staged) = find_made(stored, options, &describe)? {
        return Ok(staged);
    }
    let Made { staged, facts } = blocking(make).await?;
    let (noted, known) = (staged.clone(), facts.clone());
    let is_plain = staged.options.is_empty();
    let is_usual = is_plain && options.target == Target::Onnx;
    let stored = pull
        .commit(stored.manifest.handle.clone(), move |manifest| {
            manifest.add_staged(noted);
            // Whoever asks for a target without options means the one without.
            manifest.staged.sort_by_key(|staged| staged.options.len());
            // Forms differ in what they take; the manifest tells of the usual one, or of the only one.
            if is_usual || (is_plain && manifest.model.inputs.is_empty()) {
                manifest.model = known;
            }
        })
        .await?;
    let mut manifest = stored.manifest;
    manifest.model = facts;
    Ok(StagedModel::new(stored.folder, staged, manifest))
}
