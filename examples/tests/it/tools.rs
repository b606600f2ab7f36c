//! The short programs and the operator's tool, as somebody types them.

use std::{path::Path, process::Output};

use serde_json::Value;
use tokio::process::Command;

use crate::program;

async fn run(example: &str, arguments: &[&str], log: Option<&Path>) -> Output {
    let mut program = Command::new(program(example));
    program.args(arguments).env_clear().envs(log.map(|log| ("ML_CONNECTOR_LOG", log)));
    program.env("USER", "anna").env("ML_CONNECTOR_CHAIN", "1");
    let output = program.kill_on_drop(true).output().await.unwrap();
    let said = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{example} {arguments:?} ended with {}:\n{said}", output.status);
    output
}

#[tokio::test]
async fn every_topic_is_played() {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("topics")).unwrap().count();
    let said = run("topics", &[], None).await.stdout;
    let topics = String::from_utf8(said).unwrap().lines().filter(|line| !line.starts_with(' ')).count();
    assert_eq!(topics, files - 2, "all but main.rs and lab.rs");
}

#[tokio::test]
async fn an_operator_finds_explains_and_settles_what_a_story_has_left_in_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("story.db");
    run("business_central_to_slack", &[], Some(&log)).await;
    let ask = async |arguments: &[&str]| -> Value {
        let output = run("operator", &[arguments, &["--json"]].concat(), Some(&log)).await;
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let deliveries =
        ask(&["search", "--kind", "delivery", "--state", "done", "--newest", "--limit", "5"]).await;
    assert_eq!(deliveries.as_array().unwrap().len(), 5);
    let seq = deliveries[0]["seq"].as_u64().unwrap().to_string();
    assert!(!ask(&["explain", &seq]).await["steps"].as_array().unwrap().is_empty());
    for question in ["lanes", "dead"] {
        ask(&[question]).await;
        run("operator", &[question], Some(&log)).await;
    }
    let counted =
        run("operator", &["replay", "--kind", "delivery", "--state", "done", "--limit", "2"], Some(&log))
            .await;
    let said = String::from_utf8(counted.stdout).unwrap();
    assert!(said.contains("2 entries can be sent again") && said.contains("Nothing has been sent"), "{said}");
    run("operator", &["cancel", "--state", "parked", "--why", "tried", "--yes"], Some(&log)).await;
    let acts = ask(&["search", "--kind", "act", "--newest"]).await;
    assert_eq!(acts[0]["name"], "cancel");
    run("operator", &["prune", "--days", "1"], Some(&log)).await;

    let heads = folder.path().join("heads.json").display().to_string();
    for compared in ["0 heads compared", "64 heads compared"] {
        let verified = run("operator", &["verify", "--heads", &heads], Some(&log)).await;
        assert!(String::from_utf8(verified.stdout).unwrap().contains(compared));
    }
    assert!(ask(&["verify"]).await["links"].as_u64().unwrap() > 5);
    let changed = rusqlite::Connection::open(&log).unwrap();
    changed.execute("UPDATE entry SET at = at + 1 WHERE seq = ?1", [&seq]).unwrap();
    drop(changed);
    let mut refused = Command::new(program("operator"));
    let refused = refused.arg("verify").env_clear().env("ML_CONNECTOR_LOG", &log).output().await.unwrap();
    let said = String::from_utf8(refused.stdout).unwrap();
    assert!(!refused.status.success() && said.contains(&format!("entry #{seq} was changed")), "{said}");
}
