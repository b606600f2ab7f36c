//! Routes from a file: what is wrong with one is said with its name, the field and the line.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Route, RouteMode, RouteSet};
use crate::{Error, ErrorKind, Result};

/// A route with where it begins in the text, in bytes.
struct Placed {
    route: Route,
    start: usize,
}

/// Where a text is wrong.
struct Flaw {
    message: String,
    /// In bytes.
    at: usize,
    /// From the top: `routes[2].at_least[0].amount`.
    path: String,
    route: Option<String>,
}

impl RouteSet {
    /// Reads and checks routes in JSON: `{"mode": "all", "routes": […]}`.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] with the context `route`, `field` and `line`.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File<'a> {
            #[serde(default)]
            mode: RouteMode,
            #[serde(default, borrow)]
            routes: Vec<&'a RawValue>,
        }
        let flaw = |path: String, error: serde_json::Error, start: usize, route| {
            let at = start + offset_of(&text[start..], error.line(), error.column());
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            Flaw { message, at, path, route }.into_error(text)
        };
        let file: File<'_> =
            serde_json::from_str(text).map_err(|error| flaw(String::new(), error, 0, None))?;
        let mut placed = Vec::with_capacity(file.routes.len());
        for raw in file.routes {
            // The raw value is a part of the text.
            let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
            let mut reader = serde_json::Deserializer::from_str(raw.get());
            let route: Route = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
                let named = serde_json::from_str::<Named>(raw.get()).ok();
                let name = name_of(named, placed.len());
                flaw(error.path().to_string(), error.into_inner(), start, Some(name))
            })?;
            placed.push(Placed { route, start });
        }
        Self::checked(text, file.mode, placed)
    }

    /// Reads and checks routes in TOML: `mode = "all"`, and a table `[[routes]]` for each.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] with the context `route`, `field` and `line`.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File<T> {
            #[serde(default)]
            mode: RouteMode,
            #[serde(default = "Vec::new")]
            routes: Vec<toml::Spanned<T>>,
        }
        let reader = toml::Deserializer::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            Flaw { message: error.message().to_owned(), at, path: String::new(), route: None }
                .into_error(text)
        })?;
        let file: File<Route> = serde_path_to_error::deserialize(reader).map_err(|error| {
            let path = error.path().to_string().replace(".$__serde_spanned_private_value", "");
            let error = error.into_inner();
            let at = error.span().map_or(0, |span| span.start);
            // Which route that is, and what it calls itself.
            let names = toml::from_str::<File<toml::Table>>(text).map(|file| file.routes).unwrap_or_default();
            let i = names.iter().position(|route| route.span().contains(&at));
            let i = i.or_else(|| path.strip_prefix("routes[")?.split(']').next()?.parse().ok());
            let route = i.map(|i| {
                let name = names.get(i).and_then(|route| route.get_ref().get("name")?.as_str());
                name_of(name.map(|name| Named { name: Some(name.into()) }), i)
            });
            let field = path.strip_prefix("routes[").and_then(|rest| rest.split_once(']'));
            let path = field.map_or(path.clone(), |(_, field)| field.trim_start_matches('.').to_owned());
            Flaw { message: error.message().to_owned(), at, path, route }.into_error(text)
        })?;
        let placed = file.routes.into_iter().map(|route| {
            let start = route.span().start;
            Placed { start, route: route.into_inner() }
        });
        Self::checked(text, file.mode, placed.collect())
    }

    fn checked(text: &str, mode: RouteMode, placed: Vec<Placed>) -> Result<Self> {
        let starts: Vec<usize> = placed.iter().map(|placed| placed.start).collect();
        let routes = placed.into_iter().map(|placed| Arc::new(placed.route)).collect();
        let set = Self { mode, routes };
        for (i, (route, start)) in set.routes.iter().zip(starts).enumerate() {
            set.validate_nth(i, route).map_err(|error| error.with_context("line", line_of(text, start)))?;
        }
        Ok(set)
    }
}

impl Flaw {
    fn into_error(self, text: &str) -> Error {
        // Values that are text on the outside say themselves what is wrong with them, kind first.
        let message = ["config_invalid: ", "invalid_request: "]
            .into_iter()
            .find_map(|kind| self.message.strip_prefix(kind));
        let mut error = Error::new(ErrorKind::ConfigInvalid, message.unwrap_or(&self.message).to_owned());
        if let Some(route) = self.route {
            error = error.with_context("route", route.escape_debug());
        }
        if !matches!(&*self.path, "" | ".") {
            error = error.with_context("field", self.path.escape_debug());
        }
        error.with_context("line", line_of(text, self.at))
    }
}

/// What a route that is wrong elsewhere calls itself.
#[derive(Deserialize)]
struct Named {
    name: Option<Arc<str>>,
}

fn name_of(named: Option<Named>, i: usize) -> String {
    named.and_then(|named| named.name).map_or_else(|| format!("number {}", i + 1), |name| name.to_string())
}

/// From 1.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// The place of a line and column, both from 1.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}
