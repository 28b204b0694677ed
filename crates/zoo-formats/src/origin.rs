//! Where a state dict was found in a checkpoint: the evidence for the choice.

use std::fmt;

/// A dictionary of tensors in a checkpoint, or a whole network whose tensors can be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dictionary {
    /// The keys that lead to it, joined by dots; empty if it is the object that was saved.
    pub path: String,
    /// How many tensors it holds.
    pub tensors: usize,
    /// The class, if it is a whole pickled network: `torchvision.models.resnet.ResNet`. Its names were put together from
    /// its modules, as `state_dict()` does.
    pub module: Option<String>,
    /// Whether it is a moving average of the weights, by its path.
    pub ema: bool,
    /// What was taken off the front of every name, because all of them had it: `module.` of data-parallel training,
    /// `_orig_mod.` of `torch.compile`, `model.` of a training framework. Empty if nothing was.
    pub prefix: String,
    /// How many of its entries are no tensors; they are not in the state dict.
    pub others: usize,
    /// The first of those, by name and by what they are.
    pub skipped: Vec<Skipped>,
}

/// An entry of a dictionary that is no tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its key; what it is instead, if the key is no text.
    pub name: String,
    /// What it is: `an int`, `torch.qint8`, `an object of class …`.
    pub what: String,
}

/// Which dictionary of a checkpoint was taken, and what else there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The one that was taken; none if there is none, or nothing says which of several is meant.
    pub taken: Option<Dictionary>,
    /// The other keys of the object that was saved: `epoch`, `optimizer`.
    pub beside: Vec<String>,
}

impl fmt::Display for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str("the whole file")?,
            path => write!(f, "\"{path}\"")?,
        }
        if let Some(class) = &self.module {
            write!(f, ", a pickled {class}")?;
        }
        if self.ema {
            f.write_str(", a moving average")?;
        }
        if !self.prefix.is_empty() {
            write!(f, ", names without \"{}\"", self.prefix)?;
        }
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.taken {
            Some(dictionary) => write!(f, "{dictionary}")?,
            None => f.write_str("no state dict")?,
        }
        for (i, key) in self.beside.iter().enumerate() {
            write!(f, "{}\"{key}\"", if i == 0 { "; beside it: " } else { ", " })?;
        }
        Ok(())
    }
}
