//! How the workspace is built: the same files in every system crate, and imports that run in one direction.

mod circles;
mod console;
mod guarantees;
mod imports;
mod interfaces;
mod rooms;
mod skeleton;
mod snippets;
mod walk;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Rust files below a folder, without those that are tests alone.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_tests =
        |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.to_str().unwrap().ends_with("tests"));
    let entries = entries.filter(|path| !is_tests(path));
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
