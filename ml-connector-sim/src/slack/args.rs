//! Arguments of a Web API call, out of a query, a form or JSON.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, header};
use serde_json::{Map, Value};

use crate::toolkit::params::Params;

impl From<Map<String, Value>> for Args {
    fn from(values: Map<String, Value>) -> Self {
        Self { values, ..Self::default() }
    }
}

/// Arguments, and how they came.
#[derive(Debug, Default)]
pub(super) struct Args {
    values: Map<String, Value>,
    pub(super) json_body: bool,
    /// The token in the header or in a form; empty without one.
    pub(super) token: String,
    /// Who calls, by HTTP Basic.
    pub(super) basic: Option<(String, String)>,
    pub(super) warnings: Vec<&'static str>,
}

impl Args {
    /// Reads the arguments, or says what is wrong with the body.
    pub(super) fn read(request: &Request<Bytes>) -> Result<Self, &'static str> {
        let mut args = Self::default();
        args.form(request.uri().query().unwrap_or_default().as_bytes());
        let authorization =
            request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        args.authorize(authorization.unwrap_or_default());
        let Some(content_type) = request.headers().get(header::CONTENT_TYPE) else {
            return if request.body().is_empty() { Ok(args) } else { Err("missing_post_type") };
        };
        let content_type = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
        let (media_type, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
        let has_charset = parameters.contains("charset");
        match media_type.trim() {
            "application/x-www-form-urlencoded" => {
                if has_charset {
                    args.warnings.push("superfluous_charset");
                }
                args.form(request.body());
                if let Some(token) = args.text("token").filter(|_| authorization.is_none()) {
                    args.token = token;
                }
            }
            "application/json" => {
                if !has_charset {
                    args.warnings.push("missing_charset");
                }
                args.json_body = true;
                match serde_json::from_slice(request.body()) {
                    Ok(Value::Object(values)) => args.values.extend(values),
                    Ok(_) => return Err("json_not_object"),
                    Err(_) if request.body().is_empty() => {}
                    Err(_) => return Err("invalid_json"),
                }
            }
            "multipart/form-data" => {
                // A boundary keeps its case.
                let written = request.headers().get(header::CONTENT_TYPE);
                let written = written.and_then(|value| value.to_str().ok()).unwrap_or_default();
                args.multipart(boundary(written).ok_or("invalid_form_data")?, request.body());
                if let Some(token) = args.text("token").filter(|_| authorization.is_none()) {
                    args.token = token;
                }
            }
            _ => return Err("invalid_post_type"),
        }
        Ok(args)
    }

    /// Forgets everything: what a form-only method sees of a JSON body.
    pub(super) fn make_invisible(&mut self) {
        self.values.clear();
    }

    /// All of them, except the token.
    pub(super) fn all(&self) -> Value {
        self.values
            .iter()
            .filter(|(name, _)| *name != "token")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// A scalar as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text == "true" || text == "1")
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }

    /// All scalars, for the token endpoint.
    pub(super) fn params(&self) -> Params {
        let mut params = Params::default();
        for name in self.values.keys() {
            self.text(name).into_iter().for_each(|value| params.push(name, &value));
        }
        params
    }

    /// A structured argument: JSON text in a form, or JSON itself. `Some(Err)` when it is no JSON.
    pub(super) fn structured(&self, name: &str) -> Option<Result<Value, ()>> {
        match self.values.get(name)? {
            Value::String(text) => Some(serde_json::from_str(text).map_err(drop)),
            Value::Null => None,
            value => Some(Ok(value.clone())),
        }
    }

    fn authorize(&mut self, authorization: &str) {
        if let Some(token) = authorization.strip_prefix("Bearer ") {
            token.clone_into(&mut self.token);
        }
        let decoded =
            authorization.strip_prefix("Basic ").and_then(|basic| BASE64_STANDARD.decode(basic).ok());
        let text = decoded.and_then(|decoded| String::from_utf8(decoded).ok());
        self.basic = text.and_then(|text| {
            let (id, secret) = text.split_once(':')?;
            Some((id.to_owned(), secret.to_owned()))
        });
    }

    /// The fields of `multipart/form-data` that are text; files are skipped.
    fn multipart(&mut self, boundary: &str, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        for part in text.split(&format!("--{boundary}")) {
            let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
            let (Some(name), None) = (parameter(head, "name"), parameter(head, "filename")) else { continue };
            let value = value.strip_suffix("\r\n").unwrap_or(value);
            self.values.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    }

    fn form(&mut self, encoded: &[u8]) {
        for (name, value) in url::form_urlencoded::parse(encoded) {
            self.values.insert(name.into_owned(), Value::String(value.into_owned()));
        }
    }
}

fn boundary(content_type: &str) -> Option<&str> {
    let (_, rest) = content_type.split_once("boundary=")?;
    let boundary = rest.split(';').next()?.trim().trim_matches('"');
    (!boundary.is_empty()).then_some(boundary)
}

/// A parameter of `Content-Disposition` in the head of a part.
fn parameter<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = head.split_once(&format!("; {name}="))?;
    let value = rest.split([';', '\r']).next()?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &'static str) -> Result<Args, &'static str> {
        let request = Request::post("/api/x").header(header::CONTENT_TYPE, content_type);
        Args::read(&request.body(Bytes::from(body)).unwrap())
    }

    #[test]
    fn a_multipart_form_is_read_field_by_field_and_its_files_are_skipped() {
        let body = "--Xy\r\nContent-Disposition: form-data; name=\"channel\"\r\n\r\nC1\r\n\
                    --Xy\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\ntwo\r\nlines\r\n\
                    --Xy\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nno\r\n--Xy--\r\n";
        let args = read("multipart/form-data; boundary=Xy", body).unwrap();
        let read_of = |name| args.text(name);
        assert_eq!(read_of("channel").as_deref(), Some("C1"));
        assert_eq!(read_of("text").as_deref(), Some("two\r\nlines"));
        assert_eq!(read_of("file"), None);
    }

    #[test]
    fn a_multipart_form_without_a_boundary_is_refused() {
        assert_eq!(read("multipart/form-data", "x").unwrap_err(), "invalid_form_data");
    }
}
