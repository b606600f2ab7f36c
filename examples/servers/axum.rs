//! axum: the connector is a tower service, which is nested.

use ml_connector_console::ConsoleService;
use ml_connector_core::Connector;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{CONSOLE, PREFIX};

pub(crate) fn serve(
    listener: TcpListener,
    connector: Connector,
    console: ConsoleService,
    stop: oneshot::Receiver<()>,
) -> JoinHandle<std::io::Result<()>> {
    tokio::spawn(async move {
        let app =
            axum::Router::new().nest_service(PREFIX, connector.service()).nest_service(CONSOLE, console);
        axum::serve(listener, app).with_graceful_shutdown(async { drop(stop.await) }).await
    })
}
