//! The one thing that is read of a verified body: which record it is about.

use std::borrow::Cow;

use ml_connector_core::{Error, Result, model::RecordKind, webhook::Form};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    invalid, is_id,
    search::{Shape, search, text},
};

/// A verified body.
pub(super) enum Body<'a> {
    /// Without a byte order mark.
    Json(Cow<'a, str>),
    Form(Form<'a>),
}

/// A template written by hand.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

impl Body<'_> {
    /// The member or field `event` of a template written by hand.
    ///
    /// # Errors
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) when the body is no JSON object.
    pub(super) fn event(&self) -> Result<Option<Cow<'_, str>>> {
        match self {
            Self::Form(form) => Ok(form.get("event").map(Cow::Borrowed)),
            Self::Json(json) => {
                let named: Named<'_> = serde_json::from_str(json).map_err(|error| not_json(&error))?;
                Ok(named.event.and_then(text))
            }
        }
    }

    /// The record's id, in every shape on record: wrapped in a member named after the entity, at the top level,
    /// within `data`, as form fields, or as JSON in the form field `JSONString`.
    ///
    /// # Errors
    /// [`InvalidRequest`](ml_connector_core::ErrorKind::InvalidRequest) when there is none.
    pub(super) fn entity_id(&self, kind: &RecordKind) -> Result<Cow<'_, str>> {
        let shape = Shape::of(kind).ok_or_else(|| invalid("no webhook has records of this kind"))?;
        let found = match self {
            Self::Form(form) => match (form.get(shape.id), form.get("JSONString")) {
                (Some(id), _) => Some(Cow::Borrowed(id)),
                (None, Some(json)) => search(json.as_bytes(), &shape).map_err(|error| not_json(&error))?,
                (None, None) => None,
            },
            Self::Json(json) => search(json.as_bytes(), &shape).map_err(|error| not_json(&error))?,
        };
        found
            .filter(|id| is_id(id))
            .ok_or_else(|| invalid("the body has no id of the record").with_context("member", shape.id))
    }
}

fn not_json(error: &serde_json::Error) -> Error {
    invalid("expected a JSON object")
        .with_context("line", error.line())
        .with_context("column", error.column())
}
