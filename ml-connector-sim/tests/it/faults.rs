//! Faults leave the effect they say, in process and over a socket.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::StatusCode;
use ml_connector_core::{
    HttpTransport, SystemClock, Timestamp, TokioClock,
    http::{Limits, Phase},
};
use ml_connector_sim::{Conditions, Fault, Served, SimTransport, SlackSim, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{NOW, post, send};

const ACCOUNTING: &str = "C07ACCTNG1";

fn workspace() -> (SlackSim, SimTransport) {
    let sim = SlackSim::new(Arc::new(TokioClock::starting_at(Timestamp::from_secs(NOW))));
    let transport = SimTransport::new().with_slack(&sim);
    (sim, transport)
}

fn message(sim: &SlackSim) -> http::Request<bytes::Bytes> {
    let token = format!("Bearer {}", sim.bot_token());
    let body = format!(r#"{{"channel":"{ACCOUNTING}","text":"x"}}"#);
    post("https://slack.com/api/chat.postMessage", &token, "application/json; charset=utf-8", body)
}

#[tokio::test(start_paused = true)]
async fn a_transport_fault_tells_its_phase_and_acts_only_if_it_says_so() {
    let written = Phase::Written;
    for (fault, phase, stored) in [
        (Fault::refused(), Phase::NotWritten, 0),
        (Fault::reset(), written, 0),
        (Fault::timeout(), written, 0),
        (Fault::reset().having_acted(), written, 1),
        (Fault::timeout().having_acted(), written, 1),
        (Fault::truncated(), Phase::StatusRead(StatusCode::OK), 1),
    ] {
        let (sim, transport) = workspace();
        let shown = format!("{fault:?}");
        sim.plant(fault.on("chat.postMessage").target(ACCOUNTING));
        assert_eq!(send(&transport, message(&sim)).await.unwrap_err().phase(), phase, "{shown}");
        assert_eq!(sim.posts(ACCOUNTING).len(), stored, "{shown}");
        assert_eq!(sim.received()[0].status.is_some(), stored == 1, "{shown}");
        assert_eq!(sim.faults_waiting(), 0);
        assert_eq!(send(&transport, message(&sim)).await.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_status_comes_before_or_after_the_post() {
    let (sim, transport) = workspace();
    sim.plant(Fault::html(StatusCode::SERVICE_UNAVAILABLE));
    sim.plant(Fault::status(StatusCode::INTERNAL_SERVER_ERROR).having_acted());
    sim.plant(Fault::too_many_requests(7));
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = send(&transport, message(&sim)).await.unwrap();
        let retry_after = answer.header("retry-after").map(str::to_owned);
        seen.push((answer.status.as_u16(), retry_after, sim.posts(ACCOUNTING).len()));
    }
    assert_eq!(seen, [(503, None, 0), (500, None, 1), (429, Some("7".to_owned()), 1), (200, None, 2)]);
    assert_eq!(sim.limit_violations(), 0, "a planted 429 is nobody's fault");
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_a_delay_until_it_is_a_timeout() {
    let (sim, transport) = workspace();
    sim.set_conditions(Conditions::kind());
    sim.plant(Fault::delay(Duration::from_secs(20)));
    sim.plant(Fault::delay(Duration::from_secs(60)));
    assert_eq!(send(&transport, message(&sim)).await.unwrap().status, StatusCode::OK);
    assert_eq!(sim.posts(ACCOUNTING)[0].at, Timestamp::from_secs(NOW + 20));
    let given_up = transport.send(message(&sim), Limits::within(Duration::from_secs(30))).await.unwrap_err();
    assert_eq!(given_up.phase(), Phase::Written);
    assert_eq!(sim.posts(ACCOUNTING).len(), 1);
    sim.plant(Fault::delay(Duration::from_secs(60)).having_acted());
    let given_up = send(&transport, message(&sim)).await.unwrap_err();
    assert_eq!((given_up.phase(), sim.posts(ACCOUNTING).len()), (Phase::Written, 2));
}

#[tokio::test]
async fn an_origin_that_nobody_serves_refuses_the_connection() {
    let (sim, _) = workspace();
    let error = send(&SimTransport::new(), message(&sim)).await.unwrap_err();
    assert_eq!(error.phase(), Phase::NotWritten);
}

/// Everything the server says to one post before it closes the connection.
async fn over_a_socket(sim: &SlackSim, served: &Served) -> String {
    let body = format!("channel={ACCOUNTING}&text=x");
    let request = format!(
        "POST /api/chat.postMessage HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        sim.bot_token(),
        body.len()
    );
    let mut stream = TcpStream::connect(served.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset connection is as good an end as a closed one.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn over_a_socket_connections_break_too() {
    let sim = SlackSim::new(Arc::new(SystemClock));
    let served = serve(sim.router(), SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    assert!(over_a_socket(&sim, &served).await.contains(r#""ok":true"#));

    sim.plant(Fault::reset());
    assert_eq!(over_a_socket(&sim, &served).await, "");
    assert_eq!(sim.posts(ACCOUNTING).len(), 1);
    sim.plant(Fault::reset().having_acted());
    assert_eq!(over_a_socket(&sim, &served).await, "");
    assert_eq!(sim.posts(ACCOUNTING).len(), 2);

    sim.plant(Fault::truncated());
    let torn = over_a_socket(&sim, &served).await;
    assert!(
        torn.starts_with("HTTP/1.1 200") && torn.contains("C07ACCTNG1") && !torn.ends_with("0\r\n\r\n"),
        "{torn}"
    );
    assert_eq!(sim.posts(ACCOUNTING).len(), 3);
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn core_s_own_transport_sees_the_same_phases_over_a_socket() {
    let sim = SlackSim::new(Arc::new(SystemClock));
    let served = serve(sim.router(), SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let transport = ml_connector_core::http::ReqwestTransport::new();
    for (fault, phase, stored) in [
        (Fault::reset(), Phase::Written, 0),
        (Fault::reset().having_acted(), Phase::Written, 1),
        (Fault::truncated(), Phase::StatusRead(StatusCode::OK), 2),
    ] {
        sim.plant(fault);
        let mut request = message(&sim);
        *request.uri_mut() = format!("{}/api/chat.postMessage", served.url()).parse().unwrap();
        let error = transport.send(request, Limits::default()).await.unwrap_err();
        assert_eq!((error.phase(), sim.posts(ACCOUNTING).len()), (phase, stored));
    }
}
