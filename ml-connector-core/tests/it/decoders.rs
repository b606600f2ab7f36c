//! What comes from outside cannot break us: no decoder panics, and none takes long, whatever it is given.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ml_connector_core::{
    Money, Timestamp,
    http::Answer,
    model::{Currency, Date, Event, Record, Signal, decimal_from_json},
    route::Route,
    snapshot::{Snapshot, revision_of},
};
use proptest::{collection::vec, prelude::*};
use serde_json::value::RawValue;

/// A MiB of anything is decoded or refused within this time, also on a busy machine in a debug build: quadratic work
/// would take hours.
const SOON: Duration = Duration::from_secs(20);
const MIB: usize = 1 << 20;

const EVENT: &str = r#"{"specversion":"1.0","id":"books/invoice/1/3","source":"/ml-connector/books","type":"invoice.paid",
    "subject":"invoice/1","time":"2026-03-12T14:05:00.123Z","datacontenttype":"application/json","data":{
    "connection":"books","entity":{"kind":"invoice","id":"1"},"n":3,"changes":["paid","overdue:30"],"origin":"live",
    "record":{"kind":"invoice","id":"1","status":"paid","vendor_status":"paid","due_date":"2026-03-04",
    "total":{"amount":"1250.50","currency":"USD"},"lines":[{"id":"1","description":"x","quantity":"2"}]},
    "raw":{"total":1250.50}}}"#;
const SNAPSHOT: &str = r#"{"n":1,"revision":"00112233445566778899aabbccddeeff","read_at":"2026-03-12T14:05:00Z","facts":{
    "kind":"invoice","status":"open","total":{"amount":"1","currency":"EUR"},"due_date":"2026-03-04",
    "content":"00112233445566778899aabbccddeeff"},"announced":["overdue:7@2026-03-04"]}"#;
const ROUTE: &str = r#"{"name":"r","from":["books"],"on":["invoice.*","*.paid"],"at_least":[{"amount":"1","currency":"EUR"}],
    "origins":["live"],"to":[{"sink":"slack","destination":"channel:a"}]}"#;

/// Gives bytes to every decoder.
fn decode_with_all(bytes: &[u8]) {
    let _ = Event::from_cloudevent(bytes);
    let _ = Snapshot::from_bytes(bytes);
    let _ = serde_json::from_slice::<Route>(bytes).map(|route| route.validate().is_ok());
    let _ = serde_json::from_slice::<Record>(bytes);
    let _ = serde_json::from_slice::<Signal>(bytes);
    let _ = revision_of(bytes, &["id", "line_items.id"]);
    let answer = Answer::new(http::Response::new(Bytes::copy_from_slice(bytes)), Timestamp::default());
    let _ = answer.json::<serde_json::Value>();
    let _ = answer.json::<Box<RawValue>>();
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (Timestamp::parse(text), Date::parse(text), Currency::parse(text), Money::parse(text, "EUR"));
    }
    if let Ok(token) = serde_json::from_slice::<&RawValue>(bytes) {
        let _ = decimal_from_json(token);
    }
}

/// JSON of any shape, a few levels deep, with members that are there twice.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,9})?",
        "\\PC{0,20}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let key = "id|data|record|total|amount|currency|time|n|[a-z]{1,3}";
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(|items| format!("[{}]", items.join(","))),
            vec((key, inner), 0..8).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(key, it)| format!("\"{key}\": {it}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// A document of ours with something else in one place.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let ours = prop_oneof![Just(EVENT), Just(SNAPSHOT), Just(ROUTE)];
    let piece = prop_oneof![vec(any::<u8>(), 0..8), json().prop_map(String::into_bytes)];
    (ours, any::<prop::sample::Index>(), 0..24_usize, piece).prop_map(|(ours, at, gone, piece)| {
        let at = at.index(ours.len());
        let rest = &ours.as_bytes()[(at + gone).min(ours.len())..];
        [&ours.as_bytes()[..at], &piece, rest].concat()
    })
}

#[test]
fn the_documents_that_are_spoiled_below_are_good_ones() {
    Event::from_cloudevent(EVENT.as_bytes()).unwrap();
    Snapshot::from_bytes(SNAPSHOT.as_bytes()).unwrap();
    serde_json::from_str::<Route>(ROUTE).unwrap().validate().unwrap();
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..300)) {
        decode_with_all(&bytes);
    }

    #[test]
    fn no_json_makes_a_decoder_panic(json in json()) {
        decode_with_all(json.as_bytes());
    }

    #[test]
    fn no_document_with_a_fault_makes_a_decoder_panic(bytes in nearly()) {
        decode_with_all(&bytes);
    }

    #[test]
    fn no_number_makes_money_panic_or_lose_a_digit(token in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,12})?") {
        let raw = RawValue::from_string(token.clone()).unwrap();
        let quoted = RawValue::from_string(format!("\"{token}\"")).unwrap();
        let (bare, quoted) = (decimal_from_json(&raw).ok(), decimal_from_json(&quoted).ok());
        prop_assert_eq!(&bare, &quoted);
        let digits = token.bytes().filter(u8::is_ascii_digit).count();
        if digits <= 28 && !token.contains(['e', 'E']) {
            let amount = bare.flatten().unwrap();
            // Zero has no sign.
            let text = amount.to_string();
            let unsigned = |text: &str| text.trim_start_matches('-').to_owned();
            prop_assert_eq!(unsigned(&text), unsigned(&token));
            prop_assert_eq!(text.starts_with('-'), token.starts_with('-') && !amount.is_zero());
        }
        if let Ok(money) = Money::parse(&token, "EUR") {
            let back: Money = serde_json::from_str(&serde_json::to_string(&money).unwrap()).unwrap();
            prop_assert_eq!(back, money);
            prop_assert!(money.to_string().ends_with(" EUR"));
        }
    }

    #[test]
    fn no_retry_after_panics_or_leads_into_the_past(text in "\\PC{0,60}|[0-9]{1,30}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT", now in any::<i64>()) {
        let Ok(response) = http::Response::builder().header("retry-after", &text).body(Bytes::new()) else {
            return Ok(());
        };
        let now = Timestamp::from_millis(now);
        let at = Answer::new(response, now).retry_after();
        prop_assert!(at.is_none_or(|at| at >= now && at <= now + Duration::from_secs(86_400)), "{at:?}");
    }

    #[test]
    fn a_revision_does_not_depend_on_the_order_of_members(
        members in prop::collection::btree_map("[a-z]{1,6}", json(), 1..8),
    ) {
        let allowed: Vec<&str> = members.keys().map(String::as_str).collect();
        let object = |members: Vec<(&String, &String)>| {
            let members: Vec<_> = members.iter().map(|(key, it)| format!("\"{key}\":{it}")).collect();
            revision_of(format!("{{{}}}", members.join(" ,\n")).as_bytes(), &allowed).unwrap()
        };
        prop_assert_eq!(object(members.iter().collect()), object(members.iter().rev().collect()));
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // this measures time
fn a_mebibyte_of_anything_is_decoded_or_refused_soon() {
    let nested = |open: &str, close: &str| {
        let depth = MIB / (open.len() + close.len());
        open.repeat(depth) + "1" + &close.repeat(depth)
    };
    let in_event = |piece: &str| EVENT.replace("1250.50}", &format!("{piece}}}"));
    for (what, text) in [
        ("arrays", nested("[", "]")),
        ("unfinished arrays", "[".repeat(MIB)),
        ("objects", nested(r#"{"a":"#, "}")),
        ("objects below an ignored member", nested(r#"{"id":"#, "}")),
        ("digits", "1".repeat(MIB)),
        ("an exponent", format!("1e{}", "9".repeat(MIB))),
        ("a text", format!("\"{}\"", "é".repeat(MIB / 2))),
        ("escapes", format!("\"{}\"", "\\u0000".repeat(MIB / 6))),
        ("one member many times", format!("{{{}\"a\":1}}", "\"a\":1,".repeat(MIB / 6))),
        ("many members", {
            let members: Vec<_> = (0..MIB / 12).map(|i| format!("\"m{i}\":1")).collect();
            format!("{{{}}}", members.join(","))
        }),
        ("many items", format!("[{}1]", "1,".repeat(MIB / 2))),
        ("white space", " ".repeat(MIB)),
        ("an event with a deep payload", in_event(&nested("[", "]"))),
        ("an event with a long amount", in_event(&"9".repeat(MIB))),
        ("many changes", EVENT.replace(r#""paid","#, &r#""paid","#.repeat(MIB / 7))),
        ("many patterns", ROUTE.replace(r#""invoice.*","#, &r#""invoice.*","#.repeat(MIB / 12))),
    ] {
        let began = Instant::now();
        decode_with_all(text.as_bytes());
        assert!(began.elapsed() < SOON, "{what} took {:?}", began.elapsed());
    }
}
