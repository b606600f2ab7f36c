//! What the README says that tests prove, is proven by tests that there are.

use std::fs;

use super::workspace;

#[test]
fn every_test_that_the_readme_names_is_there() {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let table = readme.split_once("### Which tests prove it").unwrap().1.split_once("\n## ").unwrap().0;
    let (mut file, mut code, mut tests) = (String::new(), String::new(), 0);
    for row in table.lines().filter(|line| line.contains(".rs`")) {
        let proofs = row.rsplit_once('|').unwrap().0.rsplit_once('|').unwrap().1;
        for name in proofs.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                name.clone_into(&mut file);
                code = fs::read_to_string(workspace().join(name))
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                continue;
            }
            let before =
                code.split_once(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file}: {name}")).0;
            let attributes = before.rsplit_once("\n\n").map_or(before, |(_, last)| last);
            let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test");
            assert!(is_test && !attributes.contains("#[ignore"), "{file}: {name} is no test that runs");
            tests += 1;
        }
    }
    assert!(tests > 20, "the table is read");
}
