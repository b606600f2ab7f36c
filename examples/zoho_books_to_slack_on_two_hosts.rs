//! Zoho Books → Slack on two hosts that share one Postgres and nothing else: webhooks are taken and messages are posted
//! once, while one host after the other is replaced by a new one.
//!
//! ```console
//! createdb books && export DATABASE_URL="host=/run/postgresql user=connector dbname=books"
//! cargo run --example zoho_books_to_slack_on_two_hosts
//! ```
//!
//! One invoice is written by the host itself: its own row and the request to read it are one transaction (outbox).
//!
//! It makes a schema of its own in the database, anew each time. Here the hosts are tasks of one program; they know nothing
//! of each other, and may as well be on machines of their own: [`start`] is all there is to a host.

use std::{
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use ml_connector_core::{
    AuditLog, Clock, Connector, Error, ErrorKind, HttpTransport, Result, SystemClock,
    encryption::{EncryptLog, EncryptTokens, EncryptedLog, Key, KeyRing},
    engine::Settings,
    http::{Limits, ReqwestTransport},
    model::{Decimal, EntityRef},
    route::Route,
};
use ml_connector_examples::{
    host::{Host, exit, log_from},
    settings::ZohoBooksToSlack,
    simulation::{ACCOUNTING, Simulation},
    stores::Stores,
    wait,
};
use ml_connector_sim::zoho::NewDocument;
use ml_connector_slack::{Slack, channel};
use ml_connector_sql::{
    PostgresLog, PostgresOptions,
    tokio_postgres::{self, Config, NoTls, types::Type},
};
use ml_connector_zoho::ZohoBooks;

/// Where the example keeps its log and tokens.
const SCHEMA: &str = "ml_connector_two_hosts";
/// Where the host keeps what is its own.
const OWN_SCHEMA: &str = "two_hosts_own";
/// How many invoices there are, and after how many of them a host is replaced.
const INVOICES: i64 = 12;
const SHIFT: i64 = 4;
/// How long the last message may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// Webhooks are small.
const MAX_BODY: usize = 1 << 20;

#[tokio::main]
async fn main() -> ExitCode {
    log_from("warn");
    exit(run().await)
}

async fn run() -> Result<bool> {
    let missing = |message: &'static str| Error::new(ErrorKind::ConfigInvalid, message);
    let address = std::env::var("DATABASE_URL")
        .map_err(|_| missing("this example needs Postgres: give a database in DATABASE_URL"))?;
    let database: Config =
        address.parse().map_err(|_| missing("DATABASE_URL is no address of a Postgres database"))?;
    begin_anew(&database).await?;
    let simulation = Simulation::start().await?;
    let balancer = Arc::new(Balancer::default());
    // A key that nobody else ever has, unless there is one in the environment.
    let ring = match KeyRing::from_env("ML_CONNECTOR_KEY")? {
        Some(ring) => ring,
        None => KeyRing::new(Key::generate("simulation")?),
    };
    println!("Everything in the schema {SCHEMA} is encrypted with the key {}.", ring.active());
    let public_url = balancer.serve().await?;
    simulation.send_webhooks_to(&format!("{public_url}/books"))?;
    let shared = Shared { settings: simulation.settings("unused".as_ref()), database, ring, public_url };

    let mut hosts = vec![start(&shared).await?, start(&shared).await?];
    balancer.choose_from(&hosts);
    for nth in 1..=INVOICES {
        let invoice = NewDocument::new(&format!("Customer {nth:02}"), Decimal::new(10_000 + nth, 2));
        let invoice = simulation.books.create_invoice(invoice)?;
        simulation.books.mark_sent(&invoice)?;
        simulation.arrive("an invoice").await;
        if nth % SHIFT == 0 && nth < INVOICES {
            hosts.push(start(&shared).await?);
            let old = hosts.remove(0);
            balancer.choose_from(&hosts);
            old.host.stop().await?;
            println!("  a host was replaced");
        }
    }
    // No webhook tells of this one: the host's own software has written it, and notes so.
    let own =
        simulation.books.create_invoice(NewDocument::new("Customer of our own", Decimal::new(20_000, 2)))?;
    simulation.books.mark_sent(&own)?;
    hosts[0].note_as_written(&shared, &own).await?;
    let told = |customer: &String| {
        simulation.slack.posts(ACCOUNTING).iter().any(|post| post.text.contains(customer))
    };
    let customers = (1..=INVOICES).map(|nth| format!("Customer {nth:02}"));
    let customers: Vec<String> = customers.chain(["Customer of our own".to_owned()]).collect();
    // Of a host that was too slow to keep its lease, the limits' windows of a minute count as spent.
    wait::within(PATIENCE, "a message for every invoice", || customers.iter().all(told).then_some(()))
        .await?;
    let rested = wait::rest(&hosts[0].host.connector).await?;
    let (refused, repeated) = (balancer.refused.load(Ordering::SeqCst), simulation.slack.duplicates());
    for Started { host, .. } in hosts {
        host.stop().await?;
    }
    println!(
        "\n{} invoices, {refused} webhooks refused, {} messages repeated.",
        customers.len(),
        repeated.len()
    );
    Ok(rested && refused == 0 && repeated.is_empty())
}

fn unavailable(source: tokio_postgres::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the database does not answer").with_source(source)
}

/// Removes what an earlier run has left: the simulators know nothing of it. The host has a table of its own beside the log.
async fn begin_anew(database: &Config) -> Result<()> {
    let (client, connection) = database.connect(NoTls).await.map_err(unavailable)?;
    let connection = tokio::spawn(connection);
    let anew = format!(
        "DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; DROP SCHEMA IF EXISTS {OWN_SCHEMA} CASCADE;
         CREATE SCHEMA {OWN_SCHEMA}; CREATE TABLE {OWN_SCHEMA}.written (invoice text PRIMARY KEY)"
    );
    client.batch_execute(&anew).await.map_err(unavailable)?;
    drop(client);
    // It has ended with the client.
    drop(connection.await);
    Ok(())
}

/// A host, and where it takes webhooks itself.
struct Started {
    host: Host,
    hooks: String,
    /// The log, for appending in a transaction of the database, and the same log encrypted.
    database_log: PostgresLog,
    log: Arc<EncryptedLog>,
}

impl Started {
    /// The outbox: a row of the host's own and the request to read the invoice are committed together, or neither is.
    async fn note_as_written(&self, shared: &Shared, invoice: &str) -> Result<()> {
        let (mut client, connection) = shared.database.connect(NoTls).await.map_err(unavailable)?;
        let connection = tokio::spawn(connection);
        let transaction = client.transaction().await.map_err(unavailable)?;
        let row = format!("INSERT INTO {OWN_SCHEMA}.written VALUES ($1)");
        transaction.execute_typed(&row, &[(&invoice, Type::TEXT)]).await.map_err(unavailable)?;
        let books = shared.settings.books[0].connection.as_str().into();
        let request = self.host.connector.read_request(&books, &EntityRef::new("invoice", invoice))?;
        let request = self.log.sealed(request).await?;
        self.database_log.append_sealed_in(&transaction, request, SystemClock.now()).await?;
        transaction.commit().await.map_err(unavailable)?;
        drop(client);
        drop(connection.await);
        Ok(())
    }
}

/// What all hosts have in common.
struct Shared {
    settings: ZohoBooksToSlack,
    database: Config,
    ring: KeyRing,
    public_url: String,
}

/// A host as there may be many: it opens the database, listens, and works on its share of what is in there.
async fn start(Shared { settings, database, ring, public_url }: &Shared) -> Result<Started> {
    let log = PostgresLog::connect(database, NoTls, &PostgresOptions::default().with_schema(SCHEMA)).await?;
    let tokens = log.token_store().encrypted(ring.clone());
    let database_log = log.clone();
    let sealed = Arc::new(log.encrypted(ring.clone()).await?);
    let stores = Stores {
        tokens: Arc::new(tokens),
        log: Arc::clone(&sealed) as Arc<dyn AuditLog>,
        chain: Arc::new(database_log.clone()),
        encrypted: Some(Arc::clone(&sealed)),
    };
    let mut hooks = String::new();
    let host = Host::start(&settings.listen, None, |own_url| {
        own_url.clone_into(&mut hooks);
        connector(settings, stores, public_url)
    })
    .await?;
    Ok(Started { host, hooks, database_log, log: sealed })
}

fn connector(settings: &ZohoBooksToSlack, stores: Stores, public_url: &str) -> Result<Connector> {
    let organization = &settings.books[0];
    let mut books = ZohoBooks::builder(&*organization.connection)
        .organization_id(&organization.organization_id)
        .data_center(organization.data_center)
        .client(organization.client_id.as_str(), organization.client_secret.as_str())
        .refresh_token(organization.refresh_token.as_str())
        .time_zone(&organization.time_zone)
        .plan(organization.plan);
    if let Some(secret) = &organization.webhook_secret {
        books = books.webhook_secret(secret.as_str());
    }
    if let Some(url) = &organization.accounts_url {
        books = books.accounts_url(url);
    }
    if let Some(url) = &organization.api_url {
        books = books.api_url(url);
    }
    let mut slack = Slack::builder("slack").token(settings.slack_token.as_str());
    if let Some(url) = &settings.slack_url {
        slack = slack.base_url(url);
    }
    // The others take over the work of a host that died after this time, and of one that stops at once.
    let mut engine = Settings::default();
    engine.lease = Duration::from_secs(10);
    Connector::builder()
        .token_store(stores.tokens)
        .audit_log(stores.log)
        .public_url(public_url)
        .settings(engine)
        .route(Route::new("invoices").on("invoice.*").to("slack", channel(&settings.slack_channel)))
        .connect(books.build()?)
        .connect(slack.build()?)
        .build()
}

/// What stands in front of the hosts: a webhook that one does not take goes to the next.
#[derive(Default)]
struct Balancer {
    hosts: Mutex<Vec<String>>,
    turn: AtomicUsize,
    refused: AtomicUsize,
    transport: ReqwestTransport,
}

impl Balancer {
    /// Returns where webhooks are to be sent.
    async fn serve(self: &Arc<Self>) -> Result<String> {
        let no_port =
            |source: std::io::Error| Error::new(ErrorKind::Unavailable, "no free port").with_source(source);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(no_port)?;
        let url = format!("http://{}/hooks", listener.local_addr().map_err(no_port)?);
        let router = Router::new().fallback(forward).with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(url)
    }

    fn choose_from(&self, hosts: &[Started]) {
        *self.hosts.lock().unwrap_or_else(PoisonError::into_inner) =
            hosts.iter().map(|started| started.hooks.clone()).collect();
    }
}

async fn forward(State(balancer): State<Arc<Balancer>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let path =
        parts.uri.path_and_query().map_or("", |path| path.as_str()).trim_start_matches("/hooks").to_owned();
    let mut hosts = balancer.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Each host in turn comes first.
    let turn = balancer.turn.fetch_add(1, Ordering::SeqCst);
    let first = turn.checked_rem(hosts.len()).unwrap_or_default();
    hosts.rotate_left(first);
    for hooks in hosts {
        let mut again = http::Request::new(body.clone());
        let Ok(uri) = format!("{hooks}{path}").parse() else { continue };
        (*again.method_mut(), *again.uri_mut(), *again.headers_mut()) =
            (parts.method.clone(), uri, parts.headers.clone());
        again.headers_mut().remove(header::HOST);
        again.headers_mut().remove(header::CONTENT_LENGTH);
        let answer = balancer.transport.send(again, Limits::within(Duration::from_secs(20))).await;
        if let Ok(answer) = answer
            && answer.status() != StatusCode::SERVICE_UNAVAILABLE
        {
            return answer.map(Body::from);
        }
    }
    balancer.refused.fetch_add(1, Ordering::SeqCst);
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}
