//! Exact Online: answers as they were recorded, tokens, lists, feeds, rights, limits, webhooks.

mod feeds;
mod limits;
mod lists;
mod records;
mod tokens;
mod webhooks;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, header};
use ml_connector_core::{ManualClock, Timestamp, model::Decimal};
use ml_connector_sim::{
    ExactOnlineSim, SimTransport,
    exact::{ExactOnlineConfig, Kind, NewDocument},
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
