//! Which network a checkpoint is staged as: the one that was named, or the only one that fits.

use zoo_arch::{Network, Recognised, recognise};
use zoo_core::handle::nearest;
use zoo_graph::weights::Weights;

use super::error::StageError;
use crate::rename::{Scheme, is_others_own, network_named, network_names};

/// The network, and why it is this one.
pub(super) fn network(
    weights: &Weights,
    scheme: &'static Scheme,
    named: Option<&str>,
) -> Result<(&'static Network, String), StageError> {
    if let Some(name) = named {
        let network = network_named(name).ok_or_else(|| StageError::UnknownArch {
            name: name.to_owned(),
            nearest: nearest(name, network_names(), 3),
        })?;
        if !is_allowed(scheme, network) {
            return Err(StageError::OtherSource {
                network: network.name,
                names: scheme.name,
                only: scheme.only,
            });
        }
        return Ok((network, format!("`{name}` was asked for, and all tensors fit")));
    }
    if let Some(reason) = scheme.shared {
        return Err(StageError::Unnamed { names: scheme.name, reason });
    }
    match recognise(weights, |network| is_allowed(scheme, network)) {
        Recognised::One { network, also } => {
            let fit = format!(
                "all {} tensors fit {}, with names as in {}",
                weights.tally().all,
                network.name,
                scheme.name
            );
            let evidence = match also.as_slice() {
                [] => format!("{fit}, and no other network"),
                also => format!("{fit}; {} would be the same graph", also.join(", ")),
            };
            Ok((network, evidence))
        }
        Recognised::Several(fitting) => Err(StageError::Ambiguous { fitting }),
        Recognised::Uncertain(fitting) => Err(StageError::Uncertain { fitting }),
        Recognised::None { nearest } => match nearest {
            Some((network, error)) => Err(StageError::NoNetwork { nearest: network.name, source: error }),
            None => Err(StageError::NothingFits {
                tensors: weights.tally().all,
                some: weights.names().iter().take(4).map(|&n| n.to_owned()).collect(),
            }),
        },
        _ => unreachable!("zoo-arch tells nothing else"),
    }
}

/// The network that the tensors are of, if they tell.
pub(super) fn recognised(weights: &Weights, scheme: &'static Scheme) -> Option<&'static str> {
    match recognise(weights, |network| is_allowed(scheme, network)) {
        Recognised::One { network, .. } => Some(network.name),
        _ => None,
    }
}

/// Whether the source of a checkpoint means by its tensors what the network computes.
fn is_allowed(scheme: &Scheme, network: &Network) -> bool {
    if scheme.only.is_empty() { !is_others_own(network.name) } else { scheme.only.contains(&network.name) }
}
