//! Lists and single records: query options, pages, envelopes.

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use serde_json::{json, value::RawValue};

use super::{
    answer::{self, Refusal},
    config::Quirks,
    filter::{Filter, Value},
    schema::{self, Edm},
};
use crate::toolkit::{json::Fields, params::Params};

/// What a list is asked for.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) filter: Option<Filter>,
    pub(super) select: Option<Vec<String>>,
    pub(super) expand: Vec<String>,
    pub(super) order: Option<(String, Edm, bool)>,
    pub(super) top: Option<usize>,
    skip: usize,
    after: Option<Vec<Value>>,
    counts: bool,
    /// As they came, for `__next`.
    given: Vec<(String, String)>,
}

impl Options {
    pub(super) fn read(path: &str, query: &str) -> Result<Self, Refusal> {
        let params = Params::parse([query.as_bytes()]);
        let mut options = Self::default();
        for name in params.names() {
            let value = params.get(name).unwrap_or_default();
            options.given.push((name.to_owned(), value.to_owned()));
            let number = || value.parse().map_err(|_| answer::bad(&format!("Incorrect format for {name}.")));
            match name {
                "$filter" => options.filter = Some(Filter::parse(path, value)?),
                "$select" => options.select = Some(select(path, value)?),
                "$expand" => options.expand = value.split(',').map(|nav| nav.trim().to_owned()).collect(),
                "$orderby" => options.order = Some(order(path, value)?),
                "$top" => options.top = Some(number()?),
                "$skip" => options.skip = number()?,
                "$skiptoken" => options.after = Some(skiptoken(value)?),
                "$inlinecount" => options.counts = value == "allpages",
                other if other.starts_with('$') => {
                    return Err(answer::bad(&format!("The query parameter '{other}' is not supported.")));
                }
                _ => {}
            }
        }
        for nav in &options.expand {
            if schema::edm(path, nav) != Some(Edm::Navigation) {
                return Err(answer::bad(&format!("No navigation property '{nav}' exists in type '{path}'.")));
            }
        }
        Ok(options)
    }

    /// Whether a property is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.select.as_ref().is_none_or(|select| {
            let is_it = |wanted: &String| wanted == name || wanted.split('/').next() == Some(name);
            select.iter().any(is_it)
        })
    }

    pub(super) fn expands(&self, nav: &str) -> bool {
        self.expand.iter().any(|expanded| expanded == nav)
    }

    pub(super) fn skips(&self) -> bool {
        self.skip > 0
    }

    /// Whether a property of an expanded line is wanted.
    fn wants_of_line(&self, nav: &str, name: &str) -> bool {
        let Some(select) = &self.select else { return true };
        let whole = select.iter().any(|wanted| wanted == nav);
        whole || select.iter().any(|wanted| wanted.split_once('/') == Some((nav, name)))
    }
}

fn select(path: &str, value: &str) -> Result<Vec<String>, Refusal> {
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    if names == ["*"] {
        let all = schema::properties(path).unwrap_or_default().iter();
        return Ok(all
            .filter(|(_, edm)| *edm != Edm::Navigation)
            .map(|(name, _)| (*name).to_owned())
            .collect());
    }
    for name in &names {
        let first = name.split('/').next().unwrap_or_default();
        if schema::edm(path, first).is_none() {
            return Err(answer::bad(&format!("No property '{name}' exists in type '{path}'.")));
        }
    }
    Ok(names)
}

fn order(path: &str, value: &str) -> Result<(String, Edm, bool), Refusal> {
    let (name, direction) = value.trim().split_once(' ').unwrap_or((value.trim(), "asc"));
    match schema::edm(path, name) {
        Some(edm) if matches!(direction.trim(), "asc" | "desc") => {
            Ok((name.to_owned(), edm, direction.trim() == "desc"))
        }
        _ => Err(answer::bad(&format!("No property '{name}' exists in type '{path}'."))),
    }
}

/// Literals, divided by commas outside of quotes.
fn skiptoken(value: &str) -> Result<Vec<Value>, Refusal> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for c in value.chars() {
        quoted ^= c == '\'';
        if c == ',' && !quoted { parts.push(std::mem::take(&mut part)) } else { part.push(c) }
    }
    parts.push(part);
    let bad = || answer::bad("Incorrect format for $skiptoken.");
    parts.iter().map(|part| Value::literal(part).ok_or_else(bad)).collect()
}

/// A record or a row before it is written out.
#[derive(Debug, Clone)]
pub(super) struct Shown<'a> {
    /// The key in its URI.
    pub(super) key: Value,
    /// Where it is: origin, division and resource.
    pub(super) at: String,
    pub(super) type_name: &'static str,
    pub(super) fields: Cow<'a, Fields>,
    /// The navigation property of its lines, their resource, type and keys.
    pub(super) lines: Option<Lines<'a>>,
    /// Amounts are not there yet.
    pub(super) hides_amounts: bool,
    /// Amounts have the other sign.
    pub(super) negates: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Lines<'a> {
    pub(super) nav: &'static str,
    pub(super) at: String,
    pub(super) type_name: &'static str,
    pub(super) rows: Vec<(&'a str, &'a Fields)>,
}

/// How many expanded lines an answer holds.
const EXPANDED: usize = 60;

impl Shown<'_> {
    fn key_text(&self) -> String {
        match &self.key {
            Value::Number(number) if self.type_name.starts_with("Sync.") => format!("{number}L"),
            key => key.to_literal(),
        }
    }

    fn uri(&self) -> String {
        format!("{}({})", self.at, self.key_text())
    }

    /// The object as it goes out.
    pub(super) fn render(&self, options: &Options, quirks: &Quirks) -> Fields {
        let resource = resource(&self.at);
        let mut out = metadata(&self.uri(), self.type_name);
        let nav = self.lines.as_ref().map(|lines| lines.nav);
        let wanted = |name: &str| options.wants(name) && !name.starts_with('~');
        let mut fields = self.fields.clone().into_owned().only(wanted);
        for name in options.select.iter().flatten() {
            if !name.contains('/') && fields.get(name).is_none() && Some(name.as_str()) != nav {
                fields.set(name, ());
            }
        }
        let deferred = |name: &str| json!({ "__deferred": { "uri": format!("{}/{name}", self.uri()) } });
        for (name, edm) in schema::properties(resource).unwrap_or_default() {
            if *edm == Edm::Navigation && wanted(name) && Some(*name) != nav && fields.get(name).is_some() {
                fields.set(name, deferred(name));
            }
            if *edm == Edm::Int64 && quirks.int64_as_numbers && fields.get(name).is_some() {
                let number = RawValue::from_string(fields.text_or_number(name));
                number.into_iter().for_each(|number| fields.set(name, number));
            }
            let is_amount = name.starts_with("Amount") && *edm == Edm::Double && fields.get(name).is_some();
            if is_amount && self.hides_amounts {
                fields.set(name, ());
            } else if is_amount && self.negates {
                let raw = fields.text_or_number(name);
                let turned = match raw.strip_prefix('-') {
                    Some(positive) => positive.to_owned(),
                    None if raw == "0" || raw.is_empty() => raw,
                    None => format!("-{raw}"),
                };
                RawValue::from_string(turned).into_iter().for_each(|raw| fields.set(name, raw));
            }
        }
        if let Some(lines) = self.lines.as_ref().filter(|lines| wanted(lines.nav)) {
            if options.expands(lines.nav) {
                let rows: Vec<Fields> = lines
                    .rows
                    .iter()
                    .take(EXPANDED)
                    .map(|(id, line)| {
                        let mut row = metadata(&format!("{}(guid'{id}')", lines.at), lines.type_name);
                        row.extend((*line).clone().only(|name| options.wants_of_line(lines.nav, name)));
                        row
                    })
                    .collect();
                fields.set(lines.nav, json_results(&rows));
            } else {
                fields.set(lines.nav, deferred(lines.nav));
            }
        }
        out.extend(fields);
        out
    }
}

fn json_results(rows: &[Fields]) -> impl Serialize {
    #[derive(Serialize)]
    struct Results<'a> {
        results: &'a [Fields],
    }
    Results { results: rows }
}

/// `service/Resource` of a resource's URL.
pub(super) fn resource(at: &str) -> &str {
    at.splitn(7, '/').nth(6).unwrap_or_default()
}

fn metadata(uri: &str, type_name: &str) -> Fields {
    let mut out = Fields::default();
    out.set("__metadata", json!({ "uri": uri, "type": format!("Exact.Web.Api.Models.{type_name}") }));
    out
}

/// How a resource pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paging {
    /// Rows of a page.
    pub(super) size: usize,
    /// Whether a small `$top` answers a bare array.
    pub(super) bare: bool,
    /// Parallel calls double one row and lose another.
    pub(super) mixed: bool,
}

/// Answers a list of rows that passed the filter. `url` is the resource's URL.
pub(super) fn answer(
    mut rows: Vec<Shown<'_>>,
    url: &str,
    options: &Options,
    paging: Paging,
    quirks: &Quirks,
) -> Response<Bytes> {
    let total = rows.len();
    let sort_key = |row: &Shown<'_>| match &options.order {
        Some((name, edm, _)) => vec![Value::of(row.fields.get(name), *edm), row.key.clone()],
        None => vec![row.key.clone()],
    };
    let compare = |one: &[Value], two: &[Value]| {
        let mut order = one.iter().zip(two).map(|(one, two)| one.compare(two));
        let first = order.next().unwrap_or(std::cmp::Ordering::Equal);
        let first = match &options.order {
            Some((_, _, true)) => first.reverse(),
            _ => first,
        };
        order.fold(first, std::cmp::Ordering::then)
    };
    let mut keyed: Vec<(Vec<Value>, Shown<'_>)> = rows.drain(..).map(|row| (sort_key(&row), row)).collect();
    keyed.sort_by(|(one, _), (two, _)| compare(one, two));
    if let Some(after) = &options.after {
        keyed.retain(|(key, _)| compare(key, after).is_gt());
    }
    keyed.drain(..options.skip.min(keyed.len()));
    let asked = options.top.unwrap_or(usize::MAX);
    keyed.truncate(asked);
    let more = keyed.len() > paging.size;
    keyed.truncate(paging.size);
    let next = keyed.last().filter(|_| more).map(|(key, _)| next_url(url, options, paging.size, key, quirks));
    let mut page: Vec<Fields> = keyed.iter().map(|(_, row)| row.render(options, quirks)).collect();
    if paging.mixed && page.len() > 1 {
        page.pop();
        page.push(page[0].clone());
    }
    if paging.bare && next.is_none() && asked <= paging.size && !options.counts {
        return answer::d(page);
    }
    #[derive(Serialize)]
    struct Body {
        results: Vec<Fields>,
        #[serde(rename = "__count", skip_serializing_if = "Option::is_none")]
        count: Option<String>,
        #[serde(rename = "__next", skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }
    answer::d(Body { results: page, count: options.counts.then(|| total.to_string()), next })
}

fn next_url(url: &str, options: &Options, size: usize, after: &[Value], quirks: &Quirks) -> String {
    let url = match (&quirks.foreign_next, url.splitn(4, '/').nth(3)) {
        (Some(host), Some(path)) => format!("https://{host}/{path}"),
        _ => url.to_owned(),
    };
    let mut pairs: Vec<String> = Vec::new();
    for (name, value) in &options.given {
        match name.as_str() {
            "$skiptoken" | "$skip" | "$top" => {}
            _ => pairs.push(format!("{name}={}", encoded(value))),
        }
    }
    if let Some(top) = options.top {
        pairs.push(format!("$top={}", top.saturating_sub(size)));
    }
    let after: Vec<String> = after.iter().map(Value::to_literal).collect();
    pairs.push(format!("$skiptoken={}", encoded(&after.join(","))));
    format!("{url}?{}", pairs.join("&"))
}

/// Encoded as the vendor does: quotes and commas stay.
fn encoded(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'\''
            | b','
            | b'('
            | b')'
            | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
