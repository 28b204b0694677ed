//! Arithmetic on dimensions that need not be numbers.
//!
//! A graph whose batch or image size is free has dimensions such as `batch`, `197*batch` or `floor((height - 1)/2) + 1`.
//! They are kept as text in one canonical form, so that two values computed along different ways have *equal* dimensions
//! exactly if their texts are equal. That is enough to check a network while it is built, and what ONNX calls a dimension
//! parameter is such a text.
//!
//! The form: a product of a number and factors in the order of their names, joined by `*`. A sum is one factor, in
//! parentheses wherever it stands in a product.

use zoo_tensor::Dim;

/// The product of dimensions; unknown if one of them is (unless another is 0).
pub(crate) fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Dim {
    let mut product = Product::one();
    let mut unknown = false;
    for dim in dims {
        match dim {
            Dim::Unknown => unknown = true,
            Dim::Fixed(size) => product.number = product.number.saturating_mul(*size),
            Dim::Named(name) => product.multiply(Product::parse(name)),
        }
    }
    match product.number {
        0 => Dim::Fixed(0),
        _ if unknown => Dim::Unknown,
        _ => product.into_dim(),
    }
}

/// `total / part`, if that is a whole dimension whatever the free ones are.
pub(crate) fn quotient(total: &Dim, part: &Dim) -> Option<Dim> {
    let (mut total, part) = (Product::of(total)?, Product::of(part)?);
    if part.number == 0 || !total.number.is_multiple_of(part.number) {
        return None;
    }
    total.number /= part.number;
    for factor in &part.factors {
        let at = total.factors.iter().position(|f| f == factor)?;
        total.factors.remove(at);
    }
    Some(total.into_dim())
}

/// `dim + by`, where `by` may be negative.
pub(crate) fn plus(dim: &Dim, by: i64) -> Dim {
    match dim {
        Dim::Unknown => Dim::Unknown,
        Dim::Fixed(size) => size.checked_add_signed(by as isize).map_or(Dim::Unknown, Dim::Fixed),
        Dim::Named(_) if by == 0 => dim.clone(),
        Dim::Named(name) => {
            // A sum that is there already takes up the number.
            let (base, before) = split_sum(name);
            Dim::Named(sum(base, before.saturating_add(by)))
        }
    }
}

/// The sum of dimensions, as concatenation makes it.
pub(crate) fn total<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Dim {
    let (mut number, mut names) = (0_i64, Vec::new());
    for dim in dims {
        match dim {
            Dim::Unknown => return Dim::Unknown,
            Dim::Fixed(size) => number = number.saturating_add(*size as i64),
            Dim::Named(name) => {
                let (base, own) = split_sum(name);
                names.push(base.to_owned());
                number = number.saturating_add(own);
            }
        }
    }
    if names.is_empty() {
        return usize::try_from(number).map_or(Dim::Unknown, Dim::Fixed);
    }
    names.sort();
    Dim::Named(sum(&names.join(" + "), number))
}

/// The parts of a dimension that is a sum (`true`) or a product of several; none if it is one thing.
pub(crate) fn parts(dim: &Dim) -> Option<(bool, Vec<Dim>)> {
    let Dim::Named(text) = dim else { return None };
    let (base, number) = split_sum(text);
    if number > 0 {
        let parts = vec![Product::parse(base).into_dim(), Dim::Fixed(number.unsigned_abs() as usize)];
        return Some((true, parts));
    }
    if number == 0 && has_outside(text, b"+") && !has_outside(text, b"-/") {
        let parts = split_outside(text, b'+').into_iter().map(|part| Product::parse(part.trim()).into_dim());
        return Some((true, parts.collect()));
    }
    let product = Product::parse(text);
    let factors = product.factors.iter().map(|factor| Product { number: 1, factors: vec![factor.clone()] });
    let mut parts: Vec<Dim> = factors.map(Product::into_dim).collect();
    if product.number != 1 {
        parts.push(Dim::Fixed(product.number));
    }
    (parts.len() > 1).then_some((false, parts))
}

/// The pieces of a text between signs that stand outside all parentheses.
fn split_outside(text: &str, sign: u8) -> Vec<&str> {
    let (mut depth, mut from, mut pieces) = (0_usize, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if byte == sign && depth == 0 => {
                pieces.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[from..]);
    pieces
}

/// What a sliding window makes of a dimension: `floor((dim + pad - reach)/stride) + 1`, where `reach` is the dilated
/// kernel's extent; rounded up instead of down if `ceil`.
///
/// With `ceil`, PyTorch, and ONNX since opset 19, drop a last window that would begin in the padding behind; that
/// depends on `pad_before` and on numbers, so it is applied to fixed dimensions, and where it cannot apply (no padding).
pub(crate) fn windows(
    dim: &Dim,
    reach: usize,
    stride: usize,
    (pad_before, pad_after): (usize, usize),
    ceil: bool,
) -> Result<Dim, String> {
    let pad = pad_before + pad_after;
    match dim {
        Dim::Unknown => Ok(Dim::Unknown),
        Dim::Fixed(size) => {
            // With `ceil`, a window that is less than full counts, even if it is the only one.
            let padded = size + pad + if ceil { stride - 1 } else { 0 };
            let Some(room) = padded.checked_sub(reach) else {
                return Err(format!("a window of {reach} does not fit into {size} with {pad} of padding"));
            };
            let mut count = room / stride + 1;
            if ceil && (count - 1) * stride >= size + pad_before {
                count -= 1;
            }
            Ok(Dim::Fixed(count))
        }
        Dim::Named(_) => {
            let shift = pad as i64 - reach as i64;
            if stride == 1 {
                return Ok(plus(dim, shift + 1));
            }
            let Dim::Named(inner) = plus(dim, shift) else { return Ok(Dim::Unknown) };
            let rounding = if ceil { "ceil" } else { "floor" };
            let inner = if has_outside(&inner, b"+-*") { format!("({inner})") } else { inner };
            Ok(Dim::Named(format!("{rounding}({inner}/{stride}) + 1")))
        }
    }
}

/// The dimension that elementwise operators make of two: equal ones stay, 1 gives way.
pub(crate) fn broadcast(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Some(other.clone()),
        // An unknown one is taken to agree; the runtime will see.
        (Dim::Unknown, known) | (known, Dim::Unknown) => Some(known.clone()),
        _ => None,
    }
}

struct Product {
    number: usize,
    factors: Vec<String>,
}

impl Product {
    fn one() -> Self {
        Self { number: 1, factors: Vec::new() }
    }

    fn of(dim: &Dim) -> Option<Self> {
        match dim {
            Dim::Unknown => None,
            Dim::Fixed(size) => Some(Self { number: *size, factors: Vec::new() }),
            Dim::Named(name) => Some(Self::parse(name)),
        }
    }

    fn parse(text: &str) -> Self {
        let mut product = Self::one();
        if has_outside(text, b"+-") {
            product.factors.push(format!("({text})"));
            return product;
        }
        let (mut depth, mut from) = (0_usize, 0);
        for (at, byte) in text.bytes().enumerate().chain([(text.len(), b'*')]) {
            match byte {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                b'*' if depth == 0 => {
                    let part = &text[from..at];
                    match part.parse::<usize>() {
                        Ok(number) => product.number = product.number.saturating_mul(number),
                        Err(_) => product.factors.push(part.to_owned()),
                    }
                    from = at + 1;
                }
                _ => {}
            }
        }
        product
    }

    fn multiply(&mut self, other: Self) {
        self.number = self.number.saturating_mul(other.number);
        self.factors.extend(other.factors);
    }

    fn into_dim(mut self) -> Dim {
        self.factors.sort();
        let joined = self.factors.join("*");
        match (self.factors.as_slice(), self.number) {
            ([], number) => Dim::Fixed(number),
            ([one], 1) => {
                // A sum alone needs no parentheses.
                let bare = one.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
                Dim::Named(bare.map_or_else(|| one.clone(), str::to_owned))
            }
            (_, 1) => Dim::Named(joined),
            (_, number) => Dim::Named(format!("{number}*{joined}")),
        }
    }
}

/// `a + b + 3` as (`a + b`, 3); the number is 0 where there is none.
fn split_sum(text: &str) -> (&str, i64) {
    let mut depth = 0_usize;
    let mut last = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'+' | b'-' if depth == 0 => last = Some((at, byte)),
            _ => {}
        }
    }
    let Some((at, sign)) = last else { return (text, 0) };
    match text[at + 1..].trim().parse::<i64>() {
        Ok(number) => (text[..at].trim_end(), if sign == b'-' { -number } else { number }),
        Err(_) => (text, 0),
    }
}

fn sum(base: &str, number: i64) -> String {
    match number {
        0 => base.to_owned(),
        n if n > 0 => format!("{base} + {n}"),
        n => format!("{base} - {}", n.unsigned_abs()),
    }
}

/// Whether one of these signs stands outside all parentheses.
fn has_outside(text: &str, signs: &[u8]) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && signs.contains(&byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Dim {
        Dim::Named(text.into())
    }

    #[test]
    fn products_have_one_form() {
        let (n, h) = (named("n"), named("h"));
        assert_eq!(product([&n, &Dim::Fixed(3), &h, &Dim::Fixed(2)]), named("6*h*n"));
        assert_eq!(product([&named("6*h*n"), &n]), named("6*h*n*n"));
        assert_eq!(product([]), Dim::Fixed(1));
        assert_eq!(product([&n]), n);
        assert_eq!(product([&Dim::Unknown, &n]), Dim::Unknown);
        assert_eq!(product([&Dim::Unknown, &Dim::Fixed(0)]), Dim::Fixed(0));
    }

    #[test]
    fn quotients_are_whole_or_nothing() {
        assert_eq!(quotient(&named("196*n"), &Dim::Fixed(49)), Some(named("4*n")));
        assert_eq!(quotient(&named("196*n"), &Dim::Fixed(196)), Some(named("n")));
        assert_eq!(quotient(&named("196*n"), &named("n")), Some(Dim::Fixed(196)));
        assert_eq!(quotient(&named("196*n"), &Dim::Fixed(5)), None);
        assert_eq!(quotient(&named("n"), &named("m")), None);
        assert_eq!(quotient(&Dim::Fixed(6), &Dim::Fixed(0)), None);
        let sum = plus(&named("h"), 1);
        let area = product([&sum, &named("n")]);
        assert_eq!(area, named("(h + 1)*n"));
        assert_eq!(quotient(&area, &named("n")), Some(sum));
    }

    #[test]
    fn windows_over_free_sizes_meet_again() {
        let h = named("height");
        // A 7x7 window with padding 3 and a 3x3 one with padding 1 halve alike; so does a 1x1 one.
        let halved = windows(&h, 7, 2, (3, 3), false).unwrap();
        assert_eq!(halved, named("floor((height - 1)/2) + 1"));
        assert_eq!(windows(&h, 3, 2, (1, 1), false).unwrap(), halved);
        assert_eq!(windows(&h, 1, 2, (0, 0), false).unwrap(), halved);
        assert_eq!(windows(&halved, 3, 1, (1, 1), false).unwrap(), halved);
        assert_eq!(windows(&halved, 1, 1, (0, 0), false).unwrap(), halved);
        assert_eq!(windows(&h, 2, 2, (0, 0), false).unwrap(), named("floor((height - 2)/2) + 1"));
        assert_eq!(
            windows(&halved, 3, 2, (1, 1), false).unwrap(),
            named("floor(floor((height - 1)/2)/2) + 1")
        );
    }

    #[test]
    fn windows_over_numbers() {
        let out = |size, reach, stride, pads, ceil| windows(&Dim::Fixed(size), reach, stride, pads, ceil);
        assert_eq!(out(224, 7, 2, (3, 3), false), Ok(Dim::Fixed(112)));
        assert_eq!(out(112, 3, 2, (0, 0), true), Ok(Dim::Fixed(56)));
        assert_eq!(out(6, 3, 2, (0, 0), true), Ok(Dim::Fixed(3)));
        assert_eq!(out(2, 3, 2, (0, 0), true), Ok(Dim::Fixed(1)));
        assert!(out(1, 3, 2, (0, 0), true).unwrap_err().contains("does not fit"));
        // The third window of 2 with stride 2 over 1 + 3 would begin in the padding behind.
        assert_eq!(out(3, 2, 2, (1, 1), true), Ok(Dim::Fixed(2)));
        assert!(out(2, 3, 1, (0, 0), false).unwrap_err().contains("does not fit"));
    }

    #[test]
    fn sums() {
        assert_eq!(plus(&plus(&named("h"), 3), -3), named("h"));
        assert_eq!(plus(&Dim::Fixed(3), -4), Dim::Unknown);
        assert_eq!(total([&named("b"), &named("a"), &Dim::Fixed(2)]), named("a + b + 2"));
        assert_eq!(total([&Dim::Fixed(1), &Dim::Fixed(196)]), Dim::Fixed(197));
    }

    #[test]
    fn broadcasting() {
        assert_eq!(broadcast(&named("n"), &Dim::Fixed(1)), Some(named("n")));
        assert_eq!(broadcast(&Dim::Fixed(3), &Dim::Fixed(4)), None);
        assert_eq!(broadcast(&named("n"), &named("m")), None);
        assert_eq!(broadcast(&Dim::Unknown, &Dim::Fixed(4)), Some(Dim::Fixed(4)));
    }
}
