//! Checks every `.onnx` file below the folders given, and prints what is wrong and how many passed.
//!
//! Run over a corpus of models from real exporters, it answers whether the checker refuses any of them. With `--text` it
//! writes each model's text to standard output instead, separated by lines of `=====`, to be fed to another parser.

#![expect(clippy::print_stdout, reason = "an example's output")]

use std::path::PathBuf;

use zoo_graph::{Model, check, text};

fn main() -> std::io::Result<()> {
    let (flags, mut open): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let as_text = flags.iter().any(|flag| flag == "--text");
    let mut open: Vec<PathBuf> = open.drain(..).map(PathBuf::from).collect();
    let (mut read, mut passed) = (0, 0);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "onnx") {
            read += 1;
            match Model::open(&path) {
                Err(error) => println!("{}: {error}", path.display()),
                Ok(model) if as_text => println!("===== {}\n{}", path.display(), text::to_text(&model)),
                Ok(model) => {
                    let report = check(&model);
                    if report.is_ok() {
                        passed += 1;
                    } else {
                        println!("{}:\n{report}", path.display());
                    }
                }
            }
        }
    }
    println!("{read} models, {passed} passed");
    Ok(())
}
