//! What a list is asked for: `$filter`, `$orderby`, `$top`, `$skip`, `$skiptoken`, `$select`, `$expand`.

use std::cmp::Ordering;

use bytes::Bytes;
use http::Response;
use ml_connector_core::{Timestamp, model::Decimal};
use serde_json::value::RawValue;

use super::answer;
use crate::toolkit::{json::Fields, params::Params};

/// The options of one request.
pub(super) struct Options {
    pub(super) filter: Option<Filter>,
    pub(super) order: Option<(String, bool)>,
    pub(super) top: Option<usize>,
    pub(super) skip: usize,
    pub(super) skiptoken: Option<String>,
    pub(super) select: Vec<String>,
    pub(super) expand: Vec<String>,
    pub(super) count: bool,
}

type Refused = Box<Response<Bytes>>;

impl Options {
    pub(super) fn read(query: &str) -> Result<Self, Refused> {
        let params = Params::parse([query.as_bytes()]);
        let text = |name: &str| params.get(name).map(str::to_owned);
        let number = |name: &str| params.get(name).map(str::parse).transpose();
        let bad = |_| Box::new(answer::bad_request("The query specified in the URI is not valid."));
        let list = |text: Option<String>| {
            let text = text.unwrap_or_default();
            let depth =
                |part: &str| part.chars().map(|c| i32::from(c == '(') - i32::from(c == ')')).sum::<i32>();
            let mut parts: Vec<String> = Vec::new();
            let mut open = 0;
            for part in text.split(',').filter(|part| !part.is_empty()) {
                match parts.last_mut().filter(|_| open > 0) {
                    Some(last) => {
                        last.push(',');
                        last.push_str(part);
                    }
                    None => parts.push(part.trim().to_owned()),
                }
                open += depth(part);
            }
            parts
        };
        let order = text("$orderby").map(|order| match order.split_once(' ') {
            Some((field, direction)) => (field.to_owned(), direction.trim() == "desc"),
            None => (order, false),
        });
        Ok(Self {
            filter: text("$filter").map(|filter| Filter::parse(&filter)).transpose()?,
            order,
            top: number("$top").map_err(bad)?,
            skip: number("$skip").map_err(bad)?.unwrap_or_default(),
            skiptoken: text("$skiptoken"),
            select: list(text("$select")),
            expand: list(text("$expand")),
            count: params.get("$count") == Some("true"),
        })
    }

    /// Compares two records in the order that was asked for.
    pub(super) fn compare(&self, one: &Fields, two: &Fields) -> Ordering {
        let Some((field, descending)) = &self.order else { return Ordering::Equal };
        let order = match (one.get(field), two.get(field)) {
            (Some(one), Some(two)) => Value::of(field, one).compare(&Value::of(field, two)),
            _ => Ordering::Equal,
        };
        if *descending { order.reverse() } else { order }
    }
}

/// A condition.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    And(Vec<Self>),
    Or(Vec<Self>),
    Compare { field: String, operator: String, literal: String },
    Function { name: String, field: String, literal: String },
}

impl Filter {
    fn parse(text: &str) -> Result<Self, Refused> {
        let tokens = tokens(text);
        let mut rest = &tokens[..];
        let filter = Self::any(&mut rest).filter(|_| rest.is_empty());
        let filter = filter.ok_or_else(|| {
            Box::new(answer::refused(501, "BadRequest_MethodNotImplemented", "The filter is not supported."))
        })?;
        if filter.mixes_fields() {
            let message = "The 'OR' operator is not supported on distinct fields on an OData filter.";
            return Err(Box::new(answer::bad_request(message)));
        }
        Ok(filter)
    }

    fn any(rest: &mut &[String]) -> Option<Self> {
        let mut parts = vec![Self::all(rest)?];
        while rest.first().is_some_and(|token| token == "or") {
            *rest = &rest[1..];
            parts.push(Self::all(rest)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Self::Or(parts)) }
    }

    fn all(rest: &mut &[String]) -> Option<Self> {
        let mut parts = vec![Self::one(rest)?];
        while rest.first().is_some_and(|token| token == "and") {
            *rest = &rest[1..];
            parts.push(Self::one(rest)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Self::And(parts)) }
    }

    fn one(rest: &mut &[String]) -> Option<Self> {
        let (first, tail) = rest.split_first()?;
        if first == "(" {
            *rest = tail;
            let inner = Self::any(rest)?;
            let (close, tail) = rest.split_first()?;
            *rest = tail;
            return (close == ")").then_some(inner);
        }
        if matches!(first.as_str(), "startswith" | "endswith" | "contains") {
            let [open, field, comma, literal, close, tail @ ..] = tail else { return None };
            *rest = tail;
            let good = open == "(" && comma == "," && close == ")";
            return good.then(|| Self::Function {
                name: first.clone(),
                field: field.clone(),
                literal: plain(literal),
            });
        }
        let [operator, literal, tail @ ..] = tail else { return None };
        *rest = tail;
        let known = matches!(operator.as_str(), "eq" | "ne" | "gt" | "ge" | "lt" | "le");
        known.then(|| Self::Compare {
            field: first.clone(),
            operator: operator.clone(),
            literal: plain(literal),
        })
    }

    /// The fields it looks at.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::fields).collect(),
            Self::Compare { field, .. } | Self::Function { field, .. } => vec![field],
        }
    }

    fn mixes_fields(&self) -> bool {
        match self {
            Self::Or(_) => self.fields().windows(2).any(|two| two[0] != two[1]),
            Self::And(parts) => parts.iter().any(Self::mixes_fields),
            _ => false,
        }
    }

    pub(super) fn holds(&self, record: &Fields) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(record)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(record)),
            Self::Compare { field, operator, literal } => {
                let Some(raw) = record.get(field) else { return false };
                let order = Value::of(field, raw).compare(&Value::literal(field, raw, literal));
                match operator.as_str() {
                    "eq" => order.is_eq(),
                    "ne" => order.is_ne(),
                    "gt" => order.is_gt(),
                    "ge" => order.is_ge(),
                    "lt" => order.is_lt(),
                    _ => order.is_le(),
                }
            }
            Self::Function { name, field, literal } => {
                let text = record.text(field);
                match name.as_str() {
                    "startswith" => text.starts_with(literal.as_str()),
                    "endswith" => text.ends_with(literal.as_str()),
                    _ => text.contains(literal.as_str()),
                }
            }
        }
    }
}

/// A value that can be compared.
enum Value {
    Instant(Option<Timestamp>),
    Number(Decimal),
    Text(String),
}

impl Value {
    fn of(field: &str, raw: &RawValue) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'"') => {
                let text: String = serde_json::from_str(raw.get()).unwrap_or_default();
                if is_instant(field) { Self::Instant(Timestamp::parse(&text).ok()) } else { Self::Text(text) }
            }
            Some(b'-' | b'0'..=b'9') => Self::Number(raw.get().parse().unwrap_or_default()),
            _ => Self::Text(raw.get().to_owned()),
        }
    }

    fn literal(field: &str, beside: &RawValue, literal: &str) -> Self {
        match beside.get().as_bytes().first() {
            Some(b'"') if is_instant(field) => Self::Instant(Timestamp::parse(literal).ok()),
            Some(b'-' | b'0'..=b'9') => Self::Number(literal.parse().unwrap_or_default()),
            _ => Self::Text(literal.to_owned()),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Instant(one), Self::Instant(two)) => one.cmp(two),
            (Self::Number(one), Self::Number(two)) => one.cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            _ => Ordering::Less,
        }
    }
}

fn is_instant(field: &str) -> bool {
    field.contains("DateTime") || field.starts_with("dateTime")
}

fn plain(literal: &str) -> String {
    match literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(text) => text.replace("''", "'"),
        None => literal.to_owned(),
    }
}

/// Words, texts in quotes, parentheses and commas.
fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.push(c);
            }
            _ if quoted => word.push(c),
            '(' | ')' | ',' | ' ' => {
                if !word.is_empty() {
                    tokens.push(std::mem::take(&mut word));
                }
                if c != ' ' {
                    tokens.push(c.to_string());
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}
