//! Panics inside an engine, as errors.
//!
//! Both engines' libraries assert what they believe about models, and a model can prove them wrong. A model is outside
//! input, and outside input must not end the program. What a panic leaves behind is not used again: a session that
//! panicked while loading is gone, and one that panicked while running says so to its caller each time.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does `work`; if it panics, gives what the panic said.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let said = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "it does not say why".to_owned());
        format!("the engine panicked: {said}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::panic, reason = "that is the point")]
    fn panics_become_text() {
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(catch(|| panic!("static")), Err::<(), _>("the engine panicked: static".to_owned()));
        let number = 3;
        assert_eq!(
            catch(|| panic!("formatted {number}")),
            Err::<(), _>("the engine panicked: formatted 3".to_owned())
        );
        assert!(catch(|| std::panic::panic_any(1)).unwrap_err().ends_with("does not say why"));
    }
}
