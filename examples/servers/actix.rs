//! actix-web, whose requests are no `http::Request` and whose bodies stay on their thread: the body is read here, and
//! the whole request is handed over.

use std::{io, time::Duration};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use ml_connector_console::ConsoleService;
use ml_connector_core::Connector;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower_service::Service;

use super::{CONSOLE, PREFIX};

/// How long a body may take. The headers' time is bounded by `client_request_timeout`.
const BODY: Duration = Duration::from_secs(10);
/// The largest form of the console.
const FORM: usize = 128 << 10;

pub(crate) fn serve(
    listener: TcpListener,
    connector: Connector,
    console: ConsoleService,
    stop: oneshot::Receiver<()>,
) -> JoinHandle<io::Result<()>> {
    let (webhooks, console) = (web::Data::new(connector), web::Data::new(console));
    let app = move || {
        let webhooks = web::scope(PREFIX).app_data(webhooks.clone()).default_service(web::to(take));
        let console = web::scope(CONSOLE).app_data(console.clone()).default_service(web::to(show));
        App::new().service(webhooks).service(console)
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
    let Some(request) = translated(&request, PREFIX, body) else {
        return HttpResponse::BadRequest().finish();
    };
    let (parts, body) = connector.receive(request).await.into_parts();
    answered(&parts, body)
}

/// The console is given the whole path: it knows its own.
async fn show(request: HttpRequest, body: web::Payload, console: web::Data<ConsoleService>) -> HttpResponse {
    let Ok(Some(body)) = tokio::time::timeout(BODY, read(body, FORM)).await else {
        return HttpResponse::RequestTimeout().finish();
    };
    let Some(request) = translated(&request, "", body) else {
        return HttpResponse::BadRequest().finish();
    };
    let Ok(answer) = ConsoleService::clone(&console).call(request.map(Full::new)).await;
    let (parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await;
    answered(&parts, body.to_bytes())
}

/// The same answer in the types of actix-web.
fn answered(parts: &http::response::Parts, body: Bytes) -> HttpResponse {
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
fn translated(request: &HttpRequest, prefix: &str, body: Bytes) -> Option<http::Request<Bytes>> {
    let target = request.uri().path_and_query()?.as_str().strip_prefix(prefix)?;
    let mut translated = http::Request::builder().method(request.method().as_str()).uri(target);
    for (name, value) in request.headers() {
        translated = translated.header(name.as_str(), value.as_bytes());
    }
    translated.body(body).ok()
}
