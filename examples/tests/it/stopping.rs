//! A deploy sends SIGTERM, a terminal Ctrl-C: a process ends quickly and with success, although messages are on their way and a
//! client is slow, and the next one goes on without a loss or a repetition.

use std::time::Duration;

use ml_connector_sim::Fault;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Child};

use crate::{CHANNEL, PATIENCE, Vendors};

const INVOICES: usize = 5;
const POST: &str = "/api/chat.postMessage";
/// What a call may take that is under way (`Settings::grace`), with room for a busy machine.
const GRACE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn sigterm_lets_what_is_on_its_way_arrive() {
    // Slack has each message at once, and says so a second later.
    stopped_on_its_way(Signal::TERM, Fault::delay(Duration::from_secs(1)).having_acted().on(POST).times(99))
        .await;
}

#[tokio::test]
async fn ctrl_c_does_not_wait_for_an_answer_that_never_comes() {
    stopped_on_its_way(Signal::INT, Fault::timeout().having_acted().on(POST)).await;
}

async fn stopped_on_its_way(signal: Signal, fault: Fault) {
    let vendors = Vendors::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("connector.db");
    let (first, url) = vendors.example(&database).await;
    let _slow = client_that_never_finishes(&url).await;
    vendors.slack.plant(fault);
    vendors.invoices(&url, INVOICES).await;
    posted(&vendors, 1).await;
    end(first, signal).await;
    let so_far = vendors.slack.posts(CHANNEL).len();
    assert!(so_far < INVOICES, "some of {INVOICES} messages waited");

    vendors.slack.clear_faults();
    let (second, _) = vendors.example(&database).await;
    posted(&vendors, INVOICES).await;
    end(second, Signal::TERM).await;
    assert_eq!(vendors.slack.posts(CHANNEL).len(), INVOICES, "each message is there once");
}

async fn posted(vendors: &Vendors, messages: usize) {
    let waited = async {
        while vendors.slack.posts(CHANNEL).len() < messages {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("the messages arrive");
}

/// A client that has begun a request, and says no more.
async fn client_that_never_finishes(url: &str) -> TcpStream {
    let host = url.split('/').nth(2).unwrap();
    let mut client = TcpStream::connect(host).await.unwrap();
    client.write_all(b"POST /hooks/books HTTP/1.1\r\n").await.unwrap();
    client
}

/// Sends the signal, and sees the process end.
async fn end(mut process: Child, signal: Signal) {
    let id = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(id.expect("it runs"), signal).unwrap();
    let ended = tokio::time::timeout(GRACE, process.wait()).await;
    let status = ended.unwrap_or_else(|_| panic!("it does not end within {GRACE:?}")).unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
}
