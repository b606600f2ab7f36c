//! `/settings/webhooks` and `/settings/workflows`: webhooks that are set up through the API.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ml_connector_core::{Secret, Timestamp};
use serde_json::{Value, json};
use url::Url;

use super::{
    api::{ok, refused},
    books::How,
    event::WebhookEvent,
    records::Entity,
};
use crate::toolkit::{
    outbox::Outbox,
    windows::{Period, Window},
};

/// Zoho Books KB "number of workflows".
const RULES_PER_MODULE: usize = 10;
/// One client reports a 429 after the first couple of calls and leaves 600 ms between them since.
const PAUSE: Duration = Duration::from_millis(600);
const QUICK_CALLS: u32 = 2;
/// So many deliveries are remembered.
const HISTORY: usize = 200;

/// What is set up in one organization.
#[derive(Debug)]
pub(super) struct Settings {
    webhooks: Vec<Webhook>,
    workflows: Vec<Workflow>,
    history: VecDeque<Sent>,
    calls: Window,
    drawn: u64,
}

/// A webhook that was sent, as its history keeps it.
#[derive(Debug)]
struct Sent {
    id: String,
    webhook: String,
    event: WebhookEvent,
    request: Request<Bytes>,
}

#[derive(Debug, Clone)]
struct Webhook {
    id: String,
    name: String,
    entity: String,
    url: Url,
    secret: Option<Secret>,
}

#[derive(Debug, Clone)]
struct Workflow {
    id: String,
    name: String,
    entity: String,
    rule_type: String,
    active: bool,
    webhook: String,
}

/// A call of a webhook that a rule asks for.
pub(super) struct Fired {
    pub(super) webhook: String,
    pub(super) url: Url,
    pub(super) secret: Option<Secret>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            webhooks: Vec::new(),
            workflows: Vec::new(),
            history: VecDeque::new(),
            calls: Window::new(QUICK_CALLS, Period::Rolling(PAUSE)),
            drawn: 0,
        }
    }
}

impl Settings {
    pub(super) fn webhook_names(&self) -> Vec<String> {
        self.webhooks.iter().map(|webhook| webhook.name.clone()).collect()
    }

    pub(super) fn deactivate(&mut self, name: &str) -> bool {
        let found = self.workflows.iter_mut().find(|workflow| workflow.name == name);
        found.map(|workflow| workflow.active = false).is_some()
    }

    pub(super) fn delete_webhook(&mut self, name: &str) -> bool {
        let Some(at) = self.webhooks.iter().position(|webhook| webhook.name == name) else { return false };
        let gone = self.webhooks.remove(at);
        self.workflows.retain(|workflow| workflow.webhook != gone.id);
        true
    }

    /// What the active rules do about a change.
    pub(super) fn fired(&self, entity: Entity, how: How) -> Vec<Fired> {
        let rules = self.workflows.iter().filter(|rule| {
            let fires = match &*rule.rule_type {
                "add" => how == How::Added,
                "add_edit" => matches!(how, How::Added | How::Edited),
                "delete" => how == How::Deleted,
                _ => false,
            };
            rule.active && fires && rule.entity == entity.in_workflows()
        });
        let webhooks =
            rules.filter_map(|rule| self.webhooks.iter().find(|webhook| webhook.id == rule.webhook));
        webhooks
            .map(|webhook| Fired {
                webhook: webhook.id.clone(),
                url: webhook.url.clone(),
                secret: webhook.secret.clone(),
            })
            .collect()
    }

    pub(super) fn remember(&mut self, webhook: &str, event: WebhookEvent, request: Request<Bytes>) {
        let id = self.next_id();
        self.history.push_back(Sent { id, webhook: webhook.to_owned(), event, request });
        while self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// Answers a call below `/settings`. A delivery that is to be sent again is put into the outbox.
    pub(super) fn answer(
        &mut self,
        segments: &[&str],
        request: &Request<Bytes>,
        has_rules: bool,
        now: Timestamp,
        outbox: &mut Outbox<WebhookEvent>,
    ) -> Response<Bytes> {
        if !self.calls.count(now) {
            return refused(
                StatusCode::TOO_MANY_REQUESTS,
                44,
                "For security reasons you have been blocked for some time.",
            );
        }
        let method = request.method();
        if !has_rules && method != Method::GET {
            // What Zoho says here is not on record.
            return refused(StatusCode::BAD_REQUEST, 103_001, "Upgrade your plan to use this feature.");
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let done = || ok(StatusCode::OK, &json!({ "code": 0, "message": "success" }));
        match (method.as_str(), segments) {
            ("GET", ["webhooks"]) => {
                let rows: Vec<Value> = self.webhooks.iter().map(|webhook| self.show(webhook, true)).collect();
                list("webhooks", &rows)
            }
            ("GET", ["webhooks", "histories"]) => {
                let rows = self.history.iter().map(|sent| {
                    json!({
                        "history_id": sent.id, "webhook_id": sent.webhook, "entity_id": sent.event.entity_id,
                    })
                });
                list("histories", &rows.collect::<Vec<_>>())
            }
            ("POST", ["webhooks", "histories", id, "resend"]) => {
                let found = self.history.iter().find(|sent| sent.id == *id);
                let Some(sent) = found else { return missing() };
                outbox.put_again(sent.event.clone(), sent.request.clone(), now);
                done()
            }
            ("POST", ["webhooks"]) => {
                let id = self.next_id();
                self.put_webhook(id, &body)
            }
            ("PUT", ["webhooks", id]) if self.webhooks.iter().any(|webhook| webhook.id == *id) => {
                self.put_webhook((*id).to_owned(), &body)
            }
            ("DELETE", ["webhooks", id]) => {
                self.webhooks.retain(|webhook| webhook.id != *id);
                done()
            }
            ("GET", ["workflows"]) => {
                let rows: Vec<Value> = self.workflows.iter().map(shown).collect();
                list("workflows", &rows)
            }
            ("POST", ["workflows"]) => self.post_workflow(&body),
            ("DELETE", ["workflows", id]) => {
                self.workflows.retain(|workflow| workflow.id != *id);
                done()
            }
            ("POST", ["workflows", id, state @ ("active" | "inactive")]) => {
                match self.workflows.iter_mut().find(|workflow| workflow.id == *id) {
                    Some(workflow) => {
                        workflow.active = *state == "active";
                        done()
                    }
                    None => missing(),
                }
            }
            _ => refused(StatusCode::NOT_FOUND, 5, "Invalid URL Passed"),
        }
    }

    fn put_webhook(&mut self, id: String, body: &Value) -> Response<Bytes> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (name, entity) = (text("webhook_name"), text("entity"));
        let known = Entity::ALL.iter().any(|known| known.in_workflows() == entity) || entity == "vendor";
        let secret = body["secret"].as_str();
        let bad_secret = |secret: &str| {
            !(12..=50).contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let Ok(url) = text("url").parse::<Url>() else { return invalid("url") };
        if name.is_empty() || name.len() > 50 {
            return invalid("webhook_name");
        }
        if !known {
            return invalid("entity");
        }
        if secret.is_some_and(bad_secret) {
            return invalid("secret");
        }
        if self.webhooks.iter().any(|other| other.name == name && other.id != id) {
            return refused(StatusCode::BAD_REQUEST, 107_051, "A webhook with this name already exists.");
        }
        let webhook = Webhook { id, name, entity, url, secret: secret.map(Secret::from) };
        let shown = self.show(&webhook, false);
        match self.webhooks.iter_mut().find(|known| known.id == webhook.id) {
            Some(known) => *known = webhook,
            None => self.webhooks.push(webhook),
        }
        ok(StatusCode::OK, &json!({ "code": 0, "message": "success", "webhook": shown }))
    }

    fn post_workflow(&mut self, body: &Value) -> Response<Bytes> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let action = &body["instant_actions"][0];
        let webhook = action["action_id"].as_str().unwrap_or_default().to_owned();
        let entity = text("entity");
        if !matches!(&*text("rule_type"), "add" | "add_edit" | "delete") {
            return invalid("rule_type");
        }
        if !self.webhooks.iter().any(|known| known.id == webhook && known.entity == entity) {
            return invalid("action_id");
        }
        if self.workflows.iter().filter(|workflow| workflow.entity == entity).count() >= RULES_PER_MODULE {
            return invalid("entity");
        }
        let id = self.next_id();
        let workflow = Workflow {
            id,
            name: text("workflow_name"),
            entity,
            rule_type: text("rule_type"),
            active: true,
            webhook,
        };
        let shown = shown(&workflow);
        self.workflows.push(workflow);
        ok(StatusCode::OK, &json!({ "code": 0, "message": "success", "workflow": shown }))
    }

    fn show(&self, webhook: &Webhook, listed: bool) -> Value {
        // The secret is not given back.
        let Webhook { id, name, entity, url, .. } = webhook;
        let mut shown =
            json!({ "webhook_id": id, "webhook_name": name, "entity": entity, "method": "POST", "url": url });
        if listed {
            let rules = self.workflows.iter().filter(|workflow| workflow.webhook == *id);
            shown["related_rules"] = rules.map(|rule| json!({ "workflow_id": rule.id })).collect();
        }
        shown
    }

    fn next_id(&mut self) -> String {
        self.drawn += 1;
        (481_500_000_000_201_000 + self.drawn).to_string()
    }
}

fn shown(workflow: &Workflow) -> Value {
    let Workflow { id, name, entity, rule_type, active, .. } = workflow;
    json!({ "workflow_id": id, "workflow_name": name, "entity": entity, "rule_type": rule_type, "is_active": active })
}

fn list(key: &str, rows: &[Value]) -> Response<Bytes> {
    let context = json!({ "page": 1, "per_page": 200, "has_more_page": false });
    ok(StatusCode::OK, &json!({ "code": 0, "message": "success", key: rows, "page_context": context }))
}

fn invalid(name: &str) -> Response<Bytes> {
    refused(StatusCode::BAD_REQUEST, 2, &format!("Invalid value passed for {name}"))
}

fn missing() -> Response<Bytes> {
    refused(StatusCode::NOT_FOUND, 1002, "The resource does not exist.")
}
