//! Feature maps as rows of a matrix, one for each place and image.
//!
//! Dense layers and layer norms do not care in which order rows stand, and attention only has to find the rows of each sequence.
//! So a map is neither rolled nor cut into windows and put together again around every attention: its rows *stand* in the order
//! that the next attention wants, and one `Gather` of whole rows brings them from one order to the other.

use zoo_graph::{Builder, Error, Result, Val};
use zoo_tensor::Dim;

/// Of which place of a map a row is, counted line by line; or of none, beyond its edge.
pub type Place = Option<usize>;

/// A map of more places is refused: tables of all of them are made here. A photograph of 4096x4096 in patches of 4 has as many.
const MOST_PLACES: usize = 1 << 20;

/// Feature maps of a batch, as rows.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// `[places*batch, channels]`: the rows of one place for all images stand together.
    pub rows: Val,
    /// Height and width.
    pub size: [usize; 2],
    /// The number of images.
    pub batch: Dim,
    /// The places in the order of their rows.
    pub order: Vec<Place>,
}

impl Tokens {
    /// From feature maps `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::ImageSize`] if height or width is free, or the map is too large.
    #[track_caller]
    pub fn of_map(g: &mut Builder, x: Val) -> Result<Self> {
        let batch = g.dims(x)[0].clone();
        let (Some(&Dim::Fixed(height)), Some(&Dim::Fixed(width))) = (g.dims(x).get(2), g.dims(x).get(3))
        else {
            let why = "which places see each other is laid out for a fixed height and width".to_owned();
            return Err(Error::ImageSize { why });
        };
        let order = line_by_line([height, width])?;
        let x = g.join_axes(x, 2, 4)?;
        let x = g.transpose(x, &[2, 0, 1])?;
        Ok(Self { rows: g.flatten_at(x, 2)?, size: [height, width], batch, order })
    }

    /// Feature maps again: `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn into_map(mut self, g: &mut Builder) -> Result<Val> {
        let order = line_by_line(self.size)?;
        self.arrange(g, order)?;
        let [height, width] = self.size.map(Dim::Fixed);
        let x = self.by_image(g)?;
        let x = g.transpose(x, &[1, 2, 0])?;
        let channels = g.dims(x)[1].clone();
        g.reshape(x, [self.batch, channels, height, width])
    }

    /// Sequences of places, line by line: `[batch, places, channels]`.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn into_sequences(mut self, g: &mut Builder) -> Result<Val> {
        let order = line_by_line(self.size)?;
        self.arrange(g, order)?;
        let x = self.by_image(g)?;
        g.transpose(x, &[1, 0, 2])
    }

    /// The mean over all places: `[batch, channels]`.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn mean(&self, g: &mut Builder) -> Result<Val> {
        let x = self.by_image(g)?;
        g.reduce_mean(x, &[0], false)
    }

    /// Brings the rows into another order of the same places.
    ///
    /// # Errors
    /// None of its own.
    #[track_caller]
    pub fn arrange(&mut self, g: &mut Builder, order: Vec<Place>) -> Result<()> {
        self.rows = moved(g, self.rows, &self.batch, (&self.order, &order))?;
        self.order = order;
        Ok(())
    }

    /// `[places, batch, channels]`.
    #[track_caller]
    fn by_image(&self, g: &mut Builder) -> Result<Val> {
        let channels = g.dims(self.rows)[1].clone();
        g.reshape(self.rows, [Dim::Fixed(self.order.len()), self.batch.clone(), channels])
    }
}

/// All places of a map, line by line.
///
/// # Errors
/// [`Error::ImageSize`] if there are too many.
pub fn line_by_line([height, width]: [usize; 2]) -> Result<Vec<Place>> {
    match height.checked_mul(width).filter(|&count| count <= MOST_PLACES) {
        Some(count) => Ok((0..count).map(Some).collect()),
        None => {
            let why = format!("a map of {height}x{width} has more than {MOST_PLACES} places to lay out");
            Err(Error::ImageSize { why })
        }
    }
}

/// The rows of `x` `[places*batch, channels]`, which stand in the first order, in the second.
///
/// # Errors
/// None of its own.
#[track_caller]
pub fn moved(g: &mut Builder, x: Val, batch: &Dim, (from, to): (&[Place], &[Place])) -> Result<Val> {
    if from == to {
        return Ok(x);
    }
    let x = taken(g, x, batch, (from, to))?;
    g.flatten_at(x, 2)
}

/// The same as `[places, batch, channels]`. A place that the first order does not have, or none, is a row of zeros.
///
/// # Errors
/// None of its own.
#[track_caller]
pub fn taken(g: &mut Builder, x: Val, batch: &Dim, (from, to): (&[Place], &[Place])) -> Result<Val> {
    let zeros = from.len();
    let end = from.iter().chain(to).flatten().max().map_or(0, |place| place + 1);
    let mut rows = vec![zeros; end];
    for (row, place) in from.iter().enumerate() {
        if let &Some(place) = place {
            rows[place] = row;
        }
    }
    let rows: Vec<i64> = to.iter().map(|place| place.map_or(zeros, |place| rows[place]) as i64).collect();
    let channels = g.dims(x)[1].clone();
    let mut x = g.reshape(x, [Dim::Fixed(from.len()), batch.clone(), channels])?;
    if rows.contains(&(zeros as i64)) {
        x = g.pad(x, &[0, 0, 0], &[1, 0, 0])?;
    }
    g.take_along(x, 0, &rows)
}

#[cfg(test)]
mod tests {
    use zoo_tensor::DType;

    use super::*;

    fn map(g: &mut Builder, dims: [Dim; 4]) -> Result<Tokens> {
        let x = g.input("x", DType::F32, dims).unwrap();
        Tokens::of_map(g, x)
    }

    fn fixed(height: usize, width: usize) -> [Dim; 4] {
        ["batch".to_owned()]
            .map(Dim::Named)
            .into_iter()
            .chain([8, height, width].map(Dim::Fixed))
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }

    /// The indices of the last `Gather`, and the operators.
    fn gathered(mut g: Builder, y: Val) -> (Vec<i64>, String) {
        g.output("y", y).unwrap();
        let graph = g.finish().unwrap();
        let gather = graph.nodes.iter().rfind(|node| node.op == "Gather").unwrap();
        let indices = graph.value(gather.inputs[1].unwrap()).constant().unwrap().to_i64_vec().unwrap();
        (indices, graph.nodes.iter().map(|node| node.op.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn rows_of_a_place_stand_together() {
        let mut g = Builder::new("main", 18).unwrap();
        let tokens = map(&mut g, fixed(2, 3)).unwrap();
        assert_eq!(g.dims(tokens.rows), [Dim::Named("6*batch".to_owned()), Dim::Fixed(8)]);
        assert_eq!(tokens.order, [0, 1, 2, 3, 4, 5].map(Some));
        let mean = tokens.mean(&mut g).unwrap();
        assert_eq!(g.dims(mean), [Dim::Named("batch".to_owned()), Dim::Fixed(8)]);
        let x = tokens.into_map(&mut g).unwrap();
        assert_eq!(g.dims(x), fixed(2, 3));
        g.output("y", x).unwrap();
        assert!(g.finish().unwrap().nodes.iter().all(|node| node.op != "Gather"), "they never moved");
    }

    #[test]
    fn rows_move_from_order_to_order() {
        let mut g = Builder::new("main", 18).unwrap();
        let mut tokens = map(&mut g, fixed(2, 2)).unwrap();
        tokens.arrange(&mut g, [3, 1, 0, 2].map(Some).to_vec()).unwrap();
        let before = tokens.rows;
        tokens.arrange(&mut g, [3, 1, 0, 2].map(Some).to_vec()).unwrap();
        assert_eq!(tokens.rows, before);
        tokens.arrange(&mut g, [0, 3, 1, 2].map(Some).to_vec()).unwrap();
        let (indices, ops) = gathered(g, tokens.rows);
        assert_eq!(indices, [2, 0, 1, 3]);
        assert_eq!(ops, "Reshape Transpose Flatten Reshape Gather Flatten Reshape Gather Flatten");
    }

    #[test]
    fn a_map_returns_line_by_line() {
        let mut g = Builder::new("main", 18).unwrap();
        let mut tokens = map(&mut g, fixed(2, 2)).unwrap();
        tokens.arrange(&mut g, [3, 1, 0, 2].map(Some).to_vec()).unwrap();
        let x = tokens.into_map(&mut g).unwrap();
        assert_eq!(gathered(g, x).0, [2, 1, 3, 0]);
    }

    #[test]
    fn sequences_are_line_by_line() {
        let mut g = Builder::new("main", 18).unwrap();
        let mut tokens = map(&mut g, fixed(2, 2)).unwrap();
        tokens.arrange(&mut g, [3, 1, 0, 2].map(Some).to_vec()).unwrap();
        let x = tokens.into_sequences(&mut g).unwrap();
        assert_eq!(g.dims(x), [Dim::Named("batch".to_owned()), Dim::Fixed(4), Dim::Fixed(8)]);
        assert_eq!(gathered(g, x).0, [2, 1, 3, 0]);
    }

    #[test]
    fn places_beyond_the_edge_are_zeros_and_go_again() {
        let mut g = Builder::new("main", 18).unwrap();
        let Tokens { rows, batch, order, .. } = map(&mut g, fixed(1, 3)).unwrap();
        let wide = [Some(2), None, Some(0), Some(1)];
        let padded = moved(&mut g, rows, &batch, (&order, &wide)).unwrap();
        let cropped = moved(&mut g, padded, &batch, (&wide, &order)).unwrap();
        assert_eq!(g.dims(cropped), g.dims(rows));
        g.output("padded", padded).unwrap();
        let (indices, ops) = gathered(g, cropped);
        assert_eq!(indices, [2, 3, 0]);
        assert_eq!(ops, "Reshape Transpose Flatten Reshape Pad Gather Flatten Reshape Gather Flatten");

        let mut g = Builder::new("main", 18).unwrap();
        let Tokens { rows, batch, order, .. } = map(&mut g, fixed(1, 3)).unwrap();
        let padded = moved(&mut g, rows, &batch, (&order, &wide)).unwrap();
        assert_eq!(gathered(g, padded).0, [2, 3, 0, 1], "row 3 is the one of zeros");
    }

    #[test]
    fn free_and_huge_maps_are_refused() {
        let mut g = Builder::new("main", 18).unwrap();
        let [batch, channels, height, _] = fixed(2, 3);
        let error = map(&mut g, [batch, channels, height, Dim::Named("width".to_owned())]).unwrap_err();
        assert!(error.to_string().contains("laid out for a fixed height and width"), "{error}");
        let mut g = Builder::new("main", 18).unwrap();
        let error = map(&mut g, fixed(1025, 1024)).unwrap_err();
        assert!(error.to_string().contains("1025x1024 has more than 1048576 places"), "{error}");
        assert!(line_by_line([usize::MAX, 2]).is_err() && line_by_line([1024, 1024]).is_ok());
    }
}
