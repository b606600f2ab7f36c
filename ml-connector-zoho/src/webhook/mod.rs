//! Deliveries of workflow webhooks: verified as they came, then decoded down to one id.

mod body;
mod pairs;
mod search;
pub(crate) mod subscriptions;

use std::borrow::Cow;

use bytes::Bytes;
use http::Request;
use ml_connector_core::{
    Error, ErrorKind, Result, Secret, decode,
    model::{AccountKey, EntityRef, RecordKind, Signal},
    webhook::{Encoding, Form, HmacSha256},
};

use self::body::Body;
use crate::WebhookParameters;

/// HMAC-SHA256 of the sorted pairs and the body, in lower-case hex by every report; base64 costs nothing to accept.
const SIGNATURE: &str = "x-zoho-webhook-signature";
const ENCODINGS: &[Encoding] = &[Encoding::Hex, Encoding::Base64];
/// What Zoho's form asks of a secret token: 12–50 letters and digits.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 12..=50;
/// The largest recorded body has 8 KB; one with a thousand lines about a megabyte.
const MAX_BODY: usize = 4 << 20;

const EVENT: &str = "mlc_event";
const ORGANIZATION: &str = "mlc_org";

/// Verifies and decodes the deliveries of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    signatures: HmacSha256,
    parameters: WebhookParameters,
}

impl Webhook {
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] without a secret, or with one that Zoho's form does not take.
    pub(crate) fn new(secrets: &[Secret], parameters: WebhookParameters) -> Result<Self> {
        let fits = |secret: &Secret| {
            let text = secret.expose();
            SECRET_LENGTH.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if !secrets.iter().all(fits) {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                "a webhook secret must be 12–50 letters and digits, as Zoho's form asks",
            ));
        }
        let signatures =
            HmacSha256::new(secrets).map_err(|error| error.with_context("setting", "webhook_secrets"))?;
        Ok(Self { signatures, parameters })
    }

    /// The signal of a delivery.
    ///
    /// # Errors
    /// [`ErrorKind::SignatureInvalid`] when it is not proven to come from Zoho; [`ErrorKind::InvalidRequest`] when it
    /// is, but says nothing that is understood.
    pub(crate) fn decode(&self, request: &Request<Bytes>) -> Result<Signal> {
        let query = pairs::of_query(request.uri().query().unwrap_or_default(), self.parameters.names())
            .ok_or_else(|| refused("the query is not that of the configured set-up"))?;
        let body = self.verify(request, &query).map_err(|error| claimed(error, &query))?;
        self.signal(request, &query, &body)
    }

    fn verify<'a>(&self, request: &'a Request<Bytes>, query: &Form<'a>) -> Result<Body<'a>> {
        let mut signatures = request.headers().get_all(SIGNATURE).iter();
        let (Some(signature), None) = (signatures.next(), signatures.next()) else {
            return Err(refused("expected one signature"));
        };
        let signature = signature.to_str().map_err(|_| refused("the signature is no text"))?;
        if Form::is_body_of(request) {
            let form = pairs::of_form(request.body(), query)
                .ok_or_else(|| refused("the form has malformed or repeated fields"))?;
            self.signatures.verify(&pairs::signed_parts(query, Some(&form)), signature, ENCODINGS)?;
            return Ok(Body::Form(form));
        }
        let mut message = pairs::signed_parts(query, None);
        message.push(request.body());
        self.signatures.verify(&message, signature, ENCODINGS)?;
        Ok(Body::Json(decode::clean(request.body())))
    }

    fn signal(&self, request: &Request<Bytes>, query: &Form<'_>, body: &Body<'_>) -> Result<Signal> {
        if request.body().len() > MAX_BODY {
            return Err(invalid("the body is too large").with_context("bytes", request.body().len()));
        }
        let event = match self.parameters {
            WebhookParameters::EventAndOrganization => query.get(EVENT).map(Cow::Borrowed),
            WebhookParameters::Organization => body.event()?,
            WebhookParameters::None => Some(request.uri().path().trim_matches('/').into()),
        };
        let event = event.ok_or_else(|| invalid("the body names no event"))?;
        let kind = entity_kind(&event).ok_or_else(|| {
            invalid("expected an event such as invoice.changed").with_context("chars", event.len())
        })?;
        let id = body.entity_id(&kind)?;
        let mut signal = Signal::entity(EntityRef::new(kind.as_str(), id));
        signal.hint = Some(event.into());
        if let Some(organization) = query.get(ORGANIZATION) {
            if !is_id(organization) {
                return Err(invalid("expected an organization id").with_context("chars", organization.len()));
            }
            signal.account = Some(AccountKey::new(["org:", organization].concat()));
        }
        Ok(signal)
    }
}

impl WebhookParameters {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::EventAndOrganization => &[EVENT, ORGANIZATION],
            Self::Organization => &[ORGANIZATION],
            Self::None => &[],
        }
    }
}

/// The organization that an unproven request names, so that its refusal is counted for that one and for no other.
fn claimed(error: Error, query: &Form<'_>) -> Error {
    match query.get(ORGANIZATION).filter(|organization| is_id(organization)) {
        Some(organization) => error.with_context("account", ["org:", organization].concat()),
        None => error,
    }
}

/// Whether a hint says that the record was deleted.
pub(crate) fn is_deletion(hint: &str) -> bool {
    hint.ends_with(".deleted")
}

/// The kind of record an event is about, if entity and kind are words of ours.
fn entity_kind(event: &str) -> Option<RecordKind> {
    let (entity, kind) = event.split_once('.')?;
    if !matches!(kind, "changed" | "created" | "submitted" | "deleted" | "overdue") {
        return None;
    }
    match entity {
        "invoice" => Some(RecordKind::Invoice),
        "bill" => Some(RecordKind::Bill),
        "customerpayment" => Some(RecordKind::CustomerPayment),
        "vendorpayment" => Some(RecordKind::VendorPayment),
        "purchaseorder" => Some(RecordKind::PurchaseOrder),
        "contact" => Some(RecordKind::Contact),
        _ => None,
    }
}

/// Zoho's ids are 8–19 digits; the bound leaves room.
fn is_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn refused(reason: &'static str) -> Error {
    Error::new(ErrorKind::SignatureInvalid, reason)
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
