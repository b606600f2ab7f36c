//! Where else a secret could show: metrics, panics, and the files that are staged for Databricks.

use std::{
    collections::BTreeSet,
    panic,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use ml_connector_core::{
    AttemptNotes, Clock, Context, HttpTransport, Result, Sink, SinkInfo, Timestamp,
    http::{Limits, TransportError},
    model::{Delivery, DeliveryPlan, Destination, Lookup, Receipt},
    route::Route,
};
use ml_connector_databricks::Databricks;
use ml_connector_sim::{DatabricksSim, SimTransport};
use tracing_subscriber::prelude::*;

use super::{CENTS, CUSTOMER, Captured, a_bad_day, assert_absent, planted};
use crate::world::{Story, World, document, secs};

/// Names, labels and descriptions of all metrics.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<BTreeSet<String>>>);

impl Shown {
    fn note(&self, text: String) {
        self.0.lock().unwrap().insert(text);
    }
}

impl metrics::Recorder for Shown {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.note(format!("{name:?} {description}"));
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.note(format!("{name:?} {description}"));
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.note(format!("{name:?} {description}"));
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key.to_string());
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key.to_string());
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key.to_string());
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn planted_secrets_and_records_are_in_no_metric_and_nothing_panics() {
    let shown = Shown::default();
    let _shown = metrics::set_default_local_recorder(&shown);
    let captured = Captured::default();
    let _capturing = tracing_subscriber::registry().with(captured.clone()).set_default();
    let panics = Arc::new(Mutex::new(String::new()));
    let before = panic::take_hook();
    let (heard, this) = (Arc::clone(&panics), std::thread::current().id());
    panic::set_hook(Box::new(move |panic| {
        // Other tests of the process may panic on purpose.
        if std::thread::current().id() == this {
            heard.lock().unwrap().push_str(&panic.to_string());
        }
        before(panic);
    }));
    let story = a_bad_day(&captured, Story::new()).await;
    drop(panic::take_hook());
    let (secrets, personal) = planted(&story);
    let all = [secrets, personal].concat();
    let metrics = shown.0.lock().unwrap().clone();
    assert!(metrics.len() > 20, "{metrics:?}");
    assert_absent("a metric", &metrics.into_iter().collect::<Vec<_>>().join("\n"), &all);
    assert_eq!(*panics.lock().unwrap(), "", "whatever vendors answer, nothing panics");
}

/// A sink with a bug: its panic quotes what it was given.
#[derive(Debug)]
struct Careless(SinkInfo);

#[async_trait]
impl Sink for Careless {
    fn info(&self) -> &SinkInfo {
        &self.0
    }

    fn plan(&self, _: &Delivery) -> Result<DeliveryPlan> {
        Ok(DeliveryPlan::new("all".into()))
    }

    async fn deliver(&self, _: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let told = batch[0].event.to_cloudevent().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        // Without the hook, which would show it.
        panic::resume_unwind(Box::new(format!("cannot send {told:?}")))
    }

    async fn look_up(&self, _: &Context, _: &Delivery) -> Result<Lookup> {
        Ok(Lookup::DidNotHappen)
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_quotes_is_neither_logged_nor_stored_nor_explained() {
    let captured = Captured::default();
    let _capturing = tracing_subscriber::registry().with(captured.clone()).set_default();
    let world = World::new();
    let builder = world.builder().source(world.source().build().unwrap());
    let builder = builder.sink(Careless(SinkInfo::new("slack".into(), "careless")));
    let connector =
        builder.route(Route::new("all").to("slack", Destination::from("somewhere"))).build().unwrap();
    let mut story = Story::of(world, connector);
    let id = story.world.books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
    story.world.books.mark_sent(&id).unwrap();
    story.told().await;
    story.later(secs(3600)).await;
    let (secrets, personal) = planted(&story);
    let all = [secrets, personal].concat();
    assert!(captured.text().contains("panicked"), "{}", captured.text());
    assert_absent("the log", &captured.text(), &all);
    let deliveries = story.world.entries(ml_connector_core::audit::EntryKind::Delivery).await;
    let outcomes = format!("{:?}", deliveries.iter().map(|entry| &entry.outcomes).collect::<Vec<_>>());
    assert!(outcomes.contains("panicked"), "{outcomes}");
    assert_absent("an outcome", &outcomes, &all);
    for delivery in deliveries {
        let explained = story.connector.explain(delivery.seq).await.unwrap();
        assert_absent("an explanation", &explained.to_string(), &all);
    }
}

/// Keeps what is put into volumes.
#[derive(Debug, Clone)]
struct Watched {
    inner: SimTransport,
    staged: Arc<Mutex<Vec<(String, Bytes)>>>,
    unstaged: Arc<Mutex<BTreeSet<String>>>,
}

#[async_trait]
impl HttpTransport for Watched {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> std::result::Result<http::Response<Bytes>, TransportError> {
        let path = request.uri().path().to_owned();
        if path.starts_with("/api/2.0/fs/files/") {
            match *request.method() {
                Method::PUT => self.staged.lock().unwrap().push((path, request.body().clone())),
                Method::DELETE => _ = self.unstaged.lock().unwrap().insert(path),
                _ => {}
            }
        }
        self.inner.send(request, limits).await
    }
}

/// What is staged is what the warehouse is to have, and no more; and only for as long as that takes.
#[tokio::test(start_paused = true)]
async fn staged_files_hold_rows_and_no_secret_and_are_deleted() {
    let world = World::new();
    let lake = DatabricksSim::new(Arc::clone(&world.clock) as Arc<dyn Clock>);
    lake.sql("CREATE VOLUME landing").unwrap();
    let watched = Watched {
        inner: SimTransport::new().with_zoho_books(&world.books).with_router(lake.host(), lake.router()),
        staged: Arc::default(),
        unstaged: Arc::default(),
    };
    let source = world.source().build().unwrap();
    let credentials = lake.credentials();
    let warehouse = Databricks::builder("lake")
        .host(lake.host())
        .warehouse(credentials.warehouse_id)
        .schema("main", "ml_finance")
        .volume("landing")
        .service_principal(credentials.client_id, credentials.client_secret.as_str())
        .tables_of(&source)
        .raw_column()
        .with(|config| config.max_parameter_bytes = 1_000)
        .build()
        .unwrap();
    let connector = world
        .builder()
        .transport(watched.clone())
        .source(source)
        .connect(warehouse)
        .route(Route::new("warehouse").to("lake", ml_connector_databricks::tables()))
        .build()
        .unwrap();
    let mut story = Story::of(world, connector);
    for _ in 0..9 {
        story.world.books.create_invoice(document(CUSTOMER, CENTS)).unwrap();
    }
    story.told().await;
    story.later(secs(3600)).await;
    let staged = watched.staged.lock().unwrap().clone();
    assert!(!staged.is_empty(), "everything is larger than a parameter");
    let (mut secrets, _) = planted(&story);
    secrets.push(credentials.client_secret);
    let mut rows = 0;
    for (path, bytes) in &staged {
        let text = String::from_utf8_lossy(bytes);
        assert_absent("a staged file", &text, &secrets);
        rows += text.matches(CUSTOMER).count();
        assert!(watched.unstaged.lock().unwrap().contains(path), "{path} stays");
    }
    assert!(rows > 0, "the check sees what is staged");
    assert_eq!(story.world.books.limit_violations(), 0);
}
