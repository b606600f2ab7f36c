//! Every system crate has the same files in the same places, so that who has read one can work in all.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{sources, workspace};

/// What every system crate has in its sources: each is a file or a folder.
const SKELETON: [&str; 10] =
    ["auth", "builder", "client", "config", "error", "lib", "models", "sink", "source", "webhook"];
/// What is a folder everywhere, because every system has several of them.
const FOLDERS: [&str; 3] = ["client", "models", "webhook"];

/// What only one system needs, and why.
const ONLY_HERE: [(&str, &str, &str); 9] = [
    ("databricks", "destination", "only Databricks and Slack have places that routes name"),
    ("databricks", "rows", "only Databricks is told of many records at once"),
    ("databricks", "sql", "only Databricks is spoken to in SQL"),
    ("databricks", "tables", "only Databricks keeps tables that may differ from what is sent"),
    ("zoho", "data_center", "only Zoho keeps its customers in data centers that know nothing of each other"),
    ("slack", "blocks", "only Slack has a markup of its own for what people read"),
    ("slack", "destination", "only Slack has places that routes name and that limits are counted by"),
    ("slack", "message", "only Slack shows events to people"),
    ("slack", "pacing", "only Slack limits calls by method and by channel"),
];

/// What a system has no use for, and why.
const NOT_HERE: [(&str, &str, &str); 4] = [
    ("databricks", "source", "Databricks tells nothing: its sink goes one way"),
    ("databricks", "webhook", "Databricks sends no webhooks about tables"),
    ("freshbooks", "sink", "FreshBooks is only read: nobody has asked for more"),
    ("exact", "sink", "Exact Online is only read: data flows to Slack and not back"),
];

/// A system crate: its name, its sources, and the folder with its documentation.
struct System {
    name: String,
    src: PathBuf,
    root: PathBuf,
}

/// Every crate that implements a vendor. One that is only a `lib.rs` is not begun yet.
fn systems() -> Vec<System> {
    let others = ["core", "console", "sim", "sql"];
    let crates = fs::read_dir(workspace()).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_str()?.strip_prefix("ml-connector-")?.to_owned();
        let system = System { src: path.join("src"), root: path, name };
        (!others.contains(&&*system.name) && modules(&system).len() > 1).then_some(system)
    });
    let guide = workspace().join("ml-connector-core/tests/it/guide/ledgerly");
    crates.chain([System { name: "ledgerly".into(), src: guide.clone(), root: guide }]).collect()
}

#[test]
fn every_system_crate_checks_itself() {
    for system in systems().iter().filter(|system| system.name != "ledgerly") {
        let halves = ["source", "sink"].map(|half| system.src.join(half));
        let has_check = |folder: &PathBuf| {
            let files = if folder.is_dir() { sources(folder) } else { vec![folder.with_extension("rs")] };
            files
                .iter()
                .any(|file| fs::read_to_string(file).is_ok_and(|code| code.contains("async fn check(&self")))
        };
        assert!(halves.iter().any(has_check), "{}: neither source nor sink has a check", system.name);
    }
}

/// The top modules of a crate. The guide's vendor is a module, whose `mod.rs` stands for `lib.rs`.
fn modules(system: &System) -> BTreeSet<String> {
    let entries = fs::read_dir(&system.src).unwrap().map(|entry| entry.unwrap().path());
    let names = entries.filter(|path| path.extension().is_none_or(|extension| extension == "rs"));
    let stems = names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    stems.map(|stem| if stem == "mod" { "lib".to_owned() } else { stem }).collect()
}

#[test]
fn every_system_crate_has_the_same_files_in_the_same_places() {
    let systems = systems();
    assert!(systems.len() >= 3, "Zoho Books, Slack and the guide's vendor");
    for system in &systems {
        let only_here =
            ONLY_HERE.iter().filter(|(name, ..)| *name == system.name).map(|(_, module, _)| *module);
        let is_here =
            |module: &&str| !NOT_HERE.iter().any(|(name, not, _)| *name == system.name && not == module);
        let expected: BTreeSet<String> =
            SKELETON.into_iter().filter(is_here).chain(only_here).map(str::to_owned).collect();
        assert_eq!(modules(system), expected, "{}", system.name);
        for folder in FOLDERS.into_iter().filter(|folder| is_here(folder)) {
            assert!(system.src.join(folder).join("mod.rs").is_file(), "{}: {folder}/", system.name);
        }
        assert!(system.root.join("docs.md").is_file(), "{}: docs.md", system.name);
        let tests = system.name == "ledgerly" || system.root.join("tests/it/main.rs").is_file();
        assert!(tests, "{}: tests/it/", system.name);
    }
}

#[test]
fn exceptions_are_true_and_have_a_reason() {
    let systems = systems();
    for (name, module, reason) in ONLY_HERE {
        let system = systems.iter().find(|system| system.name == name).unwrap();
        assert!(modules(system).contains(module) && !reason.is_empty(), "{name}: {module}");
    }
    for (name, module, reason) in NOT_HERE {
        let system = systems.iter().find(|system| system.name == name).unwrap();
        assert!(SKELETON.contains(&module) && !modules(system).contains(module), "{name}: {module}");
        assert!(!reason.is_empty());
    }
}
