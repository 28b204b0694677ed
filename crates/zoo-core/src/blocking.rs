//! Where async code meets work on files: the one call with which it leaves the async threads.

/// Runs work that reads or writes files, or computes for long, on a thread of its own. A panic in it goes on here.
///
/// It needs a tokio runtime. Dropping the future does not stop the work.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
