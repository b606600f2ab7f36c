//! Notifications: the vendor's vectors, and everything that must not cost a subscription.

use std::collections::HashSet;

use bytes::Bytes;
use http::Request;
use ml_connector_bc::BusinessCentral;
use ml_connector_core::{
    ErrorKind, ReceiveRequest, Source, Timestamp, UpkeepRequest,
    model::{Intake, Signal, Subject},
};
use serde_json::Value;

use crate::support::{HOOKS, Hooks, NOW, SECRET, World, builder, fixture};

const TROUBLE: &str = "unreadable notification";

fn source() -> BusinessCentral {
    BusinessCentral::builder("erp")
        .tenant("7c1f0a52-4d8e-4b6a-9a35-2f6d1e8b0c43")
        .company("3f9d6a1e-58c4-ef11-8a77-6045bd2f5510", "HARBOR SUPPLY")
        .client("app", "planted client secret")
        .webhook_secret(SECRET)
        .build()
        .unwrap()
}

fn receive(
    source: &BusinessCentral,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
    now: Timestamp,
) -> Intake {
    let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    source.receive(ReceiveRequest::new(&request, now)).unwrap()
}

/// Path and `clientState` of a set, as Business Central is told them: they depend on secret, company and set alone.
async fn told() -> Vec<(String, String, String)> {
    let world = World::new();
    let erp = world.connect();
    world.erp.set_hooks(Hooks::of(&world, &erp));
    erp.upkeep(&world.ctx(), UpkeepRequest::new().callback(Some(HOOKS))).await.unwrap();
    let company = world.erp.credentials().company_id;
    let told = world.erp.subscriptions().into_iter().map(|one| {
        let set = one.resource.rsplit('/').next().unwrap().to_owned();
        (set, one.notification_url.strip_prefix(HOOKS).unwrap().to_owned(), one.client_state)
    });
    told.chain([("company".to_owned(), company, String::new())]).collect()
}

#[tokio::test(start_paused = true)]
async fn the_vendor_s_vectors_hold() {
    let told = told().await;
    let of = |set: &str| told.iter().find(|(name, ..)| name == set).cloned().unwrap();
    let (_, company, _) = of("company");
    let world_company = company.as_str();
    let source = BusinessCentral::builder("erp")
        .tenant("7c1f0a52-4d8e-4b6a-9a35-2f6d1e8b0c43")
        .company(world_company, "HARBOR SUPPLY")
        .client("app", "planted client secret")
        .webhook_secret(SECRET)
        .build()
        .unwrap();
    let vectors: Value = serde_json::from_slice(&fixture("webhook_vectors.json")).unwrap();
    let mut seen: HashSet<String> = HashSet::new();
    let mut ran = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let (name, expect) = (case["name"].as_str().unwrap(), &case["expect"]);
        // What the engine answers while nothing can be stored is core's promise, and tested there.
        if name == "queue_down" {
            continue;
        }
        let set = match case["path"].as_str().unwrap() {
            path if path.ends_with("purchase-invoices") => "purchaseInvoices",
            path if path.ends_with("sales-invoices") => "salesInvoices",
            _ => "none",
        };
        let (path, state) = match told.iter().find(|(name, ..)| name == set) {
            Some((_, path, state)) => (path.clone(), state.clone()),
            None => ("/never-issued".to_owned(), String::new()),
        };
        let body = match case["bodyFile"].as_str() {
            Some(file) => String::from_utf8(fixture(file).to_vec()).unwrap(),
            None => case["body"].as_str().unwrap().to_owned(),
        };
        let body = body
            .replace("k7Qm2vXc9TfLr4Zp8sHd6wNb1yGe3uJa5oKi0xRt", &state)
            .replace("3f9d6a1e-58c4-ef11-8a77-6045bd2f5510", world_company);
        let query = case["query"].as_str().unwrap();
        let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
        let request = Request::builder().method(case["method"].as_str().unwrap()).uri(&uri);
        let request = request.body(Bytes::from(body)).unwrap();
        let intake = match source.receive(ReceiveRequest::new(&request, NOW)) {
            // The engine answers so once all connections of the endpoint are there.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert_eq!(expect["status"], 404, "{name}");
                ran += 1;
                continue;
            }
            intake => intake.unwrap(),
        };
        let status = intake.reply.status().as_u16();
        match expect["status"].as_u64() {
            Some(expected) => assert_eq!(u64::from(status), expected, "{name}"),
            None => assert!((200..300).contains(&status), "{name}: {status}"),
        }
        if let Some(text) = expect["body"].as_str() {
            assert_eq!(intake.reply.body(), text, "{name}");
            assert_eq!(intake.reply.headers()["content-type"], "text/plain");
            assert_eq!(intake.reply.headers()["x-content-type-options"], "nosniff");
        }
        let new: Vec<&Signal> = intake
            .signals
            .iter()
            .filter(|signal| signal.hint.as_deref() != Some(TROUBLE))
            .filter(|signal| seen.insert(signal.dedupe.as_ref().unwrap().as_str().to_owned()))
            .collect();
        // A read and a sweep of one feed are one job.
        let jobs: HashSet<_> = new
            .iter()
            .map(|signal| match &signal.subject {
                Subject::Entity(entity) => entity.to_string(),
                other => other.feed().unwrap().to_string(),
            })
            .collect();
        assert_eq!(jobs.len() as u64, expect["enqueue"].as_u64().unwrap(), "{name}");
        let sweeps = new.iter().filter(|signal| matches!(signal.subject, Subject::Sweep(_))).count();
        assert_eq!(sweeps, usize::from(expect["job"] == "full_resync"), "{name}");
        assert_eq!(new.len(), jobs.len() + sweeps, "{name}: changes are read beside");
        if let Some(since) = expect["since"].as_str() {
            let Subject::Feed { since: read, .. } = &new[0].subject else { panic!("{name}") };
            assert_eq!(*read, Some(Timestamp::parse(since).unwrap()));
        }
        // What is dropped leaves a trace that a person can read.
        let note = intake.note.as_deref();
        let reason = note.map(|note| note.strip_prefix("entries are dropped: ").unwrap());
        let expected = match name {
            "mixed_entries_one_foreign" => Some("client_state_mismatch"),
            _ => expect["audit"].as_str(),
        };
        assert_eq!(reason, expected, "{name}");
        assert_eq!(intake.note_key.is_some(), note.is_some(), "{name}: nobody fills the log with notes");
        ran += 1;
    }
    assert!(ran >= 14, "{ran} cases");
}

#[tokio::test(start_paused = true)]
async fn no_request_to_an_issued_path_gets_anything_but_2xx_and_trouble_reads_at_most_every_quarter() {
    let told = told().await;
    let (_, company, _) = told.iter().find(|(name, ..)| name == "company").unwrap();
    let source = BusinessCentral::builder("erp")
        .tenant("7c1f0a52-4d8e-4b6a-9a35-2f6d1e8b0c43")
        .company(company, "X")
        .client("app", "planted client secret")
        .webhook_secret(SECRET)
        .build()
        .unwrap();
    let (_, path, state) = &told[0];
    let (mut keys, mut notes) = (HashSet::new(), HashSet::new());
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = format!(r#"{{"value":[{}]}}"#, vec!["{}"; 10_000].join(","));
    let large = vec![b'x'; (4 << 20) + 1];
    for (n, body) in [
        Vec::new(),
        b"null".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        b"{\"value\":7}".to_vec(),
        b"{\"value\":[]}".to_vec(),
        b"{\"value\":[1,2]}".to_vec(),
        b"{\"value\":[{\"clientState\":\"another\"}]}".to_vec(),
        b"{\"value\":[null,7,[],{\"clientState\":{}}]}".to_vec(),
        b"{\"ProviderName\":\"x\",\"Request\":{}}".to_vec(),
        deep.into_bytes(),
        many.into_bytes(),
        large,
        format!(r#"{{"value":[{{"clientState":"{state}","resource":"'; DROP","changeType":"updated"}}]}}"#)
            .into_bytes(),
    ]
    .into_iter()
    .enumerate()
    {
        let intake = receive(&source, "POST", path, body, NOW);
        assert!(intake.reply.status().is_success(), "body {n}");
        assert!(intake.signals.iter().all(|signal| signal.hint.as_deref() == Some(TROUBLE)), "body {n}");
        assert_eq!(intake.signals.len(), 1, "body {n}");
        let key = intake.signals[0].dedupe.as_ref().unwrap().as_str();
        assert!(!key.contains(path.trim_start_matches('/')), "the log keeps keys, and the path is a secret");
        assert!(intake.note.is_some() && intake.evidence.is_some(), "body {n}");
        let note_key = intake.note_key.unwrap();
        assert!(!note_key.as_str().contains(path.trim_start_matches('/')), "{note_key}");
        notes.insert(note_key);
        keys.extend(intake.signals.into_iter().map(|signal| signal.dedupe.unwrap()));
    }
    assert_eq!(keys.len(), 1, "all within a quarter of an hour lead to one read");
    assert_eq!(notes.len(), 6, "and to one note for each reason: {notes:?}");
    let later = receive(&source, "POST", path, Bytes::new(), NOW + std::time::Duration::from_secs(900));
    assert!(keys.insert(later.signals[0].dedupe.clone().unwrap()));
    for token in ["", "\u{1}", &"x".repeat(513)] {
        let encoded: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let intake = receive(&source, "GET", &format!("{path}?validationToken={encoded}"), Bytes::new(), NOW);
        assert!(intake.reply.status().is_success() && intake.reply.body().is_empty());
    }
}

/// Two connections of one company, such as a copy of its environment, have the same paths, and one log.
#[tokio::test(start_paused = true)]
async fn the_trouble_of_one_connection_is_not_taken_for_that_of_another() {
    let world = World::new();
    let told = told().await;
    let mut keys = HashSet::new();
    for connection in ["erp", "copy"] {
        let source = builder(&world.erp, connection).build().unwrap();
        for (_, path, _) in told.iter().filter(|(name, ..)| name != "company") {
            let intake = receive(&source, "POST", path, Bytes::new(), NOW);
            assert!(keys.insert(intake.signals[0].dedupe.clone().unwrap()), "{keys:?}");
            assert!(keys.insert(intake.note_key.unwrap()), "{keys:?}");
        }
    }
}

#[test]
fn nothing_secret_is_shown() {
    let shown = format!("{:?}", source());
    assert!(!shown.contains("planted"), "{shown}");
}
