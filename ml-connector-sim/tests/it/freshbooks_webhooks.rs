//! FreshBooks's callbacks: registration, handshake, deliveries, signatures, retries.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap};
use http::{Method, StatusCode};
use ml_connector_core::{Secret, Timestamp, model::Decimal};
use ml_connector_sim::{
    FreshBooksSim, SimTransport,
    freshbooks::{Bill, BillVendor, Disabling, ErrorForm, Expense, Kind, signature},
};
use serde_json::{Value, json};

use crate::{
    Answered,
    freshbooks::{World, assert_as_recorded, fixture, world},
};

const CALLBACKS: &str = "/events/account/Zq84Xk/events/callbacks";
const URI: &str = "https://hooks.example.com/freshbooks/t-118/invoice";

/// A body and its signature.
type Delivered = (String, Option<String>);

/// Who receives deliveries, and answers with a status.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Delivered>>>,
    status: Arc<Mutex<Option<StatusCode>>>,
}

impl Receiver {
    fn transport(&self) -> SimTransport {
        async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
            let signature = headers.get("x-freshbooks-hmac-sha256");
            let signature = signature.and_then(|value| value.to_str().ok()).map(str::to_owned);
            receiver.got.lock().unwrap().push((String::from_utf8(body.to_vec()).unwrap(), signature));
            receiver.status.lock().unwrap().unwrap_or(StatusCode::OK)
        }
        let router = Router::new().fallback(receive).with_state(self.clone());
        SimTransport::new().with_router("https://hooks.example.com", router)
    }

    fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut *self.got.lock().unwrap())
    }

    fn answers(&self, status: StatusCode) {
        *self.status.lock().unwrap() = Some(status);
    }
}

fn field(body: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(body.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

async fn create(world: &World, bearer: &str, event: &str, uri: &str) -> Answered {
    let body = json!({ "callback": { "event": event, "uri": uri } }).to_string();
    world.call(Method::POST, bearer, CALLBACKS, &body).await
}

/// Sends one of the recorded requests, with its verifier replaced.
async fn put_recorded(world: &World, bearer: &str, id: u64, name: &str, verifier: &str) -> Answered {
    let mut callback = fixture(name)["callback"].clone();
    if callback.get("verifier").is_some() {
        callback["verifier"] = verifier.into();
    }
    put(world, bearer, id, callback).await
}

async fn put(world: &World, bearer: &str, id: u64, callback: Value) -> Answered {
    let body = json!({ "callback": callback }).to_string();
    world.call(Method::PUT, bearer, &format!("{CALLBACKS}/{id}"), &body).await
}

fn id_of(answer: &Answered) -> u64 {
    answer.body["response"]["result"]["callback"]["callbackid"].as_u64().expect("a callback's id")
}

/// Registers a callback and answers its handshake. Returns its id and its verifier.
async fn registered(world: &World, receiver: &Receiver, event: &str) -> (u64, String) {
    let bearer = world.bearer().await;
    let uri = format!("https://hooks.example.com/freshbooks/t-118/{event}");
    let id = id_of(&create(world, &bearer, event, &uri).await);
    world.sim.deliver(&receiver.transport()).await;
    let (body, _) = receiver.take().pop().expect("a handshake");
    let verifier = field(&body, "verifier").unwrap();
    let verified = put_recorded(world, &bearer, id, "callback_verify_request", &verifier).await;
    assert_eq!(verified.body["response"]["result"]["callback"]["verified"], true);
    (id, verifier)
}

#[test]
fn signatures_are_those_of_the_vectors() {
    let vectors = fixture("webhook_vectors");
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 11);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let found = signature(&Secret::from(text("verifier")), text("body").as_bytes());
        assert_eq!(found, text("signature"), "{}", text("name"));
    }
}

#[tokio::test]
async fn a_callback_is_told_only_after_its_verifier_came_back() {
    let world = world();
    world.clock.set(Timestamp::parse("2026-06-29T16:40:02Z").unwrap());
    let (receiver, bearer) = (Receiver::default(), world.bearer().await);
    let request = fixture("callback_create_request").to_string();
    let created = world.call(Method::POST, &bearer, CALLBACKS, &request).await;
    assert_as_recorded("callback_create_response", &created.body);
    let id = id_of(&created);
    world.invoice(100);
    world.sim.deliver(&receiver.transport()).await;
    let [(handshake, signed)] = &receiver.take()[..] else { panic!("expected the handshake alone") };
    assert_eq!(field(handshake, "name").as_deref(), Some("callback.verify"));
    assert_eq!(field(handshake, "object_id"), Some(id.to_string()));
    let verifier = field(handshake, "verifier").unwrap();
    assert_eq!(verifier.len(), 32);
    assert_eq!(signed.as_deref(), Some(&*signature(&Secret::from(&*verifier), handshake.as_bytes())));

    let wrong = put(&world, &bearer, id, json!({ "verifier": "made up" })).await;
    assert_eq!((wrong.status, &wrong.body["errno"]), (StatusCode::UNPROCESSABLE_ENTITY, &422.into()));
    world.clock.advance(Duration::from_secs(3));
    // The collection's form, which the documentation has not.
    let right = put_recorded(&world, &bearer, id, "callback_verify_request_with_id", &verifier).await;
    assert_as_recorded("callback_verify_response", &right.body);

    let invoice = world.invoice(200);
    world.sim.deliver(&receiver.transport()).await;
    let told = receiver.take();
    let [(body, signed)] = &told[..] else { panic!("expected one delivery, not {told:?}") };
    assert_eq!(
        *body,
        format!(
            "name=invoice.create&object_id={invoice}&account_id=Zq84Xk&business_id=7310042&identity_id=4820017&user_id=1"
        )
    );
    assert_eq!(signed.as_deref(), Some(&*signature(&Secret::from(&*verifier), body.as_bytes())));
}

#[tokio::test]
async fn the_list_of_callbacks_is_the_recorded_one() {
    let world = world();
    let receiver = Receiver::default();
    let at = |time: &str| world.clock.set(Timestamp::parse(time).unwrap());
    at("2026-06-29T16:40:05Z");
    registered(&world, &receiver, "invoice").await;
    at("2026-06-29T16:40:07Z");
    registered(&world, &receiver, "payment").await;
    at("2026-06-29T16:40:09Z");
    let bearer = world.bearer().await;
    let _created = create(&world, &bearer, "bill", "https://hooks.example.com/freshbooks/t-118/bill").await;
    drop(world.sim.take_webhooks());
    at("2026-06-29T16:40:11Z");
    registered(&world, &receiver, "expense").await;
    let bearer = world.bearer().await;
    assert_as_recorded("callbacks_list", &world.call(Method::GET, &bearer, CALLBACKS, "").await.body);
}

#[tokio::test]
async fn deliveries_are_the_recorded_ones() {
    let world = world();
    let receiver = Receiver::default();
    for noun in ["invoice", "payment", "bill", "expense"] {
        registered(&world, &receiver, noun).await;
    }
    world.sim.number_from(Kind::Invoice, 502_317);
    world.sim.number_from(Kind::Payment, 340_118);
    world.sim.number_from(Kind::Bill, 71_205);
    let invoice = world.invoice(100);
    world.sim.pay_invoice(invoice, Decimal::from(40)).unwrap();
    let vendor = world.sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    let bill = world.sim.create(Bill::new(vendor, Decimal::from(90))).unwrap();
    // Payments of bills have no events.
    world.sim.pay_bill(bill, Decimal::from(90)).unwrap();
    world.sim.number_from(Kind::Expense, 2_714_450);
    world.sim.create(Expense::new("Serano Bakery", Decimal::from(12))).unwrap();
    world.sim.deliver(&receiver.transport()).await;
    let bodies: Vec<String> = receiver.take().into_iter().map(|(body, _)| body).collect();
    let recorded = [
        "webhook_invoice_create",
        "webhook_payment_create",
        "webhook_invoice_update",
        "webhook_bill_create",
        "webhook_expense_create",
    ];
    let recorded = recorded.map(|name| {
        let path = format!("{}/fixtures/freshbooks/{name}.form", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    });
    assert_eq!(bodies, recorded);
}

#[tokio::test]
async fn bad_requests_are_refused_as_recorded() {
    let world = world();
    let bearer = world.bearer().await;
    let wrong = create(&world, &bearer, "invoices.made", "hooks").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_as_recorded("callback_error_422", &wrong.body);
    assert_as_recorded("callback_error_404", &put(&world, &bearer, 9, json!({ "resend": true })).await.body);
    world.sim.tune(|quirks| quirks.error_form = ErrorForm::Rpc);
    assert_as_recorded(
        "callback_error_422_rpc_style",
        &create(&world, &bearer, "invoices.made", "hooks").await.body,
    );
    assert_as_recorded("callbacks_list_empty", &world.call(Method::GET, &bearer, CALLBACKS, "").await.body);

    let narrow = world.sim.grant(&["user:invoices:read"]);
    let narrow = world.token_answer(&[("refresh_token", &narrow)]).await;
    let narrow = format!("Bearer {}", narrow.body["access_token"].as_str().unwrap());
    assert_eq!(create(&world, &narrow, "bill", URI).await.status, StatusCode::FORBIDDEN);
    assert_eq!(create(&world, &narrow, "invoice.sendByEmail", URI).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_callback_can_be_found_by_its_event_and_deleted() {
    let world = world();
    let receiver = Receiver::default();
    let (id, _) = registered(&world, &receiver, "invoice").await;
    registered(&world, &receiver, "payment.create").await;
    let bearer = world.bearer().await;
    let found = async |search: &str| {
        let path = format!("{CALLBACKS}?search[event]={search}");
        world.call(Method::GET, &bearer, &path, "").await.body["response"]["result"]["total"].as_u64()
    };
    assert_eq!(found("invoice.create").await, Some(1));
    assert_eq!(found("payment.create").await, Some(1));
    assert_eq!(found("payment").await, Some(0));

    world.invoice(100);
    let gone = world.call(Method::DELETE, &bearer, &format!("{CALLBACKS}/{id}"), "").await;
    assert_eq!((gone.status, gone.body), (StatusCode::NO_CONTENT, Value::Null));
    assert!(world.sim.deliver(&receiver.transport()).await.is_empty());
    assert_eq!(found("invoice").await, Some(0));
}

#[tokio::test]
async fn failures_are_tried_again_and_then_dropped() {
    let world = world();
    let receiver = Receiver::default();
    registered(&world, &receiver, "invoice").await;
    world.invoice(100);
    // A redirect has failed as well.
    receiver.answers(StatusCode::MOVED_PERMANENTLY);
    let transport = receiver.transport();
    let mut pauses = Vec::new();
    loop {
        let attempts = world.sim.deliver(&transport).await;
        let [attempt] = &attempts[..] else { panic!("expected one attempt") };
        let Some(again) = attempt.again else { break };
        pauses.push(again.saturating_since(attempt.at).as_secs() / 60);
        world.clock.set(again);
    }
    assert_eq!(pauses, [1, 5, 30]);
    let bodies = receiver.take();
    assert!(
        bodies.len() == 4 && bodies.windows(2).all(|pair| pair[0] == pair[1]),
        "the same bytes each time"
    );
    assert!(world.sim.callbacks()[0].verified);
}

#[tokio::test]
async fn a_disabled_callback_comes_back_with_another_verifier() {
    let world = world();
    let receiver = Receiver::default();
    let (id, old) = registered(&world, &receiver, "invoice").await;
    let bearer = world.bearer().await;
    world.sim.tune(|quirks| quirks.disabling = Some(Disabling::Unverify { failures: 2 }));
    receiver.answers(StatusCode::SERVICE_UNAVAILABLE);
    let invoice = world.invoice(100);
    world.sim.deliver(&receiver.transport()).await;
    assert!(world.sim.callbacks()[0].verified);
    world.clock.advance(Duration::from_secs(60));
    world.sim.deliver(&receiver.transport()).await;
    assert!(!world.sim.callbacks()[0].verified);
    world.sim.mark_sent(invoice).unwrap();
    receiver.answers(StatusCode::OK);
    receiver.take();

    let asked = put_recorded(&world, &bearer, id, "callback_resend_request", "").await;
    assert_eq!(asked.body["response"]["result"]["callback"]["verified"], false);
    world.clock.advance(Duration::from_secs(300));
    world.sim.deliver(&receiver.transport()).await;
    let got = receiver.take();
    let [(late, signed), (handshake, _)] = &got[..] else { panic!("expected two deliveries, not {got:?}") };
    assert_eq!(
        signed.as_deref(),
        Some(&*signature(&Secret::from(&*old), late.as_bytes())),
        "under the old verifier"
    );
    let new = field(handshake, "verifier").unwrap();
    assert_ne!(new, old);
    let refused = put(&world, &bearer, id, json!({ "verifier": old })).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    put(&world, &bearer, id, json!({ "verifier": new })).await;
    assert!(world.sim.callbacks()[0].verified);
    // Nothing is sent again to a callback that is verified.
    put(&world, &bearer, id, json!({ "resend": true })).await;
    assert!(world.sim.take_webhooks().is_empty());

    world.sim.tune(|quirks| quirks.disabling = Some(Disabling::Delete { failures: 1 }));
    receiver.answers(StatusCode::BAD_GATEWAY);
    world.invoice(5);
    world.sim.deliver(&receiver.transport()).await;
    assert!(world.sim.callbacks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_may_come_before_the_answer_that_names_the_callback_and_twice() {
    use ml_connector_sim::Fault;
    let world = world();
    let receiver = Receiver::default();
    let bearer = world.bearer().await;
    world.sim.tune_webhooks(|tuning| tuning.duplicates = 1);
    world.sim.plant(Fault::delay(Duration::from_secs(3)).having_acted().on("callbacks"));
    let creating = create(&world, &bearer, "invoice", URI);
    let delivering = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.sim.deliver(&receiver.transport()).await
    };
    let (created, delivered) = tokio::join!(creating, delivering);
    assert_eq!((created.status, delivered.len()), (StatusCode::OK, 2));
    let got = receiver.take();
    assert_eq!(got[0], got[1]);
}

#[tokio::test]
async fn deliveries_have_other_shapes_when_asked_and_can_be_forged() {
    let world = world();
    let receiver = Receiver::default();
    let (_, verifier) = registered(&world, &receiver, "invoice").await;
    world.sim.tune(|quirks| {
        quirks.old_deliveries = true;
        quirks.bare_nouns = true;
    });
    let invoice = world.invoice(100);
    world.sim.deliver(&receiver.transport()).await;
    let (body, signed) = receiver.take().pop().unwrap();
    assert_eq!(
        body,
        format!(
            "user_id=1&name=invoice&object_id={invoice}&account_id=Zq84Xk&system=https%3A%2F%2Fnorthwindstudio.freshbooks.com"
        )
    );
    assert_eq!(signed.unwrap(), signature(&Secret::from(&*verifier), body.as_bytes()));

    let forged =
        [("name", "callback.verify"), ("object_id", "2417"), ("verifier", "mine"), ("account_id", "Zq84Xk")];
    let forged = FreshBooksSim::forge(URI, &forged, Some(&Secret::from("mine"))).unwrap();
    assert_eq!(forged.uri(), URI);
    assert!(forged.headers().contains_key("x-freshbooks-hmac-sha256"));
    world.sim.tune_webhooks(|tuning| tuning.wrong_secret = true);
    world.sim.mark_sent(invoice).unwrap();
    world.sim.delete(Kind::Invoice, invoice).unwrap();
    world.sim.deliver(&receiver.transport()).await;
    let (body, signed) = receiver.take().pop().unwrap();
    assert_ne!(signed.unwrap(), signature(&Secret::from(&*verifier), body.as_bytes()));
}
