//! The Books API: who may call, what is answered.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::{
    ErrorKind, Timestamp,
    model::{Date, Decimal},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    DataCenter, State,
    books::Books,
    list,
    oauth::realm,
    records::{Entity, NewDocument},
    render,
};
use crate::toolkit::{
    conditions::Conditions,
    exchange,
    gate::{Call, Gate},
    json::Fields,
    params::Params,
};

const JSON: &str = "application/json;charset=UTF-8";
const UNAUTHORIZED: &str = "You are not authorized to perform this operation";

/// Answers a call below `/books/v3`.
pub(super) fn answer(state: &mut State, center: DataCenter, call: &Call<'_>, gate: &Gate) -> Response<Bytes> {
    let (request, now) = (call.request, call.now);
    let segments: Vec<&str> = request.uri().path().trim_matches('/').split('/').skip(2).collect();
    let Some(route) = Route::of(request.method(), &segments) else {
        return not_simulated(&format!("{} {}", request.method(), request.uri().path()));
    };
    let allowed = bearer(request)
        .and_then(|token| state.oauth.check(token, now).ok())
        .filter(|access| access.realm == realm(center))
        .is_some_and(|access| route.allowed_by(|scope| access.scopes.iter().any(|granted| granted == scope)));
    if !allowed {
        return refused(StatusCode::UNAUTHORIZED, 57, UNAUTHORIZED);
    }
    if matches!(route, Route::Organizations) {
        let rows: Vec<Fields> =
            state.organizations.values().map(|org| render::organization(&org.books)).collect();
        return found("organizations", rows);
    }
    let params = Params::parse([request.uri().query().unwrap_or_default().as_bytes()]);
    let organization = params.get("organization_id").unwrap_or_default();
    if organization.is_empty() || !organization.bytes().all(|byte| byte.is_ascii_digit()) {
        return refused(StatusCode::BAD_REQUEST, 2, "Invalid value passed for organization_id");
    }
    let Some(org) = state.organizations.get_mut(organization) else {
        let message = format!("This user is not associated with the CompanyID/CompanyName:{organization}.");
        return refused(StatusCode::BAD_REQUEST, 6041, &message);
    };
    let mut answer = match org.books.counters.admit(now, call.at_once) {
        Some(limited) => limited,
        None if matches!(route, Route::Settings(_)) => {
            let webhooks = &mut org.webhooks;
            let has_rules = org.books.organization.plan.has_workflow_rules();
            webhooks.settings.answer(&segments[1..], request, has_rules, now, &mut webhooks.outbox)
        }
        None => answer_call(&mut org.books, &route, &params, (call, &gate.conditions())),
    };
    org.webhooks.fire(&mut org.books, now);
    org.books.counters.describe(&mut answer, now);
    answer
}

/// What a path and a method ask for.
#[derive(Debug, Clone, Copy)]
enum Route<'a> {
    Organizations,
    Users,
    Settings(&'a Method),
    List(Entity),
    Detail(Entity, &'a str),
    Comments(Entity, &'a str),
    AddComment(Entity, &'a str),
    DeleteComment(Entity, &'a str, &'a str),
    SetFields(Entity, &'a str),
    Submit(Entity, &'a str),
    Approve(Entity, &'a str),
    Create(Entity),
    MarkSent(&'a str),
    Void(Entity, &'a str),
}

impl<'a> Route<'a> {
    fn of(method: &'a Method, segments: &[&'a str]) -> Option<Self> {
        let (get, post) = (method == Method::GET, method == Method::POST);
        if let ["organizations"] = segments {
            return get.then_some(Self::Organizations);
        }
        if let ["users"] = segments {
            return get.then_some(Self::Users);
        }
        if let ["settings", "webhooks" | "workflows", ..] = segments {
            return Some(Self::Settings(method));
        }
        let segments = if let ["settings", "currencies", ..] = segments { &segments[1..] } else { segments };
        // Custom fields alone are set under the singular.
        if let [kind, id, "customfields"] = *segments {
            let entity = [Entity::Invoice, Entity::Bill].into_iter().find(|entity| entity.name() == kind)?;
            return (method == Method::PUT).then_some(Self::SetFields(entity, id));
        }
        let entity = Entity::parse(segments.first()?)?;
        let has_actions = matches!(entity, Entity::Invoice | Entity::Bill);
        match segments[1..] {
            [] if get => Some(Self::List(entity)),
            [id] if get => Some(Self::Detail(entity, id)),
            [id, "comments"] if get && has_actions => Some(Self::Comments(entity, id)),
            [id, "comments"] if post && has_actions => Some(Self::AddComment(entity, id)),
            [id, "comments", comment] if method == Method::DELETE && has_actions => {
                Some(Self::DeleteComment(entity, id, comment))
            }
            [id, "submit"] if post && has_actions => Some(Self::Submit(entity, id)),
            [id, "approve"] if post && has_actions => Some(Self::Approve(entity, id)),
            [] if post && has_actions => Some(Self::Create(entity)),
            [id, "status", "sent"] if post && entity == Entity::Invoice => Some(Self::MarkSent(id)),
            [id, "status", "void"] if post && has_actions => Some(Self::Void(entity, id)),
            _ => None,
        }
    }

    /// Whether one of the scopes that open this route is there.
    fn allowed_by(self, has: impl Fn(&str) -> bool) -> bool {
        let (module, access) = match self {
            Self::Organizations | Self::Users => ("settings", "READ"),
            Self::Settings(&Method::GET) => ("settings", "READ"),
            Self::Settings(&Method::POST) => ("settings", "CREATE"),
            Self::Settings(&Method::DELETE) => ("settings", "DELETE"),
            Self::Settings(_) => ("settings", "UPDATE"),
            Self::List(entity) | Self::Detail(entity, _) | Self::Comments(entity, _) => {
                (entity.scope(), "READ")
            }
            Self::MarkSent(_) => (Entity::Invoice.plural(), "CREATE"),
            Self::AddComment(entity, _)
            | Self::Submit(entity, _)
            | Self::Approve(entity, _)
            | Self::Create(entity)
            | Self::Void(entity, _) => (entity.plural(), "CREATE"),
            Self::DeleteComment(entity, ..) => (entity.plural(), "DELETE"),
            Self::SetFields(entity, _) => (entity.plural(), "UPDATE"),
        };
        has("ZohoBooks.fullaccess.all")
            || has(&format!("ZohoBooks.{module}.{access}"))
            || has(&format!("ZohoBooks.{module}.ALL"))
    }
}

fn answer_call(
    books: &mut Books,
    route: &Route<'_>,
    params: &Params,
    (call, conditions): (&Call<'_>, &Conditions),
) -> Response<Bytes> {
    let (request, now) = (call.request, call.now);
    match *route {
        Route::Organizations | Route::Settings(_) => refused(StatusCode::NOT_FOUND, 5, "Invalid URL Passed"),
        Route::Users => found("users", render::users()),
        Route::List(entity) => match list::page(books, entity, params, conditions, now) {
            Ok(page) => ok(StatusCode::OK, &page),
            Err(list::Refused::Invalid(name)) => invalid(name),
            Err(list::Refused::NotSimulated(name)) => not_simulated(&format!("the filter {name}")),
        },
        Route::Detail(entity, id) => match render::detail(books, entity, id, now) {
            Some(record) => found(entity.key(), record),
            None => missing(entity),
        },
        Route::Comments(entity, id) => match books.document(entity, id) {
            Some(document) => {
                let comments: Vec<Value> = document
                    .comments
                    .iter()
                    .map(|comment| render::comment(books, document, comment))
                    .collect();
                found("comments", comments)
            }
            None => missing(entity),
        },
        Route::AddComment(entity, id) => add_comment(books, entity, id, request, now),
        Route::DeleteComment(entity, id, comment) => match books.delete_comment(entity, id, comment) {
            Ok(()) => ok(StatusCode::OK, &json!({ "code": 0, "message": "The comment has been deleted." })),
            Err(_) => refused(StatusCode::NOT_FOUND, 1002, "Comment does not exist."),
        },
        Route::SetFields(entity, id) => set_fields(books, entity, id, request, now),
        Route::Submit(entity, id) => acted(
            books.submit(entity, id, now).map_err(|error| error.kind()),
            entity,
            "The invoice has been submitted for approval successfully.",
        ),
        Route::Create(entity) => create(books, entity, params, request, now),
        Route::MarkSent(id) => acted(
            books.mark_sent(id, now).map_err(|error| error.kind()),
            Entity::Invoice,
            "Invoice status has been changed to Sent.",
        ),
        Route::Void(entity, id) => acted(
            books.void(entity, id, now).map_err(|error| error.kind()),
            entity,
            "Invoice status has been changed to Void.",
        ),
        Route::Approve(entity, id) => acted(
            books.approve(entity, id, now).map_err(|error| error.kind()),
            entity,
            "You have approved the invoice.",
        ),
    }
}

/// Creates a document of the total of its lines for a party that is known. What else the body says is not simulated.
fn create(
    books: &mut Books,
    entity: Entity,
    params: &Params,
    request: &Request<Bytes>,
    now: Timestamp,
) -> Response<Bytes> {
    let (party_key, number_key, sentence) = match entity {
        Entity::Bill => ("vendor_id", "bill_number", "The bill has been created."),
        _ => ("customer_id", "invoice_number", "The invoice has been created."),
    };
    let form = Params::parse([request.body().as_ref()]);
    let json = form.get("JSONString").or_else(|| params.get("JSONString"));
    let json = json.map_or(request.body().as_ref(), str::as_bytes);
    let Ok(body) = serde_json::from_slice::<NewBody<'_>>(json) else { return invalid("JSONString") };
    let party = body.customer_id.or(body.vendor_id).and_then(|id| books.party_name(id));
    let Some(party) = party else { return invalid(party_key) };
    let total =
        body.line_items.iter().map(Line::total).try_fold(Decimal::ZERO, |sum, line| Some(sum + line?));
    let Some(total) = total.filter(|_| !body.line_items.is_empty()) else { return invalid("line_items") };
    let mut new = NewDocument::new(&party, total);
    new.description = body.line_items[0].description.unwrap_or_default().to_owned();
    new.number = body.invoice_number.or(body.bill_number).map(str::to_owned);
    new.reference = body.reference_number.unwrap_or_default().to_owned();
    for (name, text, to) in
        [("date", body.date, &mut new.date), ("due_date", body.due_date, &mut new.due_date)]
    {
        match text.map(Date::parse).transpose() {
            Ok(date) => *to = date,
            Err(_) => return invalid(name),
        }
    }
    if new.number.as_ref().is_some_and(|number| books.has_number(entity, number)) {
        return refused(
            StatusCode::BAD_REQUEST,
            if entity == Entity::Bill { 13_011 } else { 1001 },
            &format!("The {number_key} already exists."),
        );
    }
    let created = books.create(entity, new, now).ok().and_then(|id| render::detail(books, entity, &id, now));
    let Some(record) = created else { return invalid("line_items") };
    let mut envelope = Fields::default();
    envelope.set("code", 0);
    envelope.set("message", sentence);
    envelope.set(entity.key(), record);
    ok(StatusCode::CREATED, &envelope)
}

/// A document to create, as far as it is simulated.
#[derive(Deserialize)]
struct NewBody<'a> {
    customer_id: Option<&'a str>,
    vendor_id: Option<&'a str>,
    invoice_number: Option<&'a str>,
    bill_number: Option<&'a str>,
    reference_number: Option<&'a str>,
    date: Option<&'a str>,
    due_date: Option<&'a str>,
    #[serde(borrow, default)]
    line_items: Vec<Line<'a>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    description: Option<&'a str>,
    #[serde(borrow)]
    rate: Option<&'a RawValue>,
    #[serde(borrow)]
    quantity: Option<&'a RawValue>,
}

impl Line<'_> {
    /// Rate times quantity, which is one unless said.
    fn total(&self) -> Option<Decimal> {
        let amount = |raw: &RawValue| raw.get().trim_matches('"').parse::<Decimal>().ok();
        let quantity = self.quantity.map_or(Some(Decimal::ONE), amount)?;
        amount(self.rate?)?.checked_mul(quantity)
    }
}

fn invalid(name: &str) -> Response<Bytes> {
    refused(StatusCode::BAD_REQUEST, 2, &format!("Invalid value passed for {name}"))
}

/// What Zoho may have and the simulator has not: 404, and not an answer that looks like Zoho's.
fn not_simulated(what: &str) -> Response<Bytes> {
    refused(StatusCode::NOT_FOUND, 5, &format!("Invalid URL Passed (not simulated: {what})"))
}

fn add_comment(
    books: &mut Books,
    entity: Entity,
    id: &str,
    request: &Request<Bytes>,
    now: Timestamp,
) -> Response<Bytes> {
    // The historic form `JSONString=…` still works.
    let form = Params::parse([request.body().as_ref()]);
    let body = match form.get("JSONString") {
        Some(json) => serde_json::from_str(json),
        None => serde_json::from_slice::<Value>(request.body()),
    };
    let text = body.ok().and_then(|body| body["description"].as_str().map(str::to_owned));
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return refused(StatusCode::BAD_REQUEST, 2, "Invalid value passed for description");
    };
    match books.comment(entity, id, &text, now) {
        Err(_) => missing(entity),
        Ok(_) if entity == Entity::Invoice => {
            ok(StatusCode::OK, &json!({ "code": 0, "message": "Comments added." }))
        }
        Ok(comment) => {
            let Some(document) = books.document(entity, id) else { return missing(entity) };
            let comment = render::comment(books, document, &comment);
            ok(StatusCode::CREATED, &json!({ "code": 0, "message": "Comments added.", "comment": comment }))
        }
    }
}

/// An array without an envelope. Invoices call the id one way, bills the other, and each ignores the other's.
fn set_fields(
    books: &mut Books,
    entity: Entity,
    id: &str,
    request: &Request<Bytes>,
    now: Timestamp,
) -> Response<Bytes> {
    let key = if entity == Entity::Bill { "custom_field_id" } else { "customfield_id" };
    let fields: Vec<Value> = serde_json::from_slice(request.body()).unwrap_or_default();
    let pair = |field: &Value| Some((field[key].as_str()?.to_owned(), field["value"].as_str()?.to_owned()));
    let pairs: Option<Vec<_>> = fields.iter().map(pair).collect();
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else {
        return refused(StatusCode::BAD_REQUEST, 2, "Invalid value passed for custom_fields");
    };
    match books.set_fields(entity, id, pairs, now) {
        Ok(()) => ok(StatusCode::OK, &json!({ "code": 0, "message": "Custom Fields Updated Successfully" })),
        Err(_) => missing(entity),
    }
}

fn acted(outcome: Result<(), ErrorKind>, entity: Entity, sentence: &str) -> Response<Bytes> {
    match outcome {
        Ok(()) => {
            let message = if entity == Entity::Bill { "success" } else { sentence };
            ok(StatusCode::OK, &json!({ "code": 0, "message": message }))
        }
        Err(ErrorKind::NotFound) => missing(entity),
        // What Zoho says here is not on record; the code of a refused value is the closest.
        Err(_) => refused(StatusCode::BAD_REQUEST, 2, "Invalid value passed for status"),
    }
}

/// The token behind either of the two schemes that Zoho takes.
fn bearer(request: &Request<Bytes>) -> Option<&str> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    header.strip_prefix("Zoho-oauthtoken ").or_else(|| header.strip_prefix("Bearer "))
}

fn found(key: &str, value: impl serde::Serialize) -> Response<Bytes> {
    let mut envelope = Fields::default();
    envelope.set("code", 0);
    envelope.set("message", "success");
    envelope.set(key, value);
    ok(StatusCode::OK, &envelope)
}

fn missing(entity: Entity) -> Response<Bytes> {
    refused(StatusCode::NOT_FOUND, 1002, entity.missing())
}

pub(super) fn refused(status: StatusCode, code: u32, message: &str) -> Response<Bytes> {
    ok(status, &json!({ "code": code, "message": message }))
}

pub(super) fn ok(status: StatusCode, body: &impl serde::Serialize) -> Response<Bytes> {
    let mut answer = exchange::json(status, JSON, body);
    answer.headers_mut().insert(header::SERVER, HeaderValue::from_static("ZGS"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
