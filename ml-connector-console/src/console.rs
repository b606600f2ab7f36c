//! The console as a tower service: who asks, which page, and the answer.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use ml_connector_core::{Connector, Error, ErrorKind, Result};
use tower_service::Service;

use crate::{
    answer::{Answer, Refusal, response},
    asked::Asked,
    assets,
    authorizer::{Access, Authorizer},
    pages,
    params::{LONGEST_ROUTES, Params},
    scoped::Scoped,
    security::is_same_origin,
    show,
};

/// The largest form: the longest text of routes, with every character escaped.
const MOST_BYTES: usize = 3 * LONGEST_ROUTES + 4096;
/// How long a form may take to come in.
const SLOWEST: Duration = Duration::from_secs(15);

/// A console that is not mounted yet. [`at`](Self::at) says where people find it.
#[derive(Debug)]
pub struct Console {
    connector: Connector,
    authorizer: Arc<dyn Authorizer>,
}

impl Console {
    /// A console for a connector, for those whom the authorizer lets in.
    pub fn new(connector: Connector, authorizer: impl Authorizer) -> Self {
        Self { connector, authorizer: Arc::new(authorizer) }
    }

    /// The console at this path, as browsers see it: all addresses on its pages begin so. Requests may come with the path,
    /// without it, or with the end of it, as routers and proxies leave it: of a console at `/ops/console`,
    /// `/ops/console/events`, `/console/events` and `/events` are the same page.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] unless the path is `/`, or segments of letters, digits, `-`, `_`, `.` and `~` none of
    /// which is the name of a page, such as `/console` or `/ops/connector`.
    pub fn at(self, path: &str) -> Result<ConsoleService> {
        let base = path.strip_suffix('/').unwrap_or(path);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let is_good = |segment: &str| {
            !segment.is_empty() && segment.chars().all(is_plain) && segment != "." && segment != ".."
        };
        let is_mountable =
            |rest: &str| rest.split('/').all(|segment| is_good(segment) && !pages::NAMES.contains(&segment));
        if path.is_empty() || !base.is_empty() && !base.strip_prefix('/').is_some_and(is_mountable) {
            return Err(Error::new(ErrorKind::ConfigInvalid, "expected a path such as /console")
                .with_operation("console.at")
                .with_context("path", path.escape_debug()));
        }
        let Self { connector, authorizer } = self;
        Ok(ConsoleService(Arc::new(Mounted { connector, authorizer, base: base.into() })))
    }
}

/// The console, for any tower or hyper server: `axum::Router::nest_service("/console", console)`. Cheap to clone.
#[derive(Clone)]
pub struct ConsoleService(Arc<Mounted>);

impl fmt::Debug for ConsoleService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConsoleService").field(&self.0.base).finish()
    }
}

struct Mounted {
    connector: Connector,
    authorizer: Arc<dyn Authorizer>,
    base: Arc<str>,
}

impl<B> Service<Request<B>> for ConsoleService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mounted = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let is_head = parts.method == Method::HEAD;
            Ok(response(&mounted.answer(&parts, body).await, is_head))
        })
    }
}

impl Mounted {
    async fn answer<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let grant = match self.authorizer.authorize(parts).await {
            Access::Allow(grant) if !grant.actor().trim().is_empty() => grant,
            _ => return Answer::Page(StatusCode::FORBIDDEN, show::denied()),
        };
        let path = self.own_path(parts.uri.path());
        if let Some(asset) = assets::at(path) {
            return asset;
        }
        let scoped = Scoped::new(self.connector.clone(), grant);
        let params = match params(parts, body).await {
            Ok(params) => params,
            Err(refusal) => {
                let asked = Asked::new(scoped, Params::default(), Arc::clone(&self.base));
                return show::refused(&asked, &refusal);
            }
        };
        let asked = Asked::new(scoped, params, Arc::clone(&self.base));
        match pages::answer(&asked, parts.method == Method::POST, path).await {
            Ok(answer) => answer,
            Err(refusal) => {
                if let Refusal::Core(error) = &refusal {
                    tracing::warn!(%error, "the console cannot answer");
                }
                show::refused(&asked, &refusal)
            }
        }
    }

    /// The path below the console: with the console's own path, with the end of it that a proxy has left, or without it; with
    /// a slash at the end or without.
    fn own_path<'a>(&self, path: &'a str) -> &'a str {
        let left = self.base.match_indices('/').map(|(i, _)| &self.base[i..]);
        let mut below = left.filter_map(|left| path.strip_prefix(left));
        let below = below.find(|rest| rest.is_empty() || rest.starts_with('/'));
        let path = below.unwrap_or(path);
        path.strip_suffix('/').unwrap_or(path)
    }
}

/// What a request asks for. Whatever changes something comes as a form, from a page of ours.
async fn params<B>(parts: &Parts, body: B) -> Result<Params, Refusal>
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match parts.method {
        Method::GET | Method::HEAD => Params::of_query(parts.uri.query()),
        Method::POST => {
            if !is_same_origin(parts) {
                return Err(Refusal::Forbidden("The form did not come from a page of this console."));
            }
            let kind = parts.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if kind.is_none_or(|kind| !kind.starts_with("application/x-www-form-urlencoded")) {
                return Err(Refusal::bad("this is no form"));
            }
            let body = tokio::time::timeout(SLOWEST, Limited::new(body, MOST_BYTES).collect()).await;
            let body = body.map_err(|_| Refusal::Body)?.map_err(|_| Refusal::Body)?;
            Params::of_form(&body.to_bytes())
        }
        _ => Err(Refusal::Method),
    }
}
