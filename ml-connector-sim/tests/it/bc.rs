//! Business Central as its API shows it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use ml_connector_core::{
    HttpTransport, ManualClock,
    http::{Limits, TransportError},
    model::Decimal,
};
use ml_connector_sim::{
    BusinessCentralSim, SimTransport,
    bc::{NewDocument, Set},
};
use serde_json::{Value, json};

use crate::{Answered, clock, send};

const API: &str = "https://api.businesscentral.dynamics.com";

struct Bench {
    erp: BusinessCentralSim,
    clock: Arc<ManualClock>,
    transport: SimTransport,
    token: String,
}

impl Bench {
    async fn new() -> Self {
        let clock = clock();
        let erp = BusinessCentralSim::new(Arc::clone(&clock) as _);
        let transport = SimTransport::new().with_business_central(&erp);
        let mut bench = Self { erp, clock, transport, token: String::new() };
        bench.renew().await;
        bench
    }

    /// Asks for a token that lives from now on.
    async fn renew(&mut self) {
        let secret = self.erp.credentials().client_secret;
        let answer = self.token(&secret, "https://api.businesscentral.dynamics.com/.default").await;
        assert_eq!((answer.status.as_u16(), &answer.body["expires_in"]), (200, &json!(3599)));
        self.token = answer.body["access_token"].as_str().unwrap().to_owned();
    }

    async fn token(&self, secret: &str, scope: &str) -> Answered {
        let known = self.erp.credentials();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "client_credentials"),
                ("client_id", &*known.client_id),
                ("client_secret", secret),
                ("scope", scope),
            ])
            .finish();
        let url = format!("https://login.microsoftonline.com/{}/oauth2/v2.0/token", known.tenant);
        send(&self.transport, crate::post(&url, "", "application/x-www-form-urlencoded", form)).await.unwrap()
    }

    async fn call(&self, method: Method, below: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let known = self.erp.credentials();
        let company = format!("companies({})", known.company_id);
        let below = below.replace("COMPANY", &company).replace(' ', "%20");
        let url = match below.starts_with("https://") {
            true => below,
            false => format!("{API}/v2.0/{}/{}/api/v2.0/{below}", known.tenant, known.environment),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&self.transport, request.body(Bytes::from(body.to_owned())).unwrap()).await.unwrap()
    }

    async fn get(&self, below: &str) -> Answered {
        self.call(Method::GET, below, &[], "").await
    }

    fn draft(&self, total: i64) -> String {
        self.erp.create(Set::PurchaseInvoices, &NewDocument::new("Northline Packaging", Decimal::from(total)))
    }
}

/// A host that answers the handshake, and everything else with a status.
#[derive(Debug)]
struct Host(u16);

#[async_trait::async_trait]
impl HttpTransport for Host {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let token = request.uri().query().and_then(|query| query.strip_prefix("validationToken="));
        let status = if token.is_some() { 200 } else { self.0 };
        let body = Bytes::from(token.unwrap_or_default().to_owned());
        Ok(Response::builder().status(status).body(body).unwrap())
    }
}

#[tokio::test]
async fn tokens_are_refused_as_entra_does() {
    let bench = Bench::new().await;
    let secret = bench.erp.credentials().client_secret;
    let wrong = bench.token("wrong", "https://api.businesscentral.dynamics.com/.default").await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["error_codes"]), (401, &json!([7_000_215])));
    assert_eq!(bench.token(&secret, "https://graph").await.body["error"], "invalid_scope");
    bench.erp.tune(|tuning| tuning.app_disabled = true);
    let refused = bench.get("companies").await;
    assert_eq!(refused.status.as_u16(), 401);
    assert_eq!(refused.body["error"]["code"], "Authentication_InvalidCredentials");
}

#[tokio::test]
async fn paths_filters_and_pages_are_answered_as_documented() {
    let bench = Bench::new().await;
    let nowhere = format!("{API}/v2.0/{}/Nowhere/api/v2.0/companies", bench.erp.credentials().tenant);
    assert_eq!(
        (bench.get(&nowhere).await.status.as_u16(), bench.get(&nowhere).await.body),
        (404, Value::Null)
    );
    let wrong = bench.get("COMPANY/purchaseInvoicez").await;
    assert_eq!(wrong.body["error"]["code"], "BadRequest_ResourceNotFound");
    let unknown = bench.get("COMPANY/purchaseInvoices?$filter=foo eq 'x'").await;
    assert!(unknown.body["error"]["message"].as_str().unwrap().contains("property named 'foo'"));
    let or = bench.get("COMPANY/purchaseInvoices?$filter=number eq 'x' or status eq 'Draft'").await;
    assert_eq!(or.status.as_u16(), 400);
    (0..5).for_each(|total| drop(bench.draft(total + 1)));
    let first = bench
        .call(
            Method::GET,
            "COMPANY/purchaseInvoices?$orderby=lastModifiedDateTime",
            &[("prefer", "odata.maxpagesize=3")],
            "",
        )
        .await;
    assert_eq!(first.body["value"].as_array().unwrap().len(), 3);
    let next = first.body["@odata.nextLink"].as_str().unwrap();
    assert!(next.contains("$skiptoken=") && next.starts_with(API), "{next}");
    let second = bench.get(next).await;
    assert_eq!(second.body["value"].as_array().unwrap().len(), 2);
    assert!(second.body.get("@odata.nextLink").is_none());
    let top = bench.get("COMPANY/purchaseInvoices?$top=2&$select=id").await;
    assert!(top.body.get("@odata.nextLink").is_none() && top.body["value"][0].get("number").is_none());
    let none =
        bench.get("COMPANY/purchaseInvoices?$filter=lastModifiedDateTime gt 2030-01-01T00:00:00Z").await;
    assert!(none.body["value"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn etags_are_enforced_and_a_posted_invoice_stays_as_it_is() {
    let bench = Bench::new().await;
    let id = bench.draft(100);
    let path = format!("COMPANY/purchaseInvoices({id})");
    let patch = r#"{"purchaser":"LK"}"#;
    assert_eq!(bench.call(Method::PATCH, &path, &[], patch).await.status.as_u16(), 400);
    let stale = bench.call(Method::PATCH, &path, &[("if-match", "W/\"x\"")], patch).await;
    assert_eq!((stale.status.as_u16(), &stale.body["error"]["code"]), (409, &json!("Request_EntityChanged")));
    assert_eq!(bench.call(Method::PATCH, &path, &[("if-match", "*")], patch).await.status.as_u16(), 200);
    let read = bench.get(&path).await;
    assert_eq!((&read.body["status"], &read.body["totalAmountIncludingTax"]), (&json!("Draft"), &json!(100)));
    // Case 09: any casing posts, once.
    let post = format!("{path}/microsoft.nav.POST");
    assert_eq!(bench.call(Method::POST, &post, &[], "").await.status.as_u16(), 204);
    let again = bench.call(Method::POST, &format!("{path}/Microsoft.NAV.post"), &[], "").await;
    assert!(again.body["error"]["message"].as_str().unwrap().contains("draft invoice only"));
    let posted = bench.get(&path).await;
    assert_eq!((&posted.body["id"], &posted.body["status"]), (&json!(id), &json!("Open")));
    assert_ne!(posted.body["number"], read.body["number"]);
    assert_eq!(bench.call(Method::PATCH, &path, &[("if-match", "*")], patch).await.status.as_u16(), 400);
    assert_eq!(bench.erp.postings().len(), 1);
    bench.erp.tune(|tuning| tuning.strict_action_names = true);
    let id = bench.draft(5);
    let strict = format!("COMPANY/purchaseInvoices({id})/Microsoft.NAV.Post");
    assert_eq!(bench.call(Method::POST, &strict, &[], "").await.status.as_u16(), 404);
}

#[tokio::test]
async fn a_replica_lags_and_the_primary_does_not() {
    let bench = Bench::new().await;
    bench.erp.tune(|tuning| tuning.replica_lag = Duration::from_secs(60));
    let id = bench.draft(100);
    let path = format!("COMPANY/purchaseInvoices({id})");
    let replica = [("data-access-intent", "ReadOnly")];
    assert_eq!(bench.call(Method::GET, &path, &replica, "").await.status.as_u16(), 404);
    assert_eq!(bench.get(&path).await.status.as_u16(), 200);
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(bench.call(Method::GET, &path, &replica, "").await.status.as_u16(), 200);
}

fn wanted(bench: &Bench, id: &str) -> String {
    let company = bench.erp.credentials().company_id;
    json!({
        "subscriptionId": id,
        "notificationUrl": "https://hooks.example.net/bc/one",
        "resource": format!("/api/v2.0/companies({company})/purchaseInvoices"),
        "clientState": "planted",
    })
    .to_string()
}

#[tokio::test]
async fn a_subscription_needs_its_handshake_and_lives_three_days() {
    let mut bench = Bench::new().await;
    let body = wanted(&bench, "Shop's items #1");
    assert_eq!(
        bench.call(Method::POST, "subscriptions", &[], &body).await.status.as_u16(),
        400,
        "nobody answers"
    );
    bench.erp.set_hooks(Arc::new(Host(200)));
    let made = bench.call(Method::POST, "subscriptions", &[], &body).await;
    assert_eq!((made.status.as_u16(), &made.body["subscriptionId"]), (201, &json!("Shop's items #1")));
    assert_eq!(bench.call(Method::POST, "subscriptions", &[], &body).await.status.as_u16(), 400);
    let key = "subscriptions('Shop''s%20items%20%231')";
    assert_eq!(bench.get(key).await.status.as_u16(), 200);
    assert_eq!(bench.call(Method::PATCH, key, &[], &body).await.status.as_u16(), 400, "If-Match is missing");
    bench.clock.advance(Duration::from_secs(2 * 24 * 3600));
    bench.renew().await;
    let etag = made.body["@odata.etag"].as_str().unwrap();
    let renewed = bench.call(Method::PATCH, key, &[("if-match", etag)], &body).await;
    assert_eq!(renewed.status.as_u16(), 200);
    assert_ne!(renewed.body["expirationDateTime"], made.body["expirationDateTime"]);
    let lines = body.replace("purchaseInvoices", "purchaseInvoiceLines");
    assert_eq!(bench.call(Method::POST, "subscriptions", &[], &lines).await.status.as_u16(), 400);
}

#[tokio::test]
async fn notices_are_merged_collected_tried_again_and_cost_subscriptions() {
    let bench = Bench::new().await;
    bench.erp.set_hooks(Arc::new(Host(200)));
    bench.call(Method::POST, "subscriptions", &[], &wanted(&bench, "one")).await;
    let id = bench.draft(100);
    bench.erp.set(Set::PurchaseInvoices, &id, "purchaser", "A").unwrap();
    bench.erp.set(Set::PurchaseInvoices, &id, "purchaser", "B").unwrap();
    assert!(bench.erp.take_notices().is_empty(), "the window is thirty seconds");
    bench.clock.advance(Duration::from_secs(30));
    let batch = bench.erp.take_notices().remove(0);
    let body: Value = serde_json::from_slice(batch.request.body()).unwrap();
    assert_eq!(body["value"].as_array().unwrap().len(), 2, "created, and both updates as one: {body}");
    assert_eq!(body["value"][0]["clientState"], "planted");
    let failed = Host(503);
    let answer = failed.send(batch.request.clone(), Limits::default()).await;
    assert_eq!(bench.erp.settle_notice(&batch, &answer).status.unwrap().as_u16(), 503);
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(bench.erp.deliver_notices(&Host(200)).await[0].entries, 2, "the whole batch again");
    bench.erp.tune(|tuning| tuning.collection_above = 2);
    (0..3).for_each(|total| drop(bench.draft(total + 1)));
    bench.clock.advance(Duration::from_secs(30));
    let batch = bench.erp.take_notices().remove(0);
    let body: Value = serde_json::from_slice(batch.request.body()).unwrap();
    assert_eq!(body["value"][0]["changeType"], "collection");
    assert!(body["value"][0]["resource"].as_str().unwrap().contains("?$filter=lastModifiedDateTime%20gt%20"));
    bench.erp.delete(Set::PurchaseInvoices, &id).unwrap();
    let batch = bench.erp.take_notices().remove(0);
    let body: Value = serde_json::from_slice(batch.request.body()).unwrap();
    assert!(
        body["value"][0]["resource"].as_str().unwrap().ends_with("/purchaseInvoices"),
        "no filter: {body}"
    );
    let answer = Host(404).send(batch.request.clone(), Limits::default()).await;
    assert!(bench.erp.settle_notice(&batch, &answer).cost_subscriptions);
    assert!(bench.erp.subscriptions().is_empty());
}

#[tokio::test]
async fn notices_come_late_when_they_are_told_to() {
    let bench = Bench::new().await;
    bench.erp.set_hooks(Arc::new(Host(200)));
    bench.call(Method::POST, "subscriptions", &[], &wanted(&bench, "one")).await;
    bench.erp.tune(|tuning| tuning.notices.delay = Duration::from_secs(60));
    drop(bench.draft(100));
    bench.clock.advance(Duration::from_secs(89));
    assert!(bench.erp.take_notices().is_empty());
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.erp.deliver_notices(&Host(200)).await.len(), 1);
}

#[tokio::test]
async fn an_outage_of_eighteen_hours_costs_the_subscription() {
    let bench = Bench::new().await;
    bench.erp.set_hooks(Arc::new(Host(200)));
    bench.call(Method::POST, "subscriptions", &[], &wanted(&bench, "one")).await;
    drop(bench.draft(100));
    let mut tries = 0;
    while let Some(due) = bench.erp.next_notice() {
        bench.clock.advance(due.saturating_since(ml_connector_core::Clock::now(&*bench.clock)));
        tries += bench.erp.deliver_notices(&Host(500)).await.len();
    }
    assert_eq!((tries, bench.erp.subscriptions().len()), (6, 0));
}

#[tokio::test]
async fn limits_are_counted_by_app_and_name_no_time() {
    let bench = Bench::new().await;
    bench.erp.tune(|tuning| tuning.calls_per_5_minutes = 2);
    bench.get("companies").await;
    bench.get("companies").await;
    let refused = bench.get("companies").await;
    assert_eq!(refused.status.as_u16(), 429);
    assert!(refused.header("retry-after").is_none());
    bench.clock.advance(Duration::from_secs(300));
    assert_eq!(bench.get("companies").await.status.as_u16(), 200);
    assert_eq!(bench.erp.limit_violations(), 1);
}
