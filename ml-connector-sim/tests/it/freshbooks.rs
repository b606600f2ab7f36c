//! FreshBooks: answers as they were recorded, tokens, lists, refusals.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use ml_connector_core::{
    ManualClock, Timestamp,
    model::{Date, Decimal},
};
use ml_connector_sim::{
    FreshBooksSim, SimTransport,
    freshbooks::{
        Bill, BillPayment, BillVendor, Category, Client, Expense, ExpenseStatus, FreshBooksConfig, Invoice,
        Item, Kind, Line, Payment, Stage, Tax,
    },
};
use serde_json::Value;

use crate::{Answered, NOW, get, post, send};

pub(crate) const API: &str = "https://api.freshbooks.com";
const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) struct World {
    pub(crate) sim: FreshBooksSim,
    pub(crate) transport: SimTransport,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn world() -> World {
    world_with(FreshBooksConfig::default())
}

pub(crate) fn world_with(config: FreshBooksConfig) -> World {
    let clock = Arc::new(ManualClock::at(Timestamp::from_secs(NOW)));
    let sim = FreshBooksSim::with_config(clock.clone(), config);
    // Limits are tried by a test of their own.
    sim.set_limits(10_000, 10_000);
    World { transport: SimTransport::new().with_freshbooks(&sim), sim, clock }
}

impl World {
    /// Asks the token endpoint, with parameters changed or left out (empty).
    pub(crate) async fn token_answer(&self, change: &[(&str, &str)]) -> Answered {
        let credentials = self.sim.credentials();
        let mut params = vec![
            ("grant_type", "refresh_token"),
            ("client_id", &credentials.client_id),
            ("client_secret", &credentials.client_secret),
            ("redirect_uri", &credentials.redirect_uri),
            ("refresh_token", &credentials.refresh_token),
        ];
        for (name, value) in change {
            params.retain(|(known, _)| known != name);
            params.push((name, value));
        }
        params.retain(|(_, value)| !value.is_empty());
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        send(&self.transport, post(&format!("{API}/auth/oauth/token"), "", FORM, form)).await.unwrap()
    }

    /// A token of a new consent, as an authorization header.
    pub(crate) async fn bearer(&self) -> String {
        let code = self.sim.authorization_code();
        self.bearer_of(&[("grant_type", "authorization_code"), ("code", &code)]).await
    }

    async fn bearer_of(&self, change: &[(&str, &str)]) -> String {
        let answer = self.token_answer(change).await;
        format!("Bearer {}", answer.body["access_token"].as_str().expect("a token"))
    }

    pub(crate) async fn read(&self, bearer: &str, path: &str) -> Answered {
        send(&self.transport, get(&format!("{API}{path}"), bearer)).await.unwrap()
    }

    pub(crate) async fn call(&self, method: Method, bearer: &str, path: &str, body: &str) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(format!("{API}{path}"))
            .header(header::AUTHORIZATION, bearer)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        send(&self.transport, request).await.unwrap()
    }

    /// A client with a sent invoice over this amount.
    pub(crate) fn invoice(&self, amount: i64) -> u64 {
        let client = self.sim.create(Client::new("Larkspur Dental Group")).unwrap();
        self.sim.create(Invoice::new(client, Decimal::from(amount)).sent()).unwrap()
    }

    fn at(&self, time: &str) {
        self.clock.set(Timestamp::parse(time).unwrap());
    }
}

/// A path of accounting.
pub(crate) fn accounting(rest: &str) -> String {
    format!("/accounting/account/Zq84Xk/{rest}")
}

fn errno(answer: &Answered) -> (u16, u64) {
    let errno = answer.body["response"]["errors"][0]["errno"].as_u64().unwrap_or_default();
    (answer.status.as_u16(), errno)
}

pub(crate) fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/freshbooks/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Everything in which two values differ, as paths.
fn differences(at: &str, expected: &Value, found: &Value, told: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
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
        // Random digits are as many.
        (Value::String(expected), Value::String(found)) if at.ends_with("/client/uuid") => {
            if expected.len() != found.len() {
                told.push(format!("{at} is {found} and not {expected}"));
            }
        }
        // The part of a second is nobody's choice.
        (Value::String(expected), Value::String(found)) if at.ends_with("/version") => {
            if expected[..20] != found[..20] || expected.len() != found.len() {
                told.push(format!("{at} is {found} and not {expected}"));
            }
        }
        _ if expected == found => {}
        _ => told.push(format!("{at} is {found} and not {expected}")),
    }
}

#[track_caller]
pub(crate) fn assert_as_recorded(fixture_name: &str, found: &Value) {
    let mut told = Vec::new();
    differences("", &fixture(fixture_name), found, &mut told);
    assert!(told.is_empty(), "{fixture_name}: {told:#?}");
}

fn cad(amount: i64) -> Decimal {
    Decimal::new(amount, 2)
}

fn line(name: &str, description: &str, quantity: i64, unit_cost: i64) -> Line {
    let mut line = Line::new(name, quantity, cad(unit_cost));
    description.clone_into(&mut line.description);
    line
}

/// What happened until 12:41:18 in New York on 29 June 2026, as the recorded answers tell it.
fn story() -> World {
    let world = world();
    let sim = &world.sim;
    world.at("2025-11-03T15:19:03Z");
    let categories = [
        (13_309_140, "Courier & Freight"),
        (13_309_160, "Meals & Entertainment"),
        (13_309_171, "Travel"),
        (13_309_188, "Furniture"),
    ];
    for (id, name) in categories {
        let mut category = Category::new(name);
        category.parent = Some(13_309_100);
        sim.number_from(Kind::Category, id);
        sim.create(category).unwrap();
    }
    world.at("2026-03-02T14:21:09Z");
    sim.number_from(Kind::BillVendor, 8831);
    let mut vendor = BillVendor::new("Harbourview Supply Co.");
    "CAD".clone_into(&mut vendor.currency);
    sim.create(vendor).unwrap();
    world.at("2026-06-13T14:45:20Z");
    sim.number_from(Kind::Item, 55_071);
    let mut item = Item::new("Brand design", cad(12_500));
    item.description = Some("Hourly brand design".to_owned());
    "CAD".clone_into(&mut item.currency);
    item.sku = Some("BD-01".to_owned());
    item.tax = Some(7712);
    sim.create(item).unwrap();
    world.at("2026-06-16T14:04:37Z");
    sim.number_from(Kind::Tax, 7712);
    let mut tax = Tax::new("HST", 13);
    tax.number = Some("RT 0001".to_owned());
    sim.create(tax).unwrap();
    world.at("2026-06-16T16:15:20Z");
    sim.number_from(Kind::Client, 618_204);
    let mut client = Client::new("Larkspur Dental Group");

    "Priya".clone_into(&mut client.fname);
    "Raman".clone_into(&mut client.lname);
    "accounts@larkspurdental.example".clone_into(&mut client.email);
    "CAD".clone_into(&mut client.currency);
    sim.create(client).unwrap();

    world.at("2026-06-20T12:30:00Z");
    sim.number_from(Kind::Invoice, 502_290);
    let mut first = Invoice::new(618_204, cad(48_000)).in_currency("CAD").sent();
    "INV-0041".clone_into(&mut first.number);
    first.lines = vec![line("Logo", "Logo refresh", 1, 48_000)];
    sim.create(first).unwrap();
    world.at("2026-06-24T13:15:02Z");
    sim.number_from(Kind::Payment, 340_077);
    let paid = sim.pay_invoice(502_290, cad(48_000)).unwrap();
    sim.edit(paid, |payment: &mut Payment| "Check".clone_into(&mut payment.method)).unwrap();
    world.at("2026-06-24T15:02:40Z");
    for (id, _) in categories {
        sim.touch(Kind::Category, id).unwrap();
    }

    world.at("2026-06-29T16:40:55Z");
    sim.number_from(Kind::Invoice, 502_317);
    let mut second = Invoice::new(618_204, cad(1)).in_currency("CAD");
    "INV-0042".clone_into(&mut second.number);
    second.lines = vec![
        line("Brand design", "Design retainer, June", 40, 12_500).taxed("HST", 13),
        line("Stock photography", "", 3, 20_000).taxed("HST", 13),
    ];
    sim.create(second).unwrap();
    world.at("2026-06-29T16:41:18Z");
    sim.mark_sent(502_317).unwrap();
    world
}

impl World {
    /// What happened after that on the same day.
    fn later_that_day(&self) {
        let sim = &self.sim;
        self.at("2026-06-29T16:44:12Z");
        sim.number_from(Kind::Bill, 71_205);
        let mut bill = Bill::new(8831, cad(1)).numbered("HV-20931").in_currency("CAD");
        bill.lines =
            vec![line("", "Shelving units", 4, 31_000).taxed("HST", 13), line("", "Delivery", 1, 9_500)];
        bill.lines[0].category = Some(13_309_188);
        bill.lines[1].category = Some(13_309_140);
        sim.create(bill).unwrap();
        self.at("2026-06-29T16:48:37Z");
        sim.number_from(Kind::Payment, 340_118);
        let paid = sim.pay_invoice(502_317, cad(250_000)).unwrap();
        sim.edit(paid, |payment: &mut Payment| "wire ref 00871".clone_into(&mut payment.note)).unwrap();
        self.at("2026-06-29T16:50:21Z");
        sim.number_from(Kind::Expense, 2_714_450);
        sim.create(expense("Serano Bakery", 12_995, 13_309_160, "Team lunch")).unwrap();
        self.at("2026-06-29T16:52:30Z");
        sim.number_from(Kind::Expense, 2_714_461);
        let mut billable = expense("Rail Canada", 24_000, 13_309_171, "Site visit");
        billable.status = ExpenseStatus::Outstanding;
        billable.client = Some(618_204);
        sim.create(billable).unwrap();
        self.at("2026-06-29T16:52:44Z");
        sim.number_from(Kind::Invoice, 502_341);
        let mut draft = Invoice::new(618_204, cad(150_000)).in_currency("CAD");
        "INV-0043".clone_into(&mut draft.number);
        sim.create(draft).unwrap();
    }
}

fn expense(vendor: &str, amount: i64, category: u64, notes: &str) -> Expense {
    let mut expense = Expense::new(vendor, cad(amount));
    "CAD".clone_into(&mut expense.currency);
    expense.category = Some(category);
    notes.clone_into(&mut expense.notes);
    expense.date = Some(Date::parse("2026-06-28").unwrap());
    expense.tax = Some(("HST".to_owned(), Decimal::from(13)));
    expense
}

#[tokio::test]
async fn records_are_printed_as_they_were_recorded() {
    let world = story();
    let bearer = world.bearer().await;
    let read = async |path: &str| world.read(&bearer, &accounting(path)).await.body;
    assert_as_recorded("invoice_get", &read("invoices/invoices/502317?include[]=lines").await);
    assert_as_recorded("invoice_get_without_include", &read("invoices/invoices/502317").await);

    world.later_that_day();
    assert_as_recorded("invoice_get_partial", &read("invoices/invoices/502317?include%5B%5D=lines").await);
    for (name, path) in [
        ("payment_get", "payments/payments/340118"),
        ("bill_get", "bills/bills/71205"),
        ("bill_vendor_get", "bill_vendors/bill_vendors/8831"),
        ("expense_get", "expenses/expenses/2714450"),
        ("expense_get_billable", "expenses/expenses/2714461"),
        ("expense_category_get", "expenses/categories/13309160"),
        ("client_get", "users/clients/618204"),
        ("item_get", "items/items/55071"),
        ("tax_get", "taxes/taxes/7712"),
        ("invoice_share_link", "invoices/invoices/502317/share_link?share_method=share_link"),
        ("error_404", "invoices/invoices/999999"),
    ] {
        assert_as_recorded(name, &read(path).await);
    }

    world.at("2026-06-29T17:02:10Z");
    world.sim.delete(Kind::Invoice, 502_317).unwrap();
    assert_as_recorded("invoice_get_deleted", &read("invoices/invoices/502317").await);

    world.at("2026-06-30T13:05:41Z");
    world.sim.number_from(Kind::BillPayment, 9042);
    let paid = world.sim.pay_bill(71_205, cad(50_000)).unwrap();
    world
        .sim
        .edit(paid, |payment: &mut BillPayment| payment.note = Some("first instalment".to_owned()))
        .unwrap();
    let bearer = world.bearer().await;
    let read = async |path: &str| world.read(&bearer, &accounting(path)).await.body;
    assert_as_recorded("bill_get_partial", &read("bills/bills/71205").await);
    assert_as_recorded("bill_payment_get", &read("bill_payments/bill_payments/9042").await);
}

#[tokio::test]
async fn lists_are_printed_as_they_were_recorded() {
    let world = story();
    let bearer = world.bearer().await;
    let read = async |path: &str| world.read(&bearer, &accounting(path)).await.body;
    world.later_that_day();
    for (name, path) in [
        ("invoices_list_page1", "invoices/invoices?per_page=2"),
        ("invoices_list_page2", "invoices/invoices?per_page=2&page=2"),
        ("invoices_list_past_end", "invoices/invoices?per_page=2&page=9"),
        ("invoices_list_empty", "invoices/invoices?search[vis_state]=2"),
        ("payments_list", "payments/payments?per_page=100"),
        ("bills_list", "bills/bills?per_page=250"),
        ("error_page_not_number", "invoices/invoices?page=abc"),
    ] {
        assert_as_recorded(name, &read(path).await);
    }
    // The recorded list of expenses is oldest first; everything else about it is the same.
    let mut expenses = read("expenses/expenses?per_page=100").await;
    expenses["response"]["result"]["expenses"].as_array_mut().unwrap().reverse();
    assert_as_recorded("expenses_list", &expenses);

    let uuid = world.sim.credentials().business_uuid;
    let ledger = format!("/accounting/businesses/{uuid}/ledger_accounts/accounts");
    assert_as_recorded("ledger_accounts_list", &world.read(&bearer, &ledger).await.body);
    assert_as_recorded("error_404_ledger", &world.read(&bearer, &format!("{ledger}/none")).await.body);
    assert_as_recorded("users_me", &world.read(&bearer, "/auth/api/v1/users/me").await.body);
    assert_as_recorded("error_401", &world.read("Bearer made-up", &accounting("bills/bills")).await.body);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_a_new_consent_ends_it() {
    let world = world();
    let first = world.token_answer(&[]).await;
    let mut keys: Vec<_> = first.body.as_object().unwrap().keys().cloned().collect();
    let mut recorded: Vec<_> = fixture("token_ok").as_object().unwrap().keys().cloned().collect();
    keys.sort();
    recorded.sort();
    assert_eq!(keys, recorded);
    assert_eq!((&first.body["expires_in"], &first.body["created_at"]), (&43_200.into(), &NOW.into()));
    let access_token = first.body["access_token"].as_str().unwrap();
    assert!(access_token.len() > 900, "as long as a real one");

    let again = world.token_answer(&[]).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_as_recorded("token_error_invalid_grant", &again.body);
    let next = first.body["refresh_token"].as_str().unwrap();
    let second = world.token_answer(&[("refresh_token", next)]).await;
    assert_eq!(second.status, StatusCode::OK);
    // The token before it still opens the API.
    let me = world.read(&format!("Bearer {access_token}"), "/auth/api/v1/users/me").await;
    assert_eq!(me.status, StatusCode::OK);

    let newest = second.body["refresh_token"].as_str().unwrap();
    let _elsewhere = world.bearer().await;
    let ended = world.token_answer(&[("refresh_token", newest)]).await;
    assert_eq!((ended.status, &ended.body["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
}

#[tokio::test]
async fn token_requests_need_every_parameter_and_come_in_three_forms() {
    let world = world();
    for name in ["client_id", "client_secret", "grant_type", "redirect_uri", "refresh_token"] {
        let answer = world.token_answer(&[(name, "")]).await;
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (StatusCode::BAD_REQUEST, &"invalid_request".into())
        );
        let description = answer.body["error_description"].as_str().unwrap();
        let missing = if name == "grant_type" { "grant_type" } else { name };
        assert!(description.contains(missing), "{name}: {description}");
    }
    let wrong = world.token_answer(&[("client_secret", "wrong")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_as_recorded("token_error_invalid_client", &wrong.body);
    let elsewhere = world.token_answer(&[("redirect_uri", "https://elsewhere.example.com/")]).await;
    assert_eq!(elsewhere.body["error"], "invalid_grant");
    assert_eq!(world.sim.tokens_issued(), 0);

    // The Node package sends JSON.
    let credentials = world.sim.credentials();
    let json = serde_json::json!({
        "grant_type": "refresh_token",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "redirect_uri": credentials.redirect_uri,
        "refresh_token": credentials.refresh_token,
    });
    let answer = world.call(Method::POST, "", "/auth/oauth/token", &json.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let revoke = async |secret: &str, token: &Value| {
        let json = serde_json::json!({
            "client_id": credentials.client_id,
            "client_secret": secret,
            "token": token,
        });
        world.call(Method::POST, "", "/auth/oauth/revoke", &json.to_string()).await
    };
    let bearer = format!("Bearer {}", answer.body["access_token"].as_str().unwrap());
    let me = async || world.read(&bearer, "/auth/api/v1/users/me").await.status;
    assert_eq!(revoke("wrong", &answer.body["access_token"]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(me().await, StatusCode::OK);
    assert_as_recorded(
        "revoke_ok",
        &revoke(&credentials.client_secret, &answer.body["access_token"]).await.body,
    );
    assert_eq!(me().await, StatusCode::UNAUTHORIZED);
    let next = answer.body["refresh_token"].as_str().unwrap();
    assert_eq!(revoke(&credentials.client_secret, &next.into()).await.status, StatusCode::OK);
    assert_eq!(world.token_answer(&[("refresh_token", next)]).await.body["error"], "invalid_grant");
}

#[tokio::test]
async fn what_sources_disagree_about_can_be_switched_in_token_answers() {
    let world = world();
    world.sim.tune(|quirks| {
        quirks.original_created_at = true;
        quirks.no_scope_in_token_answers = true;
    });
    world.clock.advance(std::time::Duration::from_secs(6 * 3600));
    let refreshed = world.token_answer(&[]).await.body;
    let recorded = fixture("token_refreshed");
    assert_eq!((&refreshed["created_at"], &refreshed["expires_in"]), (&NOW.into(), &recorded["expires_in"]));
    assert!(refreshed.get("scope").is_none());
    let bearer = format!("Bearer {}", refreshed["access_token"].as_str().unwrap());
    world.clock.advance(std::time::Duration::from_secs(12 * 3600 - 1));
    assert_eq!(world.read(&bearer, "/auth/api/v1/users/me").await.status, StatusCode::OK);
    world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(world.read(&bearer, "/auth/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_consent_page_sends_people_back_with_a_code_and_the_state() {
    let world = world();
    let credentials = world.sim.credentials();
    let page = |scope: &str, redirect_uri: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &credentials.client_id)
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", scope)
            .append_pair("state", "a b")
            .finish();
        get(&format!("https://auth.freshbooks.com/oauth/authorize?{query}"), "")
    };
    let back = send(&world.transport, page("", &credentials.redirect_uri)).await.unwrap();
    assert_eq!(back.status, StatusCode::FOUND);
    let to = url::Url::parse(back.header("location").unwrap()).unwrap();
    let pairs: Vec<(String, String)> = to.query_pairs().into_owned().collect();
    assert_eq!(pairs[1], ("state".to_owned(), "a b".to_owned()));
    let exchange = [("grant_type", "authorization_code"), ("code", pairs[0].1.as_str())];
    let token = world.token_answer(&exchange).await;
    assert!(token.body["scope"].as_str().unwrap().contains("user:invoices:read"));
    assert_eq!(world.token_answer(&exchange).await.body["error"], "invalid_grant");

    for refused in [page("user:riskhub:read", &credentials.redirect_uri), page("", "https://other.example/")]
    {
        let refused = send(&world.transport, refused).await.unwrap();
        assert_eq!((refused.status, refused.header("location")), (StatusCode::OK, None));
    }
}

#[tokio::test]
async fn limits_are_five_a_second_and_four_at_once() {
    let world = world();
    let bearer = world.bearer().await;
    world.sim.set_limits(5, 4);
    for _ in 0..5 {
        assert_eq!(world.read(&bearer, "/auth/api/v1/users/me").await.status, StatusCode::OK);
    }
    let refused = world.read(&bearer, &accounting("bills/bills")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
    assert_as_recorded("error_429", &refused.body);
    world.sim.tune(|quirks| quirks.no_retry_after = true);
    assert_eq!(world.read(&bearer, &accounting("bills/bills")).await.header("retry-after"), None);
    assert_eq!(world.sim.limit_violations(), 2);
    world.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(world.read(&bearer, "/auth/api/v1/users/me").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_missing_scope_a_missing_feature_and_a_missing_account_are_told_apart() {
    let world = world();
    let narrow = world.sim.grant(&["user:profile:read", "user:invoices:read"]);
    let narrow = world.bearer_of(&[("refresh_token", &narrow)]).await;
    let refused = world.read(&narrow, &accounting("payments/payments")).await;
    assert_eq!(errno(&refused), (403, 1003));
    assert_eq!(world.read(&narrow, &accounting("invoices/invoices")).await.status, StatusCode::OK);

    let bearer = world.bearer().await;
    world.sim.set_has_bills(false);
    let absent = world.read(&bearer, &accounting("bills/bills")).await;
    assert_eq!(absent.status, StatusCode::OK);
    assert_as_recorded("error_200_no_access", &absent.body);
    world.sim.tune(|quirks| quirks.feature_status = StatusCode::FORBIDDEN);
    assert_eq!(errno(&world.read(&bearer, &accounting("bill_vendors/bill_vendors")).await), (403, 31_001));
    assert_eq!(errno(&world.read(&bearer, &accounting("bill_payments/bill_payments")).await), (403, 41_101));
    let me = world.read(&bearer, "/auth/api/v1/users/me").await.body;
    assert_eq!(me["response"]["permissions"]["Zq84Xk"]["accounts_payable.access"], false);

    world.sim.suspend(true);
    assert_eq!(errno(&world.read(&bearer, &accounting("invoices/invoices")).await), (403, 1042));
    world.sim.set_account_found(false);
    // Not even a token is looked at.
    let gone = world.read("", &accounting("invoices/invoices/1")).await;
    assert_eq!(errno(&gone), (404, 404));
}

#[tokio::test]
async fn errors_come_in_the_forms_of_other_years() {
    use ml_connector_sim::freshbooks::ErrorForm;
    let world = world();
    let bearer = world.bearer().await;
    let missing = async || world.read(&bearer, &accounting("invoices/invoices/999999")).await;
    world.sim.tune(|quirks| quirks.error_form = ErrorForm::Rpc);
    let old = missing().await;
    assert_eq!(old.status, StatusCode::NOT_FOUND);
    assert_as_recorded("error_404_rpc_style", &old.body);
    world.sim.tune(|quirks| quirks.own_unauthenticated = true);
    let callbacks = "/events/account/Zq84Xk/events/callbacks";
    assert_as_recorded(
        "error_401_accounting_rpc_style",
        &world.read("", &accounting("bills/bills")).await.body,
    );
    world.sim.tune(|quirks| quirks.error_form = ErrorForm::Today);
    assert_as_recorded("error_401_accounting", &world.read("", &accounting("bills/bills")).await.body);
    assert_as_recorded("callback_error_401", &world.read("", callbacks).await.body);
    world.sim.tune(|quirks| quirks.error_form = ErrorForm::Single);
    assert_eq!(missing().await.body["response"]["errors"]["errno"], 1012);
    world.sim.tune(|quirks| quirks.error_form = ErrorForm::ErrnoAsText);
    assert_eq!(missing().await.body["response"]["errors"][0]["errno"], "1012");
}

#[tokio::test]
async fn lists_heed_what_freshbooks_heeds_and_ignore_the_rest() {
    let world = world();
    let bearer = world.bearer().await;
    let sim = &world.sim;
    // 23:30 in New York on 11 March; the date there is a day behind UTC's.
    world.at("2026-03-12T03:30:00Z");
    let old = world.invoice(100);
    world.at("2026-03-12T14:05:00Z");
    let new = world.invoice(200);
    let deleted = world.invoice(300);
    sim.delete(Kind::Invoice, deleted).unwrap();
    let archived = world.invoice(400);
    sim.archive(Kind::Invoice, archived).unwrap();
    sim.pay_invoice(new, Decimal::from(50)).unwrap();

    let found = async |query: &str| {
        let body = world.read(&bearer, &accounting(&format!("invoices/invoices?{query}"))).await.body;
        let rows = body["response"]["result"]["invoices"].as_array().unwrap().clone();
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found("").await, [archived, new, old], "newest first, without what is deleted");
    assert_eq!(found("search[vis_state]=1").await, [deleted]);
    assert_eq!(found("search%5Bupdated_min%5D=2026-03-12").await, [archived, new]);
    assert_eq!(found("search[updated_min]=2026-03-11").await, [archived, new, old]);
    assert_eq!(found("search[updated_max]=2026-03-12").await, [old]);
    assert_eq!(found("search[v3_status]=partial").await, [new]);
    assert_eq!(found("search[status]=2&search[updated_since]=2030-01-01&sort=updated:asc").await.len(), 3);
    assert_eq!(found(&format!("search[invoiceids][]={old}&search[invoiceids][]={new}")).await, [new, old]);
    assert_eq!(found("page=0&per_page=1").await, [archived]);
    assert_eq!(found("per_page=1&page=2").await, [new]);
    // A row that is written during a walk shifts those behind it.
    world.invoice(500);
    assert_eq!(found("per_page=1&page=3").await, [new]);
}

#[tokio::test]
async fn states_follow_what_happens_and_money_can_go_back() {
    let world = world();
    let bearer = world.bearer().await;
    let sim = &world.sim;
    let invoice = world.invoice(500);
    let shown = async || {
        let body = world.read(&bearer, &accounting(&format!("invoices/invoices/{invoice}"))).await.body;
        let shown = body["response"]["result"]["invoice"].clone();
        let text = |name: &str| shown[name].as_str().unwrap().to_owned();
        let outstanding = shown["outstanding"]["amount"].as_str().unwrap().to_owned();
        (shown["status"].as_u64().unwrap(), text("v3_status"), text("payment_status"), outstanding)
    };
    let expect = |status: u64, v3: &str, payment: &str, outstanding: &str| {
        (status, v3.to_owned(), payment.to_owned(), outstanding.to_owned())
    };
    assert_eq!(shown().await, expect(2, "sent", "unpaid", "500.00"));
    sim.view(invoice).unwrap();
    assert_eq!(shown().await, expect(3, "viewed", "unpaid", "500.00"));
    let payment = sim.pay_invoice(invoice, Decimal::from(500)).unwrap();
    assert_eq!(shown().await, expect(4, "paid", "paid", "0.00"));
    sim.refund(payment, Decimal::from(200)).unwrap();
    assert_eq!(shown().await, expect(3, "partial", "partial", "200.00"));
    sim.delete(Kind::Payment, payment).unwrap();
    assert_eq!(shown().await, expect(3, "viewed", "unpaid", "500.00"));
    world.clock.advance(std::time::Duration::from_secs(31 * 86_400));
    let bearer = world.bearer().await;
    let body = world.read(&bearer, &accounting(&format!("invoices/invoices/{invoice}"))).await.body;
    assert_eq!(body["response"]["result"]["invoice"]["v3_status"], "overdue");
    sim.edit(invoice, |invoice: &mut Invoice| invoice.stage = Stage::Draft).unwrap();
    let body = world.read(&bearer, &accounting(&format!("invoices/invoices/{invoice}"))).await.body;
    assert_eq!(body["response"]["result"]["invoice"]["v3_status"], "draft", "a draft is never overdue");
}

#[tokio::test]
async fn an_overpayment_is_split_and_a_credit_is_no_new_money() {
    let world = world();
    let bearer = world.bearer().await;
    let sim = &world.sim;
    let (first, second) = (world.invoice(180), world.invoice(100));
    let payment = sim.pay_invoice(first, Decimal::from(200)).unwrap();
    sim.pay_from_credit(second, Decimal::from(20)).unwrap();
    let list = world.read(&bearer, &accounting("payments/payments")).await.body;
    let rows = list["response"]["result"]["payments"].as_array().unwrap();
    let brief = |row: &Value| {
        (
            row["amount"]["amount"].as_str().unwrap().to_owned(),
            row["invoiceid"].as_u64(),
            row["from_credit"] == true,
        )
    };
    assert_eq!(
        rows.iter().map(brief).collect::<Vec<_>>(),
        [
            ("20.00".to_owned(), Some(second), true),
            ("20.00".to_owned(), None, false),
            ("180.00".to_owned(), Some(first), false),
        ]
    );
    assert_eq!(rows[2]["overpaymentid"], payment + 1);
    assert!(rows[1]["creditid"].is_u64());
    assert_eq!(sim.outstanding(first).unwrap(), Decimal::ZERO);
}

#[tokio::test]
async fn a_change_that_changes_nothing_moves_no_stamp() {
    let world = world();
    let bearer = world.bearer().await;
    let invoice = world.invoice(100);
    let version = async || {
        let body = world.read(&bearer, &accounting(&format!("invoices/invoices/{invoice}"))).await.body;
        body["response"]["result"]["invoice"]["version"].as_str().unwrap().to_owned()
    };
    let before = version().await;
    world.sim.mark_sent(invoice).unwrap();
    assert_eq!(version().await, before);
    world.sim.edit(invoice, |invoice: &mut Invoice| "Thank you".clone_into(&mut invoice.notes)).unwrap();
    assert_ne!(version().await, before, "also within the same millisecond");
}

#[tokio::test]
async fn odd_records_can_be_shown() {
    let world = world();
    let bearer = world.bearer().await;
    let invoice = world.invoice(100);
    let path = accounting(&format!("invoices/invoices/{invoice}"));
    world.sim.hide(Kind::Invoice, invoice, 1).unwrap();
    assert_eq!(errno(&world.read(&bearer, &path).await), (404, 1012));
    world.sim.distort(Kind::Invoice, invoice, "outstanding", None).unwrap();
    world.sim.distort(Kind::Invoice, invoice, "v3_status", Some("some-new-word".into())).unwrap();
    let body = world.read(&bearer, &path).await.body;
    let shown = &body["response"]["result"]["invoice"];
    assert!(shown.get("outstanding").is_none() && shown["v3_status"] == "some-new-word");
    world.sim.purge(Kind::Invoice, invoice).unwrap();
    assert_eq!(errno(&world.read(&bearer, &path).await), (404, 1012));
}

#[tokio::test]
async fn every_business_of_a_login_has_its_own_books_and_shares_its_tokens() {
    use ml_connector_sim::freshbooks::Business;
    let mut config = FreshBooksConfig::default();
    config.businesses.push(Business::new(880_214, "Hn7Tq2", "Brackwater Boats"));
    let world = world_with(config);
    let bearer = world.bearer().await;
    let other = world.sim.within("Hn7Tq2");
    let client = other.create(Client::new("Osprey Foods")).unwrap();
    let invoice = other.create(Invoice::new(client, Decimal::from(70))).unwrap();
    let of = async |account: &str| {
        let path = format!("/accounting/account/{account}/invoices/invoices");
        world.read(&bearer, &path).await.body["response"]["result"]["total"].as_u64()
    };
    assert_eq!((of("Zq84Xk").await, of("Hn7Tq2").await, of("Other1").await), (Some(0), Some(1), None));
    assert_eq!(other.credentials().business_id, 880_214);
    assert_eq!(other.get::<Invoice>(invoice).unwrap().client, client);
    world.sim.tune(|quirks| quirks.null_account_ids = true);
    let me = world.read(&bearer, "/auth/api/v1/users/me").await.body;
    assert!(me["response"]["business_memberships"][2]["business"]["account_id"].is_null());
    assert_eq!(me["response"]["roles"][1]["accountid"], "Hn7Tq2");
}

#[tokio::test]
async fn answers_have_freshbooks_headers() {
    let world = world();
    let bearer = world.bearer().await;
    let answer = world.read(&bearer, "/auth/api/v1/users/me").await;
    assert_eq!(answer.header("x-api-version"), Some("2023-02-20"));
    assert_eq!(answer.header("date"), Some("Thu, 12 Mar 2026 14:05:00 GMT"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test(start_paused = true)]
async fn lists_lag_and_pages_are_short_when_conditions_are_unkind() {
    use ml_connector_core::TokioClock;
    use ml_connector_sim::Conditions;
    let clock = Arc::new(TokioClock::starting_at(Timestamp::from_secs(NOW)));
    let sim = FreshBooksSim::new(clock);
    let transport = SimTransport::new().with_freshbooks(&sim);
    let world = World { sim, transport, clock: Arc::new(ManualClock::at(Timestamp::from_secs(NOW))) };
    let bearer = world.bearer().await;
    let mut conditions = Conditions::unkind();
    conditions.lost_answer_every = 0;
    world.sim.set_conditions(conditions);
    let total = async || {
        let path = accounting("invoices/invoices?per_page=10");
        let body = world.read(&bearer, &path).await.body;
        let number = |name: &str| body["response"]["result"][name].as_u64().unwrap();
        (number("total"), number("per_page"), number("pages"))
    };
    world.invoice(100);
    assert_eq!(total().await.0, 0);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    for _ in 0..6 {
        world.invoice(100);
    }
    assert_eq!(total().await, (1, 5, 1));
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(total().await, (7, 5, 2));
}
