//! Words that once had a meaning of their own here, and what is said instead. Whoever reads the code for the first time knows
//! the terms of the field, and no others.

use std::{collections::BTreeMap, fs, path::Path};

use super::{sources, workspace};

const INSTEAD: [(&str, &str); 5] = [
    ("judge", "classify"),
    ("judged", "classified"),
    ("judges", "classifies"),
    ("wish", "request"),
    ("wishes", "requests"),
];

#[test]
fn nicknames_are_gone() {
    let mut found = BTreeMap::new();
    for entry in workspace().read_dir().unwrap() {
        let folder = entry.unwrap().path();
        if !folder
            .file_name()
            .is_some_and(|name| name.to_str().is_some_and(|name| name.starts_with("ml-connector-")))
        {
            continue;
        }
        for file in sources(&folder.join("src")) {
            for word in identifiers(&file) {
                if let Some((_, instead)) = INSTEAD.iter().find(|(nickname, _)| *nickname == word) {
                    found.insert(file.display().to_string(), format!("{word}: say {instead}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The words that names of functions, types and fields are made of, in small letters.
fn identifiers(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut words = Vec::new();
    for name in code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')) {
        let mut word = String::new();
        for c in name.chars() {
            if (c == '_' || c.is_uppercase()) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(c.to_lowercase().filter(|c| *c != '_'));
        }
        words.push(word);
    }
    words
}
