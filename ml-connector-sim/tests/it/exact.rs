//! Exact Online: answers as they were recorded, tokens, lists, feeds, rights, limits, webhooks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use ml_connector_core::{
    HttpTransport, ManualClock, Secret, Timestamp,
    http::{Limits, TransportError},
    model::Decimal,
};
use ml_connector_sim::{
    Conditions, ExactOnlineSim, Fault, SimTransport,
    exact::{
        CallbackHost, Division, ExactOnlineConfig, Kind, NewDocument, NewLine, Right, Settlement, hash_code,
    },
};
use serde_json::Value;

use crate::{Answered, send};

const BASE: &str = "https://start.exactonline.nl";
const DIVISION: u32 = 3_141_593;

struct World {
    sim: ExactOnlineSim,
    transport: SimTransport,
    clock: Arc<ManualClock>,
    bearer: String,
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn amount(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A company on 12 March 2026, 10:15:19 in the Netherlands, with a token.
async fn world() -> World {
    world_with(ExactOnlineConfig::default()).await
}

async fn world_with(config: ExactOnlineConfig) -> World {
    let clock = Arc::new(ManualClock::at(at("2026-03-12T09:15:19Z")));
    let sim = ExactOnlineSim::with_config(clock.clone(), config);
    let transport = SimTransport::new().with_exact_online(&sim);
    let mut world = World { sim, transport, clock, bearer: String::new() };
    let answer = world.token(&world.sim.credentials().refresh_token).await;
    world.bearer = answer.body["access_token"].as_str().expect("a token").to_owned();
    world
}

impl World {
    async fn form(&self, pairs: &[(&str, &str)]) -> Answered {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = Request::post(format!("{BASE}/api/oauth2/token"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .unwrap();
        send(&self.transport, request).await.unwrap()
    }

    async fn token(&self, refresh_token: &str) -> Answered {
        let credentials = self.sim.credentials();
        self.form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", &credentials.client_id),
            ("client_secret", &credentials.client_secret),
        ])
        .await
    }

    fn request(&self, method: Method, url: &str, body: &str) -> Request<Bytes> {
        let url = url.replace(' ', "%20");
        Request::builder()
            .method(method)
            .uri(if url.starts_with("https") { url } else { format!("{BASE}/api/v1/{DIVISION}/{url}") })
            .header(header::AUTHORIZATION, format!("Bearer {}", self.bearer))
            .header(header::ACCEPT, "application/json")
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap()
    }

    async fn get(&self, url: &str) -> Answered {
        send(&self.transport, self.request(Method::GET, url, "")).await.unwrap()
    }

    /// The rows of a page, in whichever shape.
    async fn rows(&self, url: &str) -> Vec<Value> {
        let answer = self.get(url).await;
        assert_eq!(answer.status, 200, "{url}: {:?}", answer.body);
        rows(&answer)
    }

    async fn subscribe(&self, topic: &str, url: &str) -> Answered {
        let body = format!(r#"{{"Topic":"{topic}","CallbackURL":"{url}"}}"#);
        let request = self.request(Method::POST, "webhooks/WebhookSubscriptions", &body);
        send(&self.transport, request).await.unwrap()
    }

    fn invoice(&self, amount: &str) -> String {
        self.sim.create(Kind::SalesInvoices, &NewDocument::new("Bakkerij Linde V.O.F.", self::amount(amount)))
    }
}

fn rows(answer: &Answered) -> Vec<Value> {
    let d = &answer.body["d"];
    d.as_array().or_else(|| d["results"].as_array()).expect("a list").clone()
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/exact-online/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Status, headers and body of a recorded answer.
fn recorded(name: &str) -> (u16, Vec<(String, String)>, String) {
    let path = format!("{}/fixtures/exact-online/{name}.http", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    (status, lines.filter_map(header).collect(), body.to_owned())
}

/// That an answer is the recorded one: status, body, and the headers named here or all that are recorded.
fn assert_recorded(answer: &Answered, name: &str) {
    let (status, headers, body) = recorded(name);
    assert_eq!(answer.status.as_u16(), status, "{name}");
    for (header, value) in &headers {
        // Counts and dates differ from run to run.
        if matches!(header.as_str(), "date" | "content-length")
            || header.ends_with("remaining")
            || header.ends_with("reset")
        {
            continue;
        }
        assert_eq!(answer.header(header), Some(value.as_str()), "{name}: {header}");
    }
    let has = |name: &str| headers.iter().any(|(header, _)| header == name);
    for header in ["x-ratelimit-limit", "x-ratelimit-minutely-limit", "retry-after", "reason"] {
        assert_eq!(answer.headers.contains_key(header), has(header), "{name}: {header}");
    }
    let body: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    assert_eq!(answer.body, body, "{name}");
}

/// Every place in which two values differ, as paths; other than ids and times of one's own.
fn differences(at: &str, expected: &Value, found: &Value, told: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for name in expected.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
                let at = format!("{at}/{name}");
                match (expected.get(name), found.get(name)) {
                    (Some(expected), Some(found)) => differences(&at, expected, found, told),
                    (Some(_), None) => told.push(format!("{at} is missing")),
                    _ => told.push(format!("{at} is new")),
                }
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            if expected.len() != found.len() {
                told.push(format!("{at} has {} and not {}", found.len(), expected.len()));
            }
            for (nth, (expected, found)) in expected.iter().zip(found).enumerate() {
                differences(&format!("{at}/{nth}"), expected, found, told);
            }
        }
        _ if expected != found => told.push(format!("{at}: {found} and not {expected}")),
        _ => {}
    }
}

#[tokio::test]
async fn recorded_records_come_out_as_they_were_recorded() {
    let world = world().await;
    world.sim.tune(|quirks| quirks.negative_receivables = false);
    for (name, kind, nav) in [
        ("sales_invoice_expanded", Kind::SalesInvoices, "SalesInvoiceLines"),
        ("purchase_entry_expanded", Kind::PurchaseEntries, "PurchaseEntryLines"),
        ("purchase_order_expanded", Kind::PurchaseOrders, "PurchaseOrderLines"),
        ("general_journal_entry_expanded", Kind::GeneralJournalEntries, "GeneralJournalEntryLines"),
        ("bank_entry_expanded", Kind::BankEntries, "BankEntryLines"),
        ("payment", Kind::Payments, ""),
        ("receivable", Kind::Receivables, ""),
        ("cost_transaction", Kind::CostTransactions, ""),
        ("document", Kind::Documents, ""),
    ] {
        let recorded = fixture(name);
        let id = world.sim.insert(kind, &recorded["d"].to_string()).unwrap();
        let expand = if nav.is_empty() { String::new() } else { format!("?$expand={nav}") };
        let answer = world.get(&format!("{}(guid'{id}'){expand}", kind.path())).await;
        let mut told = Vec::new();
        differences("", &recorded, &answer.body, &mut told);
        // The simulator stamps what it writes.
        told.retain(|difference| !difference.contains("/Created") && !difference.contains("/Modified"));
        // Lines of orders lead to plans that are not simulated.
        told.retain(|difference| !difference.contains("ShopOrder"));
        assert_eq!(told, Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_document_that_people_write_has_the_recorded_shape() {
    let world = world().await;
    let new = NewDocument::empty("Molen De Hoop B.V.")
        .line(
            NewLine::new("Tarwe", amount("5200")).with_vat(amount("0.09")).for_cost_center("DC1", "Nijmegen"),
        )
        .line(NewLine::new("Gist", amount("812.50")).with_vat(amount("0.09")))
        .with_document();
    for (name, kind, nav) in [
        ("purchase_entry_expanded", Kind::PurchaseEntries, "PurchaseEntryLines"),
        ("sales_invoice_expanded", Kind::SalesInvoices, "SalesInvoiceLines"),
        ("purchase_order_expanded", Kind::PurchaseOrders, "PurchaseOrderLines"),
        ("bank_entry_expanded", Kind::BankEntries, "BankEntryLines"),
    ] {
        let id = world.sim.create(kind, &new);
        let answer = world.get(&format!("{}(guid'{id}')?$expand={nav}", kind.path())).await;
        let mut told = Vec::new();
        differences("", &fixture(name), &answer.body, &mut told);
        told.retain(|it| (it.ends_with("is new") || it.ends_with("is missing")) && !it.contains("ShopOrder"));
        assert_eq!(told, Vec::<String>::new(), "{name}");
    }
    let entry = world.sim.ids(Kind::PurchaseEntries).remove(0);
    let field = |name| world.sim.field(Kind::PurchaseEntries, &entry, name).unwrap_or_default();
    assert_eq!((field("AmountDC").as_str(), field("VATAmountDC").as_str()), ("6553.62", "541.12"));
    assert!(!field("Document").is_empty());
}

#[tokio::test]
async fn tokens_are_answered_as_recorded_and_refresh_in_their_window_only() {
    let world = world().await;
    let credentials = world.sim.credentials();
    let names = |value: &Value| {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_recorded(&world.token(&credentials.refresh_token).await, "token_refused_old_refresh_token");
    assert_recorded(&world.token("unknown").await, "token_refused_invalid_grant");
    assert_recorded(&world.form(&[("grant_type", "refresh_token")]).await, "token_refused_invalid_request");
    let code = world.sim.authorization_code();
    let exchange = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &credentials.redirect_uri),
        ("client_id", &credentials.client_id),
        ("client_secret", &credentials.client_secret),
    ];
    let first = world.form(&exchange).await;
    assert_eq!(names(&first.body), names(&fixture("token_ok")));
    assert_eq!(first.body["expires_in"], "600");
    assert_eq!(world.form(&exchange).await.status, 400, "a code works once");
    let refresh = first.body["refresh_token"].as_str().unwrap().to_owned();
    world.clock.advance(Duration::from_secs(569));
    assert_recorded(&world.token(&refresh).await, "token_refused_too_early");
    world.clock.advance(Duration::from_secs(1));
    let second = world.token(&refresh).await;
    assert_eq!(second.status, 200);
    world.clock.advance(Duration::from_secs(31 * 86_400));
    let refresh = second.body["refresh_token"].as_str().unwrap().to_owned();
    assert_recorded(&world.token(&refresh).await, "token_refused_invalid_grant");
    assert_eq!(world.sim.tallies().refused_tokens, 6);
}

#[tokio::test]
async fn a_token_call_may_go_wrong_after_the_token_was_rotated() {
    let world = world().await;
    let refresh = world.sim.grant();
    world.sim.plant(ExactOnlineSim::gateway_fault(true));
    let answer = world.token(&refresh).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body["fault"]["faultstring"].as_str().unwrap().contains("ExtractAccessToken"));
    assert_recorded(&world.token(&refresh).await, "token_refused_old_refresh_token");
    let mut lasting = ExactOnlineConfig::default();
    lasting.lasting_refresh_tokens = true;
    let world = world_with(lasting).await;
    let refresh = world.sim.grant();
    world.sim.plant(ExactOnlineSim::gateway_fault(true));
    assert_eq!(world.token(&refresh).await.status, 500);
    assert_eq!(world.token(&refresh).await.status, 200, "works until its successor is used");
}

#[tokio::test]
async fn the_201st_token_call_of_a_day_is_refused() {
    let mut config = ExactOnlineConfig::default();
    config.token_calls = 2;
    let world = world_with(config).await;
    let refresh = world.sim.grant();
    assert_eq!(world.token(&refresh).await.status, 200);
    assert_eq!(world.token(&refresh).await.status, 429);
}

#[tokio::test]
async fn broken_tokens_are_refused_or_sent_to_the_login_page() {
    let mut world = world().await;
    world.clock.advance(Duration::from_secs(600));
    let url = "salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20";
    assert_recorded(&world.get(url).await, "error_401_access_token_expired");
    world.bearer = "none".to_owned();
    world.sim.tune(|quirks| quirks.login_page = true);
    let answer = world.get(url).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::FOUND, Some("text/html; charset=utf-8"))
    );
    assert!(answer.header("location").unwrap().starts_with("/docs/Login.aspx?ReturnUrl="));
}

#[tokio::test]
async fn me_and_divisions_are_as_recorded() {
    let world = world().await;
    let mut told = Vec::new();
    let me = world.get(&format!("{BASE}/api/v1/current/Me")).await;
    differences("", &fixture("me"), &me.body, &mut told);
    assert_eq!(told, ["/d/results/0/ServerTime: \"2026-03-12T10:15:19\" and not \"2026-03-12T10:15:30\""]);
    assert_eq!(me.header("x-ratelimit-limit"), None);
    world.sim.within(3_141_594).move_division();
    let divisions = world.get("system/Divisions").await;
    let mut told = Vec::new();
    differences("", &fixture("divisions"), &divisions.body, &mut told);
    assert_eq!(
        told,
        ["/d/results/1/DivisionMoveDate: \"/Date(1773310519000)/\" and not \"/Date(1762567200000)/\""]
    );
    assert!(divisions.header("x-ratelimit-minutely-reset") == Some("1773306960000"));
    let one = world.rows(&format!("system/Divisions?$filter=Code eq {DIVISION}&$select=Code,Status")).await;
    assert_eq!((one.len(), &one[0]["Status"]), (1, &Value::from(1)));
    assert_recorded(
        &world.get(&format!("{BASE}/api/v1/1/system/Divisions")).await,
        "error_403_no_division_access",
    );
}

#[tokio::test]
async fn lists_refuse_what_the_vendor_refuses() {
    let world = world().await;
    assert_recorded(
        &world.get("purchaseentry/PurchaseEntries?$filter=Status eq 20").await,
        "error_400_select_required",
    );
    assert_recorded(
        &world.get("salesinvoice/SalesInvoices?$select=InvoiceID").await,
        "error_400_mandatory_filter",
    );
    let url = "sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Status eq 20";
    assert_recorded(&world.get(url).await, "error_400_filter_not_supported");
    world.sim.refuse_scope("organization.administration", true);
    assert_recorded(&world.get("system/Divisions").await, "error_403_scope");
    for bad in [
        "$select=EntryID,Nonsense",
        "$select=EntryID&$filter=EntryID eq 'e17e06a3-9437-5710-9bf2-69f7e4d69ef6'",
        "$select=EntryID&$filter=Modified ge datetime'2026-03-12T10:00:00Z'",
        "$select=EntryID&$filter=Status eq",
        "$select=EntryID&$filter=PurchaseEntryLines/ID eq guid'e17e06a3-9437-5710-9bf2-69f7e4d69ef6'",
        "$select=EntryID&$expand=Lines",
    ] {
        assert_eq!(world.get(&format!("purchaseentry/PurchaseEntries?{bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(world.get("webhooks/WebhookTopics").await.status, 404);
    assert_eq!(
        world.get("salesinvoice/SalesInvoices(guid'e17e06a3-9437-5710-9bf2-69f7e4d69ef6')").await.status,
        404
    );
}

#[tokio::test]
async fn sixty_one_and_121_rows_are_paged_and_a_small_top_is_a_bare_array() {
    let world = world().await;
    let entry = NewDocument::new("Molen De Hoop B.V.", amount("412.36"));
    for _ in 0..121 {
        world.sim.create(Kind::CostTransactions, &entry);
        world.clock.advance(Duration::from_millis(17));
    }
    let url = "project/CostTransactions?$select=ID,EntryNumber,Modified";
    for (query, pages) in [
        ("&$orderby=Modified asc", vec![60, 60, 1]),
        ("", vec![60, 60, 1]),
        ("&$orderby=EntryNumber desc&$top=100", vec![60, 40]),
    ] {
        let (mut next, mut sizes, mut seen) = (Some(format!("{url}{query}")), Vec::new(), Vec::new());
        while let Some(url) = next {
            let answer = world.get(&url).await;
            let rows = rows(&answer);
            sizes.push(rows.len());
            seen.extend(rows.iter().map(|row| row["EntryNumber"].as_i64().unwrap()));
            next = answer.body["d"]["__next"].as_str().map(str::to_owned);
            assert!(
                next.as_deref()
                    .is_none_or(|next| next.starts_with(&format!("{BASE}/api/v1/{DIVISION}/project")))
            );
        }
        assert_eq!(sizes, pages, "{query}");
        if query.contains("Modified") {
            assert!(seen.is_sorted());
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), pages.iter().sum::<usize>());
    }
    assert_eq!(world.get(&format!("{url}&$top=5")).await.body["d"].as_array().unwrap().len(), 5);
    let invoices =
        world.get("salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20&$top=5").await;
    assert_eq!(invoices.body, fixture("list_empty_results"));
    world.sim.tune(|quirks| quirks.foreign_next = Some("evil.example.com".to_owned()));
    let answer = world.get(url).await;
    assert!(answer.body["d"]["__next"].as_str().unwrap().starts_with("https://evil.example.com/api/v1/"));
}

#[tokio::test]
async fn times_are_dutch_wall_time_on_both_sides_of_the_clock_changes() {
    let world = world().await;
    for (now, wall) in [
        ("2026-03-12T09:14:02.447Z", 1_773_310_442_447_i64),
        ("2026-06-25T14:17:09.433Z", 1_782_404_229_433),
        ("2026-10-25T00:30:00Z", 1_792_895_400_000),
        ("2026-10-25T01:30:00Z", 1_792_895_400_000),
    ] {
        world.clock.set(at(now));
        let id = world.invoice("10");
        assert_eq!(
            world.sim.field(Kind::SalesInvoices, &id, "Modified"),
            Some(format!("/Date({wall})/")),
            "{now}"
        );
    }
}

#[tokio::test]
async fn filters_compare_by_type() {
    let world = world().await;
    let id = world.sim.create(Kind::PurchaseEntries, &NewDocument::new("O'Neill & Zn", amount("412.36")));
    world.clock.advance(Duration::from_secs(60));
    world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    for (filter, found) in [
        (format!("EntryID eq guid'{id}'"), 1),
        ("SupplierName eq 'O''Neill %26 Zn'".to_owned(), 1),
        ("AmountDC gt 100".to_owned(), 1),
        ("AmountDC gt 50 and Status eq 20".to_owned(), 2),
        ("not (AmountDC gt 100) or Status eq 50".to_owned(), 1),
        ("Modified gt datetime'2026-03-12T10:15:19'".to_owned(), 1),
        ("Modified ge datetime'2026-03-12T10:15:19'".to_owned(), 2),
        ("Document eq null".to_owned(), 2),
        ("substringof('Hoop',SupplierName)".to_owned(), 1),
        ("startswith(SupplierName,'Molen') eq true".to_owned(), 1),
        ("tolower(SupplierName) eq 'molen de hoop b.v.'".to_owned(), 1),
    ] {
        let url = format!("purchaseentry/PurchaseEntries?%24select=EntryID&%24filter={filter}");
        assert_eq!(world.rows(&url).await.len(), found, "{filter}");
    }
    let accounts = world.rows("crm/Accounts?$select=ID,Code&$filter=trim(Code) eq '3000042'").await;
    assert_eq!(accounts[0]["Code"], "           3000042");
}

#[tokio::test]
async fn a_processed_invoice_is_a_flat_list_of_rows_with_new_versions() {
    let world = world().await;
    let new = NewDocument::empty("Bakkerij Linde V.O.F.")
        .line(NewLine::new("Patentbloem", amount("740")).for_cost_center("DC1", "Nijmegen"))
        .line(NewLine::new("Gist", amount("260")));
    let id = world.sim.create(Kind::SalesInvoices, &new);
    let select = "Timestamp,ID,InvoiceID,LineNumber,Division,Status,InvoiceNumber,OrderedByName,Currency,Modified,\
                  AmountDC,Description,CostCenter,CostCenterDescription";
    let url = |after: &str| {
        format!("sync/SalesInvoice/SalesInvoices?$select={select}&$filter=Timestamp gt {after}L")
    };
    let first = world.get(&url("1")).await;
    let mut told = Vec::new();
    differences("", &fixture("sync_sales_invoices_page"), &first.body, &mut told);
    assert!(told.iter().all(|it| !it.ends_with("is new") && !it.ends_with("is missing")), "{told:?}");
    let versions: Vec<String> =
        rows(&first).iter().map(|row| row["Timestamp"].as_str().unwrap().to_owned()).collect();
    assert_eq!((versions.len(), rows(&first)[0]["LineNumber"].as_i64()), (3, Some(0)));
    assert_eq!(rows(&first)[1]["CostCenter"], "DC1");
    assert!(world.rows(&url(versions.last().unwrap())).await.is_empty());
    world.sim.process(Kind::SalesInvoices, &id).unwrap();
    let again = world.rows(&url(versions.last().unwrap())).await;
    assert_eq!((again.len(), &again[2]["Status"]), (3, &Value::from(50)));
}

#[tokio::test]
async fn a_changed_line_comes_through_the_ledger_without_its_header() {
    let world = world().await;
    let id =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    let select = "Timestamp,ID,EntryID,LineNumber,Type,AmountDC,JournalCode,AccountName,FinancialYear";
    let url = |after: i64| {
        format!("sync/Financial/TransactionLines?$select={select}&$filter=Timestamp gt {after}L")
    };
    let all = world.rows(&url(1)).await;
    assert_eq!(all.len(), 2);
    assert_eq!(
        (&all[0]["Type"], &all[0]["JournalCode"], &all[0]["AccountName"], &all[0]["FinancialYear"]),
        (&Value::from(30), &Value::from("60"), &Value::from("Molen De Hoop B.V."), &Value::from(2026))
    );
    let version = world.sim.row_version();
    world.sim.set_line(Kind::PurchaseEntries, &id, 0, "Description", "Tarwe").unwrap();
    let changed = world.rows(&url(version)).await;
    assert_eq!(
        (changed.len(), &changed[0]["LineNumber"], &changed[0]["EntryID"]),
        (1, &Value::from(1), &Value::from(id.as_str()))
    );
    let version = world.sim.row_version();
    world.sim.tune(|quirks| quirks.ledger_rows_change_together = true);
    world.sim.set_line(Kind::PurchaseEntries, &id, 0, "Description", "Rogge").unwrap();
    assert_eq!(world.rows(&url(version)).await.len(), 2);
}

#[tokio::test]
async fn deletions_name_invoices_and_the_lines_of_entries() {
    let world = world().await;
    let invoice = world.invoice("10");
    let entry =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    let lines = world.sim.line_ids(Kind::PurchaseEntries, &entry);
    world.sim.delete(Kind::SalesInvoices, &invoice).unwrap();
    world.sim.delete(Kind::PurchaseEntries, &entry).unwrap();
    let url = "sync/Deleted?$select=Timestamp,EntityKey,EntityType,DeletedDate,DeletedBy,Division,ID&$filter=Timestamp gt 1L";
    let answer = world.get(url).await;
    let mut told = Vec::new();
    differences("", &fixture("sync_deleted"), &answer.body, &mut told);
    assert!(!told.iter().any(|it| it.ends_with("is new") || it.ends_with("is missing")), "{told:?}");
    let rows = rows(&answer);
    let keys: Vec<(i64, &str)> = rows
        .iter()
        .map(|row| (row["EntityType"].as_i64().unwrap(), row["EntityKey"].as_str().unwrap()))
        .collect();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0], (13, invoice.as_str()));
    assert_eq!(keys[2], (1, lines[0].as_str()));
    world.clock.advance(Duration::from_secs(62 * 86_400));
    world.sim.delete(Kind::Accounts, &world.sim.ids(Kind::Accounts)[0]).unwrap();
    let version = world.sim.row_version();
    assert!(version > 0);
}

#[tokio::test]
async fn sync_timestamp_names_the_first_row_since_a_time_or_none() {
    let world = world().await;
    world.invoice("10");
    world.clock.advance(Duration::from_secs(500));
    let ask = |from: &str, name: &str| {
        format!("read/sync/Sync/SyncTimestamp?modified=datetime'{from}'&endPoint='{name}'")
    };
    assert_eq!(world.rows(&ask("2026-03-12T10:20:00", "SalesInvoices")).await, Vec::<Value>::new());
    let version = world.sim.row_version();
    world.invoice("20");
    let rows = world.rows(&ask("2026-03-12T10:20:00", "SalesInvoices")).await;
    let named: i64 = rows[0]["TimeStampAsBigInt"].as_str().unwrap().parse().unwrap();
    assert!(named > version && rows[0]["API"] == "SalesInvoices");
    let after = named - 1;
    let url = format!("sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Timestamp gt {after}L");
    assert_eq!(world.rows(&url).await.len(), 2);
    assert_eq!(world.get(&ask("2026-03-12T10:20:00", "PaymentTerms")).await.status, 400);
}

#[tokio::test]
async fn a_move_gives_every_row_another_version_and_says_so() {
    let world = world().await;
    world.invoice("10");
    let before = world.sim.row_version();
    world.sim.move_division();
    assert!(world.sim.row_version() < before);
    let url = format!("sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Timestamp gt {before}L");
    assert!(world.rows(&url).await.is_empty());
    let rows = world.rows("system/Divisions?$select=Code,DivisionMoveDate&$filter=Code eq 3141593").await;
    assert_eq!(rows[0]["DivisionMoveDate"], "/Date(1773310519000)/");
}

#[tokio::test]
async fn terms_say_what_settled_them() {
    let world = world().await;
    let paid = world.invoice("1210");
    world.sim.process(Kind::SalesInvoices, &paid).unwrap();
    let credited = world.invoice("500");
    world.sim.process(Kind::SalesInvoices, &credited).unwrap();
    let bought =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("100")));
    let bank = world.sim.settle(&paid, Settlement::Bank).unwrap().unwrap();
    assert_eq!(world.sim.settle(&credited, Settlement::CreditNote).unwrap(), None);
    world.sim.settle_part(&bought, Settlement::Bank, Some(amount("40"))).unwrap();
    world.sim.leave_unmatched(&bank, amount("290")).unwrap();
    let select =
        "Timestamp,ID,LineType,Status,TransactionType,Journal,AmountDC,LastPaymentDate,IsFullyPaid,EndDate";
    let rows =
        world.rows(&format!("sync/Cashflow/PaymentTerms?$select={select}&$filter=Timestamp gt 1L")).await;
    let mut told: Vec<String> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].to_string().replace('"', "");
            format!(
                "{} {} type {} journal {} amount {} paid {}",
                text("LineType"),
                text("Status"),
                text("TransactionType"),
                text("Journal"),
                text("AmountDC"),
                !row["LastPaymentDate"].is_null()
            )
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "20 20 type 40 journal 20 amount 290 paid false",
            "20 50 type 20 journal 70 amount -1210 paid true",
            "20 50 type 20 journal 70 amount -500 paid false",
            "22 20 type 30 journal 60 amount 60 paid false",
            "22 40 type 30 journal 60 amount 40 paid true",
        ]
    );
    let url = "financialtransaction/BankEntryLines?$select=ID,AmountDC,OurRef,AccountName";
    let lines = world.rows(&format!("{url}&$filter=EntryID eq guid'{bank}'")).await;
    assert_eq!(lines[0]["AmountDC"], 1210);
}

#[tokio::test]
async fn a_missing_right_is_an_empty_list_or_a_plain_refusal() {
    let world = world().await;
    let id =
        world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("98.01")));
    let list = format!("purchaseentry/PurchaseEntries?$select=EntryID&$filter=EntryID eq guid'{id}'&$top=1");
    let ask = "users/UserHasRights?endpoint='purchaseentry/PurchaseEntries'&action='GET'";
    for (right, status, has) in [
        (Right::MissingInRole, 200, false),
        (Right::ForbiddenByRole, 403, false),
        (Right::ForbiddenByModule, 403, true),
    ] {
        world.sim.refuse(Kind::PurchaseEntries, Some(right));
        let answer = world.get(&list).await;
        assert_eq!(answer.status, status, "{right:?}");
        assert_eq!(answer.header("reason"), None);
        if status == 200 {
            assert_eq!(answer.body, serde_json::json!({ "d": [] }));
        }
        assert_eq!(world.get(ask).await.body["d"]["UserHasRights"], has, "{right:?}");
    }
    world.sim.refuse(Kind::PurchaseEntries, None);
    world.sim.tune(|quirks| quirks.bare_rights = true);
    assert_eq!(world.get(ask).await.body, serde_json::json!({ "d": true }));
    assert_eq!(world.rows(&list).await.len(), 1);
}

#[tokio::test]
async fn rows_of_another_company_may_come() {
    let world = world().await;
    let other = world.sim.within(3_141_594);
    other.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("1")));
    world.sim.tune(|quirks| quirks.other_division = Some(3_141_594));
    let rows = world.rows("purchaseentry/PurchaseEntries?$select=EntryID,Division&$top=1").await;
    assert_eq!(rows[0]["Division"], 3_141_594);
    assert!(rows[0]["__metadata"]["uri"].as_str().unwrap().contains("/3141594/"));
}

#[tokio::test]
async fn windows_are_aligned_to_the_clock_and_told_as_recorded() {
    let world = world().await;
    let url = "system/Divisions?$select=Code";
    for call in 0..60 {
        assert_eq!(world.get(url).await.status, 200, "{call}");
    }
    assert_recorded(&world.get(url).await, "error_429_minutely");
    let refused = world.get(url).await;
    assert_eq!(refused.header("x-ratelimit-minutely-reset"), Some("1773306960000"));
    assert_eq!(refused.header("x-ratelimit-remaining"), None);
    world.clock.set(at("2026-03-12T09:16:00Z"));
    let answer = world.get(url).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-minutely-remaining")), (200, Some("59")));
    assert_eq!(answer.header("x-ratelimit-reset"), Some("1773360000000"));
    world.sim.set_limits(60, 61);
    assert_eq!(world.get(&format!("{BASE}/api/v1/3141594/{url}")).await.status, 200, "its own limits");
    let daily = world.get(url).await;
    assert_eq!((daily.status.as_u16(), daily.header("x-ratelimit-minutely-limit")), (429, None));
    assert_eq!((daily.header("x-ratelimit-remaining"), &daily.body), (Some("0"), &Value::Null));
    assert_eq!(world.sim.limit_violations(), 3);
}

#[tokio::test]
async fn the_11th_error_of_an_endpoint_blocks_it_for_an_hour() {
    let mut world = world().await;
    let bad = "purchaseentry/PurchaseEntries?$select=Nonsense";
    for _ in 0..11 {
        assert_eq!(world.get(bad).await.status, 400);
    }
    let good = "purchaseentry/PurchaseEntries?$select=EntryID";
    let blocked = world.get(good).await;
    assert_eq!((blocked.status.as_u16(), blocked.header("x-ratelimit-limit")), (429, None));
    assert_eq!(world.get("system/Divisions").await.status, 200, "another endpoint");
    world.clock.advance(Duration::from_secs(3600));
    let refresh = world.sim.grant();
    world.bearer = world.token(&refresh).await.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get(good).await.status, 200);
    assert_eq!(world.sim.tallies().blocked_calls, 1);
}

#[tokio::test(start_paused = true)]
async fn parallel_calls_double_one_row_and_lose_another() {
    let world = world().await;
    for _ in 0..3 {
        world.invoice("10");
    }
    let mut slow = Conditions::kind();
    slow.latency = Duration::from_millis(50);
    world.sim.set_conditions(slow);
    let url = "salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20";
    let (one, two) = tokio::join!(world.rows(url), world.rows(url));
    let distinct = |rows: &[Value]| {
        rows.iter().map(|row| row["InvoiceID"].to_string()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((one.len(), two.len()), (3, 3));
    assert_eq!(distinct(&one).min(distinct(&two)), 2);
    assert_eq!(distinct(&world.rows(url).await), 3);
    assert!(world.sim.tallies().parallel_calls >= 1);
}

#[tokio::test]
async fn overload_is_408_and_599() {
    let world = world().await;
    let url = "cashflow/Receivables?$select=ID";
    world.sim.plant(ExactOnlineSim::timed_out("/cashflow/Receivables"));
    world.sim.plant(ExactOnlineSim::network_timed_out("/cashflow/Receivables"));
    assert_eq!(world.get(url).await.status.as_u16(), 408);
    assert_eq!(world.get(url).await.status.as_u16(), 599);
    assert_eq!(world.get(url).await.status.as_u16(), 200);
    world.sim.plant(Fault::html(StatusCode::SERVICE_UNAVAILABLE).times(1));
    assert_eq!(world.get(url).await.status.as_u16(), 503);
}

/// A subscriber that answers with a status and keeps what came.
#[derive(Debug, Default)]
struct Subscriber {
    status: std::sync::Mutex<u16>,
    bodies: std::sync::Mutex<Vec<Bytes>>,
}

#[async_trait]
impl HttpTransport for Subscriber {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        self.bodies.lock().unwrap().push(request.into_body());
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::from_u16(*self.status.lock().unwrap()).unwrap();
        Ok(answer)
    }
}

const CALLBACK: &str = "https://connect.example.com/webhooks/exact-online";

async fn subscribed(topics: &[&str]) -> (World, Arc<Subscriber>) {
    let world = world().await;
    let subscriber = Arc::new(Subscriber::default());
    *subscriber.status.lock().unwrap() = 200;
    world.sim.set_hooks(subscriber.clone());
    for topic in topics {
        assert_eq!(world.subscribe(topic, CALLBACK).await.status, 201);
    }
    (world, subscriber)
}

#[tokio::test]
async fn a_subscription_is_checked_with_an_empty_post_and_answered_as_recorded() {
    let (world, subscriber) = subscribed(&[]).await;
    let created = world.subscribe("SalesInvoices", CALLBACK).await;
    assert_eq!(created.status, 201);
    assert_eq!(*subscriber.bodies.lock().unwrap(), [Bytes::new()]);
    let mut told = Vec::new();
    differences("", &fixture("webhook_subscription_create_response"), &created.body, &mut told);
    told.retain(|it| {
        !["ID", "uri", "ClientID", "Created", "CallbackURL"]
            .iter()
            .any(|own| it.contains(&format!("/{own}:")))
    });
    assert_eq!(told, Vec::<String>::new());
    assert!(created.header("location").unwrap().contains("WebhookSubscriptions(guid'"));
    assert_eq!(created.header("x-ratelimit-limit"), Some("5000"));
    assert_recorded(&world.subscribe("SalesInvoices", CALLBACK).await, "webhook_subscription_duplicate");
    *subscriber.status.lock().unwrap() = 500;
    assert_recorded(&world.subscribe("BankEntries", CALLBACK).await, "webhook_subscription_callback_failed");
    for (topic, url) in [("Nonsense", CALLBACK), ("CashEntries", "https://other.example.com/hook")] {
        assert_eq!(world.subscribe(topic, url).await.status, 400, "{topic} {url}");
    }
    *subscriber.status.lock().unwrap() = 201;
    world.sim.tune(|quirks| quirks.callback_host = CallbackHost::SameDomain);
    assert_eq!(world.subscribe("CashEntries", "https://other.example.com/hook").await.status, 201);
    let list = world.rows("webhooks/WebhookSubscriptions?$select=ID,Topic,CallbackURL,Division,UserID").await;
    assert_eq!(list.len(), 2);
    let id = world.sim.subscriptions()[0].id.clone();
    let gone = world.request(Method::DELETE, &format!("webhooks/WebhookSubscriptions(guid'{id}')"), "");
    assert_eq!(send(&world.transport, gone).await.unwrap().status, 204);
    assert_eq!(world.sim.subscriptions().len(), 1);
}

#[tokio::test]
async fn notifications_are_signed_and_look_as_recorded() {
    let (world, subscriber) = subscribed(&["SalesInvoices"]).await;
    subscriber.bodies.lock().unwrap().clear();
    let id = world.invoice("10");
    world.sim.set(Kind::SalesInvoices, &id, "YourRef", "PO-1").unwrap();
    world.sim.delete(Kind::SalesInvoices, &id).unwrap();
    let attempts = world.sim.deliver(&*subscriber).await;
    let actions: Vec<&str> = attempts.iter().map(|attempt| attempt.about.action.as_str()).collect();
    assert_eq!(actions, ["Create", "Update", "Delete"]);
    let secret = world.sim.credentials().webhook_secret;
    for body in subscriber.bodies.lock().unwrap().iter() {
        let text = std::str::from_utf8(body).unwrap();
        let content = text.strip_prefix("{\"Content\":").unwrap().split(",\"HashCode\":").next().unwrap();
        let read: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read["HashCode"], hash_code(&secret, content.as_bytes()).as_str());
        let members = "{\"Topic\":\"SalesInvoices\",\"ClientId\":\"";
        assert!(content.starts_with(members), "{content}");
        assert_eq!(read["Content"]["EventCreatedOn"], "2026-03-12T10:15:19");
        assert_eq!(read["Content"]["Division"], DIVISION);
        assert_eq!(
            read["Content"]["ExactOnlineEndpoint"],
            format!("{BASE}/api/v1/{DIVISION}/salesinvoice/SalesInvoices(guid'{id}')")
        );
    }
}

#[test]
fn signatures_are_those_of_the_vectors() {
    let vectors = fixture("webhook_vectors");
    let mut valid = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let (Some(content), Some(hash)) = (vector["content"].as_str(), vector["hash_code"].as_str()) else {
            continue;
        };
        let made = hash_code(&Secret::from(vector["secret"].as_str().unwrap()), content.as_bytes());
        if vector["valid"] == true {
            assert_eq!(made, hash.to_ascii_uppercase(), "{}", vector["name"]);
            valid += 1;
        } else {
            assert_ne!(made, hash, "{}", vector["name"]);
        }
    }
    assert_eq!(valid, 13);
}

#[tokio::test]
async fn what_is_not_received_is_tried_again_ten_times() {
    let (world, subscriber) = subscribed(&["PurchaseOrders"]).await;
    *subscriber.status.lock().unwrap() = 204;
    world.sim.create(Kind::PurchaseOrders, &NewDocument::new("Molen De Hoop B.V.", amount("1")));
    let mut pauses = Vec::new();
    let mut last = world.sim.next_webhook().unwrap();
    while let Some(due) = world.sim.next_webhook() {
        pauses.push(due.saturating_since(last).as_secs() / 60);
        world.clock.set(due);
        last = due;
        world.sim.deliver(&*subscriber).await;
    }
    assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
}

#[tokio::test]
async fn lines_umbrella_and_late_checks_are_switchable() {
    let (world, subscriber) = subscribed(&["PurchaseEntries", "FinancialTransactions"]).await;
    world.sim.tune(|quirks| {
        quirks.tells_lines = true;
        quirks.creates_are_updates = true;
        quirks.late_check = true;
    });
    let entry = world.sim.create(Kind::PurchaseEntries, &NewDocument::new("Molen De Hoop B.V.", amount("1")));
    let told = world.sim.take_webhooks();
    let lines = world.sim.line_ids(Kind::PurchaseEntries, &entry);
    let keys: Vec<&str> = told.iter().map(|delivery| delivery.about.key.as_str()).collect();
    assert_eq!(keys, [entry.as_str(), &lines[0], &entry, &lines[0]]);
    assert!(told.iter().all(|delivery| delivery.about.action == "Update"));
    *subscriber.status.lock().unwrap() = 500;
    assert_eq!(world.subscribe("BankEntries", CALLBACK).await.status, 201);
    assert_eq!(world.sim.subscriptions().len(), 3);
    world.clock.advance(Duration::from_secs(1));
    world.sim.deliver(&*subscriber).await;
    assert_eq!(world.sim.subscriptions().len(), 2, "the late check failed");
}

#[tokio::test]
async fn practice_dossier_and_archived_companies_are_listed() {
    let mut config = ExactOnlineConfig::default();
    let mut practice = Division::new(3_141_601, "Noordpool Groothandel B.V.");
    practice.is_practice = true;
    let mut old = Division::new(3_141_577, "Noordpool (oud)");
    old.status = 2;
    let mut closed = Division::new(3_141_500, "Closed");
    closed.is_open = false;
    config.divisions.extend([practice, old, closed]);
    let world = world_with(config).await;
    let url = "system/Divisions?$select=Code,Status,IsPracticeDivision,ArchiveDate,Current&$orderby=Code";
    let rows = world.rows(url).await;
    assert_eq!(rows.len(), 4);
    assert!(rows[0]["ArchiveDate"].is_string() && rows[0]["Status"] == 2);
    assert!(rows[3]["IsPracticeDivision"] == true);
}

#[tokio::test]
async fn lists_lag_behind_but_never_forget() {
    let world = world().await;
    let id = world.invoice("10");
    world.clock.advance(Duration::from_secs(60));
    let mut late = Conditions::kind();
    late.list_lag = Duration::from_secs(2);
    world.sim.set_conditions(late);
    world.sim.set(Kind::SalesInvoices, &id, "YourRef", "A").unwrap();
    world.clock.advance(Duration::from_secs(1));
    world.sim.set(Kind::SalesInvoices, &id, "YourRef", "B").unwrap();
    let url = "salesinvoice/SalesInvoices?$select=YourRef&$filter=Status eq 20";
    for (wait, shown) in [(0, Value::Null), (1, "A".into()), (1, "B".into())] {
        world.clock.advance(Duration::from_secs(wait));
        assert_eq!(world.rows(url).await[0]["YourRef"], shown);
    }
}

#[tokio::test]
async fn short_pages_hold_every_row_once() {
    let world = world().await;
    for _ in 0..30 {
        let _ = world.invoice("10");
    }
    let mut short = Conditions::kind();
    short.short_pages = true;
    world.sim.set_conditions(short);
    for (url, expected) in [
        ("salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20", 30),
        ("salesinvoice/SalesInvoices?$select=InvoiceID&$filter=Status eq 20&$top=25", 25),
        ("sync/SalesInvoice/SalesInvoices?$select=ID&$filter=Timestamp gt 1L", 60),
    ] {
        let (mut next, mut found) = (Some(url.to_owned()), std::collections::BTreeSet::new());
        while let Some(url) = next {
            let answer = world.get(&url).await;
            for row in rows(&answer) {
                assert!(found.insert(row["__metadata"]["uri"].to_string()), "twice: {row}");
            }
            next = answer.body["d"]["__next"].as_str().map(str::to_owned);
        }
        assert_eq!(found.len(), expected, "{url}");
    }
}

#[tokio::test]
async fn random_changes_are_the_same_in_every_run() {
    let run = || async {
        let world = world().await;
        let changes: Vec<_> = (0..300).filter_map(|_| world.sim.change_at_random()).collect();
        (changes.iter().map(|change| (change.kind, change.action)).collect::<Vec<_>>(), changes.len())
    };
    let (one, made) = run().await;
    assert_eq!((one.clone(), made), run().await);
    assert!(made > 200);
    for action in ["create", "change", "process", "settle", "delete"] {
        assert!(one.iter().any(|(_, made)| *made == action), "{action}");
    }
}
