use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Secret, Timestamp,
    conformance::vectors::{self, SignatureVector},
    model::Subject,
};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "mlc-exact-webhook-secret-2026";
const CLIENT: &str = "59b57242-c074-5d5b-8e88-30b3b2babc08";

fn webhook(secrets: &[&str]) -> Webhook {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::from(*secret)).collect();
    Webhook {
        verifier: Some(HmacSha256::new(&secrets).unwrap()),
        client_id: CLIENT.into(),
        base: "https://start.exactonline.nl".parse().unwrap(),
        division: 3_141_593,
        redirect_host: None,
        topics: vec!["SalesInvoices"],
    }
}

fn receive(webhook: &Webhook, body: &[u8]) -> Result<Intake> {
    let request = Request::post("/").body(Bytes::copy_from_slice(body)).unwrap();
    webhook.receive(ReceiveRequest::new(&request, Timestamp::default()))
}

fn signed(content: &str) -> String {
    let hash = HmacSha256::new(&[Secret::from(SECRET)]).unwrap().sign(&[content.as_bytes()], Encoding::Hex);
    format!(r#"{{"Content":{content},"HashCode":"{}"}}"#, hash.to_uppercase())
}

fn told(body: &str) -> String {
    let intake = receive(&webhook(&[SECRET]), body.as_bytes()).unwrap();
    let Some(signal) = intake.signals.first() else { return intake.note.unwrap().to_string() };
    let Subject::Entity(entity) = &signal.subject else { panic!() };
    format!("{entity} {} {}", signal.hint.as_deref().unwrap(), signal.account.as_ref().unwrap())
}

/// A notification about a record.
fn about_key(topic: &str, action: &str, path: &str) -> String {
    let key = "a8e5638f-5fb2-56bf-b895-bb18600e3c6a";
    signed(&format!(
        r#"{{"Topic":"{topic}","ClientId":"{CLIENT}","Division":3141593,"Action":"{action}","Key":"{key}","ExactOnlineEndpoint":"https://start.exactonline.nl/api/v1/3141593/{path}(guid'{key}')"}}"#
    ))
}

const VECTORS: &str = include_str!("../../tests/vectors/webhook_signatures.json");

/// The scheme once more, as the file describes it: the bytes between the first brace of the content and the last mark.
fn sign(vector: &SignatureVector) -> String {
    let body = String::from_utf8(vector.body().to_vec()).unwrap();
    let Some(rest) = body.strip_prefix(r#"{"Content":"#) else { return String::new() };
    let content = rest.rfind(r#","HashCode""#).map_or(&rest[..rest.len() - 1], |end| &rest[..end]);
    assert_eq!(content, vector.message, "{}", vector.name);
    let hmac = HmacSha256::new(&[Secret::from(vector.secret.as_str())]).unwrap();
    hmac.sign(&[content.as_bytes()], Encoding::Hex).to_uppercase()
}

#[test]
fn every_vector_is_signed_and_classified_as_the_file_says() {
    vectors::check_with(VECTORS, sign, |vector, request| Some(webhook(&[&vector.secret]).receive(request)));
    let empty = receive(&webhook(&[SECRET]), b"").unwrap();
    assert!(empty.signals.is_empty(), "who asks whether somebody listens tells nothing");
}

#[test]
#[should_panic(expected = "tampered-action: Refuse")]
fn a_wrong_verdict_is_noticed() {
    let wrong = VECTORS.replacen("\"refuse\"", "\"accept\"", 1);
    vectors::check_with(&wrong, sign, |vector, request| Some(webhook(&[&vector.secret]).receive(request)));
}

#[test]
fn a_notification_names_a_record_of_a_company() {
    let host = "division:start.exactonline.nl/3141593";
    let key = "a8e5638f-5fb2-56bf-b895-bb18600e3c6a";
    for (topic, action, path, expected) in [
        (
            "SalesInvoices",
            "Update",
            "salesinvoice/SalesInvoices",
            format!("invoice/{key} SalesInvoices.update {host}"),
        ),
        (
            "SalesInvoices",
            "UPDATE",
            "salesinvoice/SalesInvoiceLines",
            format!("invoice/{key} SalesInvoices.update.line {host}"),
        ),
        (
            "PurchaseEntries",
            "Delete",
            "purchaseentry/PurchaseEntries",
            format!("bill/{key} PurchaseEntries.delete {host}"),
        ),
        (
            "FinancialTransactions",
            "Create",
            "financialtransaction/BankEntries",
            format!("bank_entry/{key} BankEntries.create {host}"),
        ),
        ("CashEntries", "Odd", "somewhere/Else", format!("cash_entry/{key} CashEntries.changed {host}")),
        (
            "StockPositions",
            "Update",
            "inventory/StockPositions",
            "dropped: records of this topic are not read".into(),
        ),
    ] {
        assert_eq!(told(&about_key(topic, action, path)), expected);
    }
    assert!(
        Hint::of("SalesInvoices.delete.line").is_line && Hint::of("SalesInvoices.delete.line").is_deletion
    );
    assert!(!Hint::of("SalesInvoices.update").is_deletion);
    assert!(is_about_another("SalesEntries.update", &crate::models::SALES_INVOICES));
}

#[test]
fn what_is_for_others_is_dropped_and_what_names_nothing_is_refused() {
    let own = about_key("SalesInvoices", "Update", "salesinvoice/SalesInvoices");
    let resign = |from: &str, to: &str| {
        let content = content::signed(own.as_bytes()).unwrap().content.replace(from, to);
        signed(&content)
    };
    assert!(told(&resign(CLIENT, "00000000-c074-5d5b-8e88-30b3b2babc08")).contains("another app"));
    assert!(told(&resign("v1/3141593", "v1/3141594")).contains("two companies"));
    for body in [
        resign("\"Division\":3141593,", ""),
        resign("\"Key\":\"a8e5", "\"Key\":\"' or"),
        signed("{}"),
        signed("{\"a\":1}"),
    ] {
        let error = receive(&webhook(&[SECRET]), body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{body}");
    }
    // An unknown company may be another connection's: the engine knows.
    let other = resign("3141593", "999");
    assert!(told(&other).ends_with("/999"), "{other}");
}

#[test]
fn a_member_that_is_there_twice_or_not_at_the_top_proves_nothing() {
    let own = about_key("SalesInvoices", "Update", "salesinvoice/SalesInvoices");
    receive(&webhook(&[SECRET]), format!("\u{feff}{own}").as_bytes()).unwrap();
    let twice = own.replacen('{', "{\"Content\":{},", 1);
    let nested = format!("{{\"inner\":{own}}}");
    for body in [&twice, &nested, &format!("{own}x"), &format!("\u{feff}\u{feff}{own}"), "[]", "{", "null"] {
        let error = receive(&webhook(&[SECRET]), body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SignatureInvalid, "{body}");
    }
    let path = Request::post("/else").body(Bytes::from(own)).unwrap();
    let error = webhook(&[SECRET]).receive(ReceiveRequest::new(&path, Timestamp::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_secret_can_be_changed_while_webhooks_come() {
    let own = about_key("SalesInvoices", "Update", "salesinvoice/SalesInvoices");
    receive(&webhook(&["the next secret", SECRET]), own.as_bytes()).unwrap();
    assert!(receive(&webhook(&["the next secret"]), own.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = receive(&webhook(&[SECRET]), &body);
    }

    /// Whatever strings hold, the signed bytes are found as they are.
    #[test]
    fn the_content_is_found_whatever_is_in_it(text in "\\PC{0,40}", before in any::<bool>()) {
        let content = serde_json::to_string(&serde_json::json!({ "Topic": text, "n": { "HashCode": "}" } })).unwrap();
        let body = if before {
            format!("{{ \"HashCode\" : \"00\" , \"Content\" :  {content} }}")
        } else {
            format!("{{\"Content\":{content},\"HashCode\":\"00\"}}")
        };
        prop_assert_eq!(content::signed(body.as_bytes()).unwrap().content, content);
    }
}
