//! The API v2.0 of one environment.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    State, answer,
    auth::unauthorized,
    posting,
    query::Options,
    rows::{Row, Shown},
    shapes::{NO_INSTANT, Set, encoded, is_enum},
    subscriptions,
};
use crate::toolkit::{conditions::Conditions, json::Fields};

/// The page's size, and the most there can be.
const PAGE: usize = 20_000;

/// A request to the API, past the gateway.
struct Asked<'a> {
    request: &'a Request<Bytes>,
    caller: String,
    now: Timestamp,
    /// The URL up to and including `api/v2.0/`.
    root: String,
    conditions: &'a Conditions,
}

pub(super) fn answer(
    state: &mut State,
    request: &Request<Bytes>,
    (now, at_once): (Timestamp, u32),
    conditions: &Conditions,
    origin: &str,
) -> Response<Bytes> {
    state.settle(now);
    let path = decoded(request.uri().path());
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (tenant, environment) =
        (state.auth.credentials.tenant.clone(), state.auth.credentials.environment.clone());
    if let [tenant, "oauth2", "v2.0", "token"] = segments[..] {
        return state.auth.token(request, tenant, now, &mut state.tuning);
    }
    let (prefix, rest) = match segments[..] {
        ["environments", _] => return environments(state, &tenant, &environment, request, now),
        ["v2.0", given, env, "api", ref rest @ ..] if given == tenant => {
            (format!("{origin}/v2.0/{given}/{env}"), (env == environment).then_some(rest))
        }
        ["v2.0", env, "api", ref rest @ ..] => {
            (format!("{origin}/v2.0/{env}"), (env == environment).then_some(rest))
        }
        _ => return answer::no_environment(),
    };
    let Some(rest) = rest else { return answer::no_environment() };
    let Some(caller) = state.auth.caller(request, now).filter(|_| !state.tuning.app_disabled) else {
        return unauthorized();
    };
    if !state.admits(&caller, at_once, now) {
        return answer::throttled(state.tuning.retry_after_secs);
    }
    let asked = Asked { request, caller, now, root: format!("{prefix}/api/v2.0"), conditions };
    match rest {
        ["v2.0", rest @ ..] => asked.standard(state, rest),
        ["microsoft", "runtime", "beta", company, "webhookSupportedResources"]
            if is_company(state, company) =>
        {
            let sets = Set::ALL.into_iter().filter(|set| set.tells(state.tuning.order_webhooks));
            let value: Vec<Value> =
                sets.map(|set| json!({ "resource": format!("v2.0/{}", set.name()) })).collect();
            answer::ok(json!({ "value": value }))
        }
        ["microsoft", "automate", "v1.0", company, posted]
            if is_company(state, company) && state.tuning.automate =>
        {
            asked.posted(state, posted)
        }
        _ => answer::no_segment(rest.last().unwrap_or(&"")),
    }
}

fn environments(
    state: &mut State,
    tenant: &str,
    name: &str,
    request: &Request<Bytes>,
    now: Timestamp,
) -> Response<Bytes> {
    if state.auth.caller(request, now).is_none() {
        return unauthorized();
    }
    answer::ok(json!({ "value": [{
        "aadTenantId": tenant, "applicationFamily": "BusinessCentral", "type": "Production", "name": name,
        "countryCode": "US", "webServiceUrl": "https://api.businesscentral.dynamics.com",
        "webClientLoginUrl": format!("https://businesscentral.dynamics.com/{tenant}/{name}"), "ringName": "PROD",
    }] }))
}

fn is_company(state: &State, segment: &str) -> bool {
    within("companies", segment) == Some(state.notifier.company.as_str())
}

impl Asked<'_> {
    fn standard(&self, state: &mut State, rest: &[&str]) -> Response<Bytes> {
        let query = self.request.uri().query().unwrap_or_default();
        match rest {
            ["companies"] => self.companies(state),
            ["subscriptions"] => {
                let context = format!("{}/$metadata", self.root);
                subscriptions::answer(state, self.request, None, &context, self.now)
            }
            [key] if key.starts_with("subscriptions(") => {
                let quoted = within("subscriptions", key).unwrap_or_default();
                let Some(id) = quoted.strip_prefix('\'').and_then(|id| id.strip_suffix('\'')) else {
                    return answer::refused(404, "BadRequest_ResourceNotFound", "The key is malformed.");
                };
                let id = id.replace("''", "'");
                subscriptions::answer(state, self.request, Some(&id), "", self.now)
            }
            [company, rest @ ..] if company.starts_with("companies(") => {
                let named = within("companies", company).unwrap_or_default();
                if named == state.second_company {
                    return answer::ok(json!({ "value": [] }));
                }
                if named != state.notifier.company {
                    let message = format!("Cannot find company {named}.");
                    return answer::refused(404, "Internal_CompanyNotFound", &message);
                }
                if rest.is_empty() { self.company(state) } else { self.within(state, rest) }
            }
            rest if query.contains(&format!("company={}", state.notifier.company)) => {
                self.within(state, rest)
            }
            _ => answer::no_segment(rest.first().unwrap_or(&"")),
        }
    }

    fn companies(&self, state: &State) -> Response<Bytes> {
        let company = |id: &str, name: &str, display: &str| {
            json!({
                "id": id, "systemVersion": format!("{}.2.41583.42017", state.version), "timestamp": 48_211,
                "name": name, "displayName": display, "businessProfileId": "",
                "systemCreatedAt": "2024-11-02T07:41:15.4Z",
            })
        };
        let value = [
            company(&state.notifier.company, &state.company_name, "Harbor Supply Ltd."),
            company(&state.second_company, "HARBOR TEST", ""),
        ];
        answer::ok(json!({ "@odata.context": format!("{}/$metadata#companies", self.root), "value": value }))
    }

    fn company(&self, state: &State) -> Response<Bytes> {
        answer::ok(json!({
            "@odata.context": format!("{}/$metadata#companies/$entity", self.root),
            "id": state.notifier.company, "systemVersion": format!("{}.2.41583.42017", state.version),
            "timestamp": 48_211, "name": state.company_name, "displayName": "Harbor Supply Ltd.",
            "businessProfileId": "",
        }))
    }

    /// A path below the company.
    fn within(&self, state: &mut State, rest: &[&str]) -> Response<Bytes> {
        let set_segment = rest.first().copied().unwrap_or_default();
        let name = set_segment.split('(').next().unwrap_or_default();
        let known = Set::named(name).filter(|set| {
            state.version >= 29 || !matches!(set, Set::ApprovalEntries | Set::ApprovalUserSetups)
        });
        let Some(set) = known else { return answer::no_segment(name) };
        let id = within(name, set_segment);
        match (self.request.method(), id, &rest[1..]) {
            (&Method::GET, None, []) => self.list(state, set),
            (&Method::GET, Some(id), []) => self.one(state, set, id),
            (&Method::GET, Some(id), [lines]) if set.lines() == Some(lines) => {
                match state.rows.get(set, id) {
                    Some(shown) => answer::ok(json!({ "value": shown.lines })),
                    None => gone(set, id),
                }
            }
            (&Method::GET, Some(id), ["documentAttachments"]) => {
                let value: Vec<Fields> = state
                    .rows
                    .of(Set::DocumentAttachments)
                    .filter_map(|(_, row)| row.now())
                    .filter(|shown| shown.fields.text("parentId") == id)
                    .map(|shown| self.entity(state, Set::DocumentAttachments, shown, None))
                    .collect();
                answer::ok(json!({ "value": value }))
            }
            (&Method::POST, Some(id), [action])
                if set.is_invoice() && posting::is_post(action, state.tuning.strict_action_names) =>
            {
                posting::post(state, set, id, self.request.headers(), &self.caller, self.now)
            }
            (&Method::PATCH | &Method::DELETE, Some(_), []) if !state.may_write(&self.caller) => {
                answer::refused(403, "Authorization_RequestDenied", "You do not have permission.")
            }
            (&Method::PATCH, Some(id), []) => self.patch(state, set, id),
            (&Method::DELETE, Some(id), []) => match state.rows.get(set, id) {
                None => gone(set, id),
                Some(shown) if shown.stage.is_posted() => {
                    answer::dialog("The invoice has been posted and can no longer be modified.")
                }
                Some(_) => {
                    let _ = state.delete(set, id, self.now);
                    answer::no_content()
                }
            },
            (_, _, [other, ..]) => answer::no_segment(other),
            _ => answer::refused(405, "BadRequest_MethodNotAllowed", "The method is not allowed."),
        }
    }

    fn patch(&self, state: &mut State, set: Set, id: &str) -> Response<Bytes> {
        let Some(shown) = state.rows.get(set, id).cloned() else { return gone(set, id) };
        let is_412 = state.tuning.stale_is_412;
        if let Some(refusal) = subscriptions::stale(self.request.headers(), &shown.etag(), is_412, true) {
            return refusal;
        }
        if shown.stage.is_posted() {
            return answer::dialog("The invoice has been posted and can no longer be modified.");
        }
        let Ok(Value::Object(values)) = serde_json::from_slice(self.request.body()) else {
            return answer::bad_request("The request body cannot be read.");
        };
        let _ = state.change(set, id, self.now, |shown| {
            values.iter().for_each(|(name, value)| shown.fields.set(name, value));
        });
        match state.rows.get(set, id) {
            Some(shown) => answer::ok(self.entity(state, set, shown, None)),
            None => gone(set, id),
        }
    }

    /// Since when this read sees nothing, if a replica answers it.
    fn view<'r>(&self, state: &State, row: &'r Row) -> Option<&'r Shown> {
        let intent = self.request.headers().get("data-access-intent").and_then(|value| value.to_str().ok());
        let lag = match intent {
            Some("ReadOnly") => state.tuning.replica_lag,
            _ => Duration::ZERO,
        };
        if lag.is_zero() { row.now() } else { row.at(self.now - lag) }
    }

    fn one(&self, state: &mut State, set: Set, id: &str) -> Response<Bytes> {
        let options = match Options::read(self.request.uri().query().unwrap_or_default()) {
            Ok(options) => options,
            Err(refused) => return *refused,
        };
        if state.tuning.broken_reference.as_deref() == Some(id) {
            return answer::related(state.tuning.language);
        }
        let is_draft = state.rows.get(set, id).is_some_and(|shown| !shown.stage.is_posted());
        if set.is_invoice() && is_draft && state.tuning.busy_reads > 0 {
            state.tuning.busy_reads -= 1;
            return answer::stale(state.tuning.stale_is_412);
        }
        if self.touches(state, set) && is_draft {
            let _ = state.change(set, id, self.now, |_| {});
        }
        let found = state.rows.row(set, id).and_then(|row| self.view(state, row));
        match found {
            Some(shown) => {
                let mut entity = Fields::default();
                entity.set("@odata.context", format!("{}/$entity", self.context(state, set)));
                let body = self.entity(state, set, shown, Some(&options));
                answer::ok(joined(entity, body))
            }
            None => gone(set, id),
        }
    }

    fn context(&self, state: &State, set: Set) -> String {
        let company = state.tuning.answers_for.as_ref().unwrap_or(&state.notifier.company);
        format!("{}/$metadata#companies({company})/{}", self.root, set.name())
    }

    /// Whether reading a draft of the set calculates its discount anew, which writes to it.
    fn touches(&self, state: &State, set: Set) -> bool {
        state.tuning.reading_touches_drafts && set.lines().is_some() && state.may_write(&self.caller)
    }

    fn list(&self, state: &mut State, set: Set) -> Response<Bytes> {
        let options = match Options::read(self.request.uri().query().unwrap_or_default()) {
            Ok(options) => options,
            Err(refused) => return *refused,
        };
        let blank = set.blank();
        let asked = options.filter.as_ref().map(super::query::Filter::fields).unwrap_or_default();
        let selected = options.select.iter().map(String::as_str);
        let unknown =
            asked.into_iter().chain(selected).chain(options.order.iter().map(|(field, _)| &**field));
        if let Some(unknown) = unknown.into_iter().find(|field| blank.get(field).is_none()) {
            let kind = set.name().trim_end_matches('s');
            let message =
                format!("Could not find a property named '{unknown}' on type 'Microsoft.NAV.{kind}'.");
            return answer::bad_request(&message);
        }
        if self.touches(state, set) {
            let is_asked = |shown: &Shown| {
                let mut fields = shown.fields.clone();
                fields.set("lastModifiedDateTime", stamp(shown));
                !shown.stage.is_posted() && options.filter.as_ref().is_none_or(|filter| filter.holds(&fields))
            };
            let drafts = state.rows.of(set).filter(|(_, row)| row.now().is_some_and(is_asked));
            let drafts: Vec<String> = drafts.map(|(id, _)| id.to_owned()).collect();
            for id in drafts {
                let _ = state.change(set, &id, self.now, |_| {});
            }
        }
        let mut rows: Vec<(String, Fields, &Shown)> = Vec::new();
        for (id, row) in state.rows.of(set) {
            let Some(shown) = self.view(state, row) else { continue };
            let lags = shown.modified.is_some_and(|at| !self.conditions.lists_know(at, self.now));
            let mut fields = shown.fields.clone();
            fields.set("lastModifiedDateTime", stamp(shown));
            if lags || options.filter.as_ref().is_some_and(|filter| !filter.holds(&fields)) {
                continue;
            }
            rows.push((id.to_owned(), fields, shown));
        }
        rows.sort_by(|(_, one, _), (_, two, _)| options.compare(one, two));
        let count = rows.len();
        let begin = match &options.skiptoken {
            Some(token) => rows.iter().position(|(id, ..)| id == token).map_or(0, |at| at + 1),
            None => options.skip,
        };
        let size = self.page_size();
        let wanted = options.top.unwrap_or(usize::MAX);
        let page: Vec<_> = rows.iter().skip(begin).take(size.min(wanted)).collect();
        if let Some(broken) = &state.tuning.broken_reference
            && page.iter().any(|(id, ..)| id == broken)
            && !options.select.iter().any(|_| options.expand.is_empty())
        {
            return answer::related(state.tuning.language);
        }
        let more = options.top.is_none() && begin + page.len() < rows.len();
        let last = page.last().map(|(id, ..)| id.clone());
        let value: Vec<Fields> =
            page.iter().map(|(_, _, shown)| self.entity(state, set, shown, Some(&options))).collect();
        let mut body = Fields::default();
        body.set("@odata.context", self.context(state, set));
        if options.count {
            body.set("@odata.count", count);
        }
        body.set("value", value);
        if let Some(last) = last.filter(|_| more) {
            body.set("@odata.nextLink", self.next_link(state, &last));
        }
        let mut answer = answer::ok(body);
        if self.request.headers().contains_key("prefer") {
            let applied = http::HeaderValue::from_static("odata.maxpagesize");
            answer.headers_mut().insert("preference-applied", applied);
        }
        answer
    }

    fn page_size(&self) -> usize {
        let prefer = self.request.headers().get("prefer").and_then(|value| value.to_str().ok());
        let asked = prefer.and_then(|prefer| prefer.split_once("odata.maxpagesize=")?.1.parse().ok());
        self.conditions.numbered_page(asked.unwrap_or(PAGE).clamp(1, PAGE))
    }

    fn next_link(&self, state: &State, last: &str) -> String {
        let url = self.request.uri();
        let path = url.path();
        let path = path.split_once("/v2.0/").map_or(path, |(_, path)| path);
        let origin = match state.tuning.foreign_next_link {
            true => "https://evil.example",
            false => self.root.split("/v2.0/").next().unwrap_or_default(),
        };
        let kept: Vec<&str> = url
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains("skiptoken") && !pair.starts_with("aid="))
            .collect();
        let token = match state.tuning.repeats_next_link {
            true => "00000000-0000-0000-0000-000000000000",
            false => last,
        };
        let kept = kept.iter().fold(String::new(), |text, pair| text + pair + "&");
        format!("{origin}/v2.0/{path}?{kept}aid=FIN&$skiptoken={token}")
    }

    /// The posted documents, as the route of Power Automate lists them.
    fn posted(&self, state: &State, posted: &str) -> Response<Bytes> {
        let set = match posted {
            "postedSalesInvoices" => Set::SalesInvoices,
            "postedPurchaseInvoices" => Set::PurchaseInvoices,
            other => return answer::no_segment(other),
        };
        let query = decoded(&self.request.uri().query().unwrap_or_default().replace('+', " "));
        let found = state.rows.of(set).filter_map(|(id, row)| Some((id, row.now()?)));
        let value: Vec<Value> = found
            .filter(|(_, shown)| shown.stage.is_posted())
            .map(|(id, shown)| (id, shown.fields.text("number")))
            .filter(|(_, number)| query.is_empty() || query.contains(&format!("'{number}'")))
            .map(|(id, number)| json!({ "id": id, "apiId": id, "number": number }))
            .collect();
        answer::ok(json!({ "value": value }))
    }

    /// One record as it is shown.
    fn entity(&self, state: &State, set: Set, shown: &Shown, options: Option<&Options>) -> Fields {
        let mut fields = Fields::default();
        fields.set("@odata.etag", shown.etag());
        let mut own = shown.fields.clone();
        own.set("lastModifiedDateTime", stamp(shown));
        if !state.tuning.plain_enums {
            for name in [
                "status",
                "blocked",
                "type",
                "category",
                "accountType",
                "documentType",
                "parentType",
                "approvalType",
                "limitType",
            ] {
                if is_enum(set, name) {
                    let word = own.text(name);
                    own.set(name, encoded(&word));
                }
            }
        }
        let select = options.map(|options| &options.select[..]).unwrap_or_default();
        let own = if select.is_empty() {
            own
        } else {
            own.only(|name| select.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)))
        };
        let mut fields = joined(fields, own);
        let expanded = options.map(|options| &options.expand[..]).unwrap_or_default();
        if let Some(lines) = set.lines().filter(|lines| expanded.iter().any(|name| name.starts_with(lines))) {
            fields.set(lines, &shown.lines);
        }
        fields
    }
}

fn joined(mut head: Fields, tail: Fields) -> Fields {
    head.extend(tail);
    head
}

fn stamp(shown: &Shown) -> String {
    shown.modified.map_or(NO_INSTANT.to_owned(), |at| at.to_string())
}

fn gone(set: Set, id: &str) -> Response<Bytes> {
    let message = format!(
        "The {} does not exist. Identification fields and values: Id='{{{}}}'",
        set.table(),
        id.to_uppercase()
    );
    answer::refused(404, "Internal_RecordNotFound", &message)
}

/// What stands in the parentheses of a segment.
fn within<'a>(name: &str, segment: &'a str) -> Option<&'a str> {
    segment.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')
}

fn decoded(path: &str) -> String {
    let pair = format!("={}", path.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, text)| text.into_owned()).unwrap_or_default()
}
