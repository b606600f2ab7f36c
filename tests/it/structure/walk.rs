//! The walk of one webhook in ARCHITECTURE.md leads through functions that there are.

use std::fs;

use super::workspace;

#[test]
fn every_function_of_the_walk_is_in_its_file() {
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let walk = text.split_once("### The walk of one webhook").unwrap().1.split_once("\n## ").unwrap().0;
    let engine = workspace().join("ml-connector-core/src/engine");
    let (mut code, mut functions) = (String::new(), 0);
    for line in walk.lines().filter(|line| line.contains(".rs`")) {
        for (before, name) in
            line.split('`').collect::<Vec<_>>().chunks_exact(2).map(|pair| (pair[0], pair[1]))
        {
            if name.ends_with(".rs") {
                code =
                    fs::read_to_string(engine.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            } else if !before.ends_with("(calls ") {
                let function = name.rsplit("::").next().unwrap();
                assert!(code.contains(&format!("fn {function}")), "{function}: {line}");
                functions += 1;
            }
        }
    }
    assert!(functions > 20, "the walk is read");
}
