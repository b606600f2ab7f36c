//! Spans for OpenTelemetry: what a webhook, a record and a message cost, and which calls of vendors they waited for.

use ml_connector_core::{Result, route::Route};
use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};
use ml_connector_slack::channel;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::{Registry, filter::Targets, layer::SubscriberExt};

pub(crate) async fn run() -> Result<()> {
    // A host exports with `opentelemetry-otlp`, in batches. The connector's spans are at level `debug`.
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("ml-connector"));
    let ours = Targets::new().with_target("ml_connector_core", tracing::Level::DEBUG);
    let subscriber = tracing::subscriber::set_default(Registry::default().with(ours).with(spans));

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
    drop(subscriber);

    let spans = exporter.get_finished_spans().unwrap_or_default();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<&SpanData>>();
    expect("the webhook, the reading of its record and the message have spans", {
        ["receive", "resolve", "deliver"].iter().all(|name| !named(name).is_empty())
    })?;
    expect("the calls of vendors are inside", {
        let calls = named("http_call");
        named("deliver")
            .iter()
            .all(|delivery| calls.iter().any(|call| call.parent_span_id == delivery.span_context.span_id()))
    })
}
