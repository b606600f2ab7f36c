//! Lists, against a server that answers as Zoho Books does.

use std::sync::Arc;

use bytes::Bytes;
use ml_connector_core::{
    CheckResult, Context, ErrorKind, PollRequest, ReceiveRequest, Retry, Scope, Source, SourceMode,
    Timestamp,
    model::{Content, EntityRef, Observed, Page, PollMode, Signal},
    rate::Quota,
};
use ml_connector_zoho::{Plan, ZohoBooks};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path, query_param},
};

use crate::support::{CountingTokens, NOW, ORGANIZATION, builder, context, context_at, fixture};

fn source(server: &MockServer) -> ZohoBooks {
    let tokens = Arc::new(CountingTokens::default());
    builder().api_url(server.uri()).authenticator(tokens).plan(Plan::Professional).build().unwrap()
}

/// A server that knows the organizations, and nothing else.
async fn with_organizations() -> MockServer {
    let server = MockServer::start().await;
    let organizations = ResponseTemplate::new(200).set_body_bytes(fixture("organizations.json"));
    Mock::given(path("/books/v3/organizations"))
        .respond_with(organizations)
        .with_priority(1)
        .mount(&server)
        .await;
    server
}

/// A server that answers with these bodies, one after the other. It does not count.
async fn serve(bodies: impl IntoIterator<Item = Value>) -> MockServer {
    let server = with_organizations().await;
    let refusal = ResponseTemplate::new(400).set_body_bytes(fixture("error-400-code2.json"));
    Mock::given(query_param("response_option", "2"))
        .respond_with(refusal)
        .with_priority(2)
        .mount(&server)
        .await;
    for body in bodies {
        let answer = ResponseTemplate::new(200).set_body_json(body);
        Mock::given(method("GET")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    // A call too many is refused for good: without an envelope it would be repeated, and the clock stands still.
    let refusal = ResponseTemplate::new(400).set_body_bytes(fixture("error-400-code2.json"));
    Mock::given(method("GET")).respond_with(refusal).with_priority(u8::MAX).mount(&server).await;
    server
}

/// A row of a list, changed so many minutes ago.
fn row(kind: &str, id: u32, minutes: u64) -> Value {
    let at = (NOW - std::time::Duration::from_secs(minutes * 60)).to_string();
    json!({ format!("{kind}_id"): id.to_string(), "payment_id": id.to_string(), "status": "sent", "currency_code": "USD",
            "balance": 10.50, "date": &at[..10], "created_time": at, "last_modified_time": at })
}

fn list(key: &str, rows: &[Value], page: u32, more: bool) -> Value {
    json!({ "code": 0, key: rows, "page_context": { "page": page, "has_more_page": more } })
}

async fn poll(source: &ZohoBooks, ctx: &Context, feed: &str, mode: PollMode, after: Option<&Page>) -> Page {
    source
        .poll(ctx, PollRequest::new(feed, mode).checkpoint(after.map(|page| &page.checkpoint)))
        .await
        .unwrap()
}

fn named(page: &Page) -> Vec<String> {
    page.signals.iter().map(|signal| format!("{:?}", signal.subject)).collect()
}

/// The query of every call, without what all have.
async fn queries(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let query = |request: &wiremock::Request| request.url.query().map(str::to_owned);
    requests.iter().filter_map(query).collect()
}

#[tokio::test]
async fn a_baseline_takes_rows_as_they_are_and_the_first_window_begins_with_it() {
    let body: Value = serde_json::from_slice(&fixture("invoices-list-page1.json")).unwrap();
    let rows = body["invoices"].as_array().unwrap().len();
    let mut last = body;
    last["page_context"]["has_more_page"] = json!(false);
    let server = serve([last, list("invoices", &[], 1, false)]).await;
    let (source, ctx) = (source(&server), context().0);
    let page = poll(&source, &ctx, "invoices", PollMode::Baseline, None).await;
    assert_eq!((page.rows.len(), page.signals.len(), page.more), (rows, 0, false));
    let Observed::Present { content: Content::Record(record), raw, .. } = &page.rows[0].state else {
        panic!()
    };
    assert!(raw.is_some() && record.url.is_some() && record.modified_at.is_some());
    poll(&source, &ctx, "invoices", PollMode::Live, Some(&page)).await;
    let queries = queries(&server).await;
    assert_eq!(
        queries[0],
        "sort_column=created_time&sort_order=A&page=1&per_page=200&organization_id=778812345"
    );
    // Five minutes before the newest row; a bare plus would arrive as a space.
    assert!(queries[1].starts_with("last_modified_time=2026-03-11T19%3A57%3A44%2B0000&"), "{}", queries[1]);
}

#[tokio::test]
async fn a_list_that_promises_more_without_a_row_ends() {
    for mode in [PollMode::Baseline, PollMode::Live, PollMode::Backfill { since: None }] {
        let empty = list("bills", &[], 1, true);
        let server = serve([empty.clone(), empty.clone(), empty]).await;
        let (source, ctx) = (source(&server), context().0);
        let page = poll(&source, &ctx, "bills", mode, None).await;
        assert_eq!((page.rows.len() + page.signals.len(), page.more), (0, false), "{mode:?}");
        assert_eq!(queries(&server).await.len(), 1, "{mode:?}");
    }
}

/// In a process that goes on where another one ended nobody has looked yet.
#[tokio::test]
async fn the_organization_is_looked_at_once_by_each_process() {
    let rows = || list("invoices", &[row("invoice", 1, 3)], 1, false);
    let server = serve([rows(), rows(), rows()]).await;
    let looked = async || {
        let all = server.received_requests().await.unwrap();
        all.iter().filter(|request| request.url.path() == "/books/v3/organizations").count()
    };
    let (before, ctx) = (source(&server), context().0);
    let page = poll(&before, &ctx, "invoices", PollMode::Baseline, None).await;
    let page = poll(&before, &ctx, "invoices", PollMode::Live, Some(&page)).await;
    assert_eq!(looked().await, 1);
    poll(&source(&server), &ctx, "invoices", PollMode::Live, Some(&page)).await;
    assert_eq!(looked().await, 2);
}

#[tokio::test]
async fn a_row_is_told_once_as_long_as_it_stays_as_it_was() {
    let paid = {
        let mut row = row("invoice", 1, 3);
        row["balance"] = json!(0);
        row
    };
    let server = serve([
        list("invoices", &[row("invoice", 1, 3), row("invoice", 2, 3), row("invoice", 9, 4000)], 1, false),
        list("invoices", &[row("invoice", 1, 3), row("invoice", 2, 3)], 1, false),
        list("invoices", &[paid, row("invoice", 2, 3)], 1, false),
    ])
    .await;
    let (source, ctx) = (source(&server), context().0);
    let first = poll(&source, &ctx, "invoices", PollMode::Live, None).await;
    assert_eq!(first.signals.len(), 2, "a filter that is ignored shows rows that are none of its business");
    assert_eq!(first.signals[0].hint.as_deref(), Some("invoice.listed"));
    let second = poll(&source, &ctx, "invoices", PollMode::Live, Some(&first)).await;
    assert_eq!(named(&second), [""; 0]);
    let third = poll(&source, &ctx, "invoices", PollMode::Live, Some(&second)).await;
    assert_eq!(named(&third), &named(&first)[..1], "the balance differs");
}

#[tokio::test]
async fn a_window_of_several_pages_is_read_twice_and_a_shifted_row_is_found() {
    // While page 2 was read, a row of page 1 had been deleted: row 3 moved to page 1 and was not seen.
    let server = serve([
        list("bills", &[], 1, false),
        list("bills", &[row("bill", 1, 90), row("bill", 2, 90)], 1, true),
        list("bills", &[row("bill", 4, 1)], 2, false),
        list("bills", &[row("bill", 2, 90), row("bill", 3, 90)], 1, true),
        list("bills", &[row("bill", 4, 1)], 2, false),
        list("bills", &[], 1, false),
    ])
    .await;
    let (source, ctx) = (source(&server), context().0);
    let earlier = context_at(NOW - std::time::Duration::from_secs(2 * 3600));
    let zero = poll(&source, &earlier, "bills", PollMode::Baseline, None).await;
    let one = poll(&source, &ctx, "bills", PollMode::Live, Some(&zero)).await;
    let two = poll(&source, &ctx, "bills", PollMode::Live, Some(&one)).await;
    assert_eq!((one.more, two.more, one.signals.len(), two.signals.len()), (true, false, 2, 1));
    let three = poll(&source, &ctx, "bills", PollMode::Live, Some(&two)).await;
    assert_eq!(three.signals.len(), 1, "{:?}", named(&three));
    assert!(named(&three)[0].contains("\"3\""));
    let four = poll(&source, &ctx, "bills", PollMode::Live, Some(&three)).await;
    assert_eq!((named(&four).len(), four.more), (0, false));
}

#[tokio::test]
async fn what_is_not_followed_by_another_run_reads_several_pages_twice_at_once() {
    let pages = || {
        [
            list("invoices", &[row("invoice", 1, 40)], 1, true),
            list("invoices", &[row("invoice", 2, 30)], 2, false),
        ]
    };
    let server = serve(pages().into_iter().chain(pages())).await;
    let (source, ctx) = (source(&server), context().0);
    let mode = PollMode::Backfill { since: Some(Timestamp::parse("2026-03-12T00:00:00Z").unwrap()) };
    let mut found = 0;
    let mut page = poll(&source, &ctx, "invoices", mode, None).await;
    for _ in 0..3 {
        found += page.rows.len();
        assert!(page.more && page.signals.is_empty());
        page = poll(&source, &ctx, "invoices", mode, Some(&page)).await;
    }
    assert_eq!((found, page.rows.len(), page.more), (2, 0, false));
    assert!(queries(&server).await[0].starts_with("last_modified_time=2026-03-11T23%3A59%3A59%2B0000&"));
}

/// Where Zoho counts, a backfill says how many rows follow, and so how long it takes. Without, it says nothing.
#[tokio::test]
async fn a_backfill_of_invoices_says_how_many_rows_follow() {
    let pages = |key: &str| {
        let kind = key.trim_end_matches('s');
        let row = |id| row(kind, id, 90_000 - u64::from(id));
        [
            list(key, &[row(1), row(2)], 1, true),
            list(key, &[row(3), row(4)], 2, true),
            list(key, &[row(5)], 3, false),
        ]
    };
    let left = async |feed: &'static str, counted: Option<Value>| {
        let server = serve(pages(feed).into_iter().chain(pages(feed))).await;
        if let Some(context) = counted {
            let answer = json!({ "code": 0, "message": "success", "page_context": context });
            let answer = ResponseTemplate::new(200).set_body_json(answer);
            let counts = Mock::given(query_param("response_option", "2")).and(path("/books/v3/invoices"));
            counts.respond_with(answer).with_priority(1).expect(1).mount(&server).await;
        }
        let (source, ctx) = (source(&server), context().0);
        let (mut left, mut last) = (Vec::new(), None::<Page>);
        while last.as_ref().is_none_or(|page| page.more) {
            let page = poll(&source, &ctx, feed, PollMode::Backfill { since: None }, last.as_ref()).await;
            left.push(page.left);
            last = Some(page);
        }
        let counts = queries(&server).await.iter().filter(|query| query.contains("response_option")).count();
        (left, counts)
    };
    let none = vec![None; 6];
    let counted = vec![Some(3), Some(1), Some(0), Some(0), Some(0), None];
    assert_eq!(left("invoices", Some(json!({ "page": 1, "total": 5 }))).await, (counted, 1));
    assert_eq!(left("invoices", Some(json!({ "page": 1 }))).await, (none.clone(), 1));
    assert_eq!(left("invoices", None).await, (none.clone(), 1), "a refusal stops nothing");
    assert_eq!(left("bills", None).await, (none, 0), "nobody documents it for other lists");
}

#[tokio::test]
async fn a_backfill_of_more_rows_than_are_remembered_tells_each_once() {
    // The oldest thousand were imported at once: forgetting some of them is forgetting all.
    let minutes = |id: u32| if id < 1000 { 90_000 } else { 89_000 - u64::from(id) };
    let pages = (0..27).map(|page: u32| {
        let ids = page * 200..(page + 1) * 200;
        let rows: Vec<_> = ids.map(|id| row("invoice", id, minutes(id))).collect();
        list("invoices", &rows, page + 1, page < 26)
    });
    let server = serve(pages).await;
    let (source, ctx) = (source(&server), context().0);
    let mode = PollMode::Backfill { since: None };
    let (mut found, mut last) = (0, None);
    for _ in 0..27 {
        let page = poll(&source, &ctx, "invoices", mode, last.as_ref()).await;
        found += page.rows.len();
        last = Some(page);
    }
    assert_eq!((found, last.unwrap().more), (5_400, false));
}

#[tokio::test]
async fn payments_received_are_read_back_until_nothing_can_have_changed() {
    let key = "customerpayments";
    let day = 24 * 60;
    let server = serve([
        list(key, &[row("payment", 1, 2), row("payment", 2, 3 * day)], 1, true),
        list(key, &[row("payment", 1, 2)], 1, true),
        list(key, &[row("payment", 3, 30 * day), row("payment", 4, 44 * day)], 2, true),
        list(key, &[row("payment", 5, 60 * day)], 3, true),
    ])
    .await;
    let (source, ctx) = (source(&server), context().0);
    let one = poll(&source, &ctx, key, PollMode::Live, None).await;
    let two = poll(&source, &ctx, key, PollMode::Live, Some(&one)).await;
    let three = poll(&source, &ctx, key, PollMode::Live, Some(&two)).await;
    assert_eq!(
        [&one, &two, &three].map(|page| (page.signals.len(), page.more)),
        [(1, true), (0, true), (0, false)]
    );
    assert_eq!(
        queries(&server).await[0],
        "page=1&per_page=200&organization_id=778812345",
        "nothing it does not know"
    );
    assert!(
        queries(&server).await[1].starts_with("last_modified_time=2026-03-13T"),
        "what nobody documents is tried"
    );
}

#[tokio::test]
async fn a_sweep_names_every_record() {
    let server = serve([
        list("vendorpayments", &[row("payment", 1, 90_000)], 1, true),
        list("vendorpayments", &[row("payment", 2, 1)], 2, false),
    ])
    .await;
    let (source, ctx) = (source(&server), context().0);
    let one = poll(&source, &ctx, "vendorpayments", PollMode::Sweep, None).await;
    let two = poll(&source, &ctx, "vendorpayments", PollMode::Sweep, Some(&one)).await;
    assert_eq!((one.signals.len(), one.more, two.signals.len(), two.more), (1, true, 1, false));
    assert!(!queries(&server).await[0].contains("last_modified"));
}

#[tokio::test]
async fn another_page_than_was_asked_for_is_refused() {
    let server = serve([list("invoices", &[], 2, true)]).await;
    let error =
        source(&server).poll(&context().0, PollRequest::new("invoices", PollMode::Live)).await.unwrap_err();
    assert_eq!((error.kind(), error.context("asked")), (ErrorKind::InvalidResponse, Some("1")));
    let wrong = Bytes::from_static(b"{");
    let error = source(&server)
        .poll(&context().0, PollRequest::new("invoices", PollMode::Live).checkpoint(Some(&wrong)))
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unexpected);
}

// Proves: limits_of_zoho.
#[tokio::test]
async fn polls_leave_room_under_every_limit_and_never_pause_it_for_others() {
    let server = serve([list("invoices", &[], 1, false)]).await;
    let (ctx, ledger) = context();
    poll(&source(&server), &ctx, "invoices", PollMode::Live, None).await;
    let admitted = ledger.admitted.lock().unwrap().last().unwrap().clone();
    for cost in &admitted {
        let [quota] = &*cost.quotas else { panic!("{cost:?}") };
        let (Quota::Rolling { limit, .. } | Quota::Concurrent { limit }) = quota else { panic!("{quota:?}") };
        assert!(cost.leave > 0 && cost.leave + cost.units <= *limit, "{cost:?}");
    }
    let keys: Vec<_> = admitted.iter().map(|cost| cost.key.as_str()).collect();
    assert_eq!(keys, ["zoho/778812345", "zoho/778812345", "zoho/778812345/day"]);
    // What the limiter refuses to a poll concerns the poll alone.
    ledger.refuse_until(NOW + std::time::Duration::from_secs(3600));
    let error = source(&server).poll(&ctx, PollRequest::new("invoices", PollMode::Live)).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::RateLimited, &Scope::Entry));
    assert_eq!(error.retry(), Retry::At(NOW + std::time::Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_connection_that_only_polls_needs_no_secret_and_takes_no_webhook() {
    let source = ZohoBooks::builder("books")
        .organization_id("778812345")
        .data_center(ml_connector_zoho::DataCenter::Eu)
        .client("id", "secret")
        .time_zone("UTC")
        .mode(SourceMode::Poll)
        .build()
        .unwrap();
    let request = http::Request::post("/?mlc_event=invoice.changed").body(Bytes::new()).unwrap();
    assert_eq!(
        source.receive(ReceiveRequest::new(&request, NOW)).unwrap_err().kind(),
        ErrorKind::SignatureInvalid
    );
}

#[tokio::test]
async fn payments_received_are_filtered_where_the_filter_works_although_nobody_documents_it() {
    let key = "customerpayments";
    let (none, one) = (list(key, &[], 1, false), list(key, &[row("payment", 1, 2)], 1, true));
    let old = list(key, &[row("payment", 9, 90 * 24 * 60)], 2, false);
    let server = serve([one, none.clone(), old, none]).await;
    let (source, ctx) = (source(&server), context().0);
    let first = poll(&source, &ctx, key, PollMode::Live, None).await;
    let second = poll(&source, &ctx, key, PollMode::Live, Some(&first)).await;
    assert_eq!((first.more, second.more), (true, false));
    poll(&source, &ctx, key, PollMode::Live, Some(&second)).await;
    assert!(queries(&server).await[3].starts_with("last_modified_time=2026-03-12T"));
}

#[tokio::test]
async fn a_list_that_refuses_the_filter_is_read_back_without_it() {
    let key = "customerpayments";
    let server = with_organizations().await;
    let page = ResponseTemplate::new(200).set_body_json(list(key, &[row("payment", 1, 2)], 1, true));
    let refusal = ResponseTemplate::new(400).set_body_bytes(fixture("error-400-code2.json"));
    let more = ResponseTemplate::new(200).set_body_json(list(key, &[], 2, false));
    for answer in [page, refusal, more] {
        Mock::given(method("GET")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    let (source, ctx) = (source(&server), context().0);
    let first = poll(&source, &ctx, key, PollMode::Live, None).await;
    let second = poll(&source, &ctx, key, PollMode::Live, Some(&first)).await;
    assert_eq!((first.signals.len(), first.more, second.more), (1, true, false));
    assert!(!queries(&server).await[2].contains("last_modified_time"));
}

#[tokio::test]
async fn what_is_edited_long_after_its_date_is_found_when_the_list_is_read_to_its_end() {
    let key = "expenses";
    let day = 24 * 60;
    let edited = {
        let mut row = row("expense", 5, 400 * day);
        row["last_modified_time"] = json!((NOW - std::time::Duration::from_secs(20 * 3600)).to_string());
        row
    };
    let old = |n| (0..n).map(|i| row("expense", 100 + i, 60 * day)).collect::<Vec<_>>();
    let server = serve([
        list(key, &old(3), 1, true),
        list(key, &old(1), 1, true), // the filter is ignored
        list(key, &old(3), 1, true),
        list(key, &[edited], 2, false),
    ])
    .await;
    let source = source(&server);
    let at = |hours: u64| context_at(NOW - std::time::Duration::from_secs(hours * 3600));
    let one = poll(&source, &at(26), key, PollMode::Live, None).await;
    assert_eq!((one.signals.len(), one.more), (0, false), "the rest is older than anybody edits");
    let two = poll(&source, &at(0), key, PollMode::Live, Some(&one)).await;
    let three = poll(&source, &at(0), key, PollMode::Live, Some(&two)).await;
    assert_eq!((two.more, three.more, named(&three).len()), (true, false, 1), "{:?}", named(&three));
}

#[tokio::test]
async fn contacts_are_read_back_to_the_first_that_was_known_before() {
    let server = serve([
        list("contacts", &[row("contact", 1, 2), row("contact", 2, 400)], 1, true),
        list("contacts", &[row("contact", 2, 400), row("contact", 1, 2)], 1, true),
    ])
    .await;
    let (source, ctx) = (source(&server), context().0);
    let page = poll(&source, &ctx, "contacts", PollMode::Live, None).await;
    assert_eq!((page.signals.len(), page.more), (1, false));
    assert!(
        queries(&server).await[0]
            .starts_with("sort_column=last_modified_time&sort_order=D&filter_by=Status.All&page=1&")
    );
    let page = poll(&source, &ctx, "contacts", PollMode::Live, None).await;
    assert!(page.more, "rows in another order than was asked for prove nothing");
}

#[tokio::test]
async fn a_currency_is_told_when_any_field_of_it_differs_because_it_has_no_stamp() {
    let body: Value = serde_json::from_slice(&fixture("currencies-list.json")).unwrap();
    let mut dearer = body.clone();
    dearer["currencies"][2]["exchange_rate"] = json!(1.2);
    let server = serve([body.clone(), body, dearer.clone(), dearer]).await;
    let (source, ctx) = (source(&server), context().0);
    let mut page = poll(&source, &ctx, "currencies", PollMode::Baseline, None).await;
    assert_eq!(page.rows.len(), 4);
    for told in [0, 1, 0] {
        page = poll(&source, &ctx, "currencies", PollMode::Live, Some(&page)).await;
        assert_eq!(page.signals.len(), told, "{:?}", named(&page));
    }
}

#[tokio::test]
async fn accounts_come_whole_and_with_those_that_are_not_active() {
    let server = serve([serde_json::from_slice(&fixture("chart-of-accounts-list.json")).unwrap()]).await;
    let page = poll(&source(&server), &context().0, "chartofaccounts", PollMode::Sweep, None).await;
    assert!(page.signals.len() > 3 && !page.more);
    assert_eq!(queries(&server).await, ["filter_by=AccountType.All&page=1&organization_id=778812345"]);
}

#[tokio::test]
async fn a_day_with_few_calls_stretches_the_interval_whatever_the_plan_is_called() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200)
        .set_body_json(list("invoices", &[], 1, false))
        .insert_header("x-rate-limit-limit", "1000");
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    let (source, mut page) = (source(&server), None);
    for minutes in [0, 15, 30, 45, 60] {
        let ctx = context_at(NOW + std::time::Duration::from_secs(minutes * 60));
        page = Some(poll(&source, &ctx, "invoices", PollMode::Live, page.as_ref()).await);
    }
    assert_eq!(queries(&server).await.len(), 2);
}

#[tokio::test]
async fn what_polls_leave_of_a_day_is_a_part_of_the_calls_that_there_are() {
    let server = with_organizations().await;
    for limit in ["4000", "1000", "9000", "9000"] {
        let answer = ResponseTemplate::new(200)
            .set_body_json(list("currencies", &[], 1, false))
            .insert_header("x-rate-limit-limit", limit);
        Mock::given(method("GET")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    let (source, (ctx, ledger)) = (source(&server), context());
    // What an answer says holds for the next call; before the first it may be a trial.
    for left in [100, 400, 100, 500] {
        poll(&source, &ctx, "currencies", PollMode::Sweep, None).await;
        let admitted = ledger.admitted.lock().unwrap().pop().unwrap();
        let costs: Vec<_> = admitted.iter().map(|cost| (cost.key.as_str(), cost.leave)).collect();
        let pace = ("zoho/778812345/settings", 0);
        assert_eq!(costs[2..], [("zoho/778812345/day", left), pace], "currencies are a setting");
    }
}

#[tokio::test]
async fn another_person_s_organization_is_refused_with_the_ids_of_their_own() {
    let server = serve([]).await;
    let tokens = Arc::new(CountingTokens::default());
    let source =
        builder().organization_id("999").api_url(server.uri()).authenticator(tokens).build().unwrap();
    let error =
        source.poll(&context().0, PollRequest::new("invoices", PollMode::Baseline)).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    assert_eq!(error.context("organizations"), Some("778812345, 778898760"));
    let found = source.organizations(&context().0).await.unwrap();
    assert_eq!((&*found[1].time_zone, &*found[1].plan_name), ("America/Toronto", "Free"));
    assert!(!format!("{found:?}").contains("Harbor"));
}

/// The rows of a case in every mode that reads a list: nothing stops, and each row is told or observed.
async fn told_in_every_mode(case: &str, feed: &str, expected: usize) -> Vec<(String, Option<String>)> {
    let body: Value = serde_json::from_slice(&fixture(case)).unwrap();
    for mode in [PollMode::Backfill { since: None }, PollMode::Sweep, PollMode::Live] {
        let server = serve([body.clone()]).await;
        let page = poll(&source(&server), &context().0, feed, mode, None).await;
        let old = mode == PollMode::Live; // before the window that begins now
        let told = page.signals.len() + page.rows.len();
        assert!(told == expected || old, "{mode:?}: {told}");
    }
    let server = serve([body]).await;
    let page = poll(&source(&server), &context().0, feed, PollMode::Baseline, None).await;
    let read = page.rows.into_iter().map(|seen| match seen.state {
        Observed::Present { content: Content::Record(record), .. } => {
            (record.id.to_string(), record.total.map(|total| total.to_string()))
        }
        other => panic!("{other:?}"),
    });
    read.collect()
}

fn seen(rows: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    rows.iter().map(|(id, total)| ((*id).to_owned(), total.map(str::to_owned))).collect()
}

#[tokio::test]
async fn an_odd_value_costs_that_value_and_neither_its_row_nor_the_feed() {
    let told = told_in_every_mode("case-currency-four-letters.list.json", "invoices", 2).await;
    let expected = [("481500000000103001", None), ("481500000000103002", Some("100.00 USD"))];
    assert_eq!(told, seen(&expected));
    let told = told_in_every_mode("case-one-bad-row.json", "invoices", 3).await;
    let expected = [("1", Some("100.00 USD")), ("2", Some("200.00 USD")), ("3", Some("300.00 USD"))];
    assert_eq!(told, seen(&expected));
}

#[tokio::test]
async fn a_row_that_is_no_record_is_skipped_and_the_page_goes_on() {
    let rows = [json!(null), json!("odd"), json!({"invoice_number": "INV-1"}), row("invoice", 7, 60)];
    let server = serve([list("invoices", &rows, 1, false)]).await;
    let page = poll(&source(&server), &context().0, "invoices", PollMode::Sweep, None).await;
    assert_eq!(page.signals.len(), 1);
}

#[tokio::test]
async fn a_payment_s_row_without_a_currency_is_in_the_organization_s() {
    let told = told_in_every_mode("case-customer-payments-row.json", "customerpayments", 1).await;
    assert_eq!(told, seen(&[("1", Some("750.00 USD"))]));
}

#[tokio::test]
async fn where_the_organization_cannot_be_read_a_row_is_told_without_its_amount() {
    let body: Value = serde_json::from_slice(&fixture("case-customer-payments-row.json")).unwrap();
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(400).set_body_bytes(fixture("error-400-code2.json"));
    Mock::given(path("/books/v3/organizations")).respond_with(refused).mount(&server).await;
    let rows = ResponseTemplate::new(200).set_body_json(body);
    Mock::given(path("/books/v3/customerpayments")).respond_with(rows).mount(&server).await;
    let page = poll(&source(&server), &context().0, "customerpayments", PollMode::Sweep, None).await;
    assert_eq!(page.signals.len(), 1);
}

#[tokio::test]
async fn a_time_zone_that_is_not_the_organization_s_is_told() {
    let server = serve([]).await;
    let tokens = Arc::new(CountingTokens::default());
    let source =
        builder().time_zone("Asia/Tokyo").api_url(server.uri()).authenticator(tokens).build().unwrap();
    let steps = source.check(&context().0).await;
    let step = steps.iter().find(|step| step.step == "time zone").unwrap();
    assert_eq!(step.result, CheckResult::Warning, "{step}");
    assert_eq!(step.found.as_deref(), Some("it is America/New_York, and time_zone says Asia/Tokyo"));
}

/// A setting that differs is told, and amounts are in the organization's.
#[tokio::test]
async fn the_base_currency_is_the_organization_s_own_wherever_it_says_so() {
    let row: Value = serde_json::from_slice(&fixture("case-customer-payments-row.json")).unwrap();
    let with = |server: &MockServer, currency: &str| {
        let tokens = Arc::new(CountingTokens::default());
        builder().base_currency(currency).api_url(server.uri()).authenticator(tokens).build()
    };
    let amount = |page: &Page| {
        let Observed::Present { content: Content::Record(record), .. } = &page.rows[0].state else {
            panic!("a record")
        };
        record.total.map(|total| total.to_string())
    };
    for (set, warns) in [("EUR", true), ("USD", false), ("", false)] {
        let server = serve([row.clone(), row.clone(), row.clone()]).await;
        let (source, ctx) = (with(&server, set).unwrap(), context().0);
        let first = poll(&source, &ctx, "customerpayments", PollMode::Baseline, None).await;
        assert_eq!(amount(&first).as_deref(), Some("750.00 USD"), "{set}");
        let steps = source.check(&ctx).await;
        let step = steps.iter().find(|step| step.step == "base currency");
        assert_eq!(step.is_some(), warns, "{steps:?}");
        let zone = steps.iter().find(|step| step.step == "time zone").unwrap();
        assert_eq!(zone.result, CheckResult::Passed, "{zone}");
        if let Some(step) = step {
            assert_eq!(step.to_string().contains("USD") && step.to_string().contains("EUR"), warns, "{step}");
        }
    }
    // Without the scope for it the setting is all that is known.
    let server = MockServer::start().await;
    let refused = ResponseTemplate::new(400).set_body_bytes(fixture("error-400-code2.json"));
    Mock::given(path("/books/v3/organizations")).respond_with(refused).with_priority(1).mount(&server).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(row))
        .mount(&server)
        .await;
    let source = with(&server, "EUR").unwrap();
    let page =
        poll(&source, &context().0, "customerpayments", PollMode::Backfill { since: None }, None).await;
    assert_eq!(amount(&page).as_deref(), Some("750.00 EUR"));
    let error = with(&server, "EURO").unwrap_err();
    assert!(error.to_string().contains("base_currency"), "{error}");
}

/// Zoho's records name no organization: the call does. Should one name another, none of the page is told.
#[tokio::test]
async fn a_record_that_names_another_organization_stops_the_connection() {
    let naming = |organization: &str| {
        let mut named = row("invoice", 8, 5);
        named["organization_id"] = organization.into();
        list("invoices", &[row("invoice", 7, 6), named], 1, false)
    };
    let stopped = |error: ml_connector_core::Error| {
        assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection), "{error}");
        assert!(error.message().contains("another organization"), "{error}");
    };
    for mode in [PollMode::Baseline, PollMode::Live, PollMode::Backfill { since: None }, PollMode::Sweep] {
        let server = serve([naming("600000001")]).await;
        let request = PollRequest::new("invoices", mode);
        stopped(source(&server).poll(&context().0, request).await.unwrap_err());
        let server = serve([naming(ORGANIZATION)]).await;
        source(&server).poll(&context().0, PollRequest::new("invoices", mode)).await.unwrap();
    }
    let mut detail: Value = serde_json::from_slice(&fixture("invoice-detail.json")).unwrap();
    let id = detail["invoice"]["invoice_id"].as_str().unwrap().to_owned();
    detail["invoice"]["organization_id"] = "600000001".into();
    let server = serve([detail]).await;
    let asked = [Signal::entity(EntityRef::new("invoice", id))];
    stopped(source(&server).resolve(&context().0, &asked, None).await.unwrap_err());
}
