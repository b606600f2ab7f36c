//! What a crate shows, one line for each item, is in `tests/interfaces`: what a change does to users is seen in its diff.
//! `.ci/interfaces` has rustdoc read the crates; `UPDATE_INTERFACES=1 .ci/interfaces` writes the lists anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use public_api::{Builder, PublicApi};

use super::workspace;

/// The others' crates whose types and traits each of ours shows: a new major version of one of these is one of ours.
const SHOWN: [(&str, &[&str]); 10] = [
    ("ml-connector-bc", &["serde_core"]),
    ("ml-connector-console", &["bytes", "http", "http_body", "http_body_util", "tower_service"]),
    (
        "ml-connector-core",
        &[
            "bytes",
            "futures_core",
            "http",
            "http_body",
            "http_body_util",
            "rust_decimal",
            "serde_core",
            "serde_json",
            "tower_service",
            "url",
        ],
    ),
    ("ml-connector-databricks", &["serde_core"]),
    ("ml-connector-exact", &["serde_core", "url"]),
    ("ml-connector-freshbooks", &["serde_core", "url"]),
    ("ml-connector-sim", &["axum", "bytes", "http", "rust_decimal", "serde_core", "serde_json", "url"]),
    ("ml-connector-slack", &["serde_core", "url"]),
    ("ml-connector-sql", &["bytes", "deadpool_postgres", "tokio_postgres"]),
    ("ml-connector-zoho", &["serde_core", "url"]),
];

/// The standard library, and the types without a crate that a line begins with.
const OWN: [&str; 4] = ["core", "alloc", "std", "u8"];

#[test]
fn what_crates_show_is_listed() {
    let Some(described) = std::env::var_os("ML_CONNECTOR_INTERFACES") else {
        println!("skipped: `.ci/interfaces` has rustdoc describe the crates first");
        return;
    };
    let update = std::env::var_os("UPDATE_INTERFACES").is_some();
    let mut differ = String::new();
    for (name, _) in SHOWN {
        let shows = interface(&Path::new(&described).join(format!("{}.json", name.replace('-', "_"))));
        let listed = fs::read_to_string(list(name)).unwrap_or_default();
        if update {
            fs::write(list(name), shows).unwrap();
        } else if shows != listed {
            differ += &format!("{name}\n{}", difference(&listed, &shows));
        }
    }
    assert!(
        differ.is_empty(),
        "what crates show has changed; if that is meant, `UPDATE_INTERFACES=1 .ci/interfaces` lists it:\n{differ}"
    );
}

#[test]
fn interfaces_show_the_types_of_few_other_crates() {
    let found: BTreeMap<&str, BTreeMap<String, String>> =
        SHOWN.iter().map(|(name, _)| (*name, others(name))).collect();
    let differ: BTreeMap<_, _> = SHOWN
        .iter()
        .filter(|(name, shown)| !found[name].keys().eq(shown.iter()))
        .map(|(name, _)| (name, &found[name]))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

fn list(name: &str) -> PathBuf {
    workspace().join(format!("tests/interfaces/{name}.txt"))
}

/// One line for each item. Of an implementation that is derived the line of the trait, without its methods.
fn interface(json: &Path) -> String {
    let read = |without_derived: bool| -> PublicApi {
        let builder = Builder::from_rustdoc_json(json).omit_blanket_impls(true).omit_auto_trait_impls(true);
        builder.omit_auto_derived_impls(without_derived).build().unwrap()
    };
    let lines = |of: PublicApi| of.into_items().map(|item| item.to_string());
    let own: BTreeSet<String> = lines(read(true)).collect();
    let all = lines(read(false));
    // What the compiler notes for itself is no promise.
    let all = all.filter(|line| !line.contains("::StructuralPartialEq for "));
    all.filter(|line| line.starts_with("impl") || own.contains(line)).map(|line| line + "\n").collect()
}

/// The lines that are in one of the two only.
fn difference(listed: &str, shows: &str) -> String {
    let (before, now): (BTreeSet<&str>, BTreeSet<&str>) = (listed.lines().collect(), shows.lines().collect());
    let gone = before.difference(&now).map(|line| format!("- {line}\n"));
    gone.chain(now.difference(&before).map(|line| format!("+ {line}\n"))).collect()
}

/// The others' crates in the list of a crate, with a line for each.
fn others(name: &str) -> BTreeMap<String, String> {
    let listed = fs::read_to_string(list(name)).unwrap();
    let mut found = BTreeMap::new();
    for line in listed.lines() {
        // A path begins where no name and no path goes before it.
        let paths = line.match_indices("::").filter_map(|(at, _)| {
            let first = line[..at].rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
            let before = &line[..at - first.len()];
            (!first.is_empty() && !before.ends_with("::")).then_some(first)
        });
        for path in paths.filter(|path| path.starts_with(char::is_lowercase)) {
            let is_ours = path.starts_with("ml_connector");
            if !is_ours && !OWN.contains(&path) {
                found.entry(path.to_owned()).or_insert_with(|| line.to_owned());
            }
        }
    }
    found
}
