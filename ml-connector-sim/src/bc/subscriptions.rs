//! The resource `subscriptions`: create, renew and delete, with a call of the server in between.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use ml_connector_core::{HttpTransport, Timestamp, http::Limits};
use serde_json::{Value, json};

use super::{
    State, answer,
    notifier::{LIFE, Subscription},
    shapes::Set,
};

/// How many an environment has at most.
const MOST: usize = 200;
/// How long the server waits for the token to come back.
const HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(5);
/// Names the request whose handshake is open, between the router and the vendor's answer.
pub(super) const NUMBER: &str = "x-sim-request";

/// A subscription that waits for its handshake.
#[derive(Debug, Clone)]
pub(super) struct Handshake {
    pub(super) subscription: Subscription,
    pub(super) token: String,
    pub(super) is_new: bool,
}

/// Answers a call of `subscriptions`. Create and renew only begin here: see [`shake`].
pub(super) fn answer(
    state: &mut State,
    request: &Request<Bytes>,
    key: Option<&str>,
    context: &str,
    now: Timestamp,
) -> Response<Bytes> {
    let list = &state.notifier.subscriptions;
    match (request.method(), key) {
        (&Method::GET, None) => {
            let value: Vec<Value> = list.values().map(Subscription::render).collect();
            answer::ok(json!({ "@odata.context": format!("{context}#subscriptions"), "value": value }))
        }
        (&Method::GET, Some(id)) => match list.get(id) {
            Some(found) => answer::ok(found.render()),
            None => gone(),
        },
        (&Method::POST, None) => create(state, request, now),
        (&Method::PATCH, Some(id)) => renew(state, request, id, now),
        (&Method::DELETE, Some(id)) => {
            let Some(found) = list.get(id) else { return gone() };
            if let Some(refusal) = stale(request.headers(), &found.etag(), state.tuning.stale_is_412, false) {
                return refusal;
            }
            state.notifier.subscriptions.remove(id);
            answer::no_content()
        }
        _ => answer::refused(405, "BadRequest_MethodNotAllowed", "The method is not allowed."),
    }
}

fn create(state: &mut State, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (url, resource) = (text("notificationUrl"), text("resource"));
    if url.is_empty() || resource.is_empty() {
        return answer::refused(
            400,
            "BadRequest_RequiredParamNotProvided",
            "notificationUrl and resource must be provided.",
        );
    }
    if state.notifier.subscriptions.len() >= MOST {
        return answer::dialog("The maximum number of subscriptions has been reached.");
    }
    let set = set_of(&resource, &state.notifier.company);
    if set.is_none_or(|set| !set.tells(state.tuning.order_webhooks)) {
        return answer::dialog("The resource does not support webhooks.");
    }
    let chosen = text("subscriptionId");
    let id = match chosen.is_empty() || state.tuning.own_subscription_ids {
        true => state.seed.hex()[..32].to_owned(),
        false => chosen,
    };
    if state.notifier.subscriptions.contains_key(&id) {
        let message = "The record already exists.";
        return answer::refused(400, "Internal_EntityWithSameKeyExists", message);
    }
    let subscription = Subscription {
        id,
        notification_url: url,
        resource,
        client_state: text("clientState"),
        expires: now + LIFE,
        set,
        version: 0,
        changed: now,
    };
    begin(state, request, subscription, true)
}

fn renew(state: &mut State, request: &Request<Bytes>, id: &str, now: Timestamp) -> Response<Bytes> {
    let Some(known) = state.notifier.subscriptions.get(id).cloned() else { return gone() };
    if let Some(refusal) = stale(request.headers(), &known.etag(), state.tuning.stale_is_412, true) {
        return refusal;
    }
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
        return answer::bad_request("The request body cannot be read.");
    };
    let text = |name: &str, or: &str| body[name].as_str().unwrap_or(or).to_owned();
    let subscription = Subscription {
        notification_url: text("notificationUrl", &known.notification_url),
        client_state: text("clientState", &known.client_state),
        expires: now + LIFE,
        changed: now,
        ..known
    };
    begin(state, request, subscription, false)
}

/// Keeps what waits for its handshake under the number of its request.
fn begin(
    state: &mut State,
    request: &Request<Bytes>,
    subscription: Subscription,
    is_new: bool,
) -> Response<Bytes> {
    let number = request.headers().get(NUMBER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = super::auth::guid(&state.seed.hex());
    state.handshakes.insert(number.to_owned(), Handshake { subscription, token, is_new });
    answer::no_content()
}

/// Calls the URL and waits for the token to come back.
pub(super) async fn shake(handshake: &Handshake, transport: Option<&dyn HttpTransport>) -> bool {
    let (Some(transport), url) = (transport, &handshake.subscription.notification_url) else { return false };
    let between = if url.contains('?') { '&' } else { '?' };
    let request = Request::post(format!("{url}{between}validationToken={}", handshake.token))
        .header(header::CONTENT_LENGTH, 0)
        .body(Bytes::new());
    let Ok(request) = request else { return false };
    let answer = tokio::time::timeout(HANDSHAKE, transport.send(request, Limits::within(HANDSHAKE))).await;
    matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK
        && answer.body().as_ref() == handshake.token.as_bytes())
}

/// Writes what came of a handshake, and says so.
pub(super) fn settle(state: &mut State, handshake: Handshake, shaken: bool) -> Response<Bytes> {
    if !shaken {
        return answer::bad_request("Notification URL did not return the expected validation token.");
    }
    let mut subscription = handshake.subscription;
    subscription.version = state.rows.version();
    let body = subscription.render();
    state.notifier.subscriptions.insert(subscription.id.clone(), subscription);
    answer::with(if handshake.is_new { StatusCode::CREATED } else { StatusCode::OK }, body)
}

/// Which set of the company a resource names, in any of its spellings.
fn set_of(resource: &str, company: &str) -> Option<Set> {
    let (before, set) = resource.rsplit_once('/')?;
    let named = format!("companies({company})");
    before.to_ascii_lowercase().ends_with(&named).then(|| Set::named(set)).flatten()
}

/// Why `If-Match` does not hold.
pub(super) fn stale(
    headers: &HeaderMap,
    etag: &str,
    is_412: bool,
    required: bool,
) -> Option<Response<Bytes>> {
    match headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()) {
        None if required => Some(answer::refused(
            400,
            "BadRequest_InvalidToken",
            "Could not validate the client concurrency token required by the service. Please provide a valid token in \
             the client request.",
        )),
        Some(given) if given != "*" && given != etag => Some(answer::stale(is_412)),
        _ => None,
    }
}

fn gone() -> Response<Bytes> {
    answer::refused(404, "BadRequest_NotFound", "The subscription does not exist.")
}
