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
    assert_eq!(topics, files - 1, "all but main.rs");
}

/// A dashboard that asks for a name that nobody counts shows nothing, and no error.
#[test]
fn the_dashboard_asks_for_what_is_counted() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(here.join(file)).unwrap();
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).unwrap();
    let counted =
        ["stats.rs", "gauges.rs"].map(|file| read(&format!("../ml-connector-core/src/engine/{file}")));
    let panels = dashboard["panels"].as_array().unwrap();
    let asked: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .flat_map(|target| {
            target["expr"].as_str().unwrap().split(|c: char| !(c.is_alphanumeric() || c == '_'))
        })
        .filter(|word| word.starts_with("ml_connector_"))
        .collect();
    assert!(asked.len() > panels.len(), "{asked:?}");
    for name in asked {
        let quoted = format!("\"{}\"", name.trim_end_matches("_bucket"));
        assert!(counted.iter().any(|source| source.contains(&quoted)), "{name} is not counted");
    }
}

#[tokio::test]
async fn three_web_servers_take_webhooks() {
    let said = String::from_utf8(run("servers", &[], None).await.stdout).unwrap();
    assert_eq!(said.matches("it is told").count(), 3, "{said}");
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
