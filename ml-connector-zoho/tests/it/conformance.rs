//! The suite that every source passes, against the simulated organization.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Clock, Secret, TokioClock,
    conformance::{
        Refusals,
        source::{self, Lists, Proof, SourceUnderTest, Webhook},
    },
    model::{AccountKey, Decimal, EntityRef, RecordKind},
};
use ml_connector_sim::{
    SimTransport, ZohoBooksSim,
    zoho::{Entity, EventKind, NewDocument, NewRecord, WebhookRule, signature},
};
use ml_connector_zoho::{DataCenter, ZohoBooks};

use crate::support::{NOW, SECRET, fixture};

const SIGNATURE: &str = "x-zoho-webhook-signature";
const CUSTOMER: &str = "Planted Customer & Sons";

/// One of the simulated organization's records, and the webhook that tells about it.
fn under_test(entity: Entity, kind: &'static str) -> SourceUnderTest {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
    let books = ZohoBooksSim::new(Arc::clone(&clock));
    let rule = |entity| {
        let url = "https://erp.example.com/".parse().unwrap();
        // There are kinds of which Zoho tells nothing.
        drop(books.add_webhook(WebhookRule::new(
            entity,
            EventKind::Changed,
            url,
            Some(Secret::from(SECRET)),
        )));
    };
    rule(entity);
    let document = |customer| NewDocument::new(customer, Decimal::new(471_125, 2));
    let make = |customer| match entity {
        Entity::Invoice => books.create_invoice(document(customer)).unwrap(),
        Entity::Bill => books.create_bill(document(customer)).unwrap(),
        Entity::CustomerPayment => {
            let invoice = books.create_invoice(document(customer)).unwrap();
            books.mark_sent(&invoice).unwrap();
            books.pay_invoice(&invoice, Decimal::new(471_125, 2)).unwrap()
        }
        Entity::VendorPayment => {
            let bill = books.create_bill(document(customer)).unwrap();
            books.pay_bill(&bill, Decimal::new(471_125, 2)).unwrap()
        }
        other => books.create_record(other, NewRecord::new(customer, Decimal::new(471_125, 2))).unwrap(),
    };
    let (id, another) = (make(CUSTOMER), make("Another Planted Customer"));
    let sent = books.take_webhooks().into_iter().find(|sent| sent.about.entity_id == id);
    let none = || Request::post("/?mlc_event=none").body(Bytes::new()).unwrap();
    let sent = sent.map_or_else(none, |sent| sent.request);
    let credentials = books.credentials();
    SourceUnderTest {
        vendor: Arc::new(SimTransport::new().with_zoho_books(&books)),
        clock,
        reads: |request| request.uri().path().starts_with("/books/v3/"),
        entity: EntityRef::new(kind, id),
        another: Some(EntityRef::new(kind, another)),
        handshake: None,
        webhook: Webhook {
            proves: Proof::Body,
            state: None,
            misunderstood: misunderstood(&sent),
            request: sent,
            account: Some(AccountKey::from(format!("org:{}", credentials.organization_id))),
            signature: Some(SIGNATURE),
            tolerance: None,
            forged: Vec::new(),
        },
        refusals: refusals(),
        lists: Lists::Rows,
        names_account: None,
        missing: vec![
            Response::builder().status(404).body(fixture("error-404-code1002.json")).unwrap(),
            // The token lacks the right.
            Response::builder().status(401).body(fixture("error-401-code57.json")).unwrap(),
        ],
        secrets: vec![
            credentials.client_secret.clone(),
            credentials.refresh_token.clone(),
            SECRET.to_owned(),
            CUSTOMER.to_owned(),
            "4711.25".to_owned(),
        ],
        connect: Box::new(move || {
            let source = ZohoBooks::builder("books")
                .organization_id(&credentials.organization_id)
                .data_center(DataCenter::Us)
                .client(&credentials.client_id, credentials.client_secret.as_str())
                .refresh_token(credentials.refresh_token.as_str())
                .webhook_secret(SECRET)
                .time_zone("America/New_York")
                .resources([RecordKind::from(kind)])
                .build();
            Arc::new(source.unwrap())
        }),
    }
}

/// Well signed, and nothing that a record's change looks like.
fn misunderstood(sent: &Request<Bytes>) -> Vec<Request<Bytes>> {
    let query = sent.uri().query().unwrap();
    ["", "null", "[]", "{}", r#"{"invoice":{"invoice_id":"not an id"}}"#, r#"{"invoice":"#]
        .map(|body| {
            let mut request = sent.clone().map(|_| Bytes::from_static(body.as_bytes()));
            let signature = signature(&Secret::from(SECRET), query, "application/json", body.as_bytes());
            request.headers_mut().insert(SIGNATURE, signature.parse().unwrap());
            request
        })
        .into()
}

pub(crate) fn refusals() -> Refusals {
    let answer = |status: u16, retry_after: &str, name: &str| {
        let response = Response::builder().status(status).header("retry-after", retry_after);
        response.body(fixture(name)).unwrap()
    };
    let wait = Duration::from_secs;
    Refusals {
        token: answer(401, "", "error-401-code57.json"),
        renews_tokens: true,
        too_often: vec![
            (wait(1800), answer(429, "1800", "error-429-code43-block-1h.json")),
            (wait(3600), answer(429, "", "error-429-code43-block-1h.json")),
            (wait(60), answer(429, "", "error-429-code44-per-minute.json")),
            (wait(60), answer(200, "", "error-429-code44-per-minute.json")),
            (wait(2), answer(429, "", "error-429-code1070-concurrent.json")),
        ],
        refused: vec![answer(400, "", "error-400-code2.json"), answer(200, "", "error-400-code2.json")],
    }
}

// Proves: source_of_zoho.
#[tokio::test(start_paused = true)]
async fn invoices_have_every_behavior_of_a_source() {
    source::all(async || under_test(Entity::Invoice, "invoice")).await;
}

#[tokio::test(start_paused = true)]
async fn bills_have_every_behavior_of_a_source() {
    source::all(async || under_test(Entity::Bill, "bill")).await;
}

#[tokio::test(start_paused = true)]
async fn customer_payments_have_every_behavior_of_a_source() {
    source::all(async || under_test(Entity::CustomerPayment, "customer_payment")).await;
}

#[tokio::test(start_paused = true)]
async fn vendor_payments_have_every_behavior_of_a_source() {
    source::all(async || under_test(Entity::VendorPayment, "vendor_payment")).await;
}

#[tokio::test(start_paused = true)]
async fn purchase_orders_have_every_behavior_of_a_source() {
    source::all(async || under_test(Entity::PurchaseOrder, "purchase_order")).await;
}

#[tokio::test(start_paused = true)]
async fn contacts_have_every_behavior_of_a_source() {
    source::all(async || under_test(Entity::Contact, "contact")).await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_row_of_any_kind_is_told_by_its_id_or_shown_as_lost() {
    let kinds = [
        (Entity::Invoice, "invoice"),
        (Entity::Bill, "bill"),
        (Entity::CustomerPayment, "customer_payment"),
        (Entity::VendorPayment, "vendor_payment"),
        (Entity::PurchaseOrder, "purchase_order"),
        (Entity::Expense, "expense"),
        (Entity::Contact, "contact"),
        (Entity::Item, "item"),
        (Entity::Account, "account"),
        (Entity::Currency, "currency"),
    ];
    assert_eq!(kinds.len(), Entity::ALL.len());
    for (entity, kind) in kinds {
        use source::feeds;
        feeds::an_unreadable_row_keeps_its_id_and_the_page_goes_on(&under_test(entity, kind)).await;
        feeds::a_row_without_an_id_is_shown_as_lost_and_the_page_goes_on(&under_test(entity, kind)).await;
    }
}
