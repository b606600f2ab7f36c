use http::Request;
use ml_connector_core::{
    Secret, Timestamp,
    conformance::vectors::{self, SignatureVector},
};

use super::{
    state::{Asked, Earlier, Kept},
    *,
};

const V1: &str = "kT7vQ2mZx9LrB4nWc8HdYp3sJf6GaEu1";
const V2: &str = "nR5uW8eX2cVb7kLmQ4tYz9aS1dFg3HjP";
const NOW: Timestamp = Timestamp::from_secs(1_792_000_000);
const CREATE: &str = include_str!("../../tests/fixtures/webhook_invoice_create.form");
const SIGNED: &str = "41chultB2gYobk7J2OTveoiU7DFcBBcat7g3hu4Hkw8=";

fn webhook(account: &str) -> Webhook {
    Webhook::new(account, vec!["invoice", "payment", "bill", "expense"])
}

fn kept(verifier: Option<&str>) -> Kept {
    Kept { id: Some("2417".into()), verifier: verifier.map(key), ..Kept::default() }
}

fn key(text: &str) -> Key {
    Key(Secret::from(text))
}

fn state(of: &[(&str, Kept)]) -> Bytes {
    let nouns = of.iter().map(|(noun, kept)| ((*noun).to_owned(), kept.clone())).collect();
    State { base: "https://hooks.example.com/books-0123".into(), nouns, ..State::default() }.write().unwrap()
}

fn post(path: &str, body: &str, signature: Option<&str>) -> Request<Bytes> {
    let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    if let Some(signature) = signature {
        request = request.header("X-FreshBooks-Hmac-SHA256", signature);
    }
    request.body(Bytes::from(body.to_owned())).unwrap()
}

fn receive_as(account: &str, request: &Request<Bytes>, state: Option<&Bytes>) -> Result<Intake> {
    webhook(account).receive(ReceiveRequest::new(request, NOW).state(state))
}

fn receive(request: &Request<Bytes>, state: &Bytes) -> Result<Intake> {
    receive_as("Zq84Xk", request, Some(state))
}

const VECTORS: &str = include_str!("../../tests/vectors/webhook_signatures.json");

/// What is signed, as the file says it: the message has a test of its own.
fn sign(vector: &SignatureVector) -> String {
    let hmac = HmacSha256::new([&Secret::from(vector.secret.as_str())]).unwrap();
    hmac.sign(&[vector.message.as_bytes()], Encoding::Base64)
}

/// A receiver that has the vector's verifier for the kind of record in its path.
fn verdict(vector: &SignatureVector, request: ReceiveRequest<'_>) -> Option<Result<Intake>> {
    let fields = signature::form(&vector.body()).unwrap();
    let (_, account) = fields.iter().find(|(name, _)| name == "account_id").unwrap();
    let noun = vector.target.trim_start_matches('/').to_owned();
    let state = state(&[(noun.as_str(), kept(Some(&vector.secret)))]);
    let webhook = Webhook::new(account, vec!["invoice", "payment", "bill", "expense", "client"]);
    Some(webhook.receive(request.state(Some(&state))))
}

#[test]
fn every_vector_is_signed_and_classified_as_the_file_says() {
    vectors::check_with(VECTORS, sign, verdict);
}

#[test]
#[should_panic(expected = "wrong-key: Refuse")]
fn a_wrong_verdict_is_noticed() {
    vectors::check_with(&VECTORS.replacen("\"refuse\"", "\"accept\"", 1), sign, verdict);
}

#[test]
fn what_is_signed_with_a_verifier_that_is_not_confirmed_is_asked_for_again() {
    let offered = Kept {
        offers: vec![
            Offer { id: "2417".into(), verifier: key(V2) },
            Offer { id: "2417".into(), verifier: key(V1) },
        ],
        ..kept(None)
    };
    let state = state(&[("invoice", offered), ("bill", Kept::default())]);
    let early = receive(&post("/invoice", CREATE, Some(SIGNED)), &state).unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Unavailable);
    assert!(!format!("{early:?}").contains(V1), "{early:?}");
    for (path, body, signature) in [
        ("/invoice", CREATE.replace("502317", "502318"), SIGNED),
        ("/invoice", CREATE.to_owned(), "AAAA"),
        ("/bill", CREATE.to_owned(), SIGNED),
    ] {
        let error = receive(&post(path, &body, Some(signature)), &state).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignatureInvalid, "{path} {body} {signature}");
    }
}

#[test]
fn what_must_not_be_proven_is_not() {
    let state = state(&[("invoice", kept(Some(V1)))]);
    receive(&post("/invoice", CREATE, Some(SIGNED)), &state).unwrap();
    let reordered = "object_id=502317&name=invoice.create&account_id=Zq84Xk&business_id=7310042&identity_id=4820017&user_id=1";
    // Compact JSON, numbers without quotes, the raw body, hexadecimal.
    let compact = r#"{"name":"invoice.create","object_id":"502317","account_id":"Zq84Xk","business_id":"7310042","identity_id":"4820017","user_id":"1"}"#;
    let unquoted = r#"{"name": "invoice.create", "object_id": 502317, "account_id": "Zq84Xk", "business_id": 7310042, "identity_id": 4820017, "user_id": 1}"#;
    let secret = Secret::from(V1);
    let hmac = HmacSha256::new([&secret]).unwrap();
    let [compact, unquoted, raw] =
        [compact, unquoted, CREATE].map(|text| hmac.sign(&[text.as_bytes()], Encoding::Base64));
    let message = signature::message(&signature::form(CREATE.as_bytes()).unwrap());
    let hex = hmac.sign(&[message.as_bytes()], Encoding::Hex);
    for (body, signature) in [
        (reordered, Some(SIGNED)),
        (CREATE, Some(&*compact)),
        (CREATE, Some(&*unquoted)),
        (CREATE, Some(&*raw)),
        (CREATE, Some(&*hex)),
        (CREATE, Some("")),
        (CREATE, None),
    ] {
        let error = receive(&post("/invoice", body, signature), &state).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignatureInvalid);
        assert!(!format!("{error:?}").contains(SIGNED));
    }
    let mut twice = post("/invoice", CREATE, Some(SIGNED));
    twice.headers_mut().append("x-freshbooks-hmac-sha256", SIGNED.parse().unwrap());
    assert!(receive(&twice, &state).is_err());
    let mut json = post("/invoice", CREATE, Some(SIGNED));
    json.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert!(receive(&json, &state).is_err());
    assert!(
        receive_as("Zq84Xk", &post("/invoice", CREATE, Some(SIGNED)), None).is_err(),
        "nobody has a key yet"
    );
}

#[test]
fn a_delivery_says_which_record_to_read_and_for_which_account() {
    let state = state(&[("invoice", kept(Some(V1))), ("payment", kept(Some(V2)))]);
    let signal = receive(&post("/invoice", CREATE, Some(SIGNED)), &state).unwrap().signals.remove(0);
    assert_eq!(signal.subject, Subject::Entity(EntityRef::new("invoice", "502317")));
    assert_eq!(
        (signal.hint.as_deref(), signal.account.unwrap().as_str()),
        (Some("invoice.create"), "account:Zq84Xk")
    );
    // Made anew by hand: the path of one noun, the key of another.
    let moved = receive(&post("/payment", CREATE, Some(SIGNED)), &state).unwrap();
    assert_eq!(moved.signals.len(), 1);
    for (path, body, kind) in [
        ("/payment", include_str!("../../tests/fixtures/webhook_payment_create.form"), "customer_payment"),
        ("/bill", include_str!("../../tests/fixtures/webhook_bill_create.form"), "bill"),
        ("/expense", include_str!("../../tests/fixtures/webhook_expense_create.form"), "expense"),
    ] {
        let signal = receive(&signed(path, body), &state).unwrap().signals.remove(0);
        let Subject::Entity(entity) = signal.subject else { panic!() };
        assert_eq!(&*entity.kind, kind);
    }
    let elsewhere = receive(&post("/timesheet", CREATE, Some(SIGNED)), &state).unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::NotFound);
}

/// A body with its signature by the first key.
fn signed(path: &str, body: &str) -> Request<Bytes> {
    let secret = Secret::from(V1);
    let message = signature::message(&signature::form(body.as_bytes()).unwrap());
    let signature = HmacSha256::new([&secret]).unwrap().sign(&[message.as_bytes()], Encoding::Base64);
    post(path, body, Some(&signature))
}

#[test]
fn what_is_not_known_is_answered_with_a_success_and_noted() {
    let state = state(&[("invoice", kept(Some(V1)))]);
    for (body, expected) in [
        ("name=time_entry.create&object_id=7&account_id=Zq84Xk", "time_entry.create"),
        ("name=invoice.create&object_id=abc&account_id=Zq84Xk", "without the id"),
        ("name=invoice.create&account_id=Zq84Xk", "without the id"),
        ("object_id=7&account_id=Zq84Xk", "not known"),
        ("name=%3Cscript%3E.x&object_id=7", "of another form"),
    ] {
        let intake = receive(&signed("/invoice", body), &state).unwrap();
        assert!(intake.signals.is_empty() && intake.reply.status().is_success());
        assert!(intake.note.as_deref().unwrap().contains(expected), "{body}: {:?}", intake.note);
    }
    // A noun without a verb is a change.
    let bare = receive(&signed("/invoice", "name=invoice&object_id=7&account_id=Zq84Xk"), &state).unwrap();
    assert_eq!(bare.signals[0].hint.as_deref(), Some("invoice"));
}

const HANDSHAKE: &str = include_str!("../../tests/fixtures/webhook_verification.form");

#[test]
fn a_handshake_that_is_waited_for_is_kept_and_in_no_entry() {
    let asked = Some(Asked { at: NOW, sent: true });
    let waiting = state(&[("invoice", Kept { asked, ..Kept::default() })]);
    let request = post("/invoice", HANDSHAKE, None);
    let intake = receive(&request, &waiting).unwrap();
    assert_eq!(intake.signals[0].subject, Subject::Subscription("invoice".into()));
    assert_eq!(intake.evidence.as_deref(), Some(&b"a verifier for callback 2417"[..]));
    assert!(intake.signals[0].payload.is_none());
    let kept = intake.state.unwrap();
    let offers = &State::read(Some(&kept)).nouns["invoice"].offers;
    assert_eq!((offers.len(), &*offers[0].id, offers[0].verifier.0.expose()), (1, "2417", V1));
    // Twice: nothing changes, and nothing is lost.
    let again = receive(&request, &kept).unwrap();
    assert!(again.state.is_none() && again.signals.len() == 1);
    // It proves no delivery before FreshBooks has accepted it.
    assert!(receive(&post("/invoice", CREATE, Some(SIGNED)), &kept).is_err());
}

#[test]
fn several_handshakes_at_once_lose_no_verifier() {
    let asked = Some(Asked { at: NOW, sent: true });
    let mut kept =
        state(&[("invoice", Kept { asked, ..Kept::default() }), ("bill", Kept { asked, ..Kept::default() })]);
    for (path, id, verifier) in [("/invoice", "1", "one"), ("/bill", "2", "two"), ("/invoice", "3", "three")]
    {
        let body = format!("name=callback.verify&object_id={id}&account_id=Zq84Xk&verifier={verifier}");
        kept = receive(&post(path, &body, None), &kept).unwrap().state.unwrap();
    }
    let state = State::read(Some(&kept));
    let ids = |noun: &str| state.nouns[noun].offers.iter().map(|offer| offer.id.clone()).collect::<Vec<_>>();
    assert_eq!((ids("invoice"), ids("bill")), (vec!["1".to_owned(), "3".into()], vec!["2".to_owned()]));
}

#[test]
fn a_handshake_that_nobody_waits_for_changes_nothing() {
    let asked = Some(Asked { at: NOW, sent: true });
    let long_ago = Some(Asked { at: NOW - std::time::Duration::from_secs(7200), sent: true });
    let other = Kept { id: Some("9".into()), asked, ..Kept::default() };
    for (kept, body, why) in [
        (kept(Some(V2)), HANDSHAKE, "no handshake is waited for"),
        (Kept { asked: long_ago, ..Kept::default() }, HANDSHAKE, "no handshake is waited for"),
        (other, HANDSHAKE, "another callback"),
        (
            Kept { asked, ..Kept::default() },
            "name=callback.verify&object_id=2417&account_id=Lm07Qa&verifier=x",
            "another account",
        ),
        (
            Kept { asked, ..Kept::default() },
            "name=callback.verify&object_id=2417&account_id=Zq84Xk",
            "without a verifier",
        ),
        (
            Kept { asked, ..Kept::default() },
            "name=callback.verify&object_id=x&account_id=Zq84Xk&verifier=planted",
            "without a verifier",
        ),
    ] {
        let intake = receive(&post("/invoice", body, None), &state(&[("invoice", kept)])).unwrap();
        assert!(intake.state.is_none() && intake.signals.is_empty() && intake.reply.status().is_success());
        assert!(intake.note.as_deref().unwrap().contains(why), "{:?}", intake.note);
        let evidence = String::from_utf8_lossy(intake.evidence.as_deref().unwrap()).into_owned();
        assert!(!evidence.contains(V1) && !evidence.contains("planted"), "{evidence}");
    }
}

/// 8: after a verifier was replaced, what FreshBooks had under way with the one from before is taken for a while.
#[test]
fn the_key_from_before_proves_for_a_while() {
    let case: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/cases/08-callback-disabled-and-back.sequence.json"))
            .unwrap();
    let step = |n: usize, name: &str| case[n][name].as_str().unwrap().to_owned();
    let handshake = step(3, "deliver");
    let asked = Some(Asked { at: NOW, sent: true });
    let before = Kept {
        id: Some("912004".into()),
        verifier: Some(key("q4ZrT8mYx2LbN6wKc0HdUp5sJf9GaEv3")),
        asked,
        ..Kept::default()
    };
    let waiting = state(&[("invoice", before)]);
    let intake =
        receive_as("Hn7Tq2", &post("/invoice", &handshake, Some(&step(3, "header"))), Some(&waiting))
            .unwrap();
    let mut state = State::read(intake.state.as_ref());
    let kept = state.nouns.get_mut("invoice").unwrap();
    let offer = kept.offers.pop().unwrap();
    kept.adopt(offer, NOW);
    assert!(matches!(&kept.earlier, Some(Earlier { until, .. }) if *until > NOW));
    let state = state.write().unwrap();
    for n in [5, 6] {
        let request = post("/invoice", &step(n, "deliver"), Some(&step(n, "header")));
        assert_eq!(receive_as("Hn7Tq2", &request, Some(&state)).unwrap().signals.len(), 1, "step {n}");
        let later =
            ReceiveRequest::new(&request, NOW + std::time::Duration::from_secs(90_000)).state(Some(&state));
        assert_eq!(webhook("Hn7Tq2").receive(later).is_ok(), n == 6, "step {n}");
    }
}

#[test]
fn what_is_kept_shows_no_verifier_and_survives_garbage() {
    let state = State::read(Some(&Bytes::from_static(b"garbage")));
    assert!(state.nouns.is_empty());
    let error = receive(&post("/invoice", CREATE, Some(SIGNED)), &Bytes::from_static(b"{}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignatureInvalid);
}
