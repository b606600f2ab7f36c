//! What is compiled with which features.

use std::{collections::BTreeSet, process::Command};

/// The crates that a build of core pulls in, itself included.
fn crates(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "ml-connector-core", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn without_default_features_there_is_no_http_client_no_tls_and_no_database() {
    let bare = crates(&["--no-default-features"]);
    let heavy = [
        "reqwest",
        "hyper",
        "h2",
        "rustls",
        "native-tls",
        "openssl",
        "tls",
        "aws-lc",
        "ring",
        "rusqlite",
        "sqlite",
        "sqlx",
        "postgres",
        "axum",
        "tower-http",
    ];
    let found: Vec<_> =
        bare.iter().filter(|name| heavy.iter().any(|heavy| is_or_belongs_to(name, heavy))).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(bare.contains("ml-connector-core") && bare.contains("http"), "{bare:?}");
}

#[test]
fn by_default_there_is_a_client_with_tls_and_still_no_database() {
    let default = crates(&[]);
    for name in ["reqwest", "rustls"] {
        assert!(default.contains(name), "{name}");
    }
    assert!(!default.iter().any(|name| ["rusqlite", "sqlx", "native-tls"].iter().any(|db| name == db)));
}

#[test]
fn certificates_bring_no_crate_that_tls_does_not_bring() {
    let more = &crates(&["--features", "certificate"]) - &crates(&[]);
    assert!(more.is_empty(), "{more:?}");
    let bare = crates(&["--no-default-features", "--features", "certificate"]);
    assert!(bare.contains("aws-lc-rs"), "the test can fail: {bare:?}");
}

#[test]
fn toml_brings_its_parser_and_nothing_else() {
    let more =
        &crates(&["--no-default-features", "--features", "toml"]) - &crates(&["--no-default-features"]);
    let others: Vec<_> = more.iter().filter(|name| !is_or_belongs_to(name, "toml")).collect();
    assert_eq!(others, ["serde_spanned", "winnow"], "{more:?}");
}

/// Whether a crate is this one or one of its family, such as `rustls-webpki` of `rustls`.
fn is_or_belongs_to(name: &str, family: &str) -> bool {
    name.split(['-', '_']).any(|part| part == family) || name.starts_with(family) && name.len() > 4
}
