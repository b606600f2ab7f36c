//! Counters, gauges and histograms for Prometheus: the crate `metrics` has a recorder for every monitoring system.

use metrics_exporter_prometheus::PrometheusBuilder;
use ml_connector_core::{Error, ErrorKind, Result, route::Route};
use ml_connector_slack::channel;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

pub(crate) async fn run() -> Result<()> {
    // A host serves `scraped.render()` at `/metrics`, and `examples/grafana.json` is a dashboard for it.
    let scraped = PrometheusBuilder::new()
        .set_buckets(&[0.1, 0.5, 1.0, 5.0, 30.0, 300.0])
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|source| {
            Error::new(ErrorKind::ConfigInvalid, "there is a recorder already").with_source(source)
        })?;
    let lab = Lab::new()?;
    let connector = lab
        .host()
        .connect(lab.books().build()?)
        .connect(lab.slack().build()?)
        .route(Route::new("all").on("invoice.*").to("slack", channel(ACCOUNTING)))
        .build()?;
    let running = Running::start(&connector);
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    let page = scraped.render();
    for line in page.lines().filter(|line| line.contains("deliveries")) {
        println!("  {line}");
    }
    expect(
        "deliveries are counted by connection and route",
        page.contains("ml_connector_deliveries_done_total{"),
    )
}
