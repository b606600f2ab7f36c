//! The console of the demos that keep running.

use async_trait::async_trait;
use ml_connector_console::{Access, Authorizer, Console, Grant, Visible};
use ml_connector_core::{Connector, Error, ErrorKind, Result};
use tokio::net::TcpListener;

/// Lets in everybody who asks this machine for itself. That is right for a demo alone: all of it is simulated, and nobody
/// else reaches the port. A real authorizer asks the host's own sign-in who somebody is, and denies everybody else: a
/// console that is open "only locally" is open to every program, proxy and tunnel on the machine.
#[derive(Debug)]
struct EverybodyHere;

#[async_trait]
impl Authorizer for EverybodyHere {
    async fn authorize(&self, request: &http::request::Parts) -> Access {
        // A page of another site that was given this address by its own name does not come in.
        let host = request.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let name = host.and_then(|host| host.rsplit_once(':')).map(|(name, _)| name);
        match name {
            Some("127.0.0.1" | "localhost") => {
                Grant::act("demo", Visible::All).with_payloads().with_routes().into()
            }
            _ => Access::Deny,
        }
    }
}

/// Serves the console for whoever sits at this machine, until the program ends, and says where.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] when no port of this machine is free.
pub async fn serve(connector: &Connector) -> Result<()> {
    let no_port = |source: std::io::Error| {
        Error::new(ErrorKind::ConfigInvalid, "no port for the console").with_source(source)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(no_port)?;
    let address = listener.local_addr().map_err(no_port)?;
    let console = Console::new(connector.clone(), EverybodyHere).at("/console")?;
    let app = axum::Router::new().nest_service("/console", console);
    tokio::spawn(async move { axum::serve(listener, app).await });
    println!(
        "\nThe console is at http://{address}/console. It lets in everybody on this machine, because all of this is"
    );
    println!(
        "simulated. A real one asks your own sign-in who somebody is: whatever is \"only local\" is open to every"
    );
    println!("program, proxy and tunnel on the machine.");
    Ok(())
}
