//! `Range` headers, as the hubs' object stores understand them: one range of bytes; anything malformed is as if it were absent.

/// What a `Range` header asks of a content of known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The whole.
    Whole,
    /// From the first byte to one past the last.
    Part(u64, u64),
    /// Nothing that exists.
    Unsatisfiable,
}

pub(crate) fn parse(header: Option<&str>, len: u64) -> Asked {
    let Some((first, last)) = header.and_then(|h| h.strip_prefix("bytes=")).and_then(|h| h.split_once('-'))
    else {
        return Asked::Whole;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if !last.is_empty() && last.parse::<u64>().is_err() => {
            let _ = first;
            Asked::Whole
        }
        (Ok(first), Ok(last)) if last < first => Asked::Whole,
        (Ok(first), _) if first >= len => Asked::Unsatisfiable,
        (Ok(first), Ok(last)) => Asked::Part(first, last.saturating_add(1).min(len)),
        (Ok(first), Err(_)) => Asked::Part(first, len),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 && len > 0 => {
            Asked::Part(len.saturating_sub(suffix), len)
        }
        (Err(_), Ok(_)) if first.is_empty() => Asked::Unsatisfiable,
        _ => Asked::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_range() {
        let cases = [
            (None, Asked::Whole),
            (Some("bytes=0-3"), Asked::Part(0, 4)),
            (Some("bytes=5-"), Asked::Part(5, 10)),
            (Some("bytes=5-99"), Asked::Part(5, 10)),
            (Some("bytes=-3"), Asked::Part(7, 10)),
            (Some("bytes=-99"), Asked::Part(0, 10)),
            (Some("bytes=-0"), Asked::Unsatisfiable),
            (Some("bytes=10-"), Asked::Unsatisfiable),
            (Some("bytes=4-2"), Asked::Whole),
            (Some("bytes=a-b"), Asked::Whole),
            (Some("bytes=1-x"), Asked::Whole),
            (Some("items=0-1"), Asked::Whole),
            (Some("bytes=0-1,3-4"), Asked::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header, 10), expected, "{header:?}");
        }
        assert_eq!(parse(Some("bytes=0-"), 0), Asked::Unsatisfiable);
    }
}
