//! A console behind real servers, each as a host would have it.

use std::convert::Infallible;

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use ml_connector_console::ConsoleService;
use tokio::{net::TcpListener, task::JoinHandle};
use tower_service::Service;

use crate::world::World;

/// How the console is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mount {
    /// By axum, which strips the path.
    Nested,
    /// By hyper alone, which strips nothing.
    Bare,
    /// By hyper, behind a proxy that strips the first part of the path.
    Proxied,
}

impl Mount {
    /// Where people find it.
    pub(super) fn path(self) -> &'static str {
        if self == Self::Proxied { "/ops/console" } else { "/console" }
    }
}

/// Serves the console of a world for one person. Returns its address, and the server, which ends when it is dropped.
pub(super) async fn serve(world: &World, mount: Mount, actor: &'static str) -> (String, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{}", listener.local_addr().unwrap(), mount.path());
    let service = As { actor, mount, console: world.console.clone() };
    let server = match mount {
        Mount::Nested => tokio::spawn(async move {
            let app = Router::new().nest_service("/console", service);
            axum::serve(listener, app).await.unwrap();
        }),
        Mount::Bare | Mount::Proxied => tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(service.clone());
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move {
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        }),
    };
    (url, Server(server))
}

pub(super) struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Signs everybody in as one person, and strips what a proxy would.
#[derive(Clone)]
struct As {
    actor: &'static str,
    mount: Mount,
    console: ConsoleService,
}

impl<B> Service<Request<B>> for As
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = <ConsoleService as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.console, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.headers_mut().insert("actor", HeaderValue::from_static(self.actor));
        if self.mount == Mount::Proxied {
            let uri = request.uri().to_string();
            let stripped = uri.strip_prefix("/ops").map(|rest| rest.parse::<Uri>().unwrap());
            *request.uri_mut() = stripped.unwrap_or_default();
        }
        self.console.call(request)
    }
}
