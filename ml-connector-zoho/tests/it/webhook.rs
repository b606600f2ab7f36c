//! Deliveries: what is accepted, what is refused, and what is read of them.

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{
    ErrorKind, ReceiveRequest, Secret, Source,
    model::{Signal, Subject},
    webhook::{Encoding, HmacSha256},
};
use ml_connector_zoho::{WebhookParameters, ZohoBooks};
use proptest::prelude::*;
use serde::Deserialize;

use crate::support::{NOW, SECRET, builder, fixture};

const QUERY: &str = "mlc_event=invoice.changed&mlc_org=778812345";
const INVOICE: &[u8] = br#"{"invoice":{"invoice_id":"481500000000103001"}}"#;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Debug, Deserialize)]
struct Vector {
    query: String,
    headers: std::collections::BTreeMap<String, String>,
    body_file: Option<String>,
    body_raw: Option<String>,
    secret: String,
}

impl Vector {
    fn load(name: &str) -> Self {
        serde_json::from_slice(&fixture(&format!("webhook-{name}.request.json"))).unwrap()
    }

    fn body(&self) -> Bytes {
        match (&self.body_file, &self.body_raw) {
            (Some(file), _) => fixture(file),
            (None, Some(raw)) => Bytes::from(raw.clone()),
            (None, None) => panic!("a vector has a body"),
        }
    }

    fn request(&self, path: &str, query: &str, body: Bytes) -> Request<Bytes> {
        let mut request = Request::post(uri(path, query));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(body).unwrap()
    }
}

fn uri(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn source(parameters: WebhookParameters) -> ZohoBooks {
    builder().webhook_parameters(parameters).build().unwrap()
}

fn receive(source: &ZohoBooks, request: &Request<Bytes>) -> Result<Signal, ErrorKind> {
    let intake = source.receive(ReceiveRequest::new(request, NOW)).map_err(|error| error.kind())?;
    assert_eq!(intake.reply.status(), StatusCode::OK);
    assert!(intake.reply.body().is_empty() && intake.prompt.is_none());
    let [signal] = intake.signals.try_into().unwrap();
    Ok(signal)
}

/// Signs as Zoho does, with the message given in full: not with the code under test.
fn sign(message: &[&[u8]]) -> String {
    HmacSha256::new(&[Secret::from(SECRET)]).unwrap().sign(message, Encoding::Hex)
}

fn signed(query: &str, content_type: &str, message: &[&[u8]], body: &[u8]) -> Request<Bytes> {
    Request::post(uri("/", query))
        .header("content-type", content_type)
        .header("x-zoho-webhook-signature", sign(message))
        .body(Bytes::copy_from_slice(body))
        .unwrap()
}

/// A delivery in the default set-up.
fn delivery(event: &str, body: &[u8]) -> Request<Bytes> {
    let query = format!("mlc_event={event}&mlc_org=778812345");
    let text = format!("mlc_event{event}mlc_org778812345");
    signed(&query, JSON, &[text.as_bytes(), body], body)
}

const VECTORS: [(&str, WebhookParameters, &str, &str, &str); 9] = {
    use WebhookParameters::{EventAndOrganization as Both, None, Organization};
    [
        ("invoice-default", Both, "/", "invoice.overdue", "invoice/481500000000103001"),
        ("invoice-deleted", Both, "/", "invoice.deleted", "invoice/481500000000103001"),
        ("invoice-form", Both, "/", "invoice.overdue", "invoice/481500000000103001"),
        ("invoice-jsonstring-form", Both, "/", "invoice.changed", "invoice/481500000000103001"),
        ("bill", Both, "/", "bill.submitted", "bill/481500000000108009"),
        ("customer-payment", Both, "/", "customerpayment.created", "customer_payment/481500000000113012"),
        ("vendor-payment", Both, "/", "vendorpayment.created", "vendor_payment/481500000000121007"),
        ("invoice-rawtemplate", Organization, "/", "invoice.changed", "invoice/481500000000103001"),
        (
            "invoice-default-noquery",
            None,
            "/invoice.changed",
            "invoice.changed",
            "invoice/481500000000103001",
        ),
    ]
};

#[test]
fn every_vector_of_the_vendor_sheet_is_refused_by_another_set_up_and_accepted_by_its_own() {
    use WebhookParameters::{EventAndOrganization, None, Organization};
    for (name, parameters, path, event, entity) in VECTORS {
        let vector = Vector::load(name);
        let request = vector.request(path, &vector.query, vector.body());
        assert_eq!(vector.secret, SECRET);
        for other in [EventAndOrganization, Organization, None] {
            if other != parameters {
                assert_eq!(receive(&source(other), &request), Err(ErrorKind::SignatureInvalid), "{name}");
            }
        }
        let signal = receive(&source(parameters), &request).unwrap_or_else(|kind| panic!("{name}: {kind}"));
        assert_eq!(signal.hint.as_deref(), Some(event), "{name}");
        let Subject::Entity(subject) = &signal.subject else { panic!("{name}") };
        assert_eq!(subject.to_string(), entity, "{name}");
        let account = (parameters != None).then_some("org:778812345");
        assert_eq!(signal.account.as_ref().map(|account| account.as_str()), account, "{name}");
        assert!(signal.dedupe.is_none() && signal.payload.is_none(), "nothing else is believed");
    }
}

#[test]
fn a_request_without_exactly_one_signature_is_refused() {
    let good = delivery("invoice.changed", INVOICE);
    let source = source(WebhookParameters::default());
    receive(&source, &good).unwrap();
    let signature = &good.headers()["x-zoho-webhook-signature"];
    for replacement in [
        vec![],
        vec![signature.clone(), signature.clone()],
        vec!["".parse().unwrap()],
        vec!["t=1,v=00".parse().unwrap()],
    ] {
        let mut request = good.clone();
        request.headers_mut().remove("x-zoho-webhook-signature");
        for value in replacement {
            request.headers_mut().append("x-zoho-webhook-signature", value);
        }
        assert_eq!(receive(&source, &request), Err(ErrorKind::SignatureInvalid));
    }
}

#[test]
fn the_query_has_the_configured_parameters_each_once_and_nothing_else() {
    let source = source(WebhookParameters::default());
    for query in [
        "",
        "mlc_event=invoice.changed",
        "mlc_org=778812345",
        "mlc_event=invoice.changed&mlc_org=778812345&x=1",
        "mlc_event=invoice.changed&mlc_org=778812345&mlc_org=778812345",
        "mlc_event=invoice.changed&mlc_event=invoice.deleted&mlc_org=778812345",
        "mlc_event=invoice.changed&mlc_org=778812345&",
        "mlc_event=invoice.changed&mlc_org",
        "mlc_event=invoice%2Echanged&mlc_org=778812345",
        "mlc_eventinvoice=.changed&mlc_org=778812345",
        "=&mlc_event=invoice.changed&mlc_org=778812345",
    ] {
        // Whatever the query, the signature is right.
        let mut pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        pairs.sort();
        let text: String = pairs.into_iter().flat_map(|(name, value)| [name, value]).collect();
        let request = signed(query, JSON, &[text.as_bytes(), INVOICE], INVOICE);
        assert_eq!(receive(&source, &request), Err(ErrorKind::SignatureInvalid), "{query}");
    }
    // A body-only signature does not do either, or a delivery could be given another label.
    let relabeled = signed(QUERY, JSON, &[INVOICE], INVOICE);
    assert_eq!(receive(&source, &relabeled), Err(ErrorKind::SignatureInvalid));
}

#[test]
fn the_order_of_parameters_does_not_matter_because_they_are_sorted() {
    let request = signed(
        "mlc_org=778812345&mlc_event=invoice.changed",
        "application/json; charset=UTF-8",
        &[b"mlc_eventinvoice.changedmlc_org778812345", INVOICE],
        INVOICE,
    );
    receive(&source(WebhookParameters::default()), &request).unwrap();
}

#[test]
fn a_body_counts_as_received_with_its_last_newline() {
    let body = [INVOICE, b"\n"].concat();
    let source = source(WebhookParameters::default());
    receive(&source, &delivery("invoice.changed", &body)).unwrap();
    let text = b"mlc_eventinvoice.changedmlc_org778812345";
    let request = signed(QUERY, JSON, &[text, INVOICE], &body);
    assert_eq!(receive(&source, &request), Err(ErrorKind::SignatureInvalid));
}

#[test]
fn old_and_new_secret_hold_while_one_replaces_the_other() {
    let request = delivery("invoice.changed", INVOICE);
    let rotating = builder().webhook_secret("anotherSecret2026").build().unwrap();
    receive(&rotating, &request).unwrap();
    let config = serde_json::json!({
        "connection": "books", "organization_id": "778812345", "data_center": "us", "time_zone": "UTC",
        "client_id": "a", "client_secret": "b", "webhook_secrets": ["anotherSecret2026"],
    });
    let config: ml_connector_zoho::Config = serde_json::from_value(config).unwrap();
    let replaced = ml_connector_zoho::Builder::from(config).build().unwrap();
    assert_eq!(receive(&replaced, &request), Err(ErrorKind::SignatureInvalid));
}

#[test]
fn what_is_authentic_but_not_understood_says_so() {
    let source = source(WebhookParameters::default());
    for (event, body) in [
        ("invoice.exploded", INVOICE),
        ("payroll.changed", INVOICE),
        ("invoice", INVOICE),
        ("", INVOICE),
        ("invoice.changed.deleted", INVOICE),
        ("bill.changed", INVOICE),
        ("invoice.changed", b""),
        ("invoice.changed", br#"{"invoice":{"invoice_id":"48150000"#),
        ("invoice.changed", br#"[{"invoice_id":"481500000000103001"}]"#),
        ("invoice.changed", br#"{"invoice":{"invoice_id":""}}"#),
        ("invoice.changed", br#"{"invoice":{"invoice_id":"../bills/1"}}"#),
        ("invoice.changed", br#"{"invoice":{"invoice_id":-1}}"#),
        ("invoice.changed", br#"{"invoice":{"invoice_id":["1"]}}"#),
        ("invoice.changed", br#"{"invoice":{"line":{"invoice_id":"1"}}}"#),
        ("invoice.changed", b"\xff\xfe{}"),
    ] {
        let request = delivery(event, body);
        assert_eq!(receive(&source, &request), Err(ErrorKind::InvalidRequest), "{event} {body:?}");
    }
    let query = "mlc_event=invoice.changed&mlc_org=org-1";
    let request = signed(query, JSON, &[b"mlc_eventinvoice.changedmlc_orgorg-1", INVOICE], INVOICE);
    assert_eq!(receive(&source, &request), Err(ErrorKind::InvalidRequest));
    let deep = [b"{\"invoice\":".repeat(200), b"1".to_vec(), b"}".repeat(200)].concat();
    assert_eq!(receive(&source, &delivery("invoice.changed", &deep)), Err(ErrorKind::InvalidRequest));
    let large = [b"{\"x\":\"", &b"y".repeat(4 << 20)[..], b"\",\"invoice_id\":\"1\"}"].concat();
    assert_eq!(receive(&source, &delivery("invoice.changed", &large)), Err(ErrorKind::InvalidRequest));
}

#[test]
fn every_documented_pair_of_entity_and_kind_is_known_and_found_in_every_body_shape() {
    let source = source(WebhookParameters::default());
    let check = |event: &str, body: &str, entity: &str| {
        let signal = receive(&source, &delivery(event, body.as_bytes()))
            .unwrap_or_else(|kind| panic!("{event} {body}: {kind}"));
        let Subject::Entity(subject) = &signal.subject else { panic!("{event}") };
        assert_eq!(subject.to_string(), entity, "{body}");
    };
    for (entity, kind, id, wrappers) in [
        ("invoice", "invoice", "invoice_id", &["invoice"][..]),
        ("bill", "bill", "bill_id", &["bill"]),
        (
            "customerpayment",
            "customer_payment",
            "payment_id",
            &["payment", "customerpayment", "customer_payment"],
        ),
        ("vendorpayment", "vendor_payment", "payment_id", &["vendorpayment", "vendor_payment", "payment"]),
        ("purchaseorder", "purchase_order", "purchaseorder_id", &["purchaseorder"]),
        ("contact", "contact", "contact_id", &["contact"]),
    ] {
        for word in ["changed", "created", "submitted", "deleted", "overdue"] {
            let event = format!("{entity}.{word}");
            let expected = format!("{kind}/4815");
            for wrapper in wrappers {
                check(&event, &format!(r#"{{"{wrapper}":{{"{id}":"4815","x":[{{}}]}}}}"#), &expected);
                check(&event, &format!(r#"{{"data":{{"{wrapper}":{{"{id}":4815}}}}}}"#), &expected);
            }
            check(&event, &format!(r#"{{"{id}":4815,"{id}_formatted":"x"}}"#), &expected);
            check(&event, &format!(r#"{{"data":{{"{id}":"4815"}}}}"#), &expected);
        }
    }
}

#[test]
fn a_form_is_signed_as_pairs_and_cannot_repeat_a_parameter() {
    let source = source(WebhookParameters::default());
    let check =
        |body: &str, text: &str| receive(&source, &signed(QUERY, FORM, &[text.as_bytes()], body.as_bytes()));
    let label = "mlc_eventinvoice.changedmlc_org778812345";
    let accepted = check("invoice_id=48&name=%C3%A4+%26", &format!("invoice_id48{label}nameä &"));
    accepted.unwrap();
    for (body, text) in [
        (
            "mlc_event=invoice.deleted&invoice_id=48",
            "invoice_id48mlc_eventinvoice.changedmlc_eventinvoice.deletedmlc_org778812345".to_owned(),
        ),
        ("invoice_id=48&invoice_id=48", format!("invoice_id48invoice_id48{label}")),
        ("invoice_id=48&name=%ff", format!("invoice_id48{label}name\u{fffd}")),
        ("invoice_id=48&name=%zz", format!("invoice_id48{label}name%zz")),
        ("invoice_id=48&name", format!("invoice_id48{label}name")),
    ] {
        assert_eq!(check(body, &text), Err(ErrorKind::SignatureInvalid), "{body}");
    }
    assert_eq!(check("name=x", &format!("{label}namex")), Err(ErrorKind::InvalidRequest));
}

#[test]
fn errors_show_neither_signature_nor_body() {
    let source = source(WebhookParameters::default());
    let body = br#"{"invoice":{"customer_name":"planted-customer"}}"#;
    for request in [delivery("invoice.changed", body), signed(QUERY, JSON, &[b"other"], body)] {
        let error = source.receive(ReceiveRequest::new(&request, NOW)).unwrap_err();
        let shown = format!("{error:?} {error}");
        let signature = request.headers()["x-zoho-webhook-signature"].to_str().unwrap();
        for secret in ["planted", SECRET, signature] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_anywhere_in_query_or_body_is_refused(
        vector in 0..VECTORS.len(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let (name, parameters, path, ..) = VECTORS[vector];
        let vector = Vector::load(name);
        let original = receive(&source(parameters), &vector.request(path, &vector.query, vector.body())).unwrap();
        let (mut query, mut body) = (vector.query.clone().into_bytes(), vector.body().to_vec());
        let at = at.index(query.len() + body.len());
        match at.checked_sub(query.len()) {
            Some(at) => body[at] ^= 1 << bit,
            None => query[at] ^= 1 << bit,
        }
        let Ok(query) = String::from_utf8(query) else { return Ok(()) };
        if uri(path, &query).parse::<http::Uri>().map(|uri| uri.query().unwrap_or_default() != query).unwrap_or(true) {
            return Ok(()); // no URI, or one whose query ends earlier
        }
        match receive(&source(parameters), &vector.request(path, &query, body.into())) {
            Err(kind) => prop_assert_eq!(kind, ErrorKind::SignatureInvalid),
            // The same text, written differently: an escape's digit in the other case.
            Ok(signal) => {
                prop_assert!(name.contains("form"), "{}", name);
                prop_assert_eq!(signal, original);
            }
        }
    }

    #[test]
    fn no_delivery_makes_the_decoder_panic(
        query in "[a-z_=&%.+0-9]{0,60}",
        body in prop::collection::vec(any::<u8>(), 0..300),
        form in any::<bool>(),
    ) {
        let content_type = if form { FORM } else { JSON };
        for parameters in [WebhookParameters::EventAndOrganization, WebhookParameters::Organization, WebhookParameters::None] {
            let source = source(parameters);
            drop(receive(&source, &signed(&query, content_type, &[&body], &body)));
        }
        // Authentic, so that the decoder sees it.
        drop(receive(&source(WebhookParameters::default()), &delivery("invoice.changed", &body)));
    }

    #[test]
    fn no_json_makes_the_decoder_panic(json in r#"[\[\]{}",:0-9a-z_ \\]{0,120}"#, wrap in any::<bool>()) {
        let json = if wrap { format!(r#"{{"invoice":{json},"data":{json}}}"#) } else { json };
        drop(receive(&source(WebhookParameters::default()), &delivery("invoice.changed", json.as_bytes())));
    }
}

#[test]
fn a_byte_order_mark_is_signed_and_skipped() {
    let body = [&b"\xef\xbb\xbf"[..], INVOICE].concat();
    let request = signed(QUERY, JSON, &[b"mlc_eventinvoice.changedmlc_org778812345", &body], &body);
    receive(&source(WebhookParameters::default()), &request).unwrap();
}
