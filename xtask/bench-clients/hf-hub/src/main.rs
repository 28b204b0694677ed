//! Downloads one file with the `hf-hub` crate, as its documentation has it: `bench-hf-hub ENDPOINT OWNER NAME FILE CACHE`.
//!
//! `cargo xtask bench` times this whole program against zoo and others. The crate reads no environment variables and its
//! default cache is a folder in the current one, so both come as arguments.

use std::process::ExitCode;

use hf_hub::{HFClient, HFResult};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, owner, name, file, cache] = arguments.as_slice() else {
        eprintln!("usage: bench-hf-hub ENDPOINT OWNER NAME FILE CACHE");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(download(endpoint, owner, name, file, cache)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn download(endpoint: &str, owner: &str, name: &str, file: &str, cache: &str) -> HFResult<()> {
    let client = HFClient::builder().endpoint(endpoint).cache_dir(cache).build()?;
    client.model(owner, name).download_file().filename(file).send().await?;
    Ok(())
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
