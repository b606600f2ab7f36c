//! Which parts of core may know which: imports run in one direction.
//!
//! The tables below are the whole permission. A part may import the parts of its own row; a row stands above all the parts
//! that it names, so no circle can be written down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A part with the parts it may import.
type Table = &'static [(&'static str, &'static [&'static str])];

/// The rooms of the engine, from the ground up.
const ROOMS: Table = &[
    ("guard", &[]),
    ("hooks", &[]),
    ("log_gate", &[]),
    ("trace", &[]),
    ("retry", &[]),
    ("labels", &[]),
    ("stats", &["labels"]),
    ("tally", &[]),
    ("stored", &[]),
    ("trouble", &[]),
    ("settings", &["retry"]),
    ("lanes", &["retry"]),
    ("benchmark", &["lanes"]),
    ("mailbox", &["lanes"]),
    ("registry", &["guard", "stored"]),
    ("entries", &["registry", "stored"]),
    (
        "shared",
        &["hooks", "log_gate", "mailbox", "registry", "settings", "stats", "tally", "trace", "trouble"],
    ),
    ("gauges", &["shared", "stats"]),
    ("connector", &["shared", "stats", "trouble"]),
    ("documents", &["shared"]),
    ("writes", &["lanes", "log_gate", "shared"]),
    ("history", &["connector", "documents", "shared", "tally", "writes"]),
    ("source_state", &["documents", "registry", "shared"]),
    ("fan_out", &["documents", "entries", "registry", "shared", "stored", "trace", "writes"]),
    ("notices", &["documents", "fan_out", "lanes", "shared", "writes"]),
    (
        "intake",
        &[
            "connector",
            "documents",
            "entries",
            "lanes",
            "notices",
            "registry",
            "settings",
            "shared",
            "stats",
            "stored",
            "writes",
        ],
    ),
    (
        "resolve",
        &[
            "connector",
            "documents",
            "entries",
            "fan_out",
            "guard",
            "lanes",
            "notices",
            "registry",
            "shared",
            "stats",
            "stored",
            "trace",
            "trouble",
            "writes",
        ],
    ),
    (
        "feeds",
        &[
            "connector",
            "documents",
            "entries",
            "fan_out",
            "guard",
            "lanes",
            "notices",
            "registry",
            "resolve",
            "shared",
            "stats",
            "writes",
        ],
    ),
    ("upkeep", &["documents", "entries", "guard", "lanes", "registry", "resolve", "shared", "writes"]),
    (
        "deliver",
        &[
            "entries", "fan_out", "guard", "lanes", "notices", "registry", "resolve", "retry", "settings",
            "shared", "stats", "stored", "trace", "trouble", "writes",
        ],
    ),
    (
        "run",
        &[
            "connector",
            "deliver",
            "documents",
            "feeds",
            "gauges",
            "history",
            "guard",
            "lanes",
            "notices",
            "registry",
            "resolve",
            "retry",
            "settings",
            "shared",
            "stats",
            "trouble",
            "upkeep",
            "writes",
        ],
    ),
    (
        "host",
        &[
            "connector",
            "documents",
            "entries",
            "fan_out",
            "feeds",
            "guard",
            "history",
            "hooks",
            "lanes",
            "log_gate",
            "mailbox",
            "notices",
            "registry",
            "settings",
            "shared",
            "stats",
            "stored",
            "tally",
            "trace",
            "trouble",
            "upkeep",
            "writes",
        ],
    ),
];

/// The top modules of core, from the ground up.
const MODULES: Table = &[
    ("error_context", &[]),
    ("size", &[]),
    ("error", &["error_context"]),
    ("check", &["error"]),
    ("secret", &["error"]),
    ("model", &["error", "size"]),
    ("decode", &["error", "model"]),
    ("clock", &["model"]),
    ("steady_clock", &["clock", "model"]),
    ("vendor_clock", &["model"]),
    ("route", &["error", "model"]),
    ("rate", &["error", "model"]),
    ("audit", &["check", "error", "model", "size"]),
    ("snapshot", &["audit", "decode", "error", "model"]),
    ("calls", &["model"]),
    ("http", &["calls", "clock", "decode", "error", "error_context", "model", "rate", "secret"]),
    ("config", &["error", "http"]),
    ("token", &["check", "clock", "error", "error_context", "http", "model", "secret"]),
    ("encryption", &["audit", "check", "error", "model", "secret", "token"]),
    (
        "context",
        &["audit", "calls", "clock", "error", "http", "model", "rate", "snapshot", "token", "vendor_clock"],
    ),
    ("remembered", &["context", "error", "model"]),
    ("webhook", &["context", "error", "model", "secret"]),
    ("auth", &["clock", "context", "error", "error_context", "http", "model", "secret", "token"]),
    ("sink", &["auth", "check", "context", "error", "model"]),
    ("source", &["auth", "check", "context", "error", "model", "size", "snapshot"]),
    ("shared", &["audit", "check", "clock", "error", "http", "model", "rate", "token"]),
    ("connection", &["error", "model", "route", "sink", "source"]),
    (
        "approval",
        &["connection", "context", "error", "error_context", "model", "route", "sink", "snapshot", "source"],
    ),
    (
        "engine",
        &[
            "audit",
            "auth",
            "calls",
            "check",
            "clock",
            "connection",
            "context",
            "error",
            "http",
            "model",
            "rate",
            "route",
            "sink",
            "snapshot",
            "source",
            "steady_clock",
            "token",
            "vendor_clock",
        ],
    ),
    (
        "conformance",
        &[
            "audit", "clock", "context", "error", "http", "model", "rate", "sink", "snapshot", "source",
            "token",
        ],
    ),
];

/// The only imports that run upward, each with its reason. None may come.
const UPWARD: &[(&str, &str)] = &[
    // An error names the quota that it is about, and constructors of the model return errors.
    ("error", "model"),
    // `Context` holds the five traits as objects. Whoever makes calls takes it.
    ("http", "context"),
    ("token", "context"),
];

#[test]
fn top_modules_of_core_import_only_what_stands_below_them() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exports: BTreeMap<String, String> = exports(&sources);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&sources) {
        let below = file.strip_prefix(&sources).unwrap();
        let module = below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "guide" {
            continue;
        }
        assert!(MODULES.iter().any(|(name, _)| *name == module), "{module} is no module of the table");
        let imports = imports(&sources, &file).into_iter().filter(|path| path[0] == "crate");
        let names = imports.filter_map(|path| path.get(1).cloned());
        let modules = names.map(|name| exports.get(&name).cloned().unwrap_or(name));
        let runs_upward = |other: &String| UPWARD.contains(&(&*module, other));
        let modules: Vec<_> = modules.filter(|other| *other != module && !runs_upward(other)).collect();
        found.entry(module).or_default().extend(modules);
    }
    assert_allowed(MODULES, &found);
}

/// What the root exports: names with the modules that define them.
fn exports(sources: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(sources.join("lib.rs")).unwrap();
    let items = text.split('\n').enumerate().filter(|(_, line)| line.starts_with("pub use ")).map(|(i, _)| i);
    let trees = items.map(|i| {
        let rest = text.split('\n').skip(i).collect::<Vec<_>>().join("\n");
        rest.split_once("use ").unwrap().1.split(';').next().unwrap().to_owned()
    });
    let paths = trees.flat_map(|tree| flatten(&tree));
    paths
        .map(|mut path| {
            path.retain(|part| part != "crate" && part != "self");
            (path.last().unwrap().clone(), path[0].clone())
        })
        .collect()
}

#[test]
fn rooms_of_the_engine_import_only_what_stands_below_them() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = sources.join("engine");
    let names: BTreeSet<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    let folded = |path: Vec<String>| match path.as_slice() {
        [krate, engine, room, ..] if krate == "crate" && engine == "engine" => Some(room.clone()),
        // The handle is exported at the root.
        [krate, connector, ..] if krate == "crate" && connector == "Connector" => {
            Some("connector".to_owned())
        }
        _ => None,
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&root) {
        let below = file.strip_prefix(&root).unwrap();
        let room = below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if room == "mod" {
            continue;
        }
        assert!(names.contains(&*room), "{room} is no room of the table");
        let imports = imports(&sources, &file).into_iter().filter_map(folded).map(|name| match &*name {
            // What the engine exports, by the room that defines it.
            "Connector" => "connector".to_owned(),
            "Settings" => "settings".to_owned(),
            _ => name,
        });
        found.entry(room.clone()).or_default().extend(imports.filter(|import| *import != room));
    }
    assert_allowed(ROOMS, &found);
}

/// Every import is in the table, and every row stands above the parts that it names.
fn assert_allowed(table: Table, found: &BTreeMap<String, BTreeSet<String>>) {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for (name, allowed) in table {
        let upward: Vec<_> = allowed.iter().filter(|other| !below.contains(*other)).collect();
        assert!(upward.is_empty(), "{name} stands below {upward:?}, or these are no rows");
        below.insert(name);
    }
    assert!(found.values().map(BTreeSet::len).sum::<usize>() > table.len(), "the imports are found");
    for (name, imports) in found {
        let allowed = table.iter().find(|(row, _)| row == name).map_or(&[][..], |(_, allowed)| allowed);
        let forbidden: Vec<_> = imports.iter().filter(|import| !allowed.contains(&import.as_str())).collect();
        assert!(forbidden.is_empty(), "{name} may not import {forbidden:?}");
    }
}

/// The Rust files of a folder, without those that are tests alone.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_owned();
        if path.is_dir() && stem != "tests" {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "tests" {
            files.push(path);
        }
    }
    files
}

/// The paths that the `use` items of a file name, from the crate's root.
fn imports(sources: &Path, file: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut module: Vec<String> = vec!["crate".to_owned()];
    let below = file.strip_prefix(sources).unwrap().with_extension("");
    module.extend(below.iter().map(|part| part.to_str().unwrap().to_owned()));
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    let mut paths = Vec::new();
    for item in code.split("\n").enumerate().filter_map(|(i, line)| {
        let starts =
            line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use ");
        starts.then_some(i)
    }) {
        let rest: String = code.split('\n').skip(item).collect::<Vec<_>>().join("\n");
        let tree = rest.split_once("use ").unwrap().1.split(';').next().unwrap().to_owned();
        for path in flatten(&tree) {
            paths.push(absolute(&module, &path));
        }
    }
    paths
}

/// `a::{b, c::{d}}` as `[a, b]` and `[a, c, d]`.
fn flatten(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let Some((head, inner)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap();
        return vec![name.split("::").map(|part| part.trim().to_owned()).collect()];
    };
    let head: Vec<String> =
        head.trim().trim_end_matches("::").split("::").map(|part| part.trim().to_owned()).collect();
    let inner = inner.rsplit_once('}').unwrap().0;
    let (mut depth, mut begin, mut parts) = (0_i32, 0, Vec::new());
    for (i, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[begin..i]);
                begin = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[begin..]);
    let full = parts.into_iter().filter(|part| !part.trim().is_empty()).flat_map(flatten);
    full.map(|rest| [head.clone(), rest].concat()).collect()
}

/// The path from the root: `super` and `self` are resolved against the module that names it.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let mut base = Vec::new();
    for part in path {
        match part.as_str() {
            "self" if base.is_empty() => base = module.to_vec(),
            "super" => {
                if base.is_empty() {
                    base = module.to_vec();
                }
                base.pop();
            }
            _ => base.push(part.clone()),
        }
    }
    base
}

#[test]
fn the_reader_of_imports_reads_them() {
    let module = ["crate", "engine", "run", "batches"].map(str::to_owned);
    let paths = flatten("super::{\n    super::lanes::{Batch, Hold},\n    runner::Runner as R,\n}");
    let read: Vec<String> = paths.iter().map(|path| absolute(&module, path).join("::")).collect();
    assert_eq!(
        read,
        ["crate::engine::lanes::Batch", "crate::engine::lanes::Hold", "crate::engine::run::runner::Runner"]
    );
}
