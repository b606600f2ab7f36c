//! The connector and its console in three web servers: axum, actix-web and bare hyper. Each takes a webhook over a real
//! socket, shows the console to whom it is for, and stops when it is asked to.
//!
//! ```console
//! cargo run --example servers           # all
//! cargo run --example servers -- actix  # one
//! ```

mod actix;
mod axum;
mod hyper;

use std::{net::SocketAddr, process::ExitCode};

use ml_connector_console::{Access, Authorizer, Console, ConsoleService, Grant, Visible};
use ml_connector_core::{
    Connector, Error, ErrorKind, HttpTransport, Result,
    http::{Limits, ReqwestTransport},
    route::Route,
};
use ml_connector_examples::{
    host::{exit, log_from},
    lab::{ACCOUNTING, Lab, Running, expect},
    wait,
};
use ml_connector_slack::channel;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// Where webhooks are taken: a server has other routes beside them.
const PREFIX: &str = "/hooks";
/// Where the console is.
const CONSOLE: &str = "/console";

/// Serves `connector` until `stop` is dropped or sent.
type Serve =
    fn(TcpListener, Connector, ConsoleService, oneshot::Receiver<()>) -> JoinHandle<std::io::Result<()>>;

const SERVERS: [(&str, Serve); 3] = [("axum", axum::serve), ("actix", actix::serve), ("hyper", hyper::serve)];

#[tokio::main]
async fn main() -> ExitCode {
    log_from("off");
    exit(play(std::env::args().nth(1)).await.map(|()| true))
}

async fn play(only: Option<String>) -> Result<()> {
    let chosen = SERVERS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    let mut played = 0;
    for (name, serve) in chosen {
        println!("{name}");
        try_out(*serve).await?;
        played += 1;
    }
    if played == 0 {
        let known = SERVERS.map(|(name, _)| name).join(", ");
        return Err(Error::new(ErrorKind::ConfigInvalid, "no such server").with_context("servers", known));
    }
    Ok(())
}

/// A webhook arrives and is told; one that is forged, one that is too large and one for another path are refused.
async fn try_out(serve: Serve) -> Result<()> {
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.*").to("slack", channel(ACCOUNTING)))
        .build()?;
    let running = Running::start(&connector);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken)?;
    let address = listener.local_addr().map_err(broken)?;
    let (stop, stopped) = oneshot::channel();
    let console = Console::new(connector.clone(), SignedIn).at(CONSOLE)?;
    let server = serve(listener, connector.clone(), console, stopped);

    for page in ["/console", "/console/", "/console/events"] {
        expect(
            "the console is for those who are signed in",
            status(address, "", look(page, None)?).await? == 403,
        )?;
        expect("and shows itself to them", status(address, "", look(page, Some("ada"))?).await? == 200)?;
    }

    lab.invoice("Bluebird Logistics", 125_050)?;
    let webhook = lab
        .books
        .take_webhooks()
        .pop()
        .ok_or_else(|| Error::new(ErrorKind::Unexpected, "the books sent nothing"))?
        .request;
    let mut forged = webhook.clone();
    *forged.body_mut() = "{}".into();
    expect("a forged webhook is refused", status(address, PREFIX, forged).await? == 401)?;
    let mut large = webhook.clone();
    *large.body_mut() = vec![b' '; connector.max_webhook_bytes() + 1].into();
    expect("one that is too large is refused", status(address, PREFIX, large).await? == 413)?;
    let elsewhere = status(address, "/other", webhook.clone()).await?;
    expect("one for another path is not found", elsewhere == 404)?;
    expect("the webhook is taken", status(address, PREFIX, webhook).await? == 200)?;
    wait::until("no message in Slack", || (lab.shown(ACCOUNTING).len() == 1).then_some(())).await?;
    println!("  it is told");

    drop(stop);
    server.await.map_err(|panic| broken(panic.into()))?.map_err(broken)?;
    running.stop().await;
    expect("the server and the connector have stopped", true)
}

/// What the host's sign-in has left in a request; a real one is not a header that anybody can send.
#[derive(Debug)]
struct SignedIn;

#[async_trait::async_trait]
impl Authorizer for SignedIn {
    async fn authorize(&self, request: &http::request::Parts) -> Access {
        let user = request.headers.get("user").and_then(|user| user.to_str().ok());
        user.map_or(Access::Deny, |user| Grant::view(user, Visible::All).into())
    }
}

/// A look at a page.
fn look(page: &str, user: Option<&str>) -> Result<http::Request<bytes::Bytes>> {
    let mut request = http::Request::get(format!("http://host.example{page}"));
    if let Some(user) = user {
        request = request.header("user", user);
    }
    let broken = |source| Error::new(ErrorKind::Unexpected, "no request").with_source(source);
    request.body(bytes::Bytes::new()).map_err(broken)
}

/// Sends a request of the simulator to the server, as a vendor would.
async fn status(address: SocketAddr, prefix: &str, request: http::Request<bytes::Bytes>) -> Result<u16> {
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    parts.uri =
        format!("http://{address}{prefix}{target}").parse().map_err(|source: http::uri::InvalidUri| {
            Error::new(ErrorKind::Unexpected, "no URL").with_source(source)
        })?;
    let sent = ReqwestTransport::new().send(http::Request::from_parts(parts, body), Limits::default()).await;
    sent.map(|answer| answer.status().as_u16())
        .map_err(|error| Error::new(ErrorKind::Unavailable, "the server does not answer").with_source(error))
}

fn broken(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "the server does not work").with_source(error)
}
