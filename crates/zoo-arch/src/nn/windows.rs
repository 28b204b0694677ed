//! Which places of a feature map see each other: those of a window (Liu et al., 2021), shifted or not, or of a grid (Tu et al., 2022).

use zoo_graph::{Builder, Result, Val};

use super::tokens::Place;

/// What is added to the score of a key that only the shift brought into the window.
const MASKED: f32 = -100.0;

/// A map cut into square windows. It is padded at its lower and right edge to whole windows, and rolled up and to the left by the
/// shift first, so that windows then straddle the edges of those that are not shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The side of a window.
    side: usize,
    /// The map.
    map: [usize; 2],
    /// The map padded to whole windows.
    padded: [usize; 2],
    /// By how much it is rolled along each axis.
    shift: [usize; 2],
}

impl Windows {
    /// Windows of this side, shifted by half of it or not. Along an axis with one window, shifting would change nothing but the
    /// mask, and is not done.
    pub fn new(map: [usize; 2], side: usize, shifted: bool) -> Self {
        let side = side.max(1);
        let padded = map.map(|size| size.next_multiple_of(side));
        let shift = padded.map(|size| if shifted && size > side { side / 2 } else { 0 });
        Self { side, map, padded, shift }
    }

    /// How many places a window has.
    pub fn tokens(&self) -> usize {
        self.side * self.side
    }

    /// How many windows there are.
    pub fn count(&self) -> usize {
        self.padded.iter().map(|size| size / self.side).product()
    }

    /// Whether there is padding.
    pub fn is_padded(&self) -> bool {
        self.padded != self.map
    }

    /// The place of each token of each window: the first token of all windows, then the second one.
    pub fn places(&self) -> Vec<Place> {
        let [height, width] = self.map;
        let unrolled = |[row, column]: [usize; 2]| {
            let row = (row + self.shift[0]) % self.padded[0];
            let column = (column + self.shift[1]) % self.padded[1];
            (row < height && column < width).then_some(row * width + column)
        };
        (0..self.tokens())
            .flat_map(|token| (0..self.count()).map(move |window| (token, window)))
            .map(|(token, window)| unrolled(self.cell(token, window)))
            .collect()
    }

    /// The mask for the scores `[windows, batch, heads, tokens, tokens]`: rolling brings places into one window that are no
    /// neighbours, and these do not see each other. None if nothing is rolled.
    ///
    /// Most windows hold nothing foreign, and the others are of three kinds, so that one mask of each kind is kept.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn mask(&self, g: &mut Builder) -> Result<Option<Val>> {
        if self.shift == [0, 0] {
            return Ok(None);
        }
        let (mut kinds, mut kind_of) = (Vec::<Vec<[u8; 2]>>::new(), Vec::new());
        for window in 0..self.count() {
            let regions = (0..self.tokens()).map(|token| self.region(token, window)).collect();
            let known = kinds.iter().position(|kind| *kind == regions);
            kind_of.push(known.unwrap_or(kinds.len()) as i64);
            if known.is_none() {
                kinds.push(regions);
            }
        }
        let mut masks = Vec::with_capacity(kinds.len() * self.tokens() * self.tokens());
        for regions in &kinds {
            let row = |query| regions.iter().map(move |key| if *key == query { 0.0 } else { MASKED });
            masks.extend(regions.iter().flat_map(|&query| row(query)));
        }
        let shape = [kinds.len(), 1, 1, self.tokens(), self.tokens()];
        let masks = g.floats("window_masks", &shape, &masks)?;
        Ok(Some(g.take_along(masks, 0, &kind_of)?))
    }

    /// Row and column of a token in the padded and rolled map.
    fn cell(&self, token: usize, window: usize) -> [usize; 2] {
        let across = self.padded[1] / self.side;
        let row = window / across * self.side + token / self.side;
        let column = window % across * self.side + token % self.side;
        [row, column]
    }

    /// Which of the up to 3x3 regions of the rolled map a token is in: what was rolled around to the end of an axis, what shares a
    /// window with that, and the rest.
    fn region(&self, token: usize, window: usize) -> [u8; 2] {
        let cell = self.cell(token, window);
        let along = |axis: usize| match self.shift[axis] {
            0 => 0,
            shift if cell[axis] >= self.padded[axis] - shift => 2,
            _ if cell[axis] >= self.padded[axis] - self.side => 1,
            _ => 0,
        };
        [along(0), along(1)]
    }
}

/// Grids over a map, each of `side*side` places as far from each other as the map permits: the first token of all grids, then the second
/// one. The map has to be a multiple of the side.
pub fn grid_places([height, width]: [usize; 2], side: usize) -> Vec<Place> {
    let [down, across] = [height, width].map(|size| size / side.max(1));
    let tokens = (0..side).flat_map(|row| (0..side).map(move |column| (row, column)));
    let of_token = |(row, column)| {
        let grids = (0..down).flat_map(move |y| (0..across).map(move |x| (y, x)));
        grids.map(move |(y, x)| Some((row * down + y) * width + column * across + x))
    };
    tokens.flat_map(of_token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(map: [usize; 2], shifted: bool) -> Vec<Place> {
        Windows::new(map, 2, shifted).places()
    }

    /// The masks of all kinds, and each window's kind.
    fn masks(windows: Windows) -> (Vec<f32>, Vec<i64>) {
        let mut g = Builder::new("main", 18).unwrap();
        let mask = windows.mask(&mut g).unwrap().unwrap();
        g.output("mask", mask).unwrap();
        let graph = g.finish().unwrap();
        let constant = |input: usize| graph.value(graph.nodes[0].inputs[input].unwrap()).constant().unwrap();
        (constant(0).to_f32_vec().unwrap(), constant(1).to_i64_vec().unwrap())
    }

    #[test]
    fn windows_are_neighbours() {
        // 0 1 | 2 3
        // 4 5 | 6 7
        // ---------
        // 8 9 | ...
        let expected = [[0, 2, 8, 10], [1, 3, 9, 11], [4, 6, 12, 14], [5, 7, 13, 15]];
        assert_eq!(
            places([4, 4], false),
            expected.as_flattened().iter().copied().map(Some).collect::<Vec<_>>()
        );
    }

    #[test]
    fn shifted_windows_straddle_the_edges_of_the_others() {
        // The first window has 5 6 / 9 10; the last one the four corners.
        let expected = [[5, 7, 13, 15], [6, 4, 14, 12], [9, 11, 1, 3], [10, 8, 2, 0]];
        assert_eq!(
            places([4, 4], true),
            expected.as_flattened().iter().copied().map(Some).collect::<Vec<_>>()
        );
    }

    #[test]
    fn padding_lies_below_and_to_the_right() {
        // 0 1 | 2 -
        // 3 4 | 5 -
        // ---------
        // 6 7 | 8 -
        // - - | - -
        let expected = [
            [Some(0), Some(2), Some(6), Some(8)],
            [Some(1), None, Some(7), None],
            [Some(3), Some(5), None, None],
            [Some(4), None, None, None],
        ];
        assert_eq!(places([3, 3], false), expected.as_flattened());
        assert!(Windows::new([3, 4], 2, false).is_padded() && !Windows::new([2, 4], 2, true).is_padded());
        // Rolled as well, what is padded moves up and to the left with the rest.
        let expected = [
            [Some(4), None, None, None],
            [Some(5), Some(3), None, None],
            [Some(7), None, Some(1), None],
            [Some(8), Some(6), Some(2), Some(0)],
        ];
        assert_eq!(places([3, 3], true), expected.as_flattened());
    }

    #[test]
    fn one_window_is_not_shifted() {
        let windows = Windows::new([2, 4], 2, true);
        assert_eq!(windows.shift, [0, 1]);
        assert_eq!(windows.places(), [1, 3, 2, 0, 5, 7, 6, 4].map(Some));
        let whole = Windows::new([7, 5], 7, true);
        assert_eq!((whole.shift, whole.count(), whole.tokens()), ([0, 0], 1, 49));
        let mut g = Builder::new("main", 18).unwrap();
        assert_eq!(whole.mask(&mut g).unwrap(), None);
    }

    #[test]
    fn what_was_rolled_around_is_masked() {
        let (masks, kind_of) = masks(Windows::new([4, 4], 2, true));
        assert_eq!(kind_of, [0, 1, 2, 3]);
        let m = MASKED;
        let right = [0.0, m, 0.0, m, m, 0.0, m, 0.0, 0.0, m, 0.0, m, m, 0.0, m, 0.0];
        let below = [0.0, 0.0, m, m, 0.0, 0.0, m, m, m, m, 0.0, 0.0, m, m, 0.0, 0.0];
        let corner = [0.0, m, m, m, m, 0.0, m, m, m, m, 0.0, m, m, m, m, 0.0];
        assert_eq!(masks, [[0.0; 16], right, below, corner].as_flattened());
    }

    #[test]
    fn there_is_one_mask_of_each_kind() {
        let (kinds, kind_of) = masks(Windows::new([8, 8], 2, true));
        assert_eq!(kinds.len(), 4 * 16);
        assert_eq!(kind_of, [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 2, 2, 2, 3]);
        let (kinds, kind_of) = masks(Windows::new([2, 6], 2, true));
        assert_eq!((kinds.len(), kind_of), (2 * 16, vec![0, 0, 1]));
        // A third of a window is foreign where half of 7 is 3.
        let (kinds, _) = masks(Windows::new([7, 14], 7, true));
        let row = &kinds[2401..2401 + 7];
        assert_eq!(row, [0.0, 0.0, 0.0, 0.0, MASKED, MASKED, MASKED]);
    }

    #[test]
    fn grids_are_spread_over_the_map() {
        // 0 . 2 .
        // . . . .
        // 8 . 10 .
        let expected = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]];
        assert_eq!(
            grid_places([4, 4], 2),
            expected.as_flattened().iter().copied().map(Some).collect::<Vec<_>>()
        );
        // Three apart along the width.
        assert_eq!(grid_places([2, 6], 2), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(Some));
    }
}
