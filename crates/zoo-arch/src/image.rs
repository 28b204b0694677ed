//! The size of the image that a graph is made for.

use std::fmt;
use std::str::FromStr;

use zoo_tensor::Dim;

/// Height and width of the input: numbers, or free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageSize {
    /// This height and width.
    Fixed(usize, usize),
    /// Any: the graph's input has the dimensions `height` and `width`. Only networks that do not depend on the size allow it.
    Any,
}

impl ImageSize {
    /// The two dimensions.
    pub fn dims(self) -> [Dim; 2] {
        match self {
            Self::Fixed(height, width) => [Dim::Fixed(height), Dim::Fixed(width)],
            Self::Any => [Dim::Named("height".to_owned()), Dim::Named("width".to_owned())],
        }
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(height, width) if height == width => write!(f, "{height}"),
            Self::Fixed(height, width) => write!(f, "{height}x{width}"),
            Self::Any => f.write_str("any"),
        }
    }
}

/// A text that is no image size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an image size; write 224, 320x480 (height x width) or any")]
pub struct NoImageSize(String);

impl FromStr for ImageSize {
    type Err = NoImageSize;

    fn from_str(text: &str) -> Result<Self, NoImageSize> {
        let refuse = || NoImageSize(text.to_owned());
        // A million pixels a side is far beyond any network, and keeps products of sizes far from overflowing.
        let number =
            |part: &str| part.parse().ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(refuse);
        match text.split_once('x') {
            _ if text == "any" => Ok(Self::Any),
            Some((height, width)) => Ok(Self::Fixed(number(height)?, number(width)?)),
            None => number(text).map(|n| Self::Fixed(n, n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, size) in [
            ("224", ImageSize::Fixed(224, 224)),
            ("320x480", ImageSize::Fixed(320, 480)),
            ("any", ImageSize::Any),
        ] {
            assert_eq!(text.parse(), Ok(size));
            assert_eq!(size.to_string(), text);
        }
        for bad in ["", "0", "x", "3x", "3x0", "224x224x3", "-1", "99999999"] {
            assert!(bad.parse::<ImageSize>().is_err(), "{bad}");
        }
    }
}
