//! The suite that every source passes, against the simulated business.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Clock, HttpTransport, Secret, Source,
    conformance::{
        Refusals,
        source::{self, Handshake, Lists, Proof, SourceUnderTest, Webhook},
    },
    http::{Limits, TransportError},
    model::{AccountKey, EntityRef, RecordKind},
};
use ml_connector_freshbooks::FreshBooks;
use ml_connector_sim::{
    FreshBooksSim,
    freshbooks::{Bill, BillVendor, Category, Client, Expense, FreshBooksConfig, Invoice, Item, signature},
};

use crate::support::{Lab, below, builder, cents, fixture};

const SIGNATURE: &str = "x-freshbooks-hmac-sha256";
const NAME: &str = "Planted Client & Sons";
/// Two accounts of the recorded chart, which nobody makes. No other account names the first.
const LEDGER: [&str; 2] = ["e2a9b1f4-0c55-4f65-9a37-10b7f2a6c003", "e2a9b1f4-0c55-4f65-9a37-10b7f2a6c001"];

/// A record of the kind, which is not the first of its account.
fn make(sim: &FreshBooksSim, kind: &str) -> u64 {
    let amount = cents(471_125);
    match kind {
        "invoice" => {
            let client = sim.create(Client::new(NAME)).unwrap();
            sim.create(Invoice::new(client, amount).sent()).unwrap()
        }
        "customer_payment" => {
            let invoice = make(sim, "invoice");
            sim.pay_invoice(invoice, amount).unwrap()
        }
        "bill" => {
            let vendor = sim.create(BillVendor::new(NAME)).unwrap();
            sim.create(Bill::new(vendor, amount)).unwrap()
        }
        "expense" => sim.create(Expense::new(NAME, amount)).unwrap(),
        "contact" => sim.create(Client::new(NAME)).unwrap(),
        "bill_vendor" => sim.create(BillVendor::new(NAME)).unwrap(),
        "item" => sim.create(Item::new(NAME, amount)).unwrap(),
        "category" => sim.create(Category::new(NAME)).unwrap(),
        // What is paid too much is a credit, which has the next id.
        "credit" => {
            let invoice = make(sim, "invoice");
            sim.pay_invoice(invoice, amount * cents(200)).unwrap() + 1
        }
        "bill_payment" => {
            let bill = make(sim, "bill");
            sim.pay_bill(bill, amount).unwrap()
        }
        other => panic!("{other}"),
    }
}

/// Lets every lab of the suite begin with the same refresh token, which FreshBooks takes once only.
#[derive(Debug)]
struct Regranting {
    sim: FreshBooksSim,
    vendor: Arc<dyn HttpTransport>,
    scopes: Vec<String>,
}

#[async_trait]
impl HttpTransport for Regranting {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        if !request.uri().path().ends_with("/oauth/token") {
            return self.vendor.send(request, limits).await;
        }
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let fresh = self.sim.grant(&scopes);
        let fields = url::form_urlencoded::parse(request.body()).map(|(name, value)| {
            if name == "refresh_token" { (name, fresh.clone().into()) } else { (name, value) }
        });
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let (mut parts, _) = request.into_parts();
        parts.headers.remove(http::header::CONTENT_LENGTH);
        self.vendor.send(Request::from_parts(parts, body.into()), limits).await
    }
}

/// Credits are listed among the payments. Callbacks need something that they tell of.
fn connect(sim: &FreshBooksSim, kind: &str) -> FreshBooks {
    let kinds: &[&str] = match kind {
        "credit" => &["customer_payment"],
        "bill_payment" => &["bill_payment", "bill"],
        "account" => &["account", "invoice"],
        kind => &[kind],
    };
    let kinds: Vec<RecordKind> = kinds.iter().map(|kind| RecordKind::from(*kind)).collect();
    builder(sim).business_uuid(sim.credentials().business_uuid).resources(kinds).build().unwrap()
}

/// What nobody sends a webhook about that names it: it is found by reading.
const OF_WEBHOOKS: [&str; 8] = [
    "a_verified_webhook_names_its_record",
    "a_repeated_webhook_gives_the_same_signals",
    "a_webhook_without_one_good_signature_is_refused_without_a_hint",
    "a_webhook_that_was_changed_is_refused",
    "a_handshake_is_kept_without_its_secrets",
    "a_handshake_that_nobody_waits_for_changes_nothing",
    "a_webhook_signed_long_ago_or_ahead_is_refused",
    "garbage_behind_a_good_signature_is_an_invalid_request",
];

async fn reads_and_feeds(kind: &'static str) {
    let left = source::BEHAVIORS.iter().filter(|(name, _)| !OF_WEBHOOKS.contains(name));
    assert_eq!(left.clone().count() + OF_WEBHOOKS.len(), source::BEHAVIORS.len());
    // A row that cannot be read does not say that it is a credit: its id is told as a payment's, and read as what it is.
    let not_of_credits = [
        "an_unreadable_row_keeps_its_id_and_the_page_goes_on",
        // The payments that a credit made name it, too.
        "a_row_without_an_id_is_shown_as_lost_and_the_page_goes_on",
    ];
    let left = left.filter(|(name, _)| kind != "credit" || !not_of_credits.contains(name));
    for (_, check) in left {
        check(&under_test(kind).await).await;
    }
}

/// One of the simulated business's records, and the delivery that tells about it.
async fn under_test(kind: &'static str) -> SourceUnderTest {
    let scopes = FreshBooksConfig::default().scopes;
    let lab = Lab::new();
    let sim = lab.sim.clone();
    let source = connect(&sim, kind);
    let waiting = lab.look(&source, None).await.state;
    let waiting = lab.look(&source, Some(&waiting)).await.state;
    let handshake = sim.take_webhooks().remove(0);
    let offered = lab.receive(&source, &handshake, &waiting).unwrap().state.unwrap();
    let state = lab.look(&source, Some(&offered)).await.state;
    let (ids, sent) = if kind == "account" {
        make(&sim, "invoice");
        (LEDGER.map(str::to_owned), sim.take_webhooks().pop())
    } else {
        let (id, another) = (make(&sim, kind), make(&sim, kind));
        let mut sent = sim.take_webhooks();
        let own = sent.iter().position(|sent| sent.about.object_id == id);
        ([id.to_string(), another.to_string()], Some(sent.swap_remove(own.unwrap_or(0))))
    };
    let [id, another] = ids;
    let sent = below(&sent.unwrap().request);
    let verifier = verifier_of(handshake.request.body());
    let credentials = sim.credentials();
    SourceUnderTest {
        vendor: Arc::new(Regranting { sim: sim.clone(), vendor: Arc::clone(&lab.transport), scopes }),
        clock: Arc::clone(&lab.clock) as Arc<dyn Clock>,
        reads: |request| request.uri().path().starts_with("/accounting/"),
        entity: EntityRef::new(kind, id),
        another: Some(EntityRef::new(kind, another)),
        handshake: Some(Handshake {
            waiting: Some(waiting),
            request: below(&handshake.request),
            secrets: vec![verifier.clone()],
        }),
        webhook: Webhook {
            proves: Proof::Body,
            state: Some(state),
            misunderstood: misunderstood(&sent, &verifier),
            request: sent,
            account: Some(AccountKey::from(format!("account:{}", credentials.account_id))),
            signature: Some(SIGNATURE),
            tolerance: None,
            forged: Vec::new(),
        },
        refusals: refusals(),
        lists: Lists::Records,
        // These say nowhere whose they are.
        names_account: (!["bill", "bill_payment", "bill_vendor", "category", "account"].contains(&kind))
            .then(|| credentials.account_id.clone()),
        missing: vec![
            Response::builder()
                .status(404)
                .body(fixture(if kind == "account" { "error_404_ledger.json" } else { "error_404.json" }))
                .unwrap(),
            Response::builder().status(404).body(fixture("error_404_rpc_style.json")).unwrap(),
            // A plan without the resource answers so.
            Response::new(fixture("error_200_no_access.json")),
        ],
        secrets: vec![
            credentials.client_secret,
            credentials.refresh_token,
            verifier,
            NAME.to_owned(),
            "4711.25".to_owned(),
        ],
        connect: Box::new(move || Arc::new(connect(&sim, kind)) as Arc<dyn Source>),
    }
}

fn verifier_of(body: &Bytes) -> String {
    let mut fields = url::form_urlencoded::parse(body);
    fields.find(|(name, _)| name == "verifier").unwrap().1.into_owned()
}

/// Well signed, and nothing that a record's change looks like.
fn misunderstood(sent: &Request<Bytes>, verifier: &str) -> Vec<Request<Bytes>> {
    [
        "name=invoice.create",
        "name=&object_id=",
        "a=b",
        "name=invoice.create&object_id=not+an+id",
        "name=x.y&object_id=7",
    ]
    .map(|body| {
        let mut request = sent.clone().map(|_| Bytes::from_static(body.as_bytes()));
        let signature = signature(&Secret::from(verifier), body.as_bytes());
        request.headers_mut().insert(SIGNATURE, signature.parse().unwrap());
        request
    })
    .into()
}

fn refusals() -> Refusals {
    let answer = |status: u16, retry_after: &str, name: &str| {
        let response = Response::builder().status(status).header("retry-after", retry_after);
        response.body(fixture(name)).unwrap()
    };
    let wait = Duration::from_secs;
    Refusals {
        token: answer(401, "", "error_401.json"),
        renews_tokens: true,
        too_often: vec![
            (wait(12), answer(429, "12", "error_429.json")),
            (wait(300), answer(429, "9000", "error_429.json")),
        ],
        refused: vec![
            answer(200, "", "error_200_no_access.json"),
            answer(403, "", "error_403_read_only_field.json"),
            answer(422, "", "error_422.json"),
            answer(422, "", "error_422_rpc_style.json"),
        ],
    }
}

// Proves: source_of_freshbooks.
#[tokio::test(start_paused = true)]
async fn invoices_have_every_behavior_of_a_source() {
    source::all(async || under_test("invoice").await).await;
}

#[tokio::test(start_paused = true)]
async fn payments_have_every_behavior_of_a_source() {
    source::all(async || under_test("customer_payment").await).await;
}

#[tokio::test(start_paused = true)]
async fn bills_have_every_behavior_of_a_source() {
    source::all(async || under_test("bill").await).await;
}

#[tokio::test(start_paused = true)]
async fn expenses_have_every_behavior_of_a_source() {
    source::all(async || under_test("expense").await).await;
}

#[tokio::test(start_paused = true)]
async fn clients_have_every_behavior_of_a_source() {
    source::all(async || under_test("contact").await).await;
}

#[tokio::test(start_paused = true)]
async fn items_have_every_behavior_of_a_source() {
    source::all(async || under_test("item").await).await;
}

#[tokio::test(start_paused = true)]
async fn categories_have_every_behavior_of_a_source() {
    source::all(async || under_test("category").await).await;
}

#[tokio::test(start_paused = true)]
async fn credits_have_every_behavior_of_what_is_read() {
    reads_and_feeds("credit").await;
}

#[tokio::test(start_paused = true)]
async fn bill_payments_have_every_behavior_of_what_is_read() {
    reads_and_feeds("bill_payment").await;
}

#[tokio::test(start_paused = true)]
async fn ledger_accounts_have_every_behavior_of_what_is_read() {
    reads_and_feeds("account").await;
}

#[tokio::test(start_paused = true)]
async fn bill_vendors_have_every_behavior_of_a_source() {
    source::all(async || under_test("bill_vendor").await).await;
}
