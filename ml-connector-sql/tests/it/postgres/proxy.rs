//! A way to a server on which messages are lost.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use ml_connector_sql::tokio_postgres::Config;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Notify,
};

/// As the client sends it.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// What is lost next, and the connection with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Loss {
    Nothing = 0,
    /// The server commits, and nobody hears of it.
    Answer = 1,
    /// The server never hears of it.
    Commit = 2,
    /// From the next `COMMIT` on nothing goes through, and the connection stays.
    Everything = 3,
    /// Until something else is to be lost, nothing that clients send goes through, on no connection.
    Always = 4,
}

pub(crate) struct Proxy {
    folder: TempDir,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    loss: AtomicU8,
    silent: Notify,
}

impl Proxy {
    /// Leads to the server whose socket is in this folder.
    pub(crate) fn start(server: &Path) -> Self {
        let folder = TempDir::with_prefix("ml-connector-pg-").unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (state, server) = (Arc::<State>::default(), server.join(".s.PGSQL.5432"));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = UnixStream::connect(&server).await else { continue };
                let state = Arc::clone(&shared);
                tokio::spawn(async move { forward(client, server, &state).await });
            }
        });
        Self { folder, state }
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).user("postgres").dbname("postgres");
        config
    }

    pub(crate) fn lose(&self, loss: Loss) {
        self.state.loss.store(loss as u8, Ordering::SeqCst);
    }

    /// Returns when everything began to be lost.
    pub(crate) async fn is_silent(&self) {
        self.state.silent.notified().await;
    }
}

async fn forward(mut client: UnixStream, mut server: UnixStream, state: &State) {
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                let message = &from_client[..count];
                if state.loss.load(Ordering::SeqCst) == Loss::Always as u8 {
                    return std::future::pending().await;
                }
                if message.windows(COMMIT.len()).any(|part| part == COMMIT) {
                    let loss = state.loss.swap(Loss::Nothing as u8, Ordering::SeqCst);
                    if loss == Loss::Commit as u8 {
                        return;
                    }
                    if loss == Loss::Everything as u8 {
                        state.silent.notify_one();
                        return std::future::pending().await;
                    }
                    if server.write_all(message).await.is_err() {
                        return;
                    }
                    if loss == Loss::Answer as u8 {
                        let _ = server.read(&mut from_server).await;
                        return;
                    }
                } else if server.write_all(message).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&from_server[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
