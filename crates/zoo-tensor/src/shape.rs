//! Declared shapes: what a model says about a value before any value exists.

use std::fmt;

/// One dimension of a declared shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A fixed size.
    Fixed(usize),
    /// A name: the same name has the same size everywhere in one model.
    Named(String),
    /// Any size.
    Unknown,
}

impl Dim {
    /// The size, if it is fixed.
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(*size),
            Self::Named(_) | Self::Unknown => None,
        }
    }

    /// Whether a concrete size fits. Names are taken to fit anything: agreement between them is the caller's.
    pub fn admits(&self, size: usize) -> bool {
        self.fixed().is_none_or(|fixed| fixed == size)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
            Self::Unknown => f.write_str("?"),
        }
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

/// A declared shape: of known rank, with [`Dim`]s, or nothing known at all.
///
/// Shown as `[batch, 3, 224, 224]`, a scalar as `[]`, an unknown rank as `[...]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Option<Vec<Dim>>);

impl Shape {
    /// A shape of known rank.
    pub fn new(dims: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        Self(Some(dims.into_iter().map(Into::into).collect()))
    }

    /// A shape of which not even the rank is known.
    pub const fn unknown() -> Self {
        Self(None)
    }

    /// The dimensions, if the rank is known.
    pub fn dims(&self) -> Option<&[Dim]> {
        self.0.as_deref()
    }

    /// Whether a concrete shape fits this declaration.
    pub fn admits(&self, shape: &[usize]) -> bool {
        match &self.0 {
            None => true,
            Some(dims) => {
                dims.len() == shape.len() && dims.iter().zip(shape).all(|(dim, &size)| dim.admits(size))
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dims) = &self.0 else { return f.write_str("[...]") };
        f.write_str("[")?;
        for (i, dim) in dims.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{dim}")?;
        }
        f.write_str("]")
    }
}

/// The number of elements of a concrete shape; none if it overflows. A shape with a zero in it has none, whatever
/// its other dimensions, but those must not overflow either: nothing real has such a shape.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim.max(1)))?;
    Some(shape.iter().product())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_people_write_them() {
        let shape = Shape::new([Dim::Named("batch".into()), Dim::Fixed(3), Dim::Unknown]);
        assert_eq!(shape.to_string(), "[batch, 3, ?]");
        assert_eq!(Shape::new(Vec::<Dim>::new()).to_string(), "[]");
        assert_eq!(Shape::unknown().to_string(), "[...]");
    }

    #[test]
    fn admits_what_fits() {
        let shape = Shape::new([Dim::Named("n".into()), Dim::Fixed(3)]);
        assert!(shape.admits(&[7, 3]));
        assert!(!shape.admits(&[7, 4]));
        assert!(!shape.admits(&[3]));
        assert!(Shape::unknown().admits(&[1, 2, 3]));
    }

    #[test]
    fn counting_does_not_overflow() {
        assert_eq!(element_count(&[]), Some(1));
        assert_eq!(element_count(&[2, 3]), Some(6));
        assert_eq!(element_count(&[0, 3]), Some(0));
        assert_eq!(element_count(&[usize::MAX, 2]), None);
        assert_eq!(element_count(&[0, usize::MAX, usize::MAX]), None);
    }
}
