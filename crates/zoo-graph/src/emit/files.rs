//! The model's folder: what in it a model may point to, and how files come to stand in it whole.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use tempfile::NamedTempFile;
use zoo_tensor::SourceFile;

use crate::{Error, Result, external};

/// Where a model is to be written.
#[derive(Debug)]
pub(super) struct Target {
    model: PathBuf,
    folder: PathBuf,
    /// The folder without links, to compare other paths with.
    real_folder: PathBuf,
    /// The data file's name.
    data_name: String,
}

/// A file that has no name yet that anybody looks for; gone when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    file: NamedTempFile,
    /// What it is to be called.
    path: PathBuf,
}

impl Temporary {
    pub(super) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The system's word on a path, as an error.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Tensor(zoo_tensor::Error::File { action, path, source })
}

impl Target {
    /// # Errors
    /// If the folder does not exist, or the model's name cannot be written into a model.
    pub(super) fn new(model: &Path) -> Result<Self> {
        let Some(name) = model.file_name() else {
            let source = io::Error::other("the path names no file");
            return Err(failed("write", model)(source));
        };
        let folder = match model.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let real_folder = folder.canonicalize().map_err(failed("open the folder", &folder))?;
        let data_name = format!("{}.data", name.to_string_lossy());
        Ok(Self { model: model.to_owned(), folder, real_folder, data_name })
    }

    /// The data file's name, which is also its location in the model.
    pub(super) fn data_name(&self) -> &str {
        &self.data_name
    }

    /// The data file's path.
    pub(super) fn data_path(&self) -> PathBuf {
        self.folder.join(&self.data_name)
    }

    /// How the model refers to a checkpoint: by its path from the model's folder, with every link followed, because readers
    /// differ in which links they follow.
    ///
    /// # Errors
    /// If it is not in the folder or below, or its name cannot be written in a model.
    pub(super) fn location(&self, tensor: &str, file: &SourceFile) -> Result<String> {
        let path = file.path();
        let real = path.canonicalize().map_err(failed("examine", path))?;
        let Ok(relative) = real.strip_prefix(&self.real_folder) else {
            return Err(Error::OutsideFolder {
                tensor: tensor.to_owned(),
                file: path.to_owned(),
                folder: self.folder.clone(),
            });
        };
        let parts: Option<Vec<&str>> = relative
            .components()
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        let location = parts.map_or_else(|| relative.display().to_string(), |parts| parts.join("/"));
        let unfit = match external::validate(&location) {
            Err(problem) => Some(problem),
            Ok(()) if relative.to_str().is_none() => Some("is not text"),
            Ok(()) => None,
        };
        match unfit {
            Some(problem) => Err(Error::BadLocation { tensor: tensor.to_owned(), location, problem }),
            None => Ok(location),
        }
    }

    /// Fails if this file is about to be replaced while weights are read from it.
    pub(super) fn spare(&self, file: &SourceFile) -> Result<()> {
        let real = file.path().canonicalize().map_err(failed("examine", file.path()))?;
        let own = self.model.file_name().map(|name| self.real_folder.join(name));
        if real == self.real_folder.join(&self.data_name) || Some(&real) == own.as_ref() {
            let source = io::Error::other("the model's weights are read from it");
            return Err(failed("replace", &real)(source));
        }
        Ok(())
    }

    /// A file in the folder that is to be called `path`.
    pub(super) fn temporary(&self, path: &Path) -> Result<Temporary> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".zoo-").suffix(".tmp");
        #[cfg(unix)]
        let permissions = {
            // Temporary files are private by default; a staged model is as readable as its folder's other files.
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::Permissions::from_mode(0o666)
        };
        #[cfg(unix)]
        builder.permissions(permissions);
        let file =
            builder.tempfile_in(&self.folder).map_err(failed("create a temporary file beside", path))?;
        Ok(Temporary { file, path: path.to_owned() })
    }

    /// Gives the files their names. A model that is there already goes first if the data file is new: an old model with new
    /// data would be silently wrong, no model is not.
    pub(super) fn put_in_place(
        &self,
        model: Temporary,
        data: Option<Temporary>,
        durable: bool,
    ) -> Result<()> {
        if durable {
            for temporary in data.iter().chain([&model]) {
                temporary.file.as_file().sync_all().map_err(failed("flush", &temporary.path))?;
            }
        }
        if let Some(data) = data {
            match std::fs::remove_file(&self.model) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("replace", &self.model)(error));
                }
                _ => {}
            }
            let path = data.path.clone();
            persist(data)?;
            if let Err(error) = persist(model) {
                // Without its model the data is of no use to anybody; the first error is the one to tell.
                let _ = std::fs::remove_file(path);
                return Err(error);
            }
        } else {
            persist(model)?;
        }
        if durable && cfg!(unix) {
            let folder = File::open(&self.folder).map_err(failed("open the folder", &self.folder))?;
            folder.sync_all().map_err(failed("flush the folder", &self.folder))?;
        }
        Ok(())
    }
}

fn persist(temporary: Temporary) -> Result<()> {
    let Temporary { file, path } = temporary;
    match file.persist(&path) {
        Ok(_) => Ok(()),
        Err(error) => Err(failed("put in place", &path)(error.error)),
    }
}
