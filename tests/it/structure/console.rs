//! The console stands on core alone, asks only for what one person may see, and writes nothing into a page unescaped.

use std::fs;

use super::{sources, workspace};

/// The files of the console's sources that hold a word, without comments.
fn holding(word: &str) -> Vec<String> {
    let src = workspace().join("ml-connector-console/src");
    let holds = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.any(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word))
    };
    let mut files: Vec<String> = sources(&src)
        .into_iter()
        .filter(holds)
        .map(|path| path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    files
}

#[test]
fn pages_reach_the_connector_only_by_what_one_person_may_see_and_do() {
    assert_eq!(holding("Connector"), ["console.rs", "scoped.rs"]);
}

#[test]
fn nothing_is_written_into_a_page_as_it_came() {
    assert_eq!(holding("PreEscaped"), Vec::<String>::new());
}

#[test]
fn the_console_depends_on_no_crate_of_ours_but_core() {
    let manifest = fs::read_to_string(workspace().join("ml-connector-console/Cargo.toml")).unwrap();
    let ours = manifest.lines().filter_map(|line| line.strip_prefix("ml-connector-"));
    let names: Vec<&str> = ours.map(|rest| rest.split([' ', '.']).next().unwrap()).collect();
    assert_eq!(
        names,
        ["core", "core", "sql"],
        "as a dependency, and for tests with what tests need and the logs"
    );
}
