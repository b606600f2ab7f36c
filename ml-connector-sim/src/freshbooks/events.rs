//! `/events/account/ID/events/callbacks`.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use ml_connector_core::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    callbacks::{Callback, Callbacks, is_event, scope_of},
    config::{Business, Quirks},
    errors::{self, BAD_URI, JSON, UNKNOWN_EVENT},
    list::{self, Query},
    render::utc,
};
use crate::toolkit::{exchange, gate::Call, json::Fields};

/// A body. Both forms of a verification are taken: with and without the callback's id.
#[derive(Debug, Default, Deserialize)]
struct Body {
    #[serde(default)]
    callback: Asked,
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    event: Option<String>,
    uri: Option<String>,
    verifier: Option<String>,
    resend: Option<bool>,
}

/// Answers a call about callbacks of an account. `has` tells whether a scope was granted for reading an object.
pub(super) fn answer(
    callbacks: &mut Callbacks,
    business: &Business,
    quirks: &Quirks,
    (call, segments): (&Call<'_>, &[&str]),
    has: impl Fn(&str) -> bool,
) -> Response<Bytes> {
    let account = business.account_id.as_deref().unwrap_or_default();
    let query = Query::parse(call.request.uri().query().unwrap_or_default());
    let missing = || errors::callbacks(StatusCode::NOT_FOUND, quirks.error_form, &[]);
    let body = || serde_json::from_slice::<Body>(call.request.body()).unwrap_or_default().callback;
    let method = call.request.method();
    let id = match segments {
        [] if method == Method::GET => return all(callbacks, account, quirks, &query),
        [] if method == Method::POST => {
            return create(callbacks, business, quirks, &body(), has, call.now);
        }
        [id] => id.parse().ok().and_then(|id| callbacks.position(account, id)),
        _ => None,
    };
    let Some(at) = id else { return missing() };
    let id = callbacks.all[at].id;
    match *method {
        Method::GET => one(&callbacks.all[at], quirks),
        Method::DELETE => {
            callbacks.delete(id);
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        Method::PUT => {
            let asked = body();
            if let Some(verifier) = &asked.verifier
                && !callbacks.verify(at, verifier, call.now)
            {
                let wrong = [("verifier", "Value error, Verifier does not match.")];
                return errors::callbacks(quirks.verifier_status, quirks.error_form, &wrong);
            }
            if let Some(event) = &asked.event {
                if !is_event(event) {
                    let unknown = [("event", UNKNOWN_EVENT)];
                    return errors::callbacks(StatusCode::UNPROCESSABLE_ENTITY, quirks.error_form, &unknown);
                }
                event.clone_into(&mut callbacks.all[at].event);
                callbacks.all[at].updated = call.now;
            }
            if asked.resend == Some(true) {
                callbacks.resend(at, quirks, business, call.now);
            }
            one(&callbacks.all[at], quirks)
        }
        _ => missing(),
    }
}

fn create(
    callbacks: &mut Callbacks,
    business: &Business,
    quirks: &Quirks,
    asked: &Asked,
    has: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Response<Bytes> {
    let event = asked.event.as_deref().unwrap_or_default();
    let uri = asked.uri.as_deref().unwrap_or_default();
    let is_url = Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    let wrong: Vec<(&str, &str)> =
        [(!is_event(event)).then_some(("event", UNKNOWN_EVENT)), (!is_url).then_some(("uri", BAD_URI))]
            .into_iter()
            .flatten()
            .collect();
    if !wrong.is_empty() {
        return errors::callbacks(StatusCode::UNPROCESSABLE_ENTITY, quirks.error_form, &wrong);
    }
    if !has(&scope_of(event)) {
        return errors::callbacks(StatusCode::FORBIDDEN, quirks.error_form, &[]);
    }
    let account = business.account_id.clone().unwrap_or_default();
    let created = callbacks.create(&account, (event, uri), quirks, business, now);
    one(created, quirks)
}

fn all(callbacks: &Callbacks, account: &str, quirks: &Quirks, query: &Query) -> Response<Bytes> {
    let (page, per_page) = match query.page() {
        Ok(page) => page,
        Err(failure) => return failure.answer(quirks.error_form),
    };
    // A search for `invoice.create` finds callbacks of the noun too.
    let asked = query.search("event");
    let is_asked =
        |event: &str| asked.is_none_or(|asked| event == asked || asked.split('.').next() == Some(event));
    let found: Vec<Value> = callbacks
        .all
        .iter()
        .filter(|callback| callback.account_id == account && is_asked(&callback.event))
        .map(|callback| shown(callback, quirks))
        .collect();
    let total = found.len();
    let rows: Vec<Value> =
        found.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
    let mut result = Fields::default();
    result.set("callbacks", rows);
    list::count(&mut result, page, per_page, total);
    exchange::json(StatusCode::OK, JSON, json!({ "response": { "result": result } }))
}

fn one(callback: &Callback, quirks: &Quirks) -> Response<Bytes> {
    let body = json!({ "response": { "result": { "callback": shown(callback, quirks) } } });
    exchange::json(StatusCode::OK, JSON, body)
}

fn shown(callback: &Callback, quirks: &Quirks) -> Value {
    let time = utc(callback.updated);
    let time = match quirks.callback_times_with_space {
        true => time,
        false => format!("{}Z", time.replace(' ', "T")),
    };
    let mut shown = json!({
        "event": callback.event,
        "uri": callback.uri,
        "verified": callback.verified,
        "updated_at": time,
    });
    shown[quirks.callback_id_key] = callback.id.into();
    shown
}
