//! In every folder, files and folders import each other in one direction. A folder's own `mod.rs` may know what is in it,
//! and be known by it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    imports::{Edges, Imports},
    workspace,
};

/// What may import each other, by crate and folder, with the reason.
const TOGETHER: [(&str, &str, &[&str], &str); 2] = [
    (
        "core",
        "",
        &["context", "error", "http", "model", "token"],
        "an error names a quota and a time; `Context` holds the traits, and calls take it: see `rooms.rs`",
    ),
    (
        "sim",
        "databricks/sql",
        &["cast", "json"],
        "a nested value is cast to text as JSON, and JSON writes plain values as a cast does",
    ),
];

#[test]
fn files_and_folders_import_each_other_in_one_direction() {
    for entry in workspace().read_dir().unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(name) = name.strip_prefix("ml-connector-") else { continue };
        let imports = Imports::read(&folder.join("src"));
        for (place, edges) in imports.folders() {
            let circle = circle(edges);
            let together = TOGETHER.iter().find(|(of, at, ..)| (*of, *at) == (name, &*place));
            let allowed: &[&str] = together.map_or(&[], |(_, _, allowed, _)| *allowed);
            let strangers: BTreeMap<_, _> =
                circle.iter().filter(|(name, _)| !allowed.contains(&name.as_str())).collect();
            assert!(strangers.is_empty(), "{name}: src/{place} has a circle: {circle:#?}");
            // What no longer needs to be allowed is taken off the list.
            assert!(together.is_none() || !circle.is_empty(), "{name}: src/{place} has no circle any more");
        }
    }
}

/// Those that lead back to themselves.
fn circle(mut edges: Edges) -> Edges {
    let reached = |from: &str| {
        let (mut found, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(name) = left.pop() {
            let used = edges.get(name).into_iter().flatten();
            left.extend(used.map(String::as_str).filter(|used| found.insert(*used)));
        }
        found.contains(from)
    };
    let in_circles: BTreeSet<String> = edges.keys().filter(|name| reached(name)).cloned().collect();
    edges.retain(|name, _| in_circles.contains(name));
    edges.values_mut().for_each(|used| used.retain(|name| in_circles.contains(name)));
    edges
}

#[test]
fn a_circle_is_found_and_a_chain_is_none() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        circle(edges).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(edges(&[("a", "b"), ("b", "c"), ("a", "c")]), Vec::<String>::new());
    assert_eq!(edges(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]), ["b", "c"]);
}
