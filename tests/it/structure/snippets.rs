//! What people copy out of the documents is there: code is compiled, commands name examples, and the manifest's lines name
//! crates and features.

use std::{fs, path::PathBuf, process::Command};

use super::{sources, workspace};

/// What a fence may hold besides Rust.
const OTHERS: [&str; 7] = ["console", "toml", "text", "sql", "yaml", "json", "markdown"];

/// The Markdown files that git knows or would add.
fn documents() -> Vec<(PathBuf, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "*.md"])
        .current_dir(workspace())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let read = |path: &str| Some((path.into(), fs::read_to_string(workspace().join(path)).ok()?));
    listed.lines().filter_map(read).collect()
}

#[test]
fn all_code_in_documents_is_compiled() {
    // What is a part of some crate's documentation, or stands for it in tests of documentation.
    let mut included = Vec::new();
    for entry in fs::read_dir(workspace()).unwrap() {
        let folder = entry.unwrap().path();
        for folder in
            ["src", "support"].map(|source| folder.join(source)).iter().filter(|folder| folder.exists())
        {
            for file in sources(folder) {
                let text = fs::read_to_string(&file).unwrap();
                for name in text
                    .lines()
                    .filter_map(|line| line.split_once("doc = include_str!(\"")?.1.split('"').next())
                {
                    included.extend(file.parent().unwrap().join(name).canonicalize());
                }
            }
        }
    }
    let mut compiled = 0;
    for (path, text) in documents() {
        let mut is_open = false;
        for fence in text.lines().filter_map(|line| line.trim_start().strip_prefix("```")) {
            is_open = !is_open;
            let mut words = fence.split(',');
            let language = words.next().unwrap_or_default();
            if !is_open || OTHERS.contains(&language) {
                continue;
            }
            assert!(matches!(language, "" | "rust" | "no_run"), "{}: {fence}", path.display());
            assert!(words.all(|word| word == "no_run"), "{}: {fence} is not compiled", path.display());
            let is_included = included.contains(&workspace().join(&path).canonicalize().unwrap());
            assert!(is_included, "{}: {fence:?} is in no documentation that is tested", path.display());
            compiled += 1;
        }
    }
    assert!(compiled >= 8, "documents are read: {compiled}");
}

#[test]
fn commands_and_manifests_in_documents_name_what_is_there() {
    let manifest = |of: &str| fs::read_to_string(workspace().join(of).join("Cargo.toml"));
    let examples = manifest("examples").unwrap();
    let (mut commands, mut dependencies) = (0, 0);
    for (path, text) in documents() {
        for example in text.split("--example ").skip(1).filter_map(|rest| rest.split([' ', '`', '\n']).next())
        {
            let is_there = examples.contains(&format!("name = \"{example}\""));
            assert!(is_there, "{}: there is no example {example:?}", path.display());
            commands += 1;
        }
        for line in
            text.lines().filter(|line| line.starts_with("ml-connector-") && line.contains(" = { git = "))
        {
            let (name, rest) = line.split_once(' ').unwrap();
            let known = manifest(name).unwrap_or_else(|_| panic!("{}: {line}", path.display()));
            let features = rest.split_once("features = [").and_then(|(_, list)| list.split_once(']'));
            for feature in
                features.map_or("", |(list, _)| list).split(", ").filter(|feature| !feature.is_empty())
            {
                let is_there = known.contains(&format!("\n{} = [", feature.trim_matches('"')));
                assert!(is_there, "{}: {name} has no feature {feature}", path.display());
            }
            dependencies += 1;
        }
    }
    assert!(commands >= 9 && dependencies >= 5, "documents are read: {commands}, {dependencies}");
}
