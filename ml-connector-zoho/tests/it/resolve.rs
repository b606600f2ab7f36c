//! The calls, against a server that answers as Zoho Books does.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ml_connector_core::{
    Effect, Error, ErrorKind, PollRequest, Retry, Scope, Source, Timestamp, UpkeepRequest, error_context,
    model::{Content, EntityRef, Observation, Observed, PollMode, Resolution, Signal, Status, Subject},
    rate::{Feedback, Quota},
    snapshot::{ChangeRules, Snapshot, SnapshotStep, step},
};
use ml_connector_zoho::{Plan, ZohoBooks};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{header, method, path, query_param},
};

use crate::support::{CountingTokens, NOW, ORGANIZATION, builder, context, fixture, scripted};

const INVOICE: &str = "481500000000103001";

fn source(server: &MockServer) -> ZohoBooks {
    builder().api_url(server.uri()).authenticator(Arc::new(CountingTokens::default())).build().unwrap()
}

fn answer(status: u16, fixture_name: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_bytes(fixture(fixture_name))
}

fn signal(kind: &str, id: &str, hint: &str) -> Signal {
    let mut signal = Signal::entity(EntityRef::new(kind, id));
    signal.hint = Some(hint.into());
    signal
}

async fn serve(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    for answer in answers {
        Mock::given(method("GET")).respond_with(answer).up_to_n_times(1).mount(&server).await;
    }
    // A call too many is refused for good: without an envelope it would be repeated, and the clock stands still.
    let refusal = answer(400, "error-400-code2.json");
    Mock::given(method("GET")).respond_with(refusal).with_priority(u8::MAX).mount(&server).await;
    server
}

async fn resolve(server: &MockServer, hint: &str, last: Option<&Snapshot>) -> Result<Resolution, Error> {
    source(server).resolve(&context().0, &[signal("invoice", INVOICE, hint)], last).await
}

fn observed(resolution: Resolution) -> Observation {
    let Resolution::Observed(observations) = resolution else { panic!("{resolution:?}") };
    let [observation] = <[_; 1]>::try_from(observations).unwrap();
    observation
}

fn query(request: &Request) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = request.url.query_pairs().into_owned().collect();
    pairs.sort();
    pairs
}

/// What is known of the invoice after one read.
async fn snapshot() -> Snapshot {
    let server = serve(vec![answer(200, "invoice-detail.json")]).await;
    let seen = observed(resolve(&server, "invoice.changed", None).await.unwrap());
    let policy = ChangeRules {
        today: NOW.date_in(&source(&server).info().zone),
        overdue_after: &[],
        watched_since: Timestamp::default(),
    };
    match step(None, &seen, &policy) {
        SnapshotStep::Changed { snapshot, .. } => *snapshot,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_kind_is_read_by_its_own_call_with_the_organization_and_the_token() {
    for (kind, id, resource, name) in [
        ("invoice", INVOICE, "invoices", "invoice-detail.json"),
        ("bill", "481500000000108002", "bills", "bill-detail.json"),
        ("customer_payment", "481500000000113012", "customerpayments", "customer-payment-detail.json"),
        ("vendor_payment", "481500000000121007", "vendorpayments", "vendor-payment-detail.json"),
        ("purchase_order", "481500000000107032", "purchaseorders", "purchase-order-detail.json"),
        ("expense", "481500000000127037", "expenses", "expense-detail.json"),
        ("contact", "481500000000081001", "contacts", "contact-detail.json"),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path(format!("/books/v3/{resource}/{id}")))
            .and(query_param("organization_id", ORGANIZATION))
            .and(header("authorization", "Zoho-oauthtoken token-0"))
            .and(header("accept", "application/json"))
            .respond_with(answer(200, name))
            .expect(1)
            .mount(&server)
            .await;
        let signals = [signal(kind, id, "x.changed")];
        let seen = observed(source(&server).resolve(&context().0, &signals, None).await.unwrap());
        assert_eq!((seen.entity.to_string(), seen.read_at), (format!("{kind}/{id}"), NOW));
        let Observed::Present { content: Content::Record(record), raw, order, .. } = seen.state else {
            panic!("{kind}")
        };
        assert_eq!((&*record.id, record.kind.as_str(), order), (id, kind, None));
        let page = match kind {
            "customer_payment" => "paymentsreceived",
            "vendor_payment" => "paymentsmade",
            _ => resource,
        };
        let url = format!("https://books.zoho.com/app/{ORGANIZATION}#/{page}/{id}");
        assert_eq!(record.url.as_deref(), Some(&*url));
        // Byte for byte: the fixture holds the raw text as a whole.
        let text = String::from_utf8(fixture(name).to_vec()).unwrap();
        assert!(text.contains(raw.unwrap().get()), "{kind}");
        let requests = server.received_requests().await.unwrap();
        assert_eq!(query(&requests[0]), [("organization_id".to_owned(), ORGANIZATION.to_owned())]);
    }
}

#[tokio::test]
async fn every_attempt_is_admitted_under_the_organization_s_minute_concurrency_and_day() {
    let answer = answer(200, "invoice-detail.json")
        .insert_header("x-rate-limit-limit", "1000")
        .insert_header("x-rate-limit-remaining", "711")
        .insert_header("x-rate-limit-reset", "52189");
    let server = serve(vec![answer]).await;
    let (ctx, ledger) = context();
    let source = builder()
        .api_url(server.uri())
        .authenticator(Arc::new(CountingTokens::default()))
        .plan(Plan::Free)
        .build()
        .unwrap();
    source.resolve(&ctx, &[signal("invoice", INVOICE, "invoice.changed")], None).await.unwrap();
    let admitted = ledger.admitted.lock().unwrap();
    let [costs] = admitted.as_slice() else { panic!("one attempt") };
    let quotas: Vec<_> = costs.iter().map(|cost| (cost.key.as_str(), &*cost.quotas)).collect();
    let minute = Quota::Rolling { limit: 80, window: Duration::from_secs(60) };
    let day = Quota::Rolling { limit: 1000, window: Duration::from_secs(86_400) };
    assert_eq!(quotas[0], ("zoho/778812345", &[minute, Quota::Concurrent { limit: 5 }][..]));
    assert_eq!(quotas[1], ("zoho/778812345/day", &[day][..]));
    let told = ledger.told.lock().unwrap();
    let remaining = Feedback::Remaining { units: 711, reset: NOW + Duration::from_secs(52_189) };
    assert!(told.iter().any(|(key, told)| key.as_str() == "zoho/778812345/day" && *told == remaining));
    assert!(told.iter().any(|(_, told)| matches!(told, Feedback::Finished(_))));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_then_it_is_the_connection_s_trouble() {
    let server = serve(vec![answer(401, "error-401-code57.json"), answer(200, "invoice-detail.json")]).await;
    observed(resolve(&server, "invoice.changed", None).await.unwrap());
    let requests = server.received_requests().await.unwrap();
    let tokens: Vec<_> =
        requests.iter().map(|request| request.headers["authorization"].to_str().unwrap()).collect();
    assert_eq!(tokens, ["Zoho-oauthtoken token-0", "Zoho-oauthtoken token-1"]);

    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(answer(401, "error-401-code57.json"))
        .expect(2)
        .mount(&server)
        .await;
    let error = resolve(&server, "invoice.changed", None).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unauthenticated, &Scope::Connection));
}

#[tokio::test]
async fn a_used_up_limit_is_not_tried_again_and_pauses_what_it_counts() {
    for (name, header, key, secs) in [
        ("error-429-code43-block-1h.json", Some(("retry-after", "3600")), "zoho/778812345", 3600),
        ("error-429-code44-per-minute.json", None, "zoho/778812345", 60),
        ("error-429-code45-daily.json", Some(("x-rate-limit-reset", "5219")), "zoho/778812345/day", 5219),
    ] {
        let mut limited = answer(429, name);
        if let Some((name, value)) = header {
            limited = limited.insert_header(name, value);
        }
        let server = serve(vec![limited]).await;
        let error = resolve(&server, "invoice.changed", None).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::RateLimited, Effect::None), "{name}");
        assert_eq!(error.scope(), &Scope::Quota(key.into()), "{name}");
        assert_eq!(error.retry(), Retry::At(NOW + Duration::from_secs(secs)), "{name}");
        assert_eq!(error.operation(), "zoho_books.get_invoice");
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_error_behind_a_200_is_an_error() {
    let server = serve(vec![answer(200, "error-400-code6041.json")]).await;
    let error = resolve(&server, "invoice.changed", None).await.unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::ConfigInvalid, &Scope::Connection));
    assert_eq!(error.context(error_context::CODE), Some("6041"));
    assert!(!format!("{error:?}").contains("CompanyID"), "{error:?}");
}

#[tokio::test]
async fn an_answer_about_something_else_is_not_believed() {
    for body in [
        br#"{"code":0,"message":"success"}"#.to_vec(),
        br#"{"code":0,"message":"success","invoice":"x"}"#.to_vec(),
        br#"{"code":0,"message":"success","invoice":{"invoice_id":"1"}}"#.to_vec(),
    ] {
        let server = serve(vec![ResponseTemplate::new(200).set_body_bytes(body)]).await;
        let error = resolve(&server, "invoice.changed", None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    }
}

#[tokio::test]
async fn an_odd_value_and_a_byte_order_mark_stop_nothing() {
    let odd = br#"{"code":0,"invoice":{"invoice_id":"481500000000103001","total":"planted","status":"sent",
        "customer_id":"3","customer_name":"half \ud83d"}}"#;
    let server = serve(vec![ResponseTemplate::new(200).set_body_bytes(odd.to_vec())]).await;
    let seen = observed(resolve(&server, "invoice.changed", None).await.unwrap());
    let Observed::Present { content: Content::Record(record), .. } = seen.state else {
        panic!("it is there")
    };
    assert_eq!((record.total, record.counterparty.unwrap().name), (None, "half \u{fffd}".to_owned()));

    let server = serve(vec![answer(200, "case-bom.detail.json")]).await;
    let seen = observed(resolve(&server, "invoice.changed", None).await.unwrap());
    let Observed::Present { content: Content::Record(record), .. } = seen.state else {
        panic!("it is there")
    };
    assert_eq!(record.total.unwrap().to_string(), "1.00 USD");
}

#[tokio::test(start_paused = true)]
async fn outages_and_broken_answers_are_repeated_before_they_are_told() {
    let source = builder().authenticator(Arc::new(CountingTokens::default())).build().unwrap();
    let signals = [signal("invoice", INVOICE, "invoice.changed")];
    let whole = fixture("invoice-detail.json");
    let answers = vec![
        (200, whole.slice(..whole.len() / 2)),
        (502, Bytes::from_static(b"<html>Bad Gateway</html>")),
        (200, whole),
    ];
    observed(source.resolve(&scripted(answers), &signals, None).await.unwrap());

    let busy =
        vec![(429, fixture("error-429-code1070-concurrent.json")), (200, fixture("invoice-detail.json"))];
    observed(source.resolve(&scripted(busy), &signals, None).await.unwrap());

    let down = vec![(500, fixture("error-500-code1000.json")); 3];
    let error = source.resolve(&scripted(down), &signals, None).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff));
}

#[tokio::test]
async fn a_record_that_was_never_seen_may_not_be_visible_yet() {
    let server = serve(vec![answer(404, "error-404-code1002.json")]).await;
    let resolution = resolve(&server, "invoice.created", None).await.unwrap();
    let Resolution::NotYet { retry_at } = resolution else { panic!("{resolution:?}") };
    assert_eq!(retry_at, NOW + Duration::from_secs(30));
}

#[tokio::test]
async fn a_deletion_that_the_read_confirms_is_gone_at_once() {
    let server = serve(vec![answer(404, "error-404-code1002.json")]).await;
    let known = snapshot().await;
    let signals =
        [signal("invoice", INVOICE, "invoice.deleted"), signal("invoice", INVOICE, "invoice.changed")];
    let seen = observed(source(&server).resolve(&context().0, &signals, Some(&known)).await.unwrap());
    assert!(matches!(seen.state, Observed::Gone(_)));
    // A deletion hint alone proves nothing.
    let server = serve(vec![answer(200, "invoice-detail.json")]).await;
    let seen = observed(resolve(&server, "invoice.deleted", Some(&known)).await.unwrap());
    assert!(matches!(seen.state, Observed::Present { .. }));
}

#[tokio::test]
async fn a_known_record_is_gone_only_if_the_list_does_not_have_it() {
    let known = snapshot().await;
    let empty =
        r#"{"code":0,"message":"success","invoices":[],"page_context":{"page":1,"has_more_page":false}}"#;
    let list = || ResponseTemplate::new(200).set_body_string(empty);
    let server = serve(vec![answer(404, "error-404-code1002.json"), list(), list()]).await;
    let seen = observed(resolve(&server, "invoice.changed", Some(&known)).await.unwrap());
    assert!(matches!(seen.state, Observed::Gone(_)));
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[1].url.path(), "/books/v3/invoices");
    let expected = [
        ("invoice_number", "INV-000101"),
        ("organization_id", ORGANIZATION),
        ("page", "1"),
        ("per_page", "200"),
    ];
    assert_eq!(query(&requests[1]), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

    // It is listed: then somebody took the permission to read it away.
    let server =
        serve(vec![answer(404, "error-404-code1002.json"), answer(200, "invoices-list-page1.json")]).await;
    let error = resolve(&server, "invoice.changed", Some(&known)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);

    // The list cannot be read: nothing is known.
    let server = serve(vec![
        answer(404, "error-404-code1002.json"),
        answer(401, "error-401-code57.json"),
        answer(401, "error-401-code57.json"),
    ])
    .await;
    let error = resolve(&server, "invoice.changed", Some(&known)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_resource_names_the_scope_and_asks_for_no_more_tokens() {
    let source = builder().authenticator(std::sync::Arc::new(CountingTokens::default())).build().unwrap();
    let refused = || (401, fixture("error-401-code57.json"));
    let ctx = scripted(vec![(200, fixture("invoice-detail.json")), refused(), refused(), refused()]);
    let invoice = [signal("invoice", INVOICE, "invoice.changed")];
    source.resolve(&ctx, &invoice, None).await.unwrap();
    let bill = [signal("bill", "481500000000108002", "bill.changed")];
    for _ in 0..2 {
        let error = source.resolve(&ctx, &bill, None).await.unwrap_err();
        assert_eq!((error.kind(), error.scope()), (ErrorKind::PermissionDenied, &Scope::Entry), "{error}");
        assert_eq!(error.context("scope"), Some("ZohoBooks.bills.READ"));
    }
}

#[tokio::test]
async fn what_the_whole_list_did_not_have_is_looked_for_once_more_and_can_wait() {
    let known = snapshot().await;
    let empty = ResponseTemplate::new(200).set_body_string(r#"{"code":0,"invoices":[]}"#);
    let server = serve(vec![answer(404, "error-404-code1002.json"), empty]).await;
    let (ctx, ledger) = context();
    let signals = [signal("invoice", INVOICE, Signal::SWEPT)];
    let seen = observed(source(&server).resolve(&ctx, &signals, Some(&known)).await.unwrap());
    assert!(matches!(seen.state, Observed::Gone(_)));
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
    let admitted = ledger.admitted.lock().unwrap();
    assert!(admitted[0].iter().all(|cost| cost.leave > 0), "{admitted:?}");
}

#[tokio::test]
async fn rows_of_every_list_are_recognized() {
    let known = snapshot().await;
    for (kind, id, list, filter) in [
        ("bill", "481500000000108002", "bills-list.json", "bill_number"),
        ("customer_payment", "481500000000113012", "customer-payments-list.json", "payment_number"),
        ("vendor_payment", "481500000000121007", "vendor-payments-list.json", "payment_number"),
    ] {
        let server = serve(vec![answer(404, "error-404-code1002.json"), answer(200, list)]).await;
        let signals = [signal(kind, id, "x.changed")];
        let error = source(&server).resolve(&context().0, &signals, Some(&known)).await.unwrap_err();
        assert_eq!((error.kind(), error.context("id")), (ErrorKind::PermissionDenied, Some(id)), "{error}");
        let requests = server.received_requests().await.unwrap();
        assert!(requests[1].url.query_pairs().any(|(name, _)| name == filter), "{kind}");
    }
}

#[tokio::test]
async fn what_is_known_to_be_gone_is_not_looked_for_again() {
    let mut known = snapshot().await;
    known.revision = None;
    let server = serve(vec![answer(404, "error-404-code1002.json")]).await;
    let resolution = resolve(&server, "invoice.changed", Some(&known)).await.unwrap();
    assert!(matches!(resolution, Resolution::Done { .. }));
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn where_the_filter_is_ignored_every_page_is_looked_at_within_bounds() {
    let known = snapshot().await;
    let more = r#"{"code":0,"invoices":[{"invoice_id":"1"}],"page_context":{"has_more_page":true}}"#;
    let end = r#"{"code":0,"invoices":[{"invoice_id":"2"}]}"#;
    let page = |body: &str| ResponseTemplate::new(200).set_body_string(body);
    let server =
        serve(vec![answer(404, "error-404-code1002.json"), page(more), page(end), page(more), page(end)])
            .await;
    let seen = observed(resolve(&server, "invoice.changed", Some(&known)).await.unwrap());
    assert!(matches!(seen.state, Observed::Gone(_)));

    let server = serve(vec![answer(404, "error-404-code1002.json")]).await;
    Mock::given(method("GET"))
        .and(path("/books/v3/invoices"))
        .respond_with(page(more))
        .expect(25)
        .mount(&server)
        .await;
    let error = resolve(&server, "invoice.changed", Some(&known)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_not_read_is_said() {
    let server = serve(vec![]).await;
    let source = source(&server);
    let ctx = context().0;
    let note =
        source.resolve(&ctx, &[signal("journal_entry", "1", "purchaseorder.changed")], None).await.unwrap();
    assert!(matches!(note, Resolution::Done { .. }));
    let mut feed = signal("invoice", "1", "");
    feed.subject = Subject::Feed { name: "invoices".into(), since: None };
    assert!(matches!(source.resolve(&ctx, &[feed], None).await.unwrap(), Resolution::Done { .. }));
    let error = source.poll(&ctx, PollRequest::new("journals", PollMode::Live)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let upkeep = source
        .upkeep(&ctx, UpkeepRequest::new().callback(Some("https://erp.example/hooks/books")))
        .await
        .unwrap();
    assert!(upkeep.signals.is_empty() && upkeep.next > NOW + Duration::from_secs(86_400));
}

#[tokio::test]
async fn a_bill_awaiting_approval_says_who_submitted_it() {
    let server = serve(vec![answer(200, "bill-detail-pending-approval.json")]).await;
    let signals = [signal("bill", "481500000000108009", "bill.submitted")];
    let seen = observed(source(&server).resolve(&context().0, &signals, None).await.unwrap());
    let Observed::Present { content: Content::Record(record), .. } = seen.state else { panic!() };
    assert_eq!(
        (record.status, record.submitted_by.and_then(|by| by.name).as_deref()),
        (Status::PendingApproval, Some("Dana Whitlow"))
    );
}
