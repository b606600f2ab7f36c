//! Whose types the public signatures are made of.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A type of these in a signature would tie our releases to theirs.
const FOREIGN: [&str; 7] =
    ["reqwest::", "hyper::", "oauth2::", "rusqlite::", "sqlx::", "tokio_postgres::", "jiff::"];

#[test]
fn no_public_signature_names_a_client_an_oauth_a_database_or_a_date_crate() {
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
    assert_eq!(public_signatures("pub struct Date(jiff::civil::Date);"), ["pub struct Date"]);
    let conversion = "impl From<jiff::Timestamp> for Timestamp {";
    assert_eq!(public_signatures(conversion), [conversion]);
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

/// Each `pub` item and each conversion up to its body, without private fields and values. Re-exports are left out: what they
/// name is declared elsewhere.
fn public_signatures(source: &str) -> Vec<String> {
    let mut signatures = Vec::new();
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let re_export = line.starts_with("pub use") || line.starts_with("pub mod");
        let conversion = line.starts_with("impl From<") || line.starts_with("impl TryFrom<");
        if conversion || line.starts_with("pub ") && !re_export {
            let mut signature = line.to_owned();
            while !signature.ends_with(['{', ';', ',', '}'])
                || signature.matches('(').count() > signature.matches(')').count()
            {
                let Some(next) = lines.next() else { break };
                signature.push_str(next);
            }
            if signature.starts_with("pub struct") && !signature.contains("(pub ") {
                signature.truncate(signature.find('(').unwrap_or(signature.len()));
            }
            if signature.starts_with("pub const ") && !signature.starts_with("pub const fn") {
                signature.truncate(signature.find(" = ").unwrap_or(signature.len()));
            }
            signatures.push(signature);
        }
    }
    signatures
}
