//! Ledgerly's servers, as far as the guide needs them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use ml_connector_core::{
    HttpTransport,
    http::{Limits, TransportError},
};
use serde::Deserialize;
use serde_json::json;

/// Three invoices, two to a page.
#[derive(Debug)]
pub(super) struct Vendor(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// And how often each has been changed.
    statuses: BTreeMap<&'static str, (&'static str, u32)>,
    notes: Vec<Note>,
    hook: Option<Hook>,
    views: u32,
    tokens: u32,
}

#[derive(Debug)]
struct Hook {
    url: String,
    verified: bool,
    /// How often the verifier was sent.
    sent: usize,
}

#[derive(Debug, Clone, Deserialize)]
struct Note {
    #[serde(skip)]
    invoice: String,
    reference: String,
    text: String,
}

impl Default for Vendor {
    fn default() -> Self {
        let statuses = ["inv_1", "inv_2", "inv_3"].map(|id| (id, ("sent", 0))).into();
        Self(Mutex::new(State { statuses, ..State::default() }))
    }
}

impl Vendor {
    pub(super) fn set_status(&self, invoice: &'static str, status: &'static str) {
        let mut state = self.state();
        let changes = state.statuses.get(invoice).map_or(0, |(_, changes)| changes + 1);
        state.statuses.insert(invoice, (status, changes));
    }

    /// What the notes say, in order.
    pub(super) fn notes(&self) -> Vec<String> {
        self.state().notes.iter().map(|note| note.text.clone()).collect()
    }

    /// How often the verifier was sent to the URL of the webhook, and whether it came back.
    pub(super) fn webhook(&self) -> Option<(usize, bool)> {
        self.state().hook.as_ref().map(|hook| (hook.sent, hook.verified))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl HttpTransport for Vendor {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let body = self.state().answer(&request).to_string();
        Ok(Response::new(Bytes::from(body)))
    }
}

impl State {
    fn answer(&mut self, request: &Request<Bytes>) -> serde_json::Value {
        let path: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
        let query: BTreeMap<_, _> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
        if path == ["oauth", "token"] {
            self.tokens += 1;
            let token = format!("planted-token-{}", self.tokens);
            return json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600});
        }
        let authorization =
            request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if !authorization.is_some_and(|value| value.starts_with("Bearer planted-token-")) {
            return json!({"error": "invalid_token"});
        }
        match (request.method(), &path[..]) {
            (_, ["v1", "webhooks", ..]) => self.hooks(request, &path),
            (&Method::GET, ["v1", "invoices"]) => self.page(query.get("after").map(AsRef::as_ref)),
            (&Method::GET, ["v1", "invoices", id]) => self.invoice(id),
            (&Method::POST, ["v1", "invoices", id, "notes"]) => self.write(id, request.body()),
            (&Method::GET, ["v1", "invoices", id, "notes"]) => self.list(id, &query["reference"]),
            other => panic!("ledgerly has no {other:?}"),
        }
    }

    fn page(&self, after: Option<&str>) -> serde_json::Value {
        let mut rest = self.statuses.keys().filter(|id| after.is_none_or(|after| **id > after)).peekable();
        let page: Vec<_> = rest.by_ref().take(2).collect();
        let next = rest.peek().and(page.last());
        let rows: Vec<_> = page.iter().filter_map(|id| self.row(id)).collect();
        json!({"invoices": rows, "next": next})
    }

    /// What a list shows of an invoice.
    fn row(&self, id: &str) -> Option<serde_json::Value> {
        let (status, changes) = self.statuses.get(id)?;
        let updated_at = match changes {
            0 => "2026-11-20T16:30:00Z".to_owned(),
            _ => format!("2026-11-21T09:{changes:02}:00Z"),
        };
        Some(json!({
            "id": id, "number": "2026-001", "status": status, "total": "1250.50", "currency": "EUR",
            "due": "2026-12-01", "updated_at": updated_at, "account": "acme",
        }))
    }

    fn invoice(&mut self, id: &str) -> serde_json::Value {
        self.views += 1;
        let Some(mut invoice) = self.row(id) else { return json!({"error": "no_such_invoice"}) };
        invoice["customer"] = json!({"id": "c1", "name": "Planted Customer"});
        invoice["views"] = self.views.into();
        json!({ "invoice": invoice })
    }

    fn hooks(&mut self, request: &Request<Bytes>, path: &[&str]) -> serde_json::Value {
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap_or_default();
        match (request.method(), path.len(), &mut self.hook) {
            (&Method::POST, 2, hook) => {
                let url = body["url"].as_str().unwrap().to_owned();
                *hook = Some(Hook { url, verified: false, sent: 1 });
            }
            (&Method::POST, _, Some(hook)) => match body["verifier"].as_str() {
                Some(verifier) if verifier == super::SECRET => hook.verified = true,
                Some(_) => return json!({"error": "wrong_verifier"}),
                None => hook.sent += 1,
            },
            _ => {}
        }
        let hooks =
            self.hook.iter().map(|hook| json!({"id": "wh_1", "url": hook.url, "verified": hook.verified}));
        json!({"webhooks": hooks.collect::<Vec<_>>()})
    }

    fn write(&mut self, invoice: &str, body: &[u8]) -> serde_json::Value {
        let note: Note = serde_json::from_slice(body).unwrap();
        self.notes.push(Note { invoice: invoice.to_owned(), ..note.clone() });
        json!({"id": format!("n{}", self.notes.len()), "reference": note.reference, "text": note.text})
    }

    fn list(&self, invoice: &str, reference: &str) -> serde_json::Value {
        let notes = self.notes.iter().enumerate().map(|(i, note)| (format!("n{}", i + 1), note));
        let wanted = notes.filter(|(_, note)| note.invoice == invoice && note.reference == reference);
        let list: Vec<_> = wanted
            .map(|(id, note)| json!({"id": id, "reference": note.reference, "text": note.text}))
            .collect();
        json!({"notes": list})
    }
}
