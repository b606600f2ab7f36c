//! A person connects an account in the browser while the connector runs: there, back, the token is stored, and the account is
//! connected.

use std::collections::HashMap;

use ml_connector_core::{Connection, Error, ErrorKind, Result, Secret, auth::Authorizer, route::Route};
use ml_connector_slack::channel;
use ml_connector_zoho::{DataCenter, ZohoBooks};
use url::Url;

use ml_connector_examples::lab::{ACCOUNTING, Lab, Running, expect};

pub(crate) async fn run() -> Result<()> {
    let lab = Lab::new()?;
    let app = lab.books.credentials();
    let books = ZohoBooks::builder("books")
        .organization_id(&app.organization_id)
        .data_center(DataCenter::Us)
        .client(app.client_id.as_str(), app.client_secret.as_str())
        .webhook_secret("simulatedSecret2026")
        .time_zone("America/New_York");
    let connector = lab.host().connect(lab.slack().build()?).build()?;
    let running = Running::start(&connector);

    // One page of the host sends the browser to Zoho, another one is where Zoho sends it back to. The session's name stands for
    // the person: nobody else can end what they began.
    let back = Url::parse("https://erp.example.com/connected")
        .map_err(|source| Error::new(ErrorKind::ConfigInvalid, "no URL").with_source(source))?;
    let secret = Secret::from(app.client_secret.as_str());
    let config = ZohoBooks::authorizer_config(&app.client_id, secret, back, DataCenter::Us)?;
    let authorizer = Authorizer::new(config)?;
    let there = authorizer.begin(&connector.context(), &"books".into(), Some("session 7")).await?;
    let asked: HashMap<_, _> = there.query_pairs().into_owned().collect();
    let answer = format!("state={}&location=us&code={}", asked["state"], lab.books.authorization_code());
    let connected = authorizer.finish(&connector.context(), &answer, Some("session 7")).await?;
    expect("every scope was granted", connected.missing_scopes.is_empty())?;

    // A customer comes with everything of theirs.
    let route = Route::new("books/all").from("books").on("invoice.*").to("slack", channel(ACCOUNTING));
    connector.connect(Connection::new().source(books.build()?).routes([route]))?;
    lab.invoice("Bluebird Logistics", 125_050)?;
    lab.a_minute(&connector).await?;
    running.stop().await;
    expect("and the books are told", lab.shown(ACCOUNTING).len() == 1)
}
