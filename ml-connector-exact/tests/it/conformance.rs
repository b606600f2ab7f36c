//! The suite that every source passes, against the simulated company.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Clock, HttpTransport, Source,
    conformance::{
        Refusals,
        source::{self, Lists, Proof, SourceUnderTest, Webhook},
    },
    http::{Limits, TransportError},
    model::{EntityRef, RecordKind},
};
use ml_connector_exact::Invoices;
use ml_connector_sim::{
    ExactOnlineSim,
    exact::{Kind, NewDocument, Settlement, hash_code},
};

use crate::support::{CUSTOMER, Lab, amount, below, builder};

/// Lets every lab of the suite begin with the same refresh token, which Exact Online takes once only. The user has lost the
/// right to what the suite hides: that is why a list is empty although a record exists.
#[derive(Debug)]
struct Regranting {
    sim: ExactOnlineSim,
    vendor: Arc<dyn HttpTransport>,
}

#[async_trait]
impl HttpTransport for Regranting {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        if request.uri().path().ends_with("/users/UserHasRights") {
            return Ok(Response::new(Bytes::from_static(br#"{"d":{"UserHasRights":false}}"#)));
        }
        if !request.uri().path().ends_with("/oauth2/token") {
            return self.vendor.send(request, limits).await;
        }
        let fresh = self.sim.grant();
        let fields = url::form_urlencoded::parse(request.body()).map(|(name, value)| {
            if name == "refresh_token" { (name, fresh.clone().into()) } else { (name, value) }
        });
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let (mut parts, _) = request.into_parts();
        parts.headers.remove(http::header::CONTENT_LENGTH);
        self.vendor.send(Request::from_parts(parts, body.into()), limits).await
    }
}

fn connect(sim: &ExactOnlineSim, kind: &str, resource: Kind) -> ml_connector_exact::ExactOnline {
    let invoices = match resource {
        Kind::SalesEntries => Invoices::Entries,
        _ => Invoices::Invoices,
    };
    builder(sim).invoices(invoices).resources([RecordKind::from(kind)]).build().unwrap()
}

/// Makes a record: its id.
fn make(sim: &ExactOnlineSim, resource: Kind, code: &str) -> String {
    let new = NewDocument::new(CUSTOMER, amount("4711.25"));
    let of = match resource {
        Kind::Accounts | Kind::GLAccounts => return sim.create_master(resource, code, CUSTOMER),
        Kind::Payments => sim.create(Kind::PurchaseEntries, &new),
        Kind::Receivables => sim.create(Kind::SalesEntries, &new),
        _ => return sim.create(resource, &new),
    };
    let (_, term) = sim.open_terms(&of).remove(0);
    sim.settle(&of, Settlement::Bank).unwrap();
    term
}

/// One of the company's records, and the notification about it.
async fn under_test(kind: &'static str, resource: Kind) -> SourceUnderTest {
    let lab = Lab::new();
    let sim = lab.sim.clone();
    let source = connect(&sim, kind, resource);
    let upkeep = lab.look(&source, None).await;
    assert_eq!(upkeep.problem, None);
    drop(sim.take_webhooks());
    let (id, another) = (make(&sim, resource, "4101"), make(&sim, resource, "4102"));
    let sent = sim.take_webhooks().into_iter().find(|sent| sent.about.key == id);
    // There are kinds of which Exact Online tells nothing.
    let none = || Request::post("/").body(Bytes::from_static(br#"{"Content":{},"HashCode":""}"#)).unwrap();
    let sent = sent.map_or_else(none, |sent| below(&sent.request));
    let credentials = sim.credentials();
    let text = String::from_utf8(sent.body().to_vec()).unwrap();
    let begin = text.find(":{").unwrap() + 1;
    let signed = begin..text.rfind(",\"HashCode\"").unwrap();
    let forged = |body: String| sent.clone().map(|_| Bytes::from(body.clone()));
    let with = |content: &str, hash: &str| format!("{{\"Content\":{content},\"HashCode\":\"{hash}\"}}");
    let (content, hash) =
        (&text[signed.clone()], hash_code(&credentials.webhook_secret, text[signed.clone()].as_bytes()));
    let misunderstood =
        ["{}", r#"{"Topic":"SalesInvoices"}"#, r#"{"Division":1,"Key":"x"}"#, r#"{"Division":"x"}"#];
    let misunderstood = misunderstood
        .map(|content| forged(with(content, &hash_code(&credentials.webhook_secret, content.as_bytes()))));
    let webhook = Webhook {
        proves: Proof::Part(signed),
        state: None,
        misunderstood: misunderstood.into(),
        account: source.info().accounts.first().cloned(),
        signature: None,
        tolerance: None,
        forged: vec![
            forged(with(content, "")),
            forged(with(content, &hash[1..])),
            forged(with(content, &hash_code(&"another secret".into(), content.as_bytes()))),
            forged(format!("{{\"Content\":{content}}}")),
            forged(format!("{{\"HashCode\":\"{hash}\"}}")),
            forged(format!("{{\"Content\":{content},\"HashCode\":\"{hash}\",\"HashCode\":\"{hash}\"}}")),
            forged(content.to_owned()),
        ],
        request: sent.clone(),
    };
    let answer = |status: u16, headers: &[(&str, &str)], body: &'static str| {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Bytes::from_static(body.as_bytes())).unwrap()
    };
    SourceUnderTest {
        vendor: Arc::new(Regranting { sim: sim.clone(), vendor: Arc::clone(&lab.transport) }),
        clock: Arc::clone(&lab.clock) as Arc<dyn Clock>,
        // Whether the company may be connected is looked up before.
        reads: |request| {
            let path = request.uri().path();
            path.starts_with("/api/v1/") && !path.ends_with("system/Divisions")
        },
        entity: EntityRef::new(kind, id),
        another: Some(EntityRef::new(kind, another)),
        handshake: None,
        webhook,
        refusals: Refusals {
            token: answer(401, &[("www-authenticate", "Bearer error=\"invalid_token\"")], ""),
            // A token that is refused is too young to be renewed.
            renews_tokens: false,
            too_often: vec![
                // The window ends 41 seconds after the server's own date, whatever our clock shows.
                (
                    Duration::from_secs(42),
                    answer(
                        429,
                        &[
                            ("date", "Thu, 12 Mar 2026 10:15:19 GMT"),
                            ("x-ratelimit-minutely-remaining", "0"),
                            ("x-ratelimit-minutely-reset", "1773310560000"),
                        ],
                        "",
                    ),
                ),
                (Duration::from_secs(60), answer(429, &[], "")),
            ],
            refused: vec![
                answer(400, &[], r#"{"error":{"code":"","message":{"lang":"","value":"no"}}}"#),
                answer(403, &[], r#"{"error":{"code":"","message":{"lang":"","value":"Forbidden"}}}"#),
                answer(403, &[("reason", "NoDivisionAccess")], ""),
                answer(404, &[], ""),
            ],
        },
        lists: match kind {
            // Lines and files are not in lists.
            "invoice" | "bill" | "purchase_order" => Lists::Rows,
            // Nor is what a journal's entry amounts to.
            "journal_entry" | "bank_entry" | "cash_entry" => Lists::Ids,
            _ => Lists::Records,
        },
        names_account: Some(credentials.division.to_string()),
        // Records are asked for as lists.
        missing: vec![
            answer(200, &[], r#"{"d":{"results":[]}}"#),
            answer(403, &[("reason", "NoDivisionAccess")], ""),
            answer(404, &[], ""),
        ],
        secrets: vec![
            credentials.client_secret,
            credentials.webhook_secret.expose().to_owned(),
            credentials.refresh_token,
            CUSTOMER.to_owned(),
            "4711.25".to_owned(),
        ],
        connect: Box::new(move || Arc::new(connect(&sim, kind, resource)) as Arc<dyn Source>),
    }
}

/// The behaviors of webhooks, which there are none of about some kinds.
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

async fn reads_and_feeds(kind: &'static str, resource: Kind) {
    let left = source::BEHAVIORS.iter().filter(|(name, _)| !OF_WEBHOOKS.contains(name));
    assert_eq!(left.clone().count() + OF_WEBHOOKS.len(), source::BEHAVIORS.len());
    for (_, check) in left {
        check(&under_test(kind, resource).await).await;
    }
}

// Proves: source_of_exact.
#[tokio::test(start_paused = true)]
async fn sales_invoices_have_every_behavior_of_a_source() {
    source::all(async || under_test("invoice", Kind::SalesInvoices).await).await;
}

#[tokio::test(start_paused = true)]
async fn sales_entries_have_every_behavior_of_a_source() {
    source::all(async || under_test("invoice", Kind::SalesEntries).await).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_to_a_supplier_has_every_behavior_of_what_is_read() {
    reads_and_feeds("vendor_payment", Kind::Payments).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_customer_paid_has_every_behavior_of_what_is_read() {
    reads_and_feeds("customer_payment", Kind::Receivables).await;
}

#[tokio::test(start_paused = true)]
async fn purchase_entries_have_every_behavior_of_a_source() {
    source::all(async || under_test("bill", Kind::PurchaseEntries).await).await;
}

#[tokio::test(start_paused = true)]
async fn purchase_orders_have_every_behavior_of_a_source() {
    source::all(async || under_test("purchase_order", Kind::PurchaseOrders).await).await;
}

#[tokio::test(start_paused = true)]
async fn cost_transactions_have_every_behavior_of_a_source() {
    source::all(async || under_test("cost_transaction", Kind::CostTransactions).await).await;
}

#[tokio::test(start_paused = true)]
async fn bank_entries_have_every_behavior_of_a_source() {
    source::all(async || under_test("bank_entry", Kind::BankEntries).await).await;
}

#[tokio::test(start_paused = true)]
async fn journal_entries_have_every_behavior_of_a_source() {
    source::all(async || under_test("journal_entry", Kind::GeneralJournalEntries).await).await;
}

#[tokio::test(start_paused = true)]
async fn accounts_have_every_behavior_of_a_source() {
    source::all(async || under_test("contact", Kind::Accounts).await).await;
}

#[tokio::test(start_paused = true)]
async fn ledger_accounts_have_every_behavior_of_a_source() {
    source::all(async || under_test("account", Kind::GLAccounts).await).await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_row_of_any_kind_is_told_by_its_id_or_shown_as_lost() {
    for (kind, resource) in [
        ("invoice", Kind::SalesInvoices),
        ("invoice", Kind::SalesEntries),
        ("vendor_payment", Kind::Payments),
        ("customer_payment", Kind::Receivables),
        ("bill", Kind::PurchaseEntries),
        ("purchase_order", Kind::PurchaseOrders),
        ("journal_entry", Kind::GeneralJournalEntries),
        ("bank_entry", Kind::BankEntries),
        ("cash_entry", Kind::CashEntries),
        ("cost_transaction", Kind::CostTransactions),
        ("contact", Kind::Accounts),
        ("account", Kind::GLAccounts),
        ("cost_center", Kind::Costcenters),
        ("cost_unit", Kind::Costunits),
    ] {
        use source::feeds;
        let under_test = async || under_test(kind, resource).await;
        feeds::an_unreadable_row_keeps_its_id_and_the_page_goes_on(&under_test().await).await;
        feeds::a_row_without_an_id_is_shown_as_lost_and_the_page_goes_on(&under_test().await).await;
    }
}
