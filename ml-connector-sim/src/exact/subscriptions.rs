//! The resource `WebhookSubscriptions`: create with a check of the callback, list, delete.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use ml_connector_core::{HttpTransport, http::Limits};
use serde_json::Value as Json;

use super::{
    State, answer,
    books::{USER, USER_NAME, guid},
    call::{Named, SUBSCRIPTIONS},
    config::CallbackHost,
    filter::Value,
    kind::is_topic,
    list::{self, Options, Paging, Shown},
};
use crate::toolkit::{gate::Call, json::Fields};

/// Names the request whose check is open, between the router and the vendor's answer.
pub(super) const NUMBER: &str = "x-sim-request";
/// How long the server waits for the callback.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A topic of a company that is told to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// Its key.
    pub id: String,
    /// The company.
    pub division: u32,
    /// What is told.
    pub topic: String,
    /// Where it is told.
    pub callback_url: String,
    /// When it was created, as JSON has it.
    created: String,
}

/// Answers a call of the resource. Creating only begins here: see [`check`].
pub(super) fn answer(
    state: &mut State,
    company: usize,
    named: &Named<'_>,
    call: &Call<'_>,
) -> Response<Bytes> {
    let division = state.companies[company].division.code;
    let key = named.key.and_then(Value::literal).map(|key| match key {
        Value::Guid(id) => id,
        _ => String::new(),
    });
    let position = |state: &State| {
        let key = key.as_deref();
        state
            .subscriptions
            .iter()
            .position(|known| known.division == division && Some(known.id.as_str()) == key)
    };
    match (call.request.method(), key.is_some()) {
        (&Method::POST, false) => create(state, company, call).unwrap_or_else(|refusal| *refusal),
        (&Method::DELETE, true) => match position(state) {
            Some(at) => {
                state.subscriptions.remove(at);
                answer::empty(StatusCode::NO_CONTENT)
            }
            None => answer::not_found(),
        },
        (&Method::GET, _) => {
            let query = call.request.uri().query().unwrap_or_default();
            let options = match Options::read(SUBSCRIPTIONS, query) {
                Ok(options) => options,
                Err(refusal) => return *refusal,
            };
            let url = format!("{}/api/v1/{division}/{SUBSCRIPTIONS}", state.origin);
            if key.is_some() {
                return match position(state) {
                    Some(at) => {
                        answer::d(shown(state, &state.subscriptions[at]).render(&options, &state.quirks))
                    }
                    None => answer::not_found(),
                };
            }
            let of_division = state.subscriptions.iter().filter(|known| known.division == division);
            let rows = of_division.map(|known| shown(state, known));
            let rows =
                rows.filter(|row| options.filter.as_ref().is_none_or(|filter| filter.holds(&row.fields)));
            let bare = state.quirks.bare_arrays && options.top.is_some();
            let paging = Paging { size: 60, bare, mixed: false };
            list::answer(rows.collect(), &url, &options, paging, &state.quirks)
        }
        _ => answer::error(StatusCode::METHOD_NOT_ALLOWED, "", "Method not allowed."),
    }
}

fn create(state: &mut State, company: usize, call: &Call<'_>) -> Result<Response<Bytes>, answer::Refusal> {
    let body: Json =
        serde_json::from_slice(call.request.body()).map_err(|_| answer::bad("Error in the JSON body."))?;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let (topic, callback_url) = (text("Topic"), text("CallbackURL"));
    let quirks = &state.quirks;
    if topic.is_empty() || callback_url.is_empty() {
        return Err(answer::bad("Mandatory: Topic and CallbackURL."));
    }
    if !is_topic(topic, quirks.umbrella_topic) {
        return Err(answer::bad("Invalid: Topic."));
    }
    if body.get("IsInstant").is_some() && topic != "GoodsDeliveries" {
        return Err(answer::bad("Invalid: IsInstant is not supported for this topic."));
    }
    let (host, own) = (host(callback_url), host(&state.app.redirect_uri));
    let fits = match quirks.callback_host {
        CallbackHost::Any => host.is_some(),
        CallbackHost::Same => host.is_some() && host == own,
        CallbackHost::SameDomain => {
            host.is_some() && host.as_deref().map(domain) == own.as_deref().map(domain)
        }
    };
    if !fits || quirks.callback_host != CallbackHost::Any && !callback_url.starts_with("https://") {
        return Err(answer::bad(
            "Invalid: The domain of the callback URL differs from the redirect URI of the app.",
        ));
    }
    let division = state.companies[company].division.code;
    if state.subscriptions.iter().any(|known| known.division == division && known.topic == topic) {
        return Err(answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "Data already exists"));
    }
    let subscription = Subscription {
        id: guid(&state.seed.hex()),
        division,
        topic: topic.to_owned(),
        callback_url: callback_url.to_owned(),
        created: state.companies[company].books.wall.at(call.now).json(),
    };
    if quirks.late_check {
        state.check_later(&subscription, call.now);
        return Ok(settle(state, subscription, Ok(())));
    }
    let number = call.request.headers().get(NUMBER).and_then(|value| value.to_str().ok());
    state.checks.insert(number.unwrap_or_default().to_owned(), subscription);
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

fn host(url: &str) -> Option<String> {
    url.parse::<Uri>().ok()?.host().map(str::to_ascii_lowercase)
}

/// The two last labels of a host.
fn domain(host: &str) -> &str {
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    dots.nth(1).map_or(host, |at| &host[at + 1..])
}

/// The empty POST to a callback.
pub(super) fn ping(callback_url: &str) -> Option<Request<Bytes>> {
    Request::post(callback_url).header(header::CONTENT_LENGTH, 0).body(Bytes::new()).ok()
}

/// Calls the address and sees whether it answers. The error is its status.
pub(super) async fn check(
    subscription: &Subscription,
    transport: Option<&dyn HttpTransport>,
) -> Result<(), u16> {
    let (Some(transport), Some(request)) = (transport, ping(&subscription.callback_url)) else {
        return Err(500);
    };
    let answer = tokio::time::timeout(PATIENCE, transport.send(request, Limits::within(PATIENCE))).await;
    match answer {
        Ok(Ok(answer)) if matches!(answer.status().as_u16(), 200 | 201) => Ok(()),
        Ok(Ok(answer)) => Err(answer.status().as_u16()),
        _ => Err(500),
    }
}

/// Writes what came of a check, and says so.
pub(super) fn settle(
    state: &mut State,
    subscription: Subscription,
    checked: Result<(), u16>,
) -> Response<Bytes> {
    if let Err(status) = checked {
        let text = format!(
            "Invalid: Post to callback URL endpoint returns {status} An error occurred while sending the request."
        );
        return answer::error(StatusCode::INTERNAL_SERVER_ERROR, "", &text);
    }
    let row = shown(state, &subscription).render(&Options::default(), &state.quirks);
    let status = if state.quirks.created_is_200 { StatusCode::OK } else { StatusCode::CREATED };
    let mut answer = answer::with(status, row);
    let at = format!(
        "{}/api/v1/{}/{SUBSCRIPTIONS}(guid'{}')",
        state.origin, subscription.division, subscription.id
    );
    at.parse().into_iter().for_each(|at| {
        answer.headers_mut().insert(header::LOCATION, at);
    });
    state.subscriptions.push(subscription);
    answer
}

fn shown(state: &State, subscription: &Subscription) -> Shown<'static> {
    let mut fields = Fields::default();
    fields.set("CallbackURL", &subscription.callback_url);
    fields.set("ClientID", &state.app.id);
    fields.set("Created", &subscription.created);
    fields.set("Creator", USER);
    fields.set("CreatorFullName", USER_NAME);
    fields.set("Description", "ml-connector demo");
    fields.set("Division", subscription.division);
    fields.set("ID", &subscription.id);
    fields.set("IsInstant", false);
    fields.set("Topic", &subscription.topic);
    fields.set("UserID", USER);
    Shown {
        key: Value::Guid(subscription.id.clone()),
        at: format!("{}/api/v1/{}/{SUBSCRIPTIONS}", state.origin, subscription.division),
        type_name: "Webhooks.WebhookSubscription",
        fields: Cow::Owned(fields),
        lines: None,
        hides_amounts: false,
        negates: false,
    }
}
