//! Signature vectors: requests in a JSON file that say whether they may be believed, for us and for other languages.
//!
//! Each system crate whose vendor signs has its file in `tests/vectors/`, which describes its own members. [`check`] holds a source and a
//! second computation of the signature against it.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::Request;
use serde::Deserialize;

use crate::{ErrorKind, Result, Source, Timestamp, model::Intake, source::ReceiveRequest};

/// A request as it arrives, and whether a receiver may believe it.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct SignatureVector {
    /// Unique within the file.
    pub name: String,
    /// What the receiver knows. No secret: it stands in a public file.
    pub secret: String,
    /// The receiver's clock, in seconds since the Unix epoch.
    pub now: i64,
    /// Path and query.
    pub target: String,
    /// The headers that matter, none of them twice.
    pub headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    /// The right signature, whatever the headers carry.
    pub signature: String,
    /// Whether the request may be believed.
    pub verdict: VectorVerdict,
    /// The reason of the verdict.
    pub why: String,
    /// The text that is signed, where it does not stand in the request as it is.
    #[serde(default)]
    pub message: String,
    /// The query parameters that the receiver is set up for, where that matters.
    #[serde(default)]
    pub parameters: Vec<String>,
}

/// Whether a request may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VectorVerdict {
    /// It is proven to come from the vendor.
    Accept,
    /// It is not.
    Refuse,
}

#[derive(Deserialize)]
struct VectorFile {
    format: Format,
    vectors: Vec<SignatureVector>,
}

#[derive(Deserialize)]
struct Format {
    version: u32,
}

impl SignatureVector {
    /// The body's bytes.
    ///
    /// # Panics
    /// When there is no body, or it is no base64.
    #[must_use]
    pub fn body(&self) -> Bytes {
        match (&self.body, &self.body_base64) {
            (Some(text), None) => Bytes::from(text.clone()),
            (None, Some(encoded)) => BASE64_STANDARD.decode(encoded).expect("the body is base64").into(),
            _ => panic!("{}: either `body` or `body_base64`", self.name),
        }
    }

    /// The value of a header; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The whole request.
    ///
    /// # Panics
    /// When the vector is no HTTP request.
    #[must_use]
    pub fn request(&self) -> Request<Bytes> {
        let request = Request::post(&self.target);
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        request.body(self.body()).expect("the vector is an HTTP request")
    }
}

/// Checks a file of vectors: that `sign` computes every signature in it, and that a source believes the requests that it
/// says, and no other.
///
/// `source` is the source with the vector's secret and parameters, or `None` for a set-up that only others have.
///
/// # Panics
/// With the names of all vectors that do not hold, or with what is wrong with the file.
pub fn check<S: Source>(
    file: &str,
    sign: impl Fn(&SignatureVector) -> String,
    source: impl Fn(&SignatureVector) -> Option<S>,
) {
    check_with(file, sign, |vector, request| Some(source(vector)?.receive(request)));
}

/// The same for a receiver that knows more than a source is built with, such as the state of its subscriptions.
///
/// # Panics
/// As [`check`].
pub fn check_with(
    file: &str,
    sign: impl Fn(&SignatureVector) -> String,
    receive: impl Fn(&SignatureVector, ReceiveRequest<'_>) -> Option<Result<Intake>>,
) {
    let VectorFile { format, vectors } = serde_json::from_str(file).expect("a file of signature vectors");
    assert_eq!(format.version, 1, "the version of the format");
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len(), "a name is there twice");
    for verdict in [VectorVerdict::Accept, VectorVerdict::Refuse] {
        assert!(vectors.iter().any(|vector| vector.verdict == verdict), "nothing to {verdict:?}");
    }
    let differs = vectors.iter().filter_map(|vector| {
        let signed = sign(vector);
        if signed != vector.signature {
            return Some(format!("{}: the signature is {signed}", vector.name));
        }
        let request = vector.request();
        let request = ReceiveRequest::new(&request, Timestamp::from_secs(vector.now));
        let verdict = match receive(vector, request)? {
            Err(error) if error.kind() == ErrorKind::SignatureInvalid => VectorVerdict::Refuse,
            // Proven, whether understood or not.
            Ok(_) | Err(_) => VectorVerdict::Accept,
        };
        (verdict != vector.verdict).then(|| format!("{}: {verdict:?}, but {}", vector.name, vector.why))
    });
    let differs: Vec<String> = differs.collect();
    assert!(differs.is_empty(), "vectors that do not hold:\n{}", differs.join("\n"));
}
