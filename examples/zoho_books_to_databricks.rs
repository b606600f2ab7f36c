//! Zoho Books → Databricks: invoices, bills, payments and lookup tables become Delta tables, the past first, then every
//! change as it happens.
//!
//! ```console
//! cargo run --example zoho_books_to_databricks    # plays on simulators, and checks the tables
//! ```
//!
//! With the variables of `examples/.env.example` in the environment, the same program fills tables of a real workspace
//! until Ctrl-C.

use std::{process::ExitCode, sync::Arc, time::Duration};

use ml_connector_core::{
    Connector, Error, ErrorKind, Result, Sink, Source, SourceMode, SystemClock,
    audit::{EntryKind, EntryState, MemoryLog, Outcome, Query},
    engine::{ConnectorBuilder, Replay, Settings},
    model::{Decimal, RecordKind},
    route::Route,
    token::MemoryTokenStore,
};
use ml_connector_databricks::{Databricks, tables};
use ml_connector_examples::{
    host::{asked_to_stop, exit, log_from},
    introduction::introduce,
    settings::{Organization, Workspace},
    stores::Stores,
};
use ml_connector_sim::{
    Conditions, DatabricksSim, SimTransport, ZohoBooksSim,
    databricks::StatementFailure,
    zoho::{Entity, NewDocument, NewRecord},
};
use ml_connector_zoho::ZohoBooks;

/// What becomes a table: four kinds of documents, and what they refer to.
const KINDS: [RecordKind; 8] = [
    RecordKind::Invoice,
    RecordKind::Bill,
    RecordKind::CustomerPayment,
    RecordKind::VendorPayment,
    RecordKind::Contact,
    RecordKind::Item,
    RecordKind::Account,
    RecordKind::Currency,
];

#[tokio::main]
async fn main() -> ExitCode {
    log_from("error");
    let done = match Workspace::from_env() {
        Ok(Some((books, workspace))) => on_real_accounts(&books, &workspace).await.map(|()| true),
        Ok(None) => on_simulators().await,
        Err(error) => Err(error),
    };
    exit(done)
}

/// The integration: a source, a sink that takes its tables, and one route for everything that happens to it.
fn connect(connector: ConnectorBuilder, books: ZohoBooks, lake: Databricks) -> ConnectorBuilder {
    let everything = Route::new("warehouse").with_pages().with_all_origins();
    connector.connect(books).connect(lake).route(everything.to("lake", tables()))
}

async fn on_real_accounts(books: &Organization, workspace: &Workspace) -> Result<()> {
    let asked = asked_to_stop();
    let books = books_of(books)?;
    let lake = lake_of(workspace, &books)?;
    let stores = Stores::open(&workspace.database).await?;
    let source = Source::info(&books).clone();
    let builder = Connector::builder().token_store(stores.tokens).audit_log(stores.log);
    let connector = connect(builder, books, lake.clone()).build()?;
    for checked in Sink::check(&lake, &connector.context()).await {
        println!("{checked}");
    }
    let running = connector.clone();
    let mut worker = tokio::spawn(async move { running.run(asked).await });
    let past = async {
        introduce(&connector, std::slice::from_ref(&source)).await?;
        for feed in &source.feeds {
            connector.backfill(&source.connection, feed.name, None).await?;
        }
        println!("The past is on its way, and every change after it. Ctrl-C ends it.");
        Ok::<_, Error>(())
    };
    let panicked = |panic: tokio::task::JoinError| {
        Error::new(ErrorKind::Unexpected, "the connector panicked").with_source(panic)
    };
    tokio::select! {
        begun = past => begun?,
        ended = &mut worker => return ended.map_err(panicked),
    }
    worker.await.map_err(panicked)
}

fn books_of(settings: &Organization) -> Result<ZohoBooks> {
    ZohoBooks::builder(&*settings.connection)
        .organization_id(&settings.organization_id)
        .data_center(settings.data_center)
        .client(settings.client_id.as_str(), settings.client_secret.as_str())
        .refresh_token(settings.refresh_token.as_str())
        .time_zone(&settings.time_zone)
        .plan(settings.plan)
        .resources(KINDS)
        .mode(SourceMode::Poll)
        .build()
}

fn lake_of(workspace: &Workspace, books: &ZohoBooks) -> Result<Databricks> {
    Databricks::builder("lake")
        .host(&workspace.host)
        .warehouse(&workspace.warehouse)
        .schema(&workspace.catalog, &workspace.schema)
        .service_principal(&workspace.client_id, workspace.client_secret.as_str())
        .tables_of(books)
        .with(|config| config.volume.clone_from(&workspace.volume))
        .build()
}

/// A small organization, an empty schema, and what happens between them.
struct Simulation {
    books: ZohoBooksSim,
    lake: DatabricksSim,
    connector: Connector,
    sink: Databricks,
}

async fn on_simulators() -> Result<bool> {
    let books = ZohoBooksSim::new(Arc::new(SystemClock));
    books.set_conditions(Conditions::kind());
    let lake = DatabricksSim::new(Arc::new(SystemClock));
    lake.set_conditions(Conditions::kind());
    lake.sql("CREATE VOLUME landing")?;
    let unpaid = seed(&books)?;

    let credentials = books.credentials();
    let source = ZohoBooks::builder("books")
        .organization_id(&credentials.organization_id)
        .data_center(ml_connector_zoho::DataCenter::Us)
        .client(credentials.client_id.as_str(), credentials.client_secret.as_str())
        .refresh_token(credentials.refresh_token.as_str())
        .time_zone("America/New_York")
        .resources(KINDS)
        .mode(SourceMode::Poll)
        .build()?;
    let credentials = lake.credentials();
    let sink = Databricks::builder("lake")
        .host(lake.host())
        .warehouse(credentials.warehouse_id.as_str())
        .schema("main", "ml_finance")
        .volume("landing")
        .service_principal(credentials.client_id.as_str(), credentials.client_secret.as_str())
        .tables_of(&source)
        .linger(Duration::from_millis(500))
        .build()?;
    let mut settings = Settings::default();
    settings.lease = Duration::from_secs(3);
    let builder = Connector::builder()
        .audit_log(MemoryLog::new())
        .token_store(MemoryTokenStore::new())
        .transport(SimTransport::new().with_zoho_books(&books).with_router(lake.host(), lake.router()))
        .settings(settings);
    let feeds: Vec<_> = Source::info(&source).feeds.iter().map(|feed| feed.name).collect();
    let connector = connect(builder, source, sink.clone()).build()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = connector.clone();
    let worker = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    let simulation = Simulation { books, lake, connector, sink };

    println!("The past of an organization, read list by list:");
    for feed in feeds {
        simulation.connector.backfill(&"books".into(), feed, None).await?;
    }
    simulation.rest().await?;
    let past = simulation.show().await?;

    println!("\nSomebody pays an invoice, and a bill comes:");
    simulation.books.pay_invoice(&unpaid, Decimal::new(29_900, 2))?;
    simulation
        .books
        .create_bill(NewDocument::new("Northgate Paper Co", Decimal::new(82_000, 2)).numbered("NP-2302"))?;
    simulation.look().await?;
    let live = simulation.show().await?;

    println!("\nThe warehouse refuses a row; it is given up, and sent again when the cause is gone:");
    simulation.refuse("bills");
    simulation
        .books
        .create_bill(NewDocument::new("Northgate Paper Co", Decimal::new(1_250, 2)).numbered("NP-2303"))?;
    simulation.look().await?;
    let dead = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Dead);
    for entry in simulation.connector.search(&dead).await? {
        for recorded in &entry.outcomes {
            if let Outcome::Dead { error } = &recorded.outcome {
                println!("  given up: {error}");
            }
        }
    }
    let replayed = simulation.connector.replay(&Replay::new("after the repair", dead)).await?;
    println!("  sent again: {}", replayed.appended);
    simulation.rest().await?;
    let end = simulation.show().await?;

    let expected = [(4, 1, 1), (4, 2, 2), (4, 3, 2)];
    let good = [past, live, end] == expected && replayed.appended == 1;
    println!("\n{}", if good { "The tables are what the books are." } else { "Something is missing!" });
    drop(stop);
    worker
        .await
        .map_err(|panic| Error::new(ErrorKind::Unexpected, "the connector panicked").with_source(panic))?;
    Ok(good)
}

/// Four invoices, one of them paid, a bill, two items. Returns one that is not paid.
fn seed(books: &ZohoBooksSim) -> Result<String> {
    let mut last = String::new();
    for cents in [125_050, 59_800, 14_997, 29_900] {
        last = books.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(cents, 2)))?;
        books.mark_sent(&last)?;
        if cents == 14_997 {
            books.pay_invoice(&last, Decimal::new(cents, 2))?;
        }
    }
    books.create_bill(NewDocument::new("Northgate Paper Co", Decimal::new(50_000, 2)).numbered("NP-2291"))?;
    for (name, cents) in [("Dock Scheduling Plan", 29_900), ("Kraft cartons 40x30", 700)] {
        books.create_record(Entity::Item, NewRecord::new(name, Decimal::new(cents, 2)))?;
    }
    Ok(last)
}

impl Simulation {
    /// Reads the lists for what has changed, and waits for the rows. Zoho permits 100 calls a minute: a list waits for
    /// its turn.
    async fn look(&self) -> Result<()> {
        const LISTS: [&str; 3] = ["invoices", "bills", "customerpayments"];
        tokio::time::sleep(Duration::from_secs(2)).await;
        let asked = self.connector.context().now();
        for feed in LISTS {
            self.connector.poll_now(&"books".into(), feed).await?;
        }
        for second in 0..120 {
            let health = self.connector.health().await?;
            let read = &health.connections[&"books".into()].feeds;
            if LISTS.iter().all(|feed| read[feed].is_some_and(|at| at >= asked)) {
                return self.rest().await;
            }
            if second == 3 {
                println!("  (waiting for room in Zoho's limit of calls per minute)");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Err(Error::new(ErrorKind::Unavailable, "the lists were not read within two minutes"))
    }

    /// Waits until nothing has moved for four seconds.
    async fn rest(&self) -> Result<()> {
        let (mut before, mut calm) = (self.connector.stats(), 0);
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.connector.stats();
            let done = now == before && !self.waits().await?;
            calm = if done { calm + 1 } else { 0 };
            before = now;
            if calm == 4 {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "the connector did not come to rest within two minutes"))
    }

    /// Whether a row is on its way, or a read was put off.
    async fn waits(&self) -> Result<bool> {
        let of = |kind| Query::of_kind(kind).with_state(EntryState::Pending);
        let deliveries = self.connector.search(&of(EntryKind::Delivery).with_limit(1)).await?;
        let signals = self.connector.search(&of(EntryKind::Signal)).await?;
        Ok(!deliveries.is_empty() || signals.iter().any(|signal| !signal.outcomes.is_empty()))
    }

    /// Makes the next row of a table fail once.
    fn refuse(&self, table: &str) {
        self.lake.fail_statement(StatementFailure {
            error_code: "BAD_REQUEST".to_owned(),
            message: "[CAST_OVERFLOW_IN_TABLE_INSERT] The value does not fit. SQLSTATE: 22003".to_owned(),
            sql_state: Some("22003".to_owned()),
            after_commit: false,
            statement: format!("`zoho_books_{table}`"),
        });
    }

    /// Prints what the tables say. Returns how many invoices, bills and payments there are.
    async fn show(&self) -> Result<(usize, usize, usize)> {
        let context = self.connector.context();
        let ask = async |title: &str, sql: &str| -> Result<usize> {
            let answer = self.sink.query(&context, sql, &[]).await?;
            println!("  {title}: {}", answer.columns.join(" | "));
            for row in &answer.rows {
                let cells: Vec<_> = row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect();
                println!("    {}", cells.join(" | "));
            }
            Ok(answer.rows.len())
        };
        let invoices = ask(
            "invoices",
            "SELECT invoice_number, status, currency_code, total, balance, _n FROM zoho_books_invoices \
             WHERE NOT _deleted ORDER BY invoice_number",
        );
        let bills = ask(
            "bills",
            "SELECT bill_number, status, total, balance FROM zoho_books_bills ORDER BY bill_number",
        );
        let payments = ask(
            "payments received",
            "SELECT payment_number, amount, payment_mode FROM zoho_books_customer_payments ORDER BY payment_number",
        );
        Ok((invoices.await?, bills.await?, payments.await?))
    }
}
