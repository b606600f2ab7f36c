//! Whatever Zoho, or somebody in its place, sends: nothing panics, nothing takes long, and nothing is made up.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Context, ErrorKind, HttpTransport, ReceiveRequest, Result, Secret, Source, TokioClock,
    http::{Limits, TransportError},
    model::{EntityRef, Resolution, Signal, Subject},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
    webhook::{Encoding, HmacSha256},
};
use ml_connector_zoho::ZohoBooks;
use proptest::{collection::vec, prelude::*};

use crate::support::{CountingTokens, NOW, SECRET, builder, fixture};

const MIB: usize = 1 << 20;
const RECORDS: [(&str, &str, &str, &str); 4] = [
    ("invoice", "invoice", "invoice_id", "invoice-detail.json"),
    ("bill", "bill", "bill_id", "bill-detail.json"),
    ("customer_payment", "payment", "payment_id", "customer-payment-detail.json"),
    ("vendor_payment", "vendorpayment", "payment_id", "vendor-payment-detail.json"),
];

/// Answers every call with the same bytes.
#[derive(Debug)]
struct Same(Bytes);

#[async_trait]
impl HttpTransport for Same {
    async fn send(&self, _: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        Ok(Response::new(self.0.clone()))
    }
}

/// Reads a record of this kind from a vendor that answers with these bytes.
fn resolve(kind: &str, id: &str, body: impl Into<Bytes>) -> Result<Resolution> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let ctx = Context::new(
            Arc::new(Same(body.into())),
            Arc::new(MemoryTokenStore::new()),
            Arc::new(MemoryRateLimiter::new()),
            Arc::new(TokioClock::starting_at(NOW)),
        );
        let signals = [Signal::entity(EntityRef::new(kind, id))];
        source().resolve(&ctx, &signals, None).await
    })
}

fn source() -> ZohoBooks {
    builder().authenticator(Arc::new(CountingTokens::default())).build().unwrap()
}

/// What is shown is the record that was asked for, or an error.
fn honest(kind: &str, id: &str, body: impl Into<Bytes>) {
    let Ok(Resolution::Observed(observations)) = resolve(kind, id, body) else { return };
    for observation in observations {
        assert_eq!((&*observation.entity.kind, &*observation.entity.id), (kind, id));
        let record = observation.state.record().expect("nothing says that it is gone");
        assert_eq!((record.kind.as_str(), &*record.id), (kind, id));
    }
}

/// A value as Zoho would never write it.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,9})?",
        "\\PC{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            inner.prop_map(|it| format!("{{\"a\":{it},\"line_item_id\":{it}}}")),
        ]
    })
}

/// Members that the decoders look at.
const MEMBERS: &str = "status|date|due_date|total|balance|amount|unused_amount|currency_code|line_items|invoices|bills|\
     is_approval_required|approvers_list|created_time|last_modified_time|customer_id|customer_name|invoice_number";

proptest! {
    #[test]
    fn a_record_of_any_shape_is_read_or_refused(
        which in 0..RECORDS.len(), members in vec((MEMBERS, value()), 0..6),
    ) {
        let (kind, key, id, _) = RECORDS[which];
        let members: String = members.iter().map(|(name, it)| format!(",\"{name}\":{it}")).collect();
        honest(kind, "1", format!("{{\"code\":0,\"{key}\":{{\"{id}\":\"1\"{members}}}}}"));
    }

    #[test]
    fn a_record_with_a_fault_anywhere_is_read_or_refused(
        which in 0..RECORDS.len(), at in any::<prop::sample::Index>(), gone in 0..12_usize,
        piece in prop_oneof![vec(any::<u8>(), 0..6), value().prop_map(String::into_bytes)],
    ) {
        let (kind, _, _, name) = RECORDS[which];
        let body = fixture(name);
        let at = at.index(body.len());
        let rest = &body[(at + gone).min(body.len())..];
        honest(kind, "481500000000103001", [&body[..at], &piece, rest].concat());
    }

    #[test]
    fn a_signed_body_of_any_shape_is_taken_or_refused(
        body in prop_oneof![
            vec(any::<u8>(), 0..200),
            value().prop_map(|it| format!("{{\"invoice\":{{\"invoice_id\":{it}}}}}").into_bytes()),
        ],
        form in any::<bool>(),
    ) {
        let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        match receive(&body, kind) {
            Ok(signals) => for signal in signals {
                let Subject::Entity(entity) = signal.subject else { panic!("it is about a record") };
                prop_assert!(entity.id.bytes().all(|byte| byte.is_ascii_digit()), "{}", entity.id);
            },
            // Zoho signs a form's pairs, so the bytes of one are not what was signed here.
            Err(kind) => prop_assert!(form || kind == ErrorKind::InvalidRequest, "{kind}"),
        }
    }
}

fn receive(body: &[u8], content_type: &str) -> Result<Vec<Signal>, ErrorKind> {
    let message = [&b"mlc_eventinvoice.changedmlc_org778812345"[..], body];
    let signature = HmacSha256::new([&Secret::from(SECRET)]).unwrap().sign(&message, Encoding::Hex);
    let request = Request::post("/?mlc_event=invoice.changed&mlc_org=778812345")
        .header("content-type", content_type)
        .header("x-zoho-webhook-signature", signature)
        .body(Bytes::copy_from_slice(body))
        .unwrap();
    source()
        .receive(ReceiveRequest::new(&request, NOW))
        .map(|intake| intake.signals)
        .map_err(|error| error.kind())
}

#[test]
fn a_mebibyte_of_anything_is_read_or_refused() {
    let invoice = |members: &str| format!(r#"{{"code":0,"invoice":{{"invoice_id":"1"{members}}}}}"#);
    for body in [
        invoice(&format!(r#","a":{}1{}"#, "[".repeat(MIB / 2), "]".repeat(MIB / 2))),
        invoice(&format!(r#","line_items":[{}{{}}]"#, "{},".repeat(MIB / 3))),
        invoice(&format!(r#","total":{}"#, "9".repeat(MIB))),
        invoice(&format!(r#","customer_name":"{}""#, "é".repeat(MIB / 2))),
        invoice(&r#","status":"sent""#.repeat(MIB / 16)),
        "[".repeat(MIB),
    ] {
        honest("invoice", "1", body.clone());
        let _ = receive(body.as_bytes(), "application/json");
        let _ = receive(body.as_bytes(), "application/x-www-form-urlencoded");
    }
}
