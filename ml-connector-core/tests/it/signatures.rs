//! Whose types the public signatures are made of.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A type of these in a signature would tie our releases to theirs.
const FOREIGN: [&str; 6] = ["reqwest::", "hyper::", "oauth2::", "rusqlite::", "sqlx::", "tokio_postgres::"];

#[test]
fn no_public_signature_names_a_client_an_oauth_or_a_database_crate() {
    let mut signatures = 0;
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        for signature in public_signatures(&fs::read_to_string(&file).unwrap()) {
            signatures += 1;
            let foreign = FOREIGN.iter().find(|name| signature.contains(*name));
            assert!(foreign.is_none(), "{}: {signature}", file.display());
        }
    }
    assert!(signatures > 100, "{signatures} signatures: the search misses them");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let source = "pub fn a(\n    b: reqwest::Client,\n) -> c {\n    reqwest::d()\n}\npub(crate) fn e(f: reqwest::G) {}";
    assert_eq!(public_signatures(source), ["pub fn a(b: reqwest::Client,) -> c {"]);
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .collect()
}

/// Each `pub` item up to its body. Re-exports are left out: what they name is declared elsewhere.
fn public_signatures(source: &str) -> Vec<String> {
    let mut signatures = Vec::new();
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("pub ") && !line.starts_with("pub use") && !line.starts_with("pub mod") {
            let mut signature = line.to_owned();
            while !signature.ends_with(['{', ';', ',', '}'])
                || signature.matches('(').count() > signature.matches(')').count()
            {
                let Some(next) = lines.next() else { break };
                signature.push_str(next);
            }
            signatures.push(signature);
        }
    }
    signatures
}
