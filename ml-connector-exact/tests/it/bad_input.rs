//! Every bad answer that the vendor is known for: what it means, that nothing of it is shown, and that nothing of it stays.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ml_connector_core::{
    ErrorKind, Retry, Scope, Source,
    model::{EntityRef, PollMode, Resolution, Signal},
};
use ml_connector_sim::{
    ExactOnlineSim, Fault,
    exact::{Kind, NewDocument},
};

use crate::{
    script::scripted,
    support::{CUSTOMER, Lab, amount, below, pass, signals},
};

const LIST: &str = "salesinvoice/SalesInvoices";

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response<Bytes> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Bytes::from(body.to_owned())).unwrap()
}

/// (what comes, what it is)
#[tokio::test(start_paused = true)]
async fn every_bad_answer_has_its_meaning_and_leaves_nothing_behind() {
    use ErrorKind::{
        InvalidRequest, InvalidResponse, PermissionDenied, RateLimited, Unauthenticated, Unavailable,
        Unsupported,
    };
    let (entry, connection) = (Scope::Entry, Scope::Connection);
    let dutch = r#"{"error":{"code":"","message":{"lang":"nl-NL","value":"planted: Ongeldige waarde"}}}"#;
    let scope = r#"{"error":{"code":"","message":{"lang":"","value":"Forbidden - Application Scope Violated. Cannot read 'sales.invoices' scope."}}}"#;
    let login =
        "<html><head><title>Object moved</title></head><body><a href=\"/docs/Login.aspx?ReturnUrl=%2fapi\">";
    let expired =
        ("www-authenticate", r#"Bearer error="invalid_token", error_description="access token expired""#);
    let minute = [("x-ratelimit-minutely-remaining", "0"), ("x-ratelimit-minutely-reset", "1773307020000")];
    let day = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1773360000000")];
    let reason = |reason| [("reason", reason)];
    let cases: Vec<(&str, Response<Bytes>, ErrorKind, &Scope)> = vec![
        ("a query", answer(400, &[], dutch), InvalidRequest, &entry),
        ("a query, as a page", answer(400, &[], "<html>planted"), InvalidRequest, &entry),
        ("a dead token", answer(401, &[expired], ""), Unauthenticated, &connection),
        (
            "a dead token, as a page",
            answer(302, &[("location", "/docs/Login.aspx")], login),
            Unauthenticated,
            &connection,
        ),
        ("a dead token, as a page that is fine", answer(200, &[], login), Unauthenticated, &connection),
        ("no reason", answer(403, &[], dutch), PermissionDenied, &entry),
        ("a scope", answer(403, &[], scope), PermissionDenied, &entry),
        ("a user", answer(403, &reason("BlockedUser"), ""), PermissionDenied, &connection),
        ("a user who left", answer(403, &reason("InactiveUser"), ""), PermissionDenied, &connection),
        ("a customer", answer(403, &reason("BlockedCustomer"), ""), PermissionDenied, &connection),
        ("a licence", answer(403, &reason("LicenseExpired"), ""), PermissionDenied, &connection),
        ("a company", answer(403, &reason("DivisionBlocked"), ""), PermissionDenied, &connection),
        ("another's company", answer(403, &reason("NoDivisionAccess"), ""), PermissionDenied, &connection),
        ("no module", answer(404, &[], ""), Unsupported, &entry),
        ("no verb", answer(405, &[], dutch), InvalidRequest, &entry),
        ("too broad", answer(408, &[], ""), Unavailable, &entry),
        ("too broad, behind a proxy", answer(599, &[], ""), Unavailable, &entry),
        ("a fault", answer(500, &[], dutch), Unavailable, &entry),
        ("a gateway", answer(502, &[], "<html>planted"), Unavailable, &entry),
        ("maintenance", answer(503, &[], "<html>planted"), Unavailable, &entry),
        ("a gateway's patience", answer(504, &[], ""), Unavailable, &entry),
        ("Atom", answer(200, &[], "<?xml version=\"1.0\"?><feed>planted</feed>"), Unavailable, &entry),
        ("a page", answer(200, &[], "<html>planted</html>"), Unavailable, &entry),
        ("nothing", answer(200, &[], ""), Unavailable, &entry),
        ("half of it", answer(200, &[], r#"{"d":{"results":[{"InvoiceID":"6f1f"#), InvalidResponse, &entry),
        ("no list", answer(200, &[], r#"{"planted":1}"#), InvalidResponse, &entry),
        ("a number", answer(200, &[], r#"{"d":7}"#), InvalidResponse, &entry),
        ("a list that is none", answer(200, &[], r#"{"d":{"results":7}}"#), InvalidResponse, &entry),
        ("the minute", answer(429, &minute, ""), RateLimited, &entry),
        ("the day", answer(429, &day, ""), RateLimited, &entry),
        ("some limit", answer(429, &[], ""), RateLimited, &entry),
    ];
    for (what, bad, kind, scope) in cases {
        let lab = Lab::new();
        let (script, ctx) = scripted(&lab);
        let (source, invoice) = (lab.source(), lab.invoice("1210"));
        let signals = [Signal::entity(EntityRef::new("invoice", invoice.as_str()))];
        script.says(LIST, [bad]);
        let error = source.resolve(&ctx, &signals, None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error:?}");
        if kind == RateLimited {
            assert!(
                matches!(error.scope(), Scope::Quota(_)) && matches!(error.retry(), Retry::At(_)),
                "{what}"
            );
        } else {
            assert_eq!(error.scope(), scope, "{what}: {error:?}");
        }
        assert!(!format!("{error:?} {error}").contains("planted"), "{what}: {error:?}");
        let asked = script.asked(LIST).len();
        assert!(asked <= 3, "{what}: asked {asked} times");
        // A day later it is as if nothing had been.
        script.forgets(LIST);
        pass(Duration::from_secs(86_400)).await;
        let seen =
            source.resolve(&ctx, &signals, None).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let Resolution::Observed(seen) = seen else { panic!("{what}") };
        assert_eq!(seen[0].state.record().unwrap().total.unwrap().to_string(), "1210.00 EUR", "{what}");
        assert_eq!(lab.sim.tallies().refused_tokens, 0, "{what}");
    }
}

/// A list that has bad rows tells the others.
#[tokio::test(start_paused = true)]
async fn bad_rows_keep_no_other_from_being_told() {
    let lab = Lab::new();
    let (script, ctx) = scripted(&lab);
    let source = lab.source();
    let row = |id: &str, more: &str| {
        format!(r#"{{"ID":"{id}","InvoiceID":"{id}","Division":3141593,"Timestamp":"7"{more}}}"#)
    };
    let good = "6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10";
    let rows = [
        "null".to_owned(),
        "7".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        row("", ""),
        // No company: it may be anybody's.
        r#"{"ID":"6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a11","InvoiceID":"6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a11"}"#
            .to_owned(),
        row(good, r#","Modified":"yesterday","Status":"?","LineNumber":{}"#),
    ];
    let body = format!(r#"{{"d":{{"results":[{}]}}}}"#, rows.join(","));
    script.says("sync/SalesInvoice/SalesInvoices", [answer(200, &[], &body)]);
    let request = ml_connector_core::PollRequest::new("sales_invoices", PollMode::Live);
    let page = source.poll(&ctx, request).await.unwrap();
    // What has an id is looked at by itself; of the rest nobody can tell what it is.
    let mut named = signals(&[page]);
    named.sort();
    let other = "6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a11";
    assert_eq!(named, [format!("invoice/{good}"), format!("invoice/{other}")]);
}

/// A term that its feed could not show is read by itself, and is a payment only once it is paid.
#[tokio::test(start_paused = true)]
async fn a_term_that_cannot_be_read_in_its_feed_is_not_lost() {
    let lab = Lab::new();
    let (script, ctx) = scripted(&lab);
    let source = lab.source();
    let bill = lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount("100")));
    let (_, term) = lab.sim.open_terms(&bill).remove(0);
    // A row that does not say whose it is.
    let body =
        format!(r#"{{"d":{{"results":[{{"ID":"{term}","LineType":22,"Status":50,"Timestamp":"7"}}]}}}}"#);
    script.says("sync/Cashflow/PaymentTerms", [answer(200, &[], &body)]);
    let request = ml_connector_core::PollRequest::new("payment_terms", PollMode::Live);
    let page = source.poll(&ctx, request).await.unwrap();
    let hinted: Vec<Signal> = page.signals.into_iter().collect();
    assert_eq!(hinted.len(), 2, "whose side it is on is not known either: {hinted:?}");
    let read =
        async |signal: &Signal| source.resolve(&ctx, std::slice::from_ref(signal), None).await.unwrap();
    let is_payment = |signal: &&Signal| format!("{signal:?}").contains("vendor_payment");
    let payment = hinted.iter().find(is_payment).unwrap();
    assert!(matches!(read(payment).await, Resolution::Done { .. }), "it is not paid");
    lab.sim.settle(&bill, ml_connector_sim::exact::Settlement::Bank).unwrap();
    assert!(matches!(read(payment).await, Resolution::Observed(_)));
    let other = hinted.iter().find(|signal| !is_payment(signal)).unwrap();
    assert!(matches!(read(other).await, Resolution::Done { .. }));
}

/// The files beside a document are not worth losing it.
#[tokio::test(start_paused = true)]
async fn a_bad_answer_about_files_costs_no_document() {
    for (path, bad) in [
        ("documents/Documents", answer(400, &[], "{}")),
        ("documents/Documents", answer(403, &[], "{}")),
        ("documents/DocumentAttachments", answer(404, &[], "")),
        ("documents/DocumentAttachments", answer(200, &[], r#"{"d":7}"#)),
    ] {
        let lab = Lab::new();
        let (script, ctx) = scripted(&lab);
        let new = NewDocument::new(CUSTOMER, amount("100")).with_document();
        let bill = lab.sim.create(Kind::PurchaseEntries, &new);
        let signal = [Signal::entity(EntityRef::new("bill", bill.as_str()))];
        script.says(path, [bad]);
        let seen = lab.source().resolve(&ctx, &signal, None).await;
        assert!(matches!(seen, Ok(Resolution::Observed(_))), "{path}: {seen:?}");
    }
    // What passes is waited for: a link is worth a few seconds.
    let lab = Lab::new();
    let new = NewDocument::new(CUSTOMER, amount("100")).with_document();
    let bill = lab.sim.create(Kind::PurchaseEntries, &new);
    lab.sim.plant(Fault::html(http::StatusCode::SERVICE_UNAVAILABLE).on("documents/Documents").times(1));
    let seen = lab.read(&lab.source(), "bill", &bill).await;
    assert_eq!(seen.state.record().unwrap().attachments.len(), 1);
}

/// Amounts that are not there yet come later, and none is made up.
#[tokio::test(start_paused = true)]
async fn an_amount_that_is_null_is_none_and_comes_later() {
    let lab = Lab::new();
    lab.sim.tune(|quirks| quirks.null_amounts = Duration::from_secs(60));
    let (source, invoice) = (lab.source(), lab.invoice("1210"));
    let total = |seen: &ml_connector_core::model::Observation| seen.state.record().unwrap().total;
    let first = lab.read(&source, "invoice", &invoice).await;
    assert_eq!(total(&first), None);
    pass(Duration::from_secs(120)).await;
    let later = lab.read(&source, "invoice", &invoice).await;
    assert_eq!(total(&later).unwrap().to_string(), "1210.00 EUR");
    assert_ne!(first.state.revision(), later.state.revision(), "it is told as changed");
}

/// Neither a link in a notification nor one in a list takes the token elsewhere.
#[tokio::test(start_paused = true)]
async fn the_token_goes_to_no_other_host() {
    let lab = Lab::new();
    let source = lab.source();
    lab.look(&source, None).await;
    drop(lab.sim.take_webhooks());
    lab.sim.tune(|quirks| quirks.foreign_endpoint = Some("evil.example".to_owned()));
    let invoice = lab.invoice("1210");
    let delivery = lab.sim.take_webhooks().remove(0);
    let intake = lab.receive(&source, &delivery).unwrap();
    let (script, ctx) = scripted(&lab);
    let seen = source.resolve(&ctx, &intake.signals, None).await.unwrap();
    let Resolution::Observed(seen) = seen else { panic!("{seen:?}") };
    assert_eq!(&*seen[0].entity.id, invoice);
    // A list that is said to go on elsewhere.
    (0..61).for_each(|_| _ = lab.invoice("10"));
    lab.sim.tune(|quirks| quirks.foreign_next = Some("evil.example".to_owned()));
    let (mut at, mut ended) = (None, None);
    while ended.is_none() {
        let request = ml_connector_core::PollRequest::new("all_sales_invoices", PollMode::Sweep);
        match source.poll(&ctx, request.checkpoint(at.as_ref())).await {
            Ok(page) if page.more => at = Some(page.checkpoint),
            other => ended = Some(other.map(drop)),
        }
    }
    assert_eq!(ended.unwrap().unwrap_err().kind(), ErrorKind::InvalidResponse);
    let asked = script.asked("");
    assert!(
        asked.len() == 2 && asked.iter().all(|url| url.contains("https://start.exactonline.nl/")),
        "{asked:#?}"
    );
}

/// What is signed and makes no sense is refused; it would come ten times, and be as useless.
#[tokio::test(start_paused = true)]
async fn signed_nonsense_is_refused_for_good() {
    let lab = Lab::new();
    let source = lab.source();
    lab.look(&source, None).await;
    let (url, secret) = (lab.callback(), lab.sim.credentials().webhook_secret);
    for content in [
        "{}",
        r#"{"Topic":"SalesInvoices"}"#,
        r#"{"Division":"x","Key":"y"}"#,
        r#"{"Topic":"SalesInvoices","Division":3141593,"Key":"'; DROP","Action":"Update"}"#,
        r#"{"Topic":"SalesInvoices","Division":99999999999999,"Key":"6f1f0f7e-0a41-4c1b-9f0e-6a1d5c3b2a10"}"#,
    ] {
        let request = ExactOnlineSim::forge(&url, content, Some(&secret)).unwrap();
        let request = below(&request);
        let received = source.receive(ml_connector_core::ReceiveRequest::new(&request, lab.ctx.now()));
        let refused = received.map(|intake| intake.signals.len()).unwrap_err();
        assert_eq!((refused.kind(), refused.retry()), (ErrorKind::InvalidRequest, Retry::Never), "{content}");
        assert!(!format!("{refused:?}").contains("DROP"), "{refused:?}");
    }
}
