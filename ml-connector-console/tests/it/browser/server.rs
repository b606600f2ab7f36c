//! A console behind real servers, each as a host would have it.

// The example, as it is.
#[path = "../../../../examples/servers/actix.rs"]
mod actix;

use std::convert::Infallible;

use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use http::{Request, Response, Uri, request::Parts};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use ml_connector_console::{Access, Authorizer, Console, ConsoleService};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower_service::Service;

use crate::world::{World, access};

/// Where a server of the example has webhooks, and where the console.
const PREFIX: &str = "/hooks";
const CONSOLE: &str = "/console";

/// How the console is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mount {
    /// By axum, which strips the path.
    Nested,
    /// In a scope of actix-web, whose requests are of other types.
    Scoped,
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
    let console = Console::new(world.connector.clone(), Always(actor)).at(mount.path()).unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = match mount {
        Mount::Nested => tokio::spawn(async move {
            let app = Router::new().nest_service(CONSOLE, console);
            axum::serve(listener, app).await
        }),
        Mount::Scoped => actix::serve(listener, world.connector.clone(), console, stopped),
        Mount::Bare | Mount::Proxied => tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let service = Stripped { strips: mount == Mount::Proxied, console: console.clone() };
                let service = hyper_util::service::TowerToHyperService::new(service);
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move {
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        }),
    };
    (url, Server { task, _stop: stop })
}

pub(super) struct Server {
    task: JoinHandle<std::io::Result<()>>,
    _stop: oneshot::Sender<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes everybody for one person.
#[derive(Debug)]
struct Always(&'static str);

#[async_trait]
impl Authorizer for Always {
    async fn authorize(&self, _: &Parts) -> Access {
        access(Some(self.0))
    }
}

/// Strips what a proxy would.
#[derive(Clone)]
struct Stripped {
    strips: bool,
    console: ConsoleService,
}

impl<B> Service<Request<B>> for Stripped
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
        if self.strips {
            let uri = request.uri().to_string();
            let stripped = uri.strip_prefix("/ops").map(|rest| rest.parse::<Uri>().unwrap());
            *request.uri_mut() = stripped.unwrap_or_default();
        }
        self.console.call(request)
    }
}
