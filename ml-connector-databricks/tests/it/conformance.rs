//! The suite that every sink passes, against the simulated workspace.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use ml_connector_core::{
    conformance::{
        Refusals,
        sink::{self, SinkUnderTest},
    },
    model::{Record, RecordKind, Status},
};
use ml_connector_databricks::tables;

use crate::{
    lake::{Lake, TABLE},
    support::{delivery, event},
};

fn answer(status: u16, retry_after: &str, body: &'static str) -> Response<Bytes> {
    let response = Response::builder().status(status).header("retry-after", retry_after);
    response.body(Bytes::from_static(body.as_bytes())).unwrap()
}

/// A sink whose table is there.
async fn under_test() -> SinkUnderTest {
    let lake = Lake::new();
    let first =
        lake.deliver(&lake.builder().build().unwrap(), &[delivery(1_000, event("first", 1, "{}"))]).await;
    first.into_iter().next().unwrap().unwrap();
    let before = lake.sim.rows_of(TABLE).unwrap();
    let (credentials, sim) = (lake.sim.credentials(), lake.sim.clone());
    let wait = Duration::from_secs;
    SinkUnderTest {
        vendor: lake.transport(),
        clock: Arc::clone(&lake.clock),
        writes: |request| {
            let is_merge = |body: &[u8]| body.windows(10).any(|part| part == b"MERGE INTO");
            request.uri().path() == "/api/2.0/sql/statements" && is_merge(request.body())
        },
        destination: tables(),
        brings: Box::new(|n| {
            let mut record = Record::new(RecordKind::Invoice, n.to_string(), Status::Open);
            record.number = Some("INV-planted".to_owned());
            (record.entity(), record.into())
        }),
        refusals: Refusals {
            token: answer(403, "", r#"{"error_code":403,"message":"Invalid access token."}"#),
            renews_tokens: true,
            too_often: vec![
                (wait(7), answer(429, "7", r#"{"error_code":"RESOURCE_EXHAUSTED","message":"x"}"#)),
                (wait(30), answer(429, "30", "")),
            ],
            refused: vec![
                answer(403, "", r#"{"error_code":"PERMISSION_DENIED","message":"no MODIFY on the table"}"#),
                answer(
                    400,
                    "",
                    r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"x is not a valid endpoint id."}"#,
                ),
                answer(400, "", r#"{"error_code":"MALFORMED_REQUEST","message":"x"}"#),
            ],
        },
        secrets: vec![credentials.client_secret, "INV-planted".to_owned()],
        connect: Box::new(move || Arc::new(lake.builder().build().unwrap())),
        written: Box::new(move || sim.rows_of(TABLE).unwrap() - before),
    }
}

// Proves: sink_of_databricks.
#[tokio::test(start_paused = true)]
async fn the_suite_passes() {
    sink::all(under_test).await;
}
