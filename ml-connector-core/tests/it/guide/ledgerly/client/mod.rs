//! The calls of Ledgerly's API, one method each.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Context, Error, ErrorKind, Result,
    auth::Authenticator,
    http::{Answer, Call, Client as HttpClient, Envelope},
    rate::{Cost, Quota, QuotaKey},
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use url::Url;

use super::{
    SYSTEM,
    error::check,
    models::{Hook, HookList, Note, NoteList, Page},
};

/// 60 calls a minute and account, by "Limits" in Ledgerly's handbook.
const PER_MINUTE: Quota = Quota::Rolling { limit: 60, window: Duration::from_secs(60) };

/// The API of one account.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
    cost: Cost,
}

impl Client {
    pub fn new(base: Url, auth: Arc<dyn Authenticator>, account: &str) -> Result<Self> {
        let cost = Cost::one(QuotaKey::new(format!("{SYSTEM}/{account}")), Arc::new([PER_MINUTE]));
        Ok(Self { http: HttpClient::new(SYSTEM, base, auth, check)?, cost })
    }

    /// What one call spends.
    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// `GET /v1/invoices/{id}`: the invoice as the vendor wrote it.
    pub async fn get_invoice(&self, ctx: &Context, id: &str) -> Result<Box<RawValue>> {
        const OPERATION: &str = "ledgerly.get_invoice";
        let answer = self.answer(ctx, OPERATION, &self.http.url(&["v1", "invoices", id])).await?;
        let invoice = Envelope::of(&answer).and_then(|mut envelope| envelope.member("invoice"));
        invoice.map_err(|error| error.with_operation(OPERATION))
    }

    /// `GET /v1/invoices`: the ids on one page.
    pub async fn list_invoices(&self, ctx: &Context, after: Option<&str>) -> Result<Page> {
        let mut url = self.http.url(&["v1", "invoices"]);
        url.query_pairs_mut().extend_pairs(after.map(|after| ("after", after)));
        self.read(ctx, "ledgerly.list_invoices", &url).await
    }

    /// `POST /v1/invoices/{id}/notes`. The cost of a delivery is admitted by the engine, so the call has none.
    pub async fn create_note(&self, ctx: &Context, invoice: &str, note: &Note) -> Result<Note> {
        const OPERATION: &str = "ledgerly.create_note";
        let body = serde_json::to_vec(note).map_err(|_| unbuilt())?;
        let url = self.http.url(&["v1", "invoices", invoice, "notes"]);
        let request = Request::post(url.as_str()).header("content-type", "application/json");
        let call = Call::write(OPERATION, request.body(body.into()).map_err(|_| unbuilt())?);
        let answer = self.http.send(ctx, call).await?;
        answer.json().map_err(|error| error.with_operation(OPERATION))
    }

    /// `GET /v1/webhooks`.
    pub async fn list_webhooks(&self, ctx: &Context) -> Result<Vec<Hook>> {
        let list: HookList =
            self.read(ctx, "ledgerly.list_webhooks", &self.http.url(&["v1", "webhooks"])).await?;
        Ok(list.webhooks)
    }

    /// `POST /v1/webhooks`: Ledgerly then sends its verifier to the URL, maybe before it answers.
    pub async fn create_webhook(&self, ctx: &Context, url: &str) -> Result<()> {
        let body = serde_json::json!({"url": url});
        self.change_webhook(ctx, "ledgerly.create_webhook", &["v1", "webhooks"], &body).await
    }

    /// `POST /v1/webhooks/{id}/verify` with the verifier; without one Ledgerly sends it once more.
    pub async fn verify_webhook(&self, ctx: &Context, id: &str, verifier: Option<&str>) -> Result<()> {
        let body = serde_json::json!({"verifier": verifier});
        self.change_webhook(ctx, "ledgerly.verify_webhook", &["v1", "webhooks", id, "verify"], &body).await
    }

    async fn change_webhook(
        &self,
        ctx: &Context,
        operation: &'static str,
        path: &[&str],
        body: &serde_json::Value,
    ) -> Result<()> {
        let request = Request::post(self.http.url(path).as_str()).header("content-type", "application/json");
        let request = request.body(body.to_string().into()).map_err(|_| unbuilt())?;
        let call = Call::write(operation, request).with_costs(vec![self.cost.clone()]);
        self.http.send(ctx, call).await.map(drop)
    }

    /// `GET /v1/invoices/{id}/notes?reference=`: what was written under this reference.
    pub async fn list_notes(&self, ctx: &Context, invoice: &str, reference: &str) -> Result<NoteList> {
        let mut url = self.http.url(&["v1", "invoices", invoice, "notes"]);
        url.query_pairs_mut().append_pair("reference", reference);
        self.read(ctx, "ledgerly.list_notes", &url).await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        ctx: &Context,
        operation: &'static str,
        url: &Url,
    ) -> Result<T> {
        let answer = self.answer(ctx, operation, url).await?;
        answer.json().map_err(|error| error.with_operation(operation))
    }

    async fn answer(&self, ctx: &Context, operation: &'static str, url: &Url) -> Result<Answer> {
        let request = Request::get(url.as_str()).body(Bytes::new()).map_err(|_| unbuilt())?;
        let call = Call::read(operation, request).with_costs(vec![self.cost.clone()]);
        self.http.send(ctx, call).await
    }
}

fn unbuilt() -> Error {
    Error::new(ErrorKind::InvalidRequest, "the request cannot be built")
}
