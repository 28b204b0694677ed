//! Relative position bias (Liu et al., 2021): a number for each head and each way from one place of a square to another.
//!
//! A checkpoint has one row for each way, and attention wants it at each pair of places, which are some fifteen times as many numbers.
//! They are not computed here, but by three nodes of constants in the graph: runtimes fold those when they load it, whereas derived
//! tensors of all blocks would be megabytes to write beside weights that stay in place (3.6 MB for swin_b, 6.2 MB for swin_v2_b).

use zoo_graph::{Builder, Error, Result, Val, Weights};
use zoo_tensor::Dim;

/// The checkpoint's `relative_position_bias_table` for squares of this side: `[(2*side - 1)², heads]`.
///
/// # Errors
/// If there is none, or it is for squares of another side.
#[track_caller]
pub fn relative_table(g: &mut Builder, w: &Weights, side: usize) -> Result<Val> {
    const NAME: &str = "relative_position_bias_table";
    let heads = w.shape(NAME)?.last().copied().unwrap_or_default();
    let ways = 2 * side - 1;
    g.weight_of(w, NAME, &[ways * ways, heads])
}

/// From `table` `[(2*side - 1)², heads]`, the bias `[heads, side², side²]`: from each place (second axis) to each (third axis).
///
/// Checkpoints of torchvision have the row numbers of all pairs beside the table, as `relative_position_index`; they have to be
/// those that are computed here.
///
/// # Errors
/// [`Error::WeightValue`] if they are not; if the table does not have these rows.
#[track_caller]
pub fn relative_bias(g: &mut Builder, w: &Weights, table: Val, side: usize) -> Result<Val> {
    let places = side * side;
    let index = index(side);
    if w.has("relative_position_index") {
        check(w, &index)?;
    }
    let heads = g.dims(table)[1].clone();
    let bias = g.take_along(table, 0, &index)?;
    let bias = g.transpose(bias, &[1, 0])?;
    g.reshape(bias, [heads, Dim::Fixed(places), Dim::Fixed(places)])
}

/// The row of the table for each pair of places: ways are counted line by line, from up and left to down and right.
fn index(side: usize) -> Vec<i64> {
    let ways = 2 * side - 1;
    let mut index = Vec::with_capacity(side.pow(4));
    for (row, column) in square(side) {
        for (other_row, other_column) in square(side) {
            let (down, right) = (row + side - 1 - other_row, column + side - 1 - other_column);
            index.push((down * ways + right) as i64);
        }
    }
    index
}

fn square(side: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..side).flat_map(move |row| (0..side).map(move |column| (row, column)))
}

/// Compares a checkpoint's own index. Its size is checked before it is read.
fn check(w: &Weights, index: &[i64]) -> Result<()> {
    let found = w.take("relative_position_index")?;
    if found.weight.len() != index.len() {
        let shape = found.weight.shape().to_vec();
        return Err(Error::WeightShape { name: found.name, found: shape, expected: vec![index.len()] });
    }
    let values = found.weight.to_tensor()?.to_i64_vec()?;
    match values.iter().zip(index).position(|(value, expected)| value != expected) {
        None => Ok(()),
        Some(at) => {
            let problem = format!("at {at} it has {} instead of {}", values[at], index[at]);
            Err(Error::WeightValue { name: found.name, problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use zoo_tensor::{Tensor, Weight};

    use super::*;

    #[test]
    fn ways_are_counted_from_up_and_left() {
        let expected = [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]];
        assert_eq!(index(2), expected.as_flattened());
        // Between the first and last of 7x7 places: from (0, 0) to (6, 6), each way.
        let index = index(7);
        assert_eq!((index.len(), index[0], index[48], index[48 * 49]), (49 * 49, 84, 0, 168));
    }

    /// The bias from a table for 2x2 places and three heads, with this index beside it.
    fn bias(rows: usize, own: Option<Vec<i64>>) -> Result<(Builder, Val)> {
        let weight = |tensor: zoo_tensor::Result<Tensor>| Weight::from(tensor.unwrap());
        let table = weight(Tensor::from_slice([rows, 3], &vec![0.0_f32; rows * 3]));
        let index = own.map(|own| weight(Tensor::from_slice([own.len()], &own)));
        let named = index.map(|index| ("attn.relative_position_index".to_owned(), index));
        let w =
            Weights::new([("attn.relative_position_bias_table".to_owned(), table)].into_iter().chain(named))
                .unwrap()
                .at("attn");
        let mut g = Builder::new("main", 18).unwrap();
        let table = relative_table(&mut g, &w, 2)?;
        let bias = relative_bias(&mut g, &w, table, 2)?;
        assert!(w.leftovers().is_empty());
        Ok((g, bias))
    }

    #[test]
    fn a_bias_for_each_head_and_pair() {
        for own in [None, Some(index(2))] {
            let (g, bias) = bias(9, own).unwrap();
            assert_eq!(g.dims(bias), [3, 4, 4].map(Dim::Fixed));
        }
        // Of a larger square, it would be read without complaint, and wrongly.
        for rows in [8, 25] {
            let error = bias(rows, None).unwrap_err().to_string();
            assert!(
                error.contains(&format!("has the shape [{rows}, 3], the network needs [9, 3]")),
                "{error}"
            );
        }
    }

    #[test]
    fn another_index_is_refused_by_name() {
        let mut own = index(2);
        own[5] = 9;
        let error = bias(9, Some(own)).unwrap_err().to_string();
        let name = "tensor \"attn.relative_position_index\" has other values";
        assert!(error.contains(name) && error.contains("at 5 it has 9 instead of 4"), "{error}");
        let error = bias(9, Some(vec![0; 15])).unwrap_err().to_string();
        assert!(error.contains("has the shape [15], the network needs [16]"), "{error}");
    }
}
