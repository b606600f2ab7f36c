//! Log lines at info and above say who, what and why: the connection, the route, the record and the chain of causes.

use http::StatusCode;
use ml_connector_sim::Fault;
use tracing_subscriber::prelude::*;

use crate::{
    secrets::Captured,
    world::{Story, amount, document, secs},
};

/// The lines at level info and above that hold a text.
fn lines(captured: &Captured, of: &str) -> Vec<String> {
    let text = captured.text();
    let shown = ["INFO ", "WARN ", "ERROR "];
    let is_shown = |line: &&str| shown.iter().any(|level| line.starts_with(level)) && line.contains(of);
    text.lines().filter(is_shown).map(str::to_owned).collect()
}

/// Some line about it holds all of this.
fn assert_says(captured: &Captured, of: &str, expected: &[&str]) {
    let found = lines(captured, of);
    let says = |line: &String| expected.iter().all(|text| line.contains(text));
    assert!(found.iter().any(says), "{of}: {expected:?} in none of {found:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_says_of_which_connection_and_record_and_why() {
    let captured = Captured::default();
    let _capturing = tracing_subscriber::registry().with(captured.clone()).set_default();
    let mut story = Story::new();
    story.later(secs(60)).await;
    for (fault, cause) in [
        (Fault::refused(), "refused"),
        (Fault::reset(), "reset"),
        (Fault::html(StatusCode::BAD_GATEWAY), "502"),
    ] {
        let id = story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
        story.world.books.plant(fault.on("/invoices/").times(9));
        story.world.books.mark_sent(&id).unwrap();
        story.told().await;
        story.later(secs(120)).await;
        assert_says(&captured, "a read failed", &["connection=books", &id, cause]);
    }
    story.later(secs(900)).await;
    story.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_fails_says_of_which_connection_route_and_record_and_why() {
    let captured = Captured::default();
    let _capturing = tracing_subscriber::registry().with(captured.clone()).set_default();
    let mut story = Story::new();
    story.later(secs(60)).await;
    let id = story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
    story.world.slack.plant(Fault::refused().on("chat.postMessage").times(9));
    story.world.books.mark_sent(&id).unwrap();
    story.told().await;
    story.later(secs(120)).await;
    let who = ["connection=slack", "route=everything", &*id];
    assert_says(&captured, "an attempt did not succeed", &[&who[..], &["refused"]].concat());
    // One that is given up.
    let refused = r#"{"ok":false,"error":"invalid_blocks"}"#;
    story.world.slack.plant(Fault::status(StatusCode::OK).with_body("application/json", refused).times(9));
    story.world.books.pay_invoice(&id, amount(4_000)).unwrap();
    story.told().await;
    story.later(secs(600)).await;
    let says = [&who[..], &["invalid_blocks", "outcome=\"dead\""]].concat();
    assert_says(&captured, "an attempt did not succeed", &says);
}

/// Which of a company's servers does not answer is what somebody has to know first.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_renewed_says_which_endpoint_was_asked_and_why() {
    for (fault, cause) in [
        (Fault::refused(), "refused"),
        (Fault::html(StatusCode::BAD_GATEWAY), "502"),
        (
            Fault::status(StatusCode::BAD_REQUEST)
                .with_body("application/json", r#"{"error":"invalid_client"}"#),
            "invalid_client",
        ),
    ] {
        let captured = Captured::default();
        let _capturing = tracing_subscriber::registry().with(captured.clone()).set_default();
        let mut story = Story::new();
        story.later(secs(60)).await;
        story.world.books.expire_tokens();
        story.world.books.plant(fault.on("/oauth/v2/token").times(20));
        story.world.books.create_invoice(document("Bluebird Logistics", 10_000)).unwrap();
        story.told().await;
        story.later(secs(60)).await;
        let url = "https://accounts.zoho.com/oauth/v2/token";
        assert_says(&captured, "a read failed", &["connection=books", url, cause]);
    }
}
