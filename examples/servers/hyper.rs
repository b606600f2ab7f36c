//! Bare hyper: a connection is served by the tower service. Slow headers are bounded here, slow bodies by the connector.

use std::{convert::Infallible, future::ready, time::Duration};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use ml_connector_console::ConsoleService;
use ml_connector_core::{Connector, engine::WebhookService};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower_service::Service;

use crate::{CONSOLE, PREFIX};

/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(10);

pub(crate) fn serve(
    listener: TcpListener,
    connector: Connector,
    console: ConsoleService,
    mut stop: oneshot::Receiver<()>,
) -> JoinHandle<std::io::Result<()>> {
    tokio::spawn(async move {
        let open = GracefulShutdown::new();
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted?.0,
                _ = &mut stop => break,
            };
            let (webhooks, console) = (connector.service(), console.clone());
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEADERS).serve_connection(
                    TokioIo::new(stream),
                    service_fn(move |request| route(webhooks.clone(), console.clone(), request)),
                );
            // What breaks here is the client's; a webhook that was not answered comes again.
            tokio::spawn(open.watch(connection));
        }
        open.shutdown().await;
        Ok(())
    })
}

/// Webhooks are below the prefix, which is taken off. The console is given the whole path: it knows its own.
fn route(
    mut webhooks: WebhookService,
    mut console: ConsoleService,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send {
    let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    if request.uri().path().strip_prefix(CONSOLE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    {
        return Either::Left(console.call(request));
    }
    let below = target.strip_prefix(PREFIX).filter(|below| below.starts_with('/'));
    match below.and_then(|below| below.parse::<Uri>().ok()) {
        Some(below) => {
            *request.uri_mut() = below;
            Either::Left(webhooks.call(request))
        }
        None => {
            let mut unknown = Response::new(Full::default());
            *unknown.status_mut() = StatusCode::NOT_FOUND;
            Either::Right(ready(Ok(unknown)))
        }
    }
}
