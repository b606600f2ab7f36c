//! actix-web, whose requests are no `http::Request` and whose bodies stay on their thread: the body is read here, and
//! the whole request is handed over.

use std::{io, time::Duration};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use ml_connector_core::Connector;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::PREFIX;

/// How long a body may take. The headers' time is bounded by `client_request_timeout`.
const BODY: Duration = Duration::from_secs(10);

pub(crate) fn serve(
    listener: TcpListener,
    connector: Connector,
    stop: oneshot::Receiver<()>,
) -> JoinHandle<io::Result<()>> {
    let webhooks = web::Data::new(connector);
    let app = move || {
        App::new().service(web::scope(PREFIX).app_data(webhooks.clone()).default_service(web::to(take)))
    };
    let listening = listener.into_std().and_then(|listener| {
        HttpServer::new(app)
            .workers(2)
            .client_request_timeout(Duration::from_secs(10))
            .shutdown_signal(async { drop(stop.await) })
            .listen(listener)
    });
    let server = listening.map(HttpServer::run);
    tokio::spawn(async { server?.await })
}

async fn take(request: HttpRequest, body: web::Payload, connector: web::Data<Connector>) -> HttpResponse {
    // The vendor sends again what it was not thanked for.
    let Ok(Some(body)) = tokio::time::timeout(BODY, read(body, connector.max_webhook_bytes())).await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    let Some(request) = translated(&request, body) else {
        return HttpResponse::BadRequest().finish();
    };
    let (parts, body) = connector.receive(request).await.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for (name, value) in &parts.headers {
        answer.append_header((name.as_str(), value.as_bytes()));
    }
    answer.body(body)
}

/// The body, or a little more of it than is allowed: the connector then answers as the vendor wants it.
async fn read(mut body: web::Payload, max: usize) -> Option<Bytes> {
    let mut read = BytesMut::new();
    while let Some(chunk) = body.next().await {
        read.extend_from_slice(&chunk.ok()?);
        if read.len() > max {
            break;
        }
    }
    Some(read.freeze())
}

/// The same request in the types of the crate `http` 1, without the prefix.
fn translated(request: &HttpRequest, body: Bytes) -> Option<http::Request<Bytes>> {
    let target = request.uri().path_and_query()?.as_str().strip_prefix(PREFIX)?;
    let mut translated = http::Request::builder().method(request.method().as_str()).uri(target);
    for (name, value) in request.headers() {
        translated = translated.header(name.as_str(), value.as_bytes());
    }
    translated.body(body).ok()
}
