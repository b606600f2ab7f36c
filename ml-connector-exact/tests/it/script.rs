//! Answers word by word, for what no simulator would say.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ml_connector_core::{
    Context, HttpTransport,
    http::{Limits, TransportError},
};
use serde_json::Value;

use crate::support::Lab;

/// Answers calls to some paths from a script, and everything else as the simulator does.
#[derive(Debug)]
pub(crate) struct Script {
    lab: Arc<dyn HttpTransport>,
    /// By the end of the path; the last answer stays.
    answers: Mutex<Vec<(String, VecDeque<Response<Bytes>>)>>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    pub(crate) fn says(&self, path: &str, answers: impl IntoIterator<Item = Response<Bytes>>) {
        let mut known = self.answers.lock().unwrap();
        known.retain(|(of, _)| of != path);
        known.push((path.to_owned(), answers.into_iter().collect()));
    }

    /// Answers calls to a path as the simulator does.
    pub(crate) fn forgets(&self, path: &str) {
        self.answers.lock().unwrap().retain(|(of, _)| of != path);
    }

    /// The queries of calls to a path, decoded.
    pub(crate) fn asked(&self, path: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|url| url.contains(path)).cloned().collect()
    }
}

#[async_trait]
impl HttpTransport for Script {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let url = request.uri().to_string();
        let url: String = url::form_urlencoded::parse(format!("={}", url.replace('&', "%26")).as_bytes())
            .map(|(_, text)| text.into_owned())
            .collect();
        self.asked.lock().unwrap().push(url);
        let path = request.uri().path().to_owned();
        if let Some((_, answers)) =
            self.answers.lock().unwrap().iter_mut().find(|(end, _)| path.ends_with(&**end))
        {
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            return Ok(answer.expect("an answer"));
        }
        self.lab.send(request, limits).await
    }
}

pub(crate) fn scripted(lab: &Lab) -> (Arc<Script>, Context) {
    let lab_transport = Arc::clone(&lab.transport);
    let script = Arc::new(Script { lab: lab_transport, answers: Mutex::default(), asked: Mutex::default() });
    let ctx = lab.through(Arc::clone(&script) as _);
    (script, ctx)
}

pub(crate) fn answer(status: u16, body: &Value) -> Response<Bytes> {
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(text.into()).unwrap()
}

/// Finds every question about a path too much that does not ask for a part only.
#[derive(Debug)]
pub(crate) struct OnlyParts(pub(crate) Arc<dyn HttpTransport>, pub(crate) &'static str);

#[async_trait]
impl HttpTransport for OnlyParts {
    async fn send(&self, request: Request<Bytes>, limits: Limits) -> Result<Response<Bytes>, TransportError> {
        let asks_for_all = !request.uri().query().is_some_and(|query| query.contains("top="));
        if request.uri().path().ends_with(self.1) && asks_for_all {
            return Ok(Response::builder().status(408).body(Bytes::new()).unwrap());
        }
        self.0.send(request, limits).await
    }
}
