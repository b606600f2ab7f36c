//! A request to a token endpoint, read.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, header};
use serde_json::Value;

use crate::toolkit::params::Params;

/// What a token endpoint is asked for, and how.
#[derive(Debug, Default)]
pub(crate) struct TokenRequest {
    params: Params,
    basic: Option<(String, String)>,
    /// Whether the body was JSON, which not every vendor takes.
    pub(crate) is_json: bool,
}

impl TokenRequest {
    /// Reads query, form or JSON, and HTTP Basic. What cannot be read is missing.
    pub(crate) fn read(request: &Request<Bytes>) -> Self {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let is_json = header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let mut params = Params::parse([query, if is_json { b"" } else { request.body().as_ref() }]);
        if is_json && let Ok(Value::Object(fields)) = serde_json::from_slice(request.body()) {
            for (name, value) in fields {
                value.as_str().into_iter().for_each(|value| params.push(&name, value));
            }
        }
        Self { params, basic: header(header::AUTHORIZATION).and_then(basic), is_json }
    }

    /// From parameters that a vendor has read in its own way.
    pub(crate) fn of(params: Params, basic: Option<(String, String)>) -> Self {
        Self { params, basic, is_json: false }
    }

    /// A parameter; empty without one.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.params.get(name).unwrap_or_default()
    }

    /// What is asked for: `authorization_code` when nothing is said and a code is there.
    pub(crate) fn grant_type(&self) -> &str {
        match self.params.get("grant_type") {
            Some(named) => named,
            None if self.params.get("code").is_some() => "authorization_code",
            None => "",
        }
    }

    /// The requested scopes.
    pub(crate) fn scopes(&self) -> Vec<String> {
        self.get("scope").split_whitespace().map(str::to_owned).collect()
    }

    /// Whether the client named itself by HTTP Basic.
    pub(crate) fn is_basic(&self) -> bool {
        self.basic.is_some()
    }

    /// The client's id and secret, by HTTP Basic before the body.
    pub(crate) fn client(&self) -> (&str, &str) {
        match &self.basic {
            Some((id, secret)) => (id, secret),
            None => (self.get("client_id"), self.get("client_secret")),
        }
    }
}

/// Id and secret of HTTP Basic, each form-encoded as RFC 6749 says.
fn basic(authorization: &str) -> Option<(String, String)> {
    let decoded = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((plain(id), plain(secret)))
}

fn plain(encoded: &str) -> String {
    let pair = format!("={}", encoded.replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, text)| text.into_owned()).unwrap_or_default()
}
