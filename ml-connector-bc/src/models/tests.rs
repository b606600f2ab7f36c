use ml_connector_core::{
    decode,
    model::{Record, Status},
};
use serde_json::value::RawValue;

use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn record(set: Set, json: &str) -> Record {
    decode::object(&raw(json), |object| read_record(set, object)).unwrap().value
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/fixtures/", $name))
    };
}

#[test]
fn enum_values_are_decoded_and_unknown_ones_stay() {
    for (wire, text) in [
        ("In_x0020_Review", "In Review"),
        ("In Review", "In Review"),
        ("_x0020_", ""),
        ("Begin_x002D_Total", "Begin-Total"),
        ("G_x002F_L_x0020_Account", "G/L Account"),
        ("_x", "_x"),
        ("a_xZZZZ_b", "a_xZZZZ_b"),
        ("_xD800_", "_xD800_"),
        ("é_x00", "é_x00"),
    ] {
        assert_eq!(decoded(wire), text, "{wire}");
    }
}

#[test]
fn a_draft_has_its_values_digit_by_digit() {
    let draft = record(Set::PurchaseInvoices, fixture!("purchaseInvoice_draft_with_lines.json"));
    assert_eq!(draft.status, Status::Draft);
    assert_eq!(draft.total.unwrap().to_string(), "953.00 USD");
    assert_eq!(draft.reference.as_deref(), Some("NP-77120"));
    assert_eq!(draft.due_date.unwrap().to_string(), "2026-04-11");
    assert!(draft.lines.len() >= 2 && draft.balance.is_none());
    let posted = record(Set::PurchaseInvoices, fixture!("purchaseInvoice_open.json"));
    assert_eq!((&posted.id, posted.status), (&draft.id, Status::Open));
    assert_ne!(posted.number, draft.number);
}

#[test]
fn a_sales_invoice_in_review_waits_and_a_placeholder_is_none() {
    let waits = record(Set::SalesInvoices, fixture!("salesInvoice_in_review.json"));
    assert_eq!((waits.status, &*waits.vendor_status), (Status::PendingApproval, "In Review"));
    assert!(is_placeholder(&record(
        Set::PurchaseInvoices,
        fixture!("purchaseInvoice_paid_placeholder.json")
    )));
}

#[test]
fn the_year_one_is_no_date() {
    let json =
        r#"{"id":"a","status":"Draft","dueDate":"0001-01-01","lastModifiedDateTime":"0001-01-01T00:00:00Z"}"#;
    let draft = record(Set::SalesInvoices, json);
    assert_eq!((draft.due_date, draft.modified_at), (None, None));
}

#[test]
fn stamps_and_etags_make_no_revision_and_one_value_does() {
    let of = |json: &str| {
        let record = record(Set::SalesInvoices, json);
        revision(Set::SalesInvoices, &raw(json), &record).unwrap()
    };
    let one = of(
        r#"{"id":"a","@odata.etag":"1","status":"Open","currencyCode":"EUR","totalAmountIncludingTax":100,"remainingAmount":100,"lastModifiedDateTime":"2026-05-04T09:00:00Z"}"#,
    );
    let restamped = of(
        r#"{"id":"a","@odata.etag":"2","status":"Open","currencyCode":"EUR","totalAmountIncludingTax":100.00,"remainingAmount":100,"lastModifiedDateTime":"2026-05-05T09:00:00Z"}"#,
    );
    let part_paid = of(
        r#"{"id":"a","@odata.etag":"1","status":"Open","currencyCode":"EUR","totalAmountIncludingTax":100,"remainingAmount":40,"lastModifiedDateTime":"2026-05-04T09:00:00Z"}"#,
    );
    assert_eq!(one, restamped);
    assert_ne!(one, part_paid);
}

#[test]
fn a_link_survives_quotes_and_ampersands_and_follows_the_posting() {
    let site = Site::new(&"https://bc.example".parse().unwrap(), "t", "Production", "R&D 'North'");
    let mut draft = record(Set::PurchaseInvoices, fixture!("purchaseInvoice_draft_with_lines.json"));
    let link = site.link(Set::PurchaseInvoices, &draft).unwrap();
    assert_eq!(
        link,
        "https://bc.example/t/Production?company=R%26D%20%27North%27&page=9308&filter=%27No.%27%20IS%20%27PINV-0000412%27"
    );
    draft.status = Status::Open;
    assert!(site.link(Set::PurchaseInvoices, &draft).unwrap().contains("page=146"));
}

#[test]
fn what_makes_a_change_is_written_down() {
    let documentation = include_str!("../../docs.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let lists = Set::ALL.into_iter().map(|set| {
        let written: Vec<_> = meaningful::of(set).iter().map(|name| format!("`{name}`")).collect();
        (set.name(), format!(": {}.", written.join(", ")))
    });
    let missing: Vec<_> = lists.filter(|(_, written)| !documentation.contains(written)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
