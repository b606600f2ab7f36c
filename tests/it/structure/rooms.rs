//! Which parts of core may know which: imports run in one direction.
//!
//! The tables below are the whole permission. A part may import the parts of its own row; a row stands above all the parts
//! that it names, so no circle can be written down.

use std::collections::BTreeSet;

use super::{
    imports::{Edges, Imports},
    workspace,
};

/// A part with the parts it may import.
type Table = &'static [(&'static str, &'static [&'static str])];

/// The rooms of the engine, from the ground up.
const ROOMS: Table = &[
    ("guard", &[]),
    ("hooks", &[]),
    ("recent", &[]),
    ("log_gate", &[]),
    ("trace", &[]),
    ("retry", &[]),
    ("labels", &[]),
    ("stats", &["labels"]),
    ("tally", &[]),
    ("stored", &[]),
    ("trouble", &[]),
    ("settings", &["retry"]),
    ("lanes", &["retry", "trouble"]),
    ("benchmark", &["lanes"]),
    ("mailbox", &["lanes"]),
    ("registry", &["guard", "stored"]),
    ("entries", &["registry", "stored"]),
    (
        "shared",
        &[
            "hooks", "log_gate", "mailbox", "recent", "registry", "settings", "stats", "tally", "trace",
            "trouble",
        ],
    ),
    ("gauges", &["labels", "shared"]),
    ("connector", &["shared", "stats", "trouble"]),
    ("documents", &["shared"]),
    ("writes", &["lanes", "log_gate", "shared"]),
    ("history", &["connector", "documents", "shared", "tally", "writes"]),
    ("kept_hooks", &["connector", "documents", "hooks", "shared", "writes"]),
    ("forgotten", &["connector", "documents", "history", "kept_hooks", "registry", "shared", "writes"]),
    ("source_state", &["documents", "registry", "shared"]),
    ("fan_out", &["documents", "entries", "registry", "shared", "stored", "trace", "writes"]),
    ("notices", &["documents", "fan_out", "lanes", "shared", "trouble", "writes"]),
    (
        "intake",
        &[
            "connector",
            "documents",
            "entries",
            "hooks",
            "lanes",
            "notices",
            "registry",
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
            "fan_out",
            "feeds",
            "gauges",
            "history",
            "guard",
            "kept_hooks",
            "lanes",
            "notices",
            "registry",
            "resolve",
            "retry",
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
            "forgotten",
            "guard",
            "hooks",
            "lanes",
            "log_gate",
            "mailbox",
            "notices",
            "recent",
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
    ("error", &[]),
    ("check", &["error"]),
    ("secret", &[]),
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
            "audit", "check", "clock", "context", "error", "http", "model", "rate", "sink", "snapshot",
            "source", "token",
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
    let mut found = core("");
    for (module, other) in UPWARD {
        assert!(
            found.get_mut(*module).is_some_and(|imports| imports.remove(*other)),
            "{module} imports {other}"
        );
    }
    assert_allowed(MODULES, &found);
}

#[test]
fn rooms_of_the_engine_import_only_what_stands_below_them() {
    assert_allowed(ROOMS, &core("engine"));
}

/// What the files and folders of a folder of core import of each other.
fn core(folder: &str) -> Edges {
    let imports = Imports::read(&workspace().join("ml-connector-core/src"));
    imports.folders().remove(folder).unwrap()
}

/// Every import is in the table, and every row stands above the parts that it names.
fn assert_allowed(table: Table, found: &Edges) {
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
    // A permission that nobody uses is taken back.
    for (name, allowed) in table {
        let used = |other: &&&str| found.get(*name).is_some_and(|imports| imports.contains(**other));
        let unused: Vec<_> = allowed.iter().filter(|other| !used(other)).collect();
        assert!(unused.is_empty(), "{name} does not import {unused:?}");
    }
}
