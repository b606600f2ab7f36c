//! The Files API: volumes and what lies in them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use ml_connector_core::Timestamp;
use serde_json::{Value, json};

use super::{
    State,
    answer::{denied, detailed, empty, invalid, no_content, ok, reason, refused},
    sql::catalog::{File, Volume},
};
use crate::toolkit::params::Params;

/// Files API reference: entries of one page.
const PAGE: usize = 1000;

/// A path below `/Volumes`, decoded.
struct Place {
    volume: [String; 3],
    /// Below the volume; empty for its root.
    below: String,
}

impl Place {
    /// Catalog, schema and volume are matched without regard to case, what is below is not.
    fn of(path: &str) -> Option<Self> {
        let path = decoded(path)?;
        let mut parts = path.trim_start_matches('/').strip_prefix("Volumes/")?.splitn(4, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_lowercase);
        let volume = [part()?, part()?, part()?];
        let below = parts.next().unwrap_or_default().trim_end_matches('/').to_owned();
        let odd = below.split('/').any(|part| part == ".." || part == ".");
        (!odd && !below.contains("//")).then_some(Self { volume, below })
    }

    fn name(&self) -> String {
        self.volume.join(".")
    }
}

fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Answers below `/api/2.0/fs`: `kind` is `files` or `directories`.
pub(super) fn answer(
    state: &mut State,
    request: &Request<Bytes>,
    kind: &str,
    path: &str,
    now: Timestamp,
) -> Response<Bytes> {
    let Some(place) = Place::of(path) else {
        return invalid("The path must be /Volumes/<catalog>/<schema>/<volume>/...");
    };
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = if writes { "WRITE VOLUME" } else { "READ VOLUME" };
    let [catalog, schema, volume] = &place.volume;
    if state.database.volume(catalog, schema, volume).is_none() {
        return no_volume(&place.name());
    }
    if state.database.grants.require_use(catalog, schema).is_err()
        || !state.database.grants.has(needed, &place.name())
    {
        return denied(&format!("User does not have {needed} on Volume '{}'.", place.name()));
    }
    let hides_empty = state.tuning.empty_volume_hidden;
    let Some(volume) = state.database.volume_mut(catalog, schema, volume) else {
        return no_volume(&place.name());
    };
    let answer = match kind {
        "files" => file(volume, &place, request, now),
        _ => directory(volume, &place, request, hides_empty),
    };
    // HEAD has no body, whatever comes.
    if *request.method() == Method::HEAD { answer.map(|_| Bytes::new()) } else { answer }
}

fn no_volume(name: &str) -> Response<Bytes> {
    let message = format!("Volume '{name}' does not exist.");
    let details = reason("FILES_API_RESOURCE_NOT_FOUND", &json!({ "unity_catalog_error_message": message }));
    detailed(StatusCode::NOT_FOUND, "NOT_FOUND", &message, &[details])
}

fn not_found(what: &str) -> Response<Bytes> {
    let message = format!("The {what} being accessed is not found.");
    detailed(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        &message,
        &[reason("FILES_API_RESOURCE_NOT_FOUND", &json!({}))],
    )
}

fn file(volume: &mut Volume, place: &Place, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
    if place.below.is_empty() {
        return invalid("The path is a directory.");
    }
    match *request.method() {
        Method::PUT => {
            let params = Params::parse([request.uri().query().unwrap_or_default().as_bytes()]);
            if params.get("overwrite") == Some("false") && volume.files.contains_key(&place.below) {
                let details = reason("FILES_API_FILE_ALREADY_EXISTS", &json!({}));
                let message = "The file being created already exists.";
                return detailed(StatusCode::CONFLICT, "ALREADY_EXISTS", message, &[details]);
            }
            if is_directory(volume, &place.below) {
                let message = "The path is a directory.";
                return refused(StatusCode::CONFLICT, "ALREADY_EXISTS", message);
            }
            let file = File { bytes: request.body().clone(), modified: now.as_millis() };
            volume.files.insert(place.below.clone(), file);
            volume.directories.extend(parents(&place.below).map(str::to_owned));
            no_content()
        }
        Method::GET | Method::HEAD => match volume.files.get(&place.below) {
            Some(file) => {
                let mut answer = Response::new(file.bytes.clone());
                let headers = answer.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes.len()));
                if let Ok(modified) = HeaderValue::from_str(&http_date(file.modified)) {
                    headers.insert(header::LAST_MODIFIED, modified);
                }
                answer
            }
            None => not_found("file"),
        },
        Method::DELETE => match volume.files.remove(&place.below) {
            Some(_) => no_content(),
            None => not_found("file"),
        },
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn http_date(millis: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `a/b` and `a` of `a/b/c`.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn is_directory(volume: &Volume, path: &str) -> bool {
    volume.directories.contains(path)
}

fn directory(
    volume: &mut Volume,
    place: &Place,
    request: &Request<Bytes>,
    hides_empty: bool,
) -> Response<Bytes> {
    let below = &place.below;
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let is_root = below.is_empty();
    let exists = if is_root {
        !(hides_empty && volume.files.is_empty() && volume.directories.is_empty())
    } else {
        is_directory(volume, below)
    };
    match *request.method() {
        Method::PUT => {
            if volume.files.contains_key(below) {
                return refused(StatusCode::CONFLICT, "ALREADY_EXISTS", "The path is a file.");
            }
            if !is_root {
                volume.directories.insert(below.clone());
                volume.directories.extend(parents(below).map(str::to_owned));
            }
            no_content()
        }
        _ if !exists => not_found("directory"),
        Method::HEAD => empty(StatusCode::OK),
        Method::DELETE => {
            let inside = |path: &String| path.starts_with(&prefix) && path != below;
            if volume.files.keys().any(inside) || volume.directories.iter().any(inside) {
                let details = reason("FILES_API_DIRECTORY_IS_NOT_EMPTY", &json!({}));
                let message = "The directory being deleted is not empty.";
                return detailed(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE", message, &[details]);
            }
            volume.directories.remove(below);
            no_content()
        }
        Method::GET => list(volume, place, &prefix, request),
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn list(volume: &Volume, place: &Place, prefix: &str, request: &Request<Bytes>) -> Response<Bytes> {
    let root = format!("/Volumes/{}", place.volume.join("/"));
    let child = |path: &'_ str| -> Option<String> {
        let name = path.strip_prefix(prefix)?;
        (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
    };
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for (path, file) in &volume.files {
        if let Some(name) = child(path) {
            let shown = json!({
                "path": format!("{root}/{path}"),
                "is_directory": false,
                "file_size": file.bytes.len(),
                "last_modified": file.modified,
                "name": name,
            });
            entries.insert(name, shown);
        }
    }
    for path in &volume.directories {
        if let Some(name) = child(path) {
            let shown = json!({
                "path": format!("{root}/{path}"),
                "is_directory": true,
                "last_modified": volume.created_at,
                "name": name,
            });
            entries.insert(name, shown);
        }
    }
    let params = Params::parse([request.uri().query().unwrap_or_default().as_bytes()]);
    let size = params.get("page_size").and_then(|size| size.parse().ok()).unwrap_or(PAGE).clamp(1, PAGE);
    let after = params.get("page_token").unwrap_or_default().to_owned();
    let mut rest = entries.into_iter().filter(|(name, _)| *name > after);
    let page: Vec<_> = rest.by_ref().take(size).collect();
    let mut body = json!({ "contents": page.iter().map(|(_, shown)| shown).collect::<Vec<_>>() });
    if let (Some((last, _)), true) = (page.last(), rest.next().is_some()) {
        body["next_page_token"] = last.as_str().into();
    }
    ok(body)
}
