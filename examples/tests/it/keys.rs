//! Whoever runs an example is told whether what it stores can be read.

use std::process::Stdio;

use ml_connector_core::encryption::Key;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{PATIENCE, Vendors};

/// The first thing that is said about the file.
async fn said(vendors: &Vendors, key: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("connector.db");
    let mut command = vendors.command(&database);
    command.env_remove("ML_CONNECTOR_KEY").stderr(Stdio::piped());
    let mut child = command.envs(key.map(|key| ("ML_CONNECTOR_KEY", key))).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let about = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(&*database.to_string_lossy()) {
                return line;
            }
        }
        panic!("the example ended without a word about its file");
    };
    let line = tokio::time::timeout(PATIENCE, about).await.expect("it says so at once");
    child.kill().await.unwrap();
    line
}

#[tokio::test]
async fn an_example_says_whether_what_it_stores_is_encrypted() {
    let vendors = Vendors::start().await;
    let line = said(&vendors, None).await;
    assert!(line.starts_with("ML_CONNECTOR_KEY is not set: ") && line.contains("in clear"), "{line}");
    let key = Key::generate("2026-11").unwrap().to_text();
    let line = said(&vendors, Some(key.expose())).await;
    assert!(line.ends_with("is encrypted with the key 2026-11."), "{line}");
}
