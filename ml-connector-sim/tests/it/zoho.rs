//! Zoho Books: tokens, regions, limits, records, lists.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    ManualClock, Timestamp, TokioClock,
    model::{Date, Decimal, Zone},
};
use ml_connector_sim::{
    Fault, SimTransport, ZohoBooksSim,
    zoho::{Entity, MinuteLimit, NewDocument, Organization, Plan, ZohoBooksConfig},
};
use serde_json::Value;

use crate::{Answered, NOW, clock, get, post, send};

const FORM: &str = "application/x-www-form-urlencoded";
const ORG: &str = "organization_id=778812345";

pub(crate) struct Books {
    pub(crate) sim: ZohoBooksSim,
    pub(crate) transport: SimTransport,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn books() -> Books {
    books_with(ZohoBooksConfig::default())
}

pub(crate) fn books_with(config: ZohoBooksConfig) -> Books {
    let clock = clock();
    let sim = ZohoBooksSim::with_config(clock.clone(), config);
    Books { transport: SimTransport::new().with_zoho_books(&sim), sim, clock }
}

impl Books {
    async fn token_answer(&self, host: &str, change: &[(&str, &str)]) -> Answered {
        let credentials = self.sim.credentials();
        let mut params = vec![
            ("grant_type", "refresh_token"),
            ("client_id", &credentials.client_id),
            ("client_secret", &credentials.client_secret),
            ("refresh_token", &credentials.refresh_token),
        ];
        for (name, value) in change {
            params.retain(|(known, _)| known != name);
            params.push((name, value));
        }
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        send(&self.transport, post(&format!("https://{host}/oauth/v2/token"), "", FORM, form)).await.unwrap()
    }

    pub(crate) async fn token(&self) -> String {
        let answer = self.token_answer("accounts.zoho.com", &[]).await;
        format!("Zoho-oauthtoken {}", answer.body["access_token"].as_str().expect("a token"))
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answered {
        send(&self.transport, get(&format!("https://www.zohoapis.com/books/v3/{path}"), token)).await.unwrap()
    }

    /// A sent invoice of 598.00.
    fn sent(&self) -> String {
        let id =
            self.sim.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(59800, 2))).unwrap();
        self.sim.mark_sent(&id).unwrap();
        id
    }
}

pub(crate) fn code(answer: &Answered) -> (u16, i64) {
    (answer.status.as_u16(), answer.body["code"].as_i64().unwrap_or(-1))
}

#[tokio::test]
async fn token_failures_come_with_status_200() {
    let books = books();
    for (change, error) in [
        (("refresh_token", "1000.unknown"), "invalid_code"),
        (("client_id", "1000.OTHER"), "invalid_client"),
        (("client_secret", "wrong"), "invalid_client_secret"),
    ] {
        let answer = books.token_answer("accounts.zoho.com", &[change]).await;
        assert_eq!((answer.status, answer.body["error"].as_str()), (StatusCode::OK, Some(error)));
    }
    let elsewhere = books.token_answer("accounts.zoho.eu", &[]).await;
    assert_eq!((elsewhere.status, elsewhere.body["error"].as_str()), (StatusCode::OK, Some("invalid_code")));
    assert_eq!(books.sim.tokens_issued(), 0);
}

#[tokio::test]
async fn a_refresh_keeps_the_refresh_token_to_itself_and_a_code_gives_one_once() {
    let books = books();
    let answer = books.token_answer("accounts.zoho.com", &[]).await;
    assert_eq!(answer.body["expires_in"], 3600);
    assert_eq!(answer.body["api_domain"], "https://www.zohoapis.com");
    assert!(answer.body.get("refresh_token").is_none());

    let code = books.sim.authorization_code();
    let exchange = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let first = books.token_answer("accounts.zoho.com", &exchange).await;
    assert!(first.body["refresh_token"].is_string() && first.body["access_token"].is_string());
    let second = books.token_answer("accounts.zoho.com", &exchange).await;
    assert_eq!(second.body["error"], "invalid_code");
}

#[tokio::test]
async fn the_eleventh_token_in_ten_minutes_is_refused() {
    let books = books();
    for _ in 0..10 {
        books.token().await;
    }
    let throttled = books.token_answer("accounts.zoho.com", &[]).await;
    assert_eq!(
        (throttled.status, &throttled.body["status"]),
        (StatusCode::BAD_REQUEST, &Value::from("failure"))
    );
    books.sim.set_token_throttle_status(StatusCode::OK);
    let throttled = books.token_answer("accounts.zoho.com", &[]).await;
    assert_eq!((throttled.status, &throttled.body["error"]), (StatusCode::OK, &Value::from("Access Denied")));
    books.clock.advance(Duration::from_secs(600));
    books.token().await;
}

#[tokio::test]
async fn a_sixteenth_token_ends_the_first_and_a_twenty_first_grant_the_first_grant() {
    let books = books();
    let path = format!("invoices?{ORG}");
    let (first, second) = (books.token().await, books.token().await);
    for _ in 2..15 {
        books.clock.advance(Duration::from_secs(120));
        books.token().await;
    }
    assert_eq!(code(&books.get(&first, &path).await), (200, 0));
    books.clock.advance(Duration::from_secs(120));
    let sixteenth = books.token().await;
    let codes = [&first, &second, &sixteenth];
    let mut seen = Vec::new();
    for token in codes {
        seen.push(books.get(token, &path).await.status.as_u16());
    }
    assert_eq!(seen, [401, 200, 200]);

    for _ in 1..20 {
        let _ = books.sim.grant(&["ZohoBooks.bills.READ"]);
    }
    assert_eq!(code(&books.get(&sixteenth, &path).await), (200, 0));
    let _ = books.sim.grant(&["ZohoBooks.bills.READ"]);
    assert_eq!(code(&books.get(&sixteenth, &path).await), (401, 57));
    assert_eq!(books.token_answer("accounts.zoho.com", &[]).await.body["error"], "invalid_code");
}

#[tokio::test]
async fn organizations_of_one_user_are_apart() {
    let mut config = ZohoBooksConfig::default();
    let other =
        Organization { id: "778898760".to_owned(), plan: Plan::Free, ..config.organizations[0].clone() };
    config.organizations.push(other);
    let books = books_with(config);
    let id =
        books.sim.within("778898760").create_invoice(NewDocument::new("Osprey Foods", Decimal::TEN)).unwrap();
    let token = books.token().await;
    assert_eq!(code(&books.get(&token, &format!("invoices/{id}?{ORG}")).await), (404, 1002));
    let own = books.get(&token, &format!("invoices/{id}?organization_id=778898760")).await;
    assert_eq!((code(&own), own.header("x-rate-limit-limit")), ((200, 0), Some("1000")));
    assert!(books.sim.within("1").create_invoice(NewDocument::new("x", Decimal::TEN)).is_err());
}

#[tokio::test]
async fn a_token_holds_an_hour_in_its_own_region_and_with_its_scopes() {
    let books = books();
    let id = books.sent();
    let token = books.token().await;
    let path = format!("invoices/{id}?{ORG}");
    assert_eq!(code(&books.get(&token, &path).await), (200, 0));
    assert_eq!(code(&books.get(&token.replace("Zoho-oauthtoken", "Bearer"), &path).await), (200, 0));
    for bad in ["", "Zoho-oauthtoken 1000.made.up", &token.replace("Zoho-oauthtoken", "Basic")] {
        assert_eq!(code(&books.get(bad, &path).await), (401, 57), "{bad}");
    }
    let elsewhere = get(&format!("https://www.zohoapis.eu/books/v3/{path}"), &token);
    assert_eq!(code(&send(&books.transport, elsewhere).await.unwrap()), (401, 57));

    let narrow = books.sim.grant(&["ZohoBooks.bills.READ"]);
    let answer = books.token_answer("accounts.zoho.com", &[("refresh_token", &narrow)]).await;
    let narrow = format!("Zoho-oauthtoken {}", answer.body["access_token"].as_str().unwrap());
    assert_eq!(code(&books.get(&narrow, &path).await), (401, 57));
    assert_eq!(code(&books.get(&narrow, &format!("bills?{ORG}")).await), (200, 0));

    books.clock.advance(Duration::from_secs(3599));
    assert_eq!(code(&books.get(&token, &path).await), (200, 0));
    books.clock.advance(Duration::from_secs(1));
    assert_eq!(code(&books.get(&token, &path).await), (401, 57));
}

#[tokio::test]
async fn the_organization_has_to_be_named_and_ones_own() {
    let books = books();
    let token = books.token().await;
    assert_eq!(code(&books.get(&token, "invoices").await), (400, 2));
    assert_eq!(code(&books.get(&token, "invoices?organization_id=abc").await), (400, 2));
    let foreign = books.get(&token, "invoices?organization_id=778800001").await;
    assert_eq!(code(&foreign), (400, 6041));
    assert!(foreign.body["message"].as_str().unwrap().ends_with("CompanyName:778800001."));
    assert_eq!(code(&books.get(&token, &format!("invoices/1?{ORG}")).await), (404, 1002));
    let organizations = books.get(&token, "organizations").await;
    assert_eq!(organizations.body["organizations"][0]["time_zone"], "America/New_York");
    assert_eq!(organizations.header("x-rate-limit-limit"), None);
}

#[tokio::test]
async fn the_hundred_and_first_call_in_a_minute_is_a_violation() {
    let books = books();
    let token = books.token().await;
    let path = format!("invoices?{ORG}");
    for _ in 0..100 {
        assert_eq!(code(&books.get(&token, &path).await), (200, 0));
    }
    assert_eq!(books.sim.limit_violations(), 0);
    let refused = books.get(&token, &path).await;
    assert_eq!(code(&refused), (429, 44));
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(books.sim.limit_violations(), 1);
    books.clock.advance(Duration::from_secs(60));
    assert_eq!(code(&books.get(&token, &path).await), (200, 0));

    books.sim.set_minute_limit(MinuteLimit::Code43);
    for _ in 0..99 {
        books.get(&token, &path).await;
    }
    let blocked = books.get(&token, &path).await;
    assert_eq!((code(&blocked), blocked.header("retry-after")), ((429, 43), Some("3600")));
    books.clock.advance(Duration::from_secs(3000));
    let blocked = books.get(&token, &path).await;
    assert_eq!((code(&blocked), blocked.header("retry-after")), ((429, 43), Some("600")));
}

#[tokio::test]
async fn the_day_ends_at_midnight_in_the_organization_s_zone() {
    let books = books();
    books.sim.set_daily_quota(2);
    let token = books.token().await;
    let path = format!("invoices?{ORG}");
    let first = books.get(&token, &path).await;
    assert_eq!(first.header("x-rate-limit-remaining"), Some("1"));
    // 10:05 in New York: 13 hours and 55 minutes to go.
    assert_eq!(first.header("x-rate-limit-reset"), Some("50100"));
    books.get(&token, &path).await;
    assert_eq!(code(&books.get(&token, &path).await), (429, 45));
    books.clock.advance(Duration::from_secs(50_100));
    let token = books.token().await;
    assert_eq!(code(&books.get(&token, &path).await), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn more_calls_at_once_than_the_plan_allows_are_refused() {
    let mut config = ZohoBooksConfig::default();
    config.conditions.latency = Duration::from_secs(1);
    config.organizations = vec![Organization {
        id: "778812345".to_owned(),
        name: "Small".to_owned(),
        time_zone: Zone::UTC,
        plan: Plan::Free,
    }];
    let sim = ZohoBooksSim::with_config(Arc::new(TokioClock::starting_at(Timestamp::from_secs(NOW))), config);
    let books = Books { transport: SimTransport::new().with_zoho_books(&sim), sim, clock: clock() };
    let token = books.token().await;
    let path = format!("invoices?{ORG}");
    let (a, b, c, d, e, f) = tokio::join!(
        books.get(&token, &path),
        books.get(&token, &path),
        books.get(&token, &path),
        books.get(&token, &path),
        books.get(&token, &path),
        books.get(&token, &path),
    );
    let mut codes = [a, b, c, d, e, f].map(|answer| code(&answer));
    codes.sort_unstable();
    assert!(codes.contains(&(429, 1070)), "{codes:?}");
    assert_eq!(code(&books.get(&token, &path).await), (200, 0));
}

#[tokio::test]
async fn a_payment_moves_balance_status_and_modification_time() {
    let books = books();
    let id = books.sent();
    books.clock.advance(Duration::from_secs(90));
    let payment = books.sim.pay_invoice(&id, Decimal::new(29803, 2)).unwrap();
    let token = books.token().await;

    let invoice = books.get(&token, &format!("invoices/{id}?{ORG}")).await.body["invoice"].clone();
    assert_eq!(invoice["status"], "partially_paid");
    assert_eq!(invoice["balance"].to_string(), "299.97");
    assert_eq!(invoice["total"].to_string(), "598");
    assert_eq!(invoice["created_time"], "2026-03-12T10:05:00-0400");
    assert_eq!(invoice["last_modified_time"], "2026-03-12T10:06:30-0400");
    assert_eq!(invoice["line_items"][0]["item_total"].to_string(), "598");

    let payment =
        books.get(&token, &format!("customerpayments/{payment}?{ORG}")).await.body["payment"].clone();
    assert_eq!(payment["amount"].to_string(), "298.03");
    assert_eq!(payment["invoices"][0]["invoice_id"], id.as_str());
    assert!(payment.get("last_modified_time").is_none());

    books.sim.pay_invoice(&id, Decimal::new(29997, 2)).unwrap();
    assert_eq!(books.sim.status_of(Entity::Invoice, &id), Some("paid"));
    assert!(books.sim.pay_invoice(&id, Decimal::ONE).is_err());
}

#[tokio::test]
async fn turning_overdue_moves_no_modification_time() {
    let books = books();
    let due = Date::parse("2026-03-12").unwrap();
    let invoice = NewDocument::new("Bluebird Logistics", Decimal::ONE_HUNDRED).due(due);
    let id = books.sim.create_invoice(invoice).unwrap();
    books.sim.mark_sent(&id).unwrap();
    let token = books.token().await;
    let path = format!("invoices?{ORG}&status=overdue");
    // Five minutes to midnight in New York, long past it in Europe.
    books.clock.set(Timestamp::parse("2026-03-12T23:55:00-0400").unwrap());
    let token_later = books.token().await;
    assert_eq!(books.get(&token_later, &path).await.body["invoices"], serde_json::json!([]));
    books.clock.advance(Duration::from_secs(300));
    let overdue = books.get(&token_later, &path).await.body["invoices"][0].clone();
    assert_eq!(overdue["status"], "overdue");
    assert_eq!(overdue["last_modified_time"], "2026-03-12T10:05:00-0400");
    assert_ne!(token, token_later);
}

#[tokio::test]
async fn void_keeps_the_balance_and_delete_leaves_nothing() {
    let books = books();
    let (void, gone) = (books.sent(), books.sent());
    books.sim.void(Entity::Invoice, &void).unwrap();
    books.sim.delete(Entity::Invoice, &gone).unwrap();
    let token = books.token().await;
    let invoice = books.get(&token, &format!("invoices/{void}?{ORG}")).await.body["invoice"].clone();
    assert_eq!(
        (invoice["status"].as_str(), invoice["balance"].to_string()),
        (Some("void"), "598".to_owned())
    );
    assert!(invoice.get("invoice_url").is_none());
    assert_eq!(code(&books.get(&token, &format!("invoices/{gone}?{ORG}")).await), (404, 1002));
    let rows = books.get(&token, &format!("invoices?{ORG}")).await.body["invoices"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_deleted_payment_paid_is_owed_again() {
    let books = books();
    let id = books.sent();
    let payment = books.sim.pay_invoice(&id, Decimal::new(598, 0)).unwrap();
    books.sim.delete(Entity::CustomerPayment, &payment).unwrap();
    assert_eq!(books.sim.status_of(Entity::Invoice, &id), Some("sent"));
    assert!(books.sim.delete(Entity::CustomerPayment, &payment).is_err());
}

#[tokio::test]
async fn lists_have_pages_and_no_lines() {
    let books = books();
    for _ in 0..5 {
        books.sent();
        books.clock.advance(Duration::from_secs(1));
    }
    let token = books.token().await;
    let page = |page| format!("invoices?{ORG}&per_page=2&page={page}&sort_column=created_time&sort_order=A");
    let mut numbers = Vec::new();
    for number in 1..=3 {
        let answer = books.get(&token, &page(number)).await;
        assert_eq!(answer.body["page_context"]["has_more_page"], number < 3);
        for row in answer.body["invoices"].as_array().unwrap() {
            assert!(row.get("line_items").is_none());
            numbers.push(row["invoice_number"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(numbers, ["INV-000101", "INV-000102", "INV-000103", "INV-000104", "INV-000105"]);
    let newest_first = books.get(&token, &format!("invoices?{ORG}&per_page=900")).await.body;
    assert_eq!(newest_first["invoices"][0]["invoice_number"], "INV-000105");
    assert_eq!(newest_first["page_context"]["per_page"], 200);
    assert_eq!(newest_first["page_context"]["sort_order"], "D");
}

#[tokio::test]
async fn modified_since_is_exclusive_for_invoices_inclusive_for_bills_and_ignored_for_payments() {
    let books = books();
    let id = books.sent();
    books.sim.create_bill(NewDocument::new("Northgate Paper Co", Decimal::TEN)).unwrap();
    books.sim.pay_invoice(&id, Decimal::ONE).unwrap();
    let token = books.token().await;
    let count = async |list: &str, since: &str| {
        let answer = books.get(&token, &format!("{list}?{ORG}&last_modified_time={since}")).await;
        answer.body[list].as_array().map(Vec::len)
    };
    assert_eq!(count("invoices", "2026-03-12T10:04:59-0400").await, Some(1));
    assert_eq!(count("invoices", "2026-03-12T14:05:00%2B0000").await, Some(0));
    assert_eq!(count("bills", "2026-03-12T14:05:00%2B0000").await, Some(1));
    assert_eq!(count("bills", "2026-03-12T14:05:01%2B0000").await, Some(0));
    assert_eq!(count("customerpayments", "2030-01-01T00:00:00%2B0000").await, Some(1));
    for malformed in ["2026-03-12T10:05:00-04:00", "2026-03-12T10:05:00", "2026-03-12T10:05:00+0530", "x"] {
        let answer = books.get(&token, &format!("invoices?{ORG}&last_modified_time={malformed}")).await;
        assert_eq!(code(&answer), (400, 2), "{malformed}");
    }
}

#[tokio::test]
async fn comments_and_approvals_need_the_create_scope_and_leave_their_mark() {
    let books = books();
    let bill = books.sim.create_bill(NewDocument::new("Northgate Paper Co", Decimal::new(8200, 0))).unwrap();
    books.sim.submit_for_approval(Entity::Bill, &bill).unwrap();
    let token = books.token().await;
    let detail = books.get(&token, &format!("bills/{bill}?{ORG}")).await.body["bill"].clone();
    assert_eq!(detail["status"], "pending_approval");
    assert_eq!(detail["is_approval_required"], true);
    assert_eq!(detail["approvers_list"][0]["approval_status"], "yet_to_approve");

    let url = |action: &str| format!("https://www.zohoapis.com/books/v3/bills/{bill}/{action}?{ORG}");
    let comment = r#"{"description":"Seen by Dana (mlc:1)"}"#;
    let added =
        send(&books.transport, post(&url("comments"), &token, "application/json", comment)).await.unwrap();
    assert_eq!((code(&added), &added.body["comment"]["bill_id"]), ((201, 0), &Value::from(bill.as_str())));
    assert_eq!(books.sim.comments(Entity::Bill, &bill), ["Seen by Dana (mlc:1)"]);

    let reader = books.sim.grant(&["ZohoBooks.bills.READ"]);
    let answer = books.token_answer("accounts.zoho.com", &[("refresh_token", &reader)]).await;
    let reader = format!("Zoho-oauthtoken {}", answer.body["access_token"].as_str().unwrap());
    let refused = send(&books.transport, post(&url("approve"), &reader, FORM, "")).await.unwrap();
    assert_eq!(code(&refused), (401, 57));
    assert_eq!(books.sim.status_of(Entity::Bill, &bill), Some("pending_approval"));
    let approved = send(&books.transport, post(&url("approve"), &token, FORM, "")).await.unwrap();
    assert_eq!(code(&approved), (200, 0));
    assert_eq!(books.sim.status_of(Entity::Bill, &bill), Some("open"));
    let again = send(&books.transport, post(&url("approve"), &token, FORM, "")).await.unwrap();
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn two_simulators_with_one_seed_are_alike() {
    let (a, b) = (books(), books());
    assert_eq!(a.sim.credentials().refresh_token, b.sim.credentials().refresh_token);
    assert_eq!((a.sent(), a.token().await), (b.sent(), b.token().await));
    assert!(!format!("{:?} {:?}", a.sim, a.sim.credentials()).contains("1000."));
}

#[tokio::test]
async fn a_planted_answer_replaces_the_real_one() {
    let books = books();
    let token = books.token().await;
    books.sim.plant(Fault::html(StatusCode::BAD_GATEWAY).on("/bills").after(1));
    let path = format!("bills?{ORG}");
    let statuses = [
        books.get(&token, &path).await.status,
        books.get(&token, &path).await.status,
        books.get(&token, &path).await.status,
    ];
    assert_eq!(statuses, [StatusCode::OK, StatusCode::BAD_GATEWAY, StatusCode::OK]);
    assert_eq!(books.sim.limit_violations(), 0);
}

#[tokio::test]
async fn a_payment_received_names_its_currency_in_the_detail_alone() {
    let books = books();
    let token = books.token().await;
    let payment = books.sim.pay_invoice(&books.sent(), Decimal::new(100, 0)).unwrap();
    let query = "organization_id=778812345";
    let list = books.get(&token, &format!("customerpayments?{query}")).await;
    assert_eq!(list.body["customerpayments"][0]["payment_id"], payment.as_str());
    assert!(list.body["customerpayments"][0].get("currency_code").is_none());
    let detail = books.get(&token, &format!("customerpayments/{payment}?{query}")).await;
    assert_eq!(detail.body["payment"]["currency_code"], "USD");
}

#[tokio::test]
async fn an_invoice_is_created_sent_and_voided_over_the_api() {
    let books = books();
    let token = books.token().await;
    let customer = {
        let first = books.sent();
        let detail = books.get(&token, &format!("invoices/{first}?organization_id=778812345")).await;
        detail.body["invoice"]["customer_id"].as_str().unwrap().to_owned()
    };
    let call = async |path: &str, body: String| {
        let url = format!("https://www.zohoapis.com/books/v3/{path}?organization_id=778812345");
        send(&books.transport, post(&url, &token, "application/json", body)).await.unwrap()
    };
    let line = r#"{"rate":49.99,"quantity":3,"description":"Paper"}"#;
    for (body, wrong) in [
        ("{".to_owned(), "JSONString"),
        (format!(r#"{{"customer_id":"1","line_items":[{line}]}}"#), "customer_id"),
        (format!(r#"{{"customer_id":"{customer}","line_items":[]}}"#), "line_items"),
        (format!(r#"{{"customer_id":"{customer}","date":"x","line_items":[{line}]}}"#), "date"),
    ] {
        let refused = call("invoices", body).await;
        assert_eq!(code(&refused), (400, 2));
        assert!(refused.body["message"].as_str().unwrap().ends_with(wrong), "{refused:?}");
    }
    let whole = format!(r#"{{"customer_id":"{customer}","invoice_number":"A-1","line_items":[{line}]}}"#);
    let created = call("invoices", whole.clone()).await;
    assert_eq!((created.status.as_u16(), &created.body["invoice"]["status"]), (201, &"draft".into()));
    assert_eq!(created.body["invoice"]["total"].to_string(), "149.97");
    assert_eq!(code(&call("invoices", whole).await), (400, 1001), "the number is taken");
    let id = created.body["invoice"]["invoice_id"].as_str().unwrap();
    assert_eq!(code(&call(&format!("invoices/{id}/status/sent"), String::new()).await), (200, 0));
    assert_eq!(books.sim.status_of(Entity::Invoice, id), Some("sent"));
    assert_eq!(code(&call(&format!("invoices/{id}/status/void"), String::new()).await), (200, 0));
    assert_eq!(code(&call(&format!("invoices/{id}/status/void"), String::new()).await), (400, 2));
    assert_eq!(books.sim.status_of(Entity::Invoice, id), Some("void"));
}

#[tokio::test]
async fn what_is_not_simulated_says_so_instead_of_answering_something_else() {
    let books = books();
    let token = books.token().await;
    for path in [
        "creditnotes?",
        "invoices/1/writeoff?",
        "invoices?customer_name_contains=Blue&",
        "bills?search_text=x&",
    ] {
        let answer = books.get(&token, &format!("{path}organization_id=778812345")).await;
        assert_eq!(code(&answer), (404, 5), "{path}");
        assert!(answer.body["message"].as_str().unwrap().contains("not simulated"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn lists_filter_by_dates_and_names() {
    let books = books();
    let token = books.token().await;
    for (name, day) in [("Bluebird Logistics", 1), ("Osprey Foods", 2), ("Osprey Foods", 3)] {
        let date = Date::parse(&format!("2026-02-0{day}")).unwrap();
        books.sim.create_invoice(NewDocument::new(name, Decimal::ONE).dated(date)).unwrap();
    }
    for (query, rows) in [
        ("date=2026-02-02", 1),
        ("date_start=2026-02-02", 2),
        ("date_end=2026-02-02", 2),
        ("customer_name=Osprey+Foods", 2),
        ("customer_name=Osprey+Foods&date_start=2026-02-03", 1),
    ] {
        let list = books.get(&token, &format!("invoices?organization_id=778812345&{query}")).await;
        assert_eq!(list.body["invoices"].as_array().unwrap().len(), rows, "{query}");
    }
}
