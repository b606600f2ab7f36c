//! What the examples do besides their integration: they log, embed the connector in a web server, and end with a word.

use std::{future::Future, process::ExitCode, time::Duration};

use ml_connector_core::{Connector, Error, ErrorKind, Result};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing_subscriber::EnvFilter;

/// Writes log lines to standard error: those that `RUST_LOG` asks for, or else those of the connector from this level on.
pub fn log_from(level: &str) {
    let by_default = |_| format!("ml_connector_core={level}").into();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(by_default);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// How the program ends: `Ok(false)` = it found that something is wrong. An error is told with its causes.
#[must_use]
pub fn exit(done: Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// `--serve`: going on after the story.
    pub serve: bool,
    /// `--backfill`: reading the past. It is told to routes that take the origin `backfill`.
    pub backfill: bool,
    /// `--explain`: the whole trace of one message.
    pub explain: bool,
}

impl Flags {
    /// What this program was started with.
    #[must_use]
    pub fn from_args() -> Self {
        let has = |flag: &str| std::env::args().any(|arg| arg == flag);
        Self { serve: has("--serve"), backfill: has("--backfill"), explain: has("--explain") }
    }
}

/// Waits for Ctrl-C in a terminal, or for the SIGTERM of whatever deploys: from now on, not from when it is awaited on. Without a
/// signal to wait for, the program runs until it is killed.
pub fn asked_to_stop() -> impl Future<Output = ()> + Send {
    #[cfg(unix)]
    let signals = {
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    };
    async move {
        #[cfg(unix)]
        if let (Ok(mut terminated), Ok(mut interrupted)) = signals {
            tokio::select! { _ = terminated.recv() => return, _ = interrupted.recv() => return }
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_ok() {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// How long clients may take to finish what they have begun when the program stops. What is cut off then comes again.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A connector in a web server, as a host embeds it.
#[derive(Debug)]
pub struct Host {
    /// The connector, which runs.
    pub connector: Connector,
    stop: watch::Sender<()>,
    worker: JoinHandle<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Host {
    /// Listens, builds the connector for the public address, and runs it. Without a public address that is the one it
    /// listens at.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] when it cannot listen at the address; otherwise as `connector`.
    pub async fn start(
        listen: &str,
        public_url: Option<&str>,
        connector: impl FnOnce(&str) -> Result<Connector>,
    ) -> Result<Self> {
        let no_port = |source: std::io::Error| {
            Error::new(ErrorKind::ConfigInvalid, "cannot listen at this address")
                .with_context("listen", listen)
                .with_source(source)
        };
        let listener = TcpListener::bind(listen).await.map_err(no_port)?;
        let own_url = format!("http://{}/hooks", listener.local_addr().map_err(no_port)?);
        let connector = connector(public_url.unwrap_or(&own_url))?;
        let app = axum::Router::new().nest_service("/hooks", connector.service());
        let (stop, stopped) = watch::channel(());
        let until_stopped = |mut stopped: watch::Receiver<()>| async move { drop(stopped.changed().await) };
        let server = axum::serve(listener, app).with_graceful_shutdown(until_stopped(stopped.clone()));
        let server = tokio::spawn(async move { server.await });
        let running = connector.clone();
        let worker = tokio::spawn(async move { running.run(until_stopped(stopped)).await });
        Ok(Self { connector, stop, worker, server })
    }

    /// Does `first`, and goes on until `asked` to stop, or until the connector has ended by itself, which is an
    /// error. Then it stops.
    ///
    /// # Errors
    /// As [`stop`](Self::stop), and as `first`.
    pub async fn run(
        mut self,
        first: impl Future<Output = Result<()>>,
        asked: impl Future<Output = ()>,
    ) -> Result<()> {
        let goes_on = async {
            first.await?;
            std::future::pending().await
        };
        let ended = tokio::select! {
            ended = &mut self.worker => {
                self.server.abort();
                return ended.map_err(panicked);
            }
            failed = goes_on => failed,
            () = asked => Ok(()),
        };
        self.stop().await.and(ended)
    }

    /// Takes nothing more in, finishes what is under way, hands over what it holds, and ends.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when the connector panicked.
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        let worked = self.worker.await;
        let server = self.server.abort_handle();
        if tokio::time::timeout(LAST_ANSWERS, self.server).await.is_err() {
            server.abort();
        }
        worked.map_err(panicked)
    }
}

fn panicked(panic: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unexpected, "the connector panicked").with_source(panic)
}
