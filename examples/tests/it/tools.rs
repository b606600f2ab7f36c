//! The short programs and the operator's tool, as somebody types them.

use std::{path::Path, process::Output};

use ml_connector_core::encryption::Key;
use ml_connector_examples::stores::in_clear;
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

/// A log in clear, or under an older key, is encrypted with the active one, and told about.
#[tokio::test]
async fn an_operator_encrypts_what_is_in_clear_and_what_is_under_an_older_key() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("story.db");
    run("business_central_to_slack", &[], Some(&log)).await;
    let key = |id: &str| Key::generate(id).unwrap().to_text().expose().to_owned();
    let (first, second) = (key("2026-10"), key("2026-11"));
    let operator = async |keys: Option<&str>, arguments: &[&str]| {
        let mut program = Command::new(program("operator"));
        program.args(arguments).env_clear().env("ML_CONNECTOR_LOG", &log);
        program.envs(keys.map(|keys| ("ML_CONNECTOR_KEY", keys)));
        let output = program.kill_on_drop(true).output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let secret = "Corner Stationery";
    assert!(!operator(None, &["reencrypt"]).await.0, "without a key nothing can be encrypted");
    let deliveries = &["search", "--kind", "delivery", "--state", "done", "--limit", "5", "--json"];
    let (_, before) = operator(None, deliveries).await;
    assert!(!in_clear(&log, &[secret]).unwrap().is_empty(), "the story is in clear at first");
    // Looking is not encrypting.
    assert_eq!(operator(Some(&first), deliveries).await, (true, before.clone()));
    assert!(!in_clear(&log, &[secret]).unwrap().is_empty());

    let both = format!("{second},{first}");
    for keys in [&first, &both] {
        let (is_done, said) = operator(Some(keys), &["reencrypt", "--json"]).await;
        let counted: Value = serde_json::from_str(&said).unwrap();
        assert!(
            is_done && counted["entries"].as_u64() > Some(5) && counted["documents"].as_u64() > Some(0),
            "{said}"
        );
        let vacuumed = rusqlite::Connection::open(&log).unwrap();
        vacuumed.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        assert_eq!(in_clear(&log, &[secret]).unwrap(), Vec::<&str>::new());
    }
    assert_eq!(
        operator(Some(&second), deliveries).await,
        (true, before),
        "the older key is not needed any more"
    );
    assert!(!operator(Some(&first), deliveries).await.0);
    assert!(!operator(None, deliveries).await.0);
}

/// What a script goes by: the status, and which step has failed.
#[tokio::test]
async fn the_doctor_says_as_json_what_is_missing_and_fails() {
    let good = run("doctor", &["--json"], None).await;
    let good: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(good["connections"].as_object().unwrap().len(), 6);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connections.toml");
    // Nobody listens on port 9: the token is asked for in vain.
    std::fs::write(
        &file,
        format!(
            "database = {:?}\n[[connection]]\nsystem = \"slack\"\nconnection = \"slack\"\ntoken = \"env:DOCTORS_TOKEN\"\n\
             base_url = \"http://127.0.0.1:9\"\n",
            folder.path().join("connector.db")
        ),
    )
    .unwrap();
    let doctor = async |token: Option<&str>| {
        let mut program = Command::new(program("doctor"));
        program.arg(&file).arg("--json").env_clear().envs(token.map(|token| ("DOCTORS_TOKEN", token)));
        program.kill_on_drop(true).output().await.unwrap()
    };
    let failed = doctor(Some("xoxb-planted")).await;
    let text = String::from_utf8([&*failed.stdout, &*failed.stderr].concat()).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{text}");
    let check: Value = serde_json::from_slice(&failed.stdout).unwrap();
    let steps = check["connections"]["slack"].as_array().unwrap();
    let bad: Vec<&Value> = steps.iter().filter(|step| step["result"] == "failed").collect();
    assert!(!bad.is_empty() && bad.iter().all(|step| step["remedy"].is_string()), "{text}");
    assert!(!text.contains("xoxb-planted"), "{text}");

    let unset = doctor(None).await;
    assert_eq!(unset.status.code(), Some(1));
    let said = String::from_utf8(unset.stderr).unwrap();
    assert!(said.contains("DOCTORS_TOKEN"), "{said}");
}
