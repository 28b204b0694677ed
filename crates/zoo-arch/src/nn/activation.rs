//! Nonlinearities by the names that configurations give them (transformers' `ACT2FN`) and the classes of `torch.nn`.

use zoo_graph::{Builder, Val};

use crate::transformers::{Error, Result};

/// Applies the nonlinearity of this name.
///
/// # Errors
/// If the name is not known.
#[track_caller]
pub fn activate_by_name(g: &mut Builder, name: &str, x: Val) -> Result<Val> {
    Ok(match name {
        "gelu" | "gelu_python" => g.gelu(x)?,
        "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh" | "gelu_python_tanh" => {
            g.gelu_tanh(x)?
        }
        "gelu_10" => {
            let y = g.gelu(x)?;
            g.clip(y, -10.0, 10.0)?
        }
        "quick_gelu" => {
            let slope = g.float("quick_gelu_slope", 1.702);
            let scaled = g.mul(x, slope)?;
            let gate = g.sigmoid(scaled)?;
            g.mul(x, gate)?
        }
        "silu" | "swish" => g.silu(x)?,
        "relu" => g.relu(x)?,
        "relu2" => {
            let y = g.relu(x)?;
            g.mul(y, y)?
        }
        "relu6" => g.clip(x, 0.0, 6.0)?,
        "tanh" => g.tanh(x)?,
        "sigmoid" => g.sigmoid(x)?,
        "mish" => {
            let gate = g.softplus(x)?;
            let gate = g.tanh(gate)?;
            g.mul(x, gate)?
        }
        "linear" | "identity" => x,
        other => return Error::unsupported(format!("the activation `{other}`")),
    })
}
