//! Reshapes as what they do to groups of axes.
//!
//! `[n, h, w, c]` to `[n, h*w, c]` leaves `n`, joins `h` and `w`, leaves `c`. Each group keeps its elements in order, so if its axes lie
//! together before a transposition as well as behind it, the reshape can be done first, group by group.

use std::ops::Range;

use zoo_tensor::Dim;

use crate::dim;

/// Axes before a reshape, and those that they become.
type Block = (Range<usize>, Range<usize>);

/// A reshape of the value before a transposition, and the transposition that then follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// What the untransposed value is reshaped to.
    pub(super) dims: Vec<Dim>,
    /// The order of axes that gives what reshaping the transposed value gave.
    pub(super) order: Vec<usize>,
}

/// Moves a reshape from `before` to `after` in front of the transposition by `order` that made `before`; none if it joins or splits axes
/// that the transposition brought together.
pub(super) fn moved(before: &[Dim], after: &[Dim], order: &[usize]) -> Option<Moved> {
    let blocks = blocks(before, after)?;
    // Where the blocks' axes begin before the transposition.
    let mut places = Vec::with_capacity(blocks.len());
    for (index, (from, _)) in blocks.iter().enumerate() {
        let axes = order.get(from.clone())?;
        let first = *axes.first()?;
        if !axes.iter().copied().eq(first..first + axes.len()) {
            return None;
        }
        places.push((first, index));
    }
    places.sort_unstable();
    let mut dims = Vec::with_capacity(after.len());
    let mut starts = vec![0; blocks.len()];
    for (_, index) in places {
        starts[index] = dims.len();
        dims.extend_from_slice(after.get(blocks[index].1.clone())?);
    }
    let order = blocks.iter().zip(starts).flat_map(|((_, to), start)| start..start + to.len()).collect();
    Some(Moved { dims, order })
}

/// The smallest groups of axes with equally many elements, in order; none if a dimension is not known.
fn blocks(before: &[Dim], after: &[Dim]) -> Option<Vec<Block>> {
    if before.iter().chain(after).any(|dim| *dim == Dim::Unknown || *dim == Dim::Fixed(0)) {
        return None;
    }
    let mut blocks: Vec<Block> = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < before.len() && j < after.len() {
        let ends = (i + 1..=before.len()).flat_map(|a| (j + 1..=after.len()).map(move |b| (a, b)));
        let fits = |&(a, b): &(usize, usize)| dim::product(&before[i..a]) == dim::product(&after[j..b]);
        // What is left over behind a longest match are ones, or it is no match at all.
        let (a, b) = ends.clone().min_by_key(|end @ (a, b)| (!fits(end), a + b)).filter(fits)?;
        blocks.push((i..a, j..b));
        (i, j) = (a, b);
    }
    let rest = before[i..].iter().chain(&after[j..]);
    if rest.clone().any(|dim| *dim != Dim::Fixed(1)) {
        return None;
    }
    let (from, to) = blocks.last_mut()?;
    (from.end, to.end) = (before.len(), after.len());
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(text: &str) -> Vec<Dim> {
        text.split(',').map(|d| d.parse().map_or_else(|_| Dim::Named(d.into()), Dim::Fixed)).collect()
    }

    fn move_it(before: &str, after: &str, order: &[usize]) -> Option<(String, Vec<usize>)> {
        let moved = moved(&dims(before), &dims(after), order)?;
        Some((moved.dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(","), moved.order))
    }

    #[test]
    fn groups_keep_their_place() {
        // Channels last, pixels joined: the channels can stay in front.
        assert_eq!(
            move_it("n,14,14,768", "n,196,768", &[0, 2, 3, 1]),
            Some(("n,768,196".into(), vec![0, 2, 1]))
        );
        assert_eq!(
            move_it("n,196,768", "n,14,14,768", &[0, 2, 1]),
            Some(("n,768,14,14".into(), vec![0, 2, 3, 1]))
        );
        // Heads split off the channels.
        assert_eq!(
            move_it("197,n,768", "197,n,12,64", &[1, 0, 2]),
            Some(("n,197,12,64".into(), vec![1, 0, 2, 3]))
        );
        assert_eq!(move_it("197,n,768", "197*n,768", &[1, 0, 2]), None, "what lies apart cannot be joined");
        assert_eq!(move_it("4,6", "2,12", &[1, 0]), None);
    }

    #[test]
    fn ones_come_and_go() {
        assert_eq!(
            move_it("n,8,1,1", "n,8", &[0, 3, 1, 2]),
            None,
            "the ones are not behind the channels there"
        );
        assert_eq!(move_it("n,8,1,1", "n,8", &[0, 1, 3, 2]), None, "nor in order");
        assert_eq!(move_it("8,n,1,1", "8,n", &[1, 0, 2, 3]), None);
        assert_eq!(move_it("8,n", "1,8,n", &[1, 0]), Some(("n,1,8".into(), vec![1, 2, 0])));
        assert_eq!(move_it("8,n", "8,n,1", &[1, 0]), Some(("n,1,8".into(), vec![2, 0, 1])));
        assert_eq!(move_it("n,?", "n,1", &[1, 0]), None);
    }
}
