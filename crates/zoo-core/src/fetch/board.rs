//! Who fetches which bytes of one file: pure bookkeeping, no I/O.
//!
//! Free gaps are handed out from the front, so that the hash, which needs the bytes in order, stays close behind. A span in
//! work can be cut: its owner finishes the front part, the rest becomes free. When nothing is free, the longest span in
//! work is halved, so that no connection idles while another still has minutes to go.

/// A half-open range of byte offsets.
pub(super) type Gap = (u64, u64);

/// A span somebody works on.
#[derive(Debug, Clone, Copy)]
struct Span {
    next: u64,
    end: u64,
}

/// Names a span in work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

#[derive(Debug, Default)]
pub(super) struct Board {
    /// Sorted, disjoint, not empty.
    free: Vec<Gap>,
    active: Vec<Option<Span>>,
}

impl Board {
    /// A board on which `gaps` are missing; they must be sorted and disjoint.
    pub(super) fn new(gaps: Vec<Gap>) -> Self {
        Self { free: gaps.into_iter().filter(|(a, b)| a < b).collect(), active: Vec::new() }
    }

    /// Takes the first free bytes, at most `most` of them. With `steal_above`, a span in work with more than twice that
    /// many bytes to go is halved when nothing is free.
    pub(super) fn claim(&mut self, most: u64, steal_above: Option<u64>) -> Option<(Slot, Gap)> {
        if self.free.is_empty()
            && let Some(least) = steal_above
        {
            self.halve_longest(least);
        }
        let first = self.free.first_mut()?;
        let (start, end) = (first.0, first.1.min(first.0.saturating_add(most.max(1))));
        first.0 = end;
        if first.0 == first.1 {
            self.free.remove(0);
        }
        let span = Some(Span { next: start, end });
        let slot = self.active.iter().position(Option::is_none).unwrap_or(self.active.len());
        match self.active.get_mut(slot) {
            Some(place) => *place = span,
            None => self.active.push(span),
        }
        Some((Slot(slot), (start, end)))
    }

    fn halve_longest(&mut self, least: u64) {
        let longest = self
            .active
            .iter()
            .enumerate()
            .filter_map(|(i, s)| s.map(|s| (s.end - s.next, i)))
            .max()
            .filter(|(left, _)| *left > least.saturating_mul(2));
        if let Some((left, i)) = longest
            && let Some(Some(span)) = self.active.get(i)
        {
            self.cut(Slot(i), span.next + left / 2);
        }
    }

    /// Makes everything of a span from `at` on free again. Nothing happens if its owner is past `at` already.
    pub(super) fn cut(&mut self, slot: Slot, at: u64) -> bool {
        let Some(Some(span)) = self.active.get_mut(slot.0) else { return false };
        if at <= span.next || at >= span.end {
            return false;
        }
        let rest = (at, span.end);
        span.end = at;
        self.give_back(rest);
        true
    }

    /// The owner received `count` bytes: returns where they go and how many of them are still the owner's to keep, and
    /// whether the span is then complete.
    pub(super) fn advance(&mut self, slot: Slot, count: u64) -> (u64, u64, bool) {
        match self.active.get_mut(slot.0) {
            Some(Some(span)) => {
                let at = span.next;
                let kept = count.min(span.end - span.next);
                span.next += kept;
                (at, kept, span.next == span.end)
            }
            _ => (0, 0, true),
        }
    }

    /// The owner stops, finished or not; what is left becomes free.
    pub(super) fn release(&mut self, slot: Slot) {
        if let Some(Some(span)) = self.active.get_mut(slot.0).map(Option::take) {
            self.give_back((span.next, span.end));
        }
    }

    fn give_back(&mut self, gap: Gap) {
        if gap.0 < gap.1 {
            let at = self.free.partition_point(|g| g.0 < gap.0);
            self.free.insert(at, gap);
        }
    }

    /// Where the owner is, and its end.
    pub(super) fn span(&self, slot: Slot) -> Option<Gap> {
        self.active.get(slot.0).copied().flatten().map(|s| (s.next, s.end))
    }

    /// Bytes that nobody has fetched yet.
    pub(super) fn left(&self) -> u64 {
        let free: u64 = self.free.iter().map(|(a, b)| b - a).sum();
        let active: u64 = self.active.iter().flatten().map(|s| s.end - s.next).sum();
        free.saturating_add(active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_handed_out_from_the_front() {
        let mut board = Board::new(vec![(0, 10), (20, 25)]);
        assert_eq!(board.claim(6, None).unwrap().1, (0, 6));
        assert_eq!(board.claim(6, None).unwrap().1, (6, 10));
        assert_eq!(board.claim(6, None).unwrap().1, (20, 25));
        assert!(board.claim(6, None).is_none());
    }

    #[test]
    fn a_cut_span_ends_early_and_its_rest_is_free() {
        let mut board = Board::new(vec![(0, 100)]);
        let (slot, _) = board.claim(u64::MAX, None).unwrap();
        assert_eq!(board.advance(slot, 30), (0, 30, false));
        assert!(!board.cut(slot, 30), "the owner is there already");
        assert!(board.cut(slot, 40));
        assert_eq!(board.advance(slot, 30), (30, 10, true));
        board.release(slot);
        assert_eq!(board.left(), 60);
        assert_eq!(board.claim(1, None).unwrap().1, (40, 41));
    }

    #[test]
    fn the_longest_span_is_halved_only_when_worth_it() {
        let mut board = Board::new(vec![(0, 100)]);
        let (slot, _) = board.claim(u64::MAX, None).unwrap();
        assert!(board.claim(10, Some(50)).is_none());
        assert_eq!(board.claim(10, Some(49)).unwrap().1, (50, 60));
        assert_eq!(board.span(slot), Some((0, 50)));
    }

    proptest! {
        /// Whatever the order of claims, cuts, failures and steals: every byte is fetched exactly once.
        #[test]
        fn every_byte_is_fetched_exactly_once(
            size in 1u64..400,
            steps in proptest::collection::vec((0u8..5, 0usize..6, 1u64..60), 0..200),
        ) {
            let mut board = Board::new(vec![(0, size)]);
            let mut seen = vec![0u8; size as usize];
            let mut slots: Vec<Slot> = Vec::new();
            let mut take = |board: &mut Board, slot: Slot, n: u64| {
                let (at, kept, done) = board.advance(slot, n);
                for b in &mut seen[at as usize..(at + kept) as usize] { *b += 1; }
                done
            };
            for (kind, which, n) in steps {
                let slot = (!slots.is_empty()).then(|| slots[which % slots.len().max(1)]);
                match (kind, slot) {
                    (0, _) => slots.extend(board.claim(n, Some(3)).map(|c| c.0)),
                    (1, Some(s)) => { board.release(s); slots.retain(|x| *x != s); }
                    (2, Some(s)) => { let at = board.span(s).map_or(0, |g| g.0 + n); board.cut(s, at); }
                    (_, Some(s)) => { take(&mut board, s, n); }
                    _ => {}
                }
            }
            for s in slots { board.release(s); }
            while let Some((s, (a, b))) = board.claim(17, None) {
                prop_assert!(take(&mut board, s, b - a));
                board.release(s);
            }
            prop_assert_eq!(board.left(), 0);
            prop_assert!(seen.iter().all(|n| *n == 1));
        }
    }
}
