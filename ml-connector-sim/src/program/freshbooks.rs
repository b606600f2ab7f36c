//! FreshBooks on a port.

use std::sync::Arc;

use ml_connector_core::{HttpTransport, SystemClock, model::Decimal};
use ml_connector_sim::{
    FreshBooksSim,
    freshbooks::{Bill, BillVendor, Client, Expense, FreshBooksConfig, Invoice},
};

use crate::{Anything, Options, Round, Running, serve_at, tell};

/// Serves it with a few records.
pub(crate) async fn start(options: &Options) -> Result<Running, Anything> {
    let mut config = FreshBooksConfig::default();
    config.conditions = options.conditions();
    let sim = FreshBooksSim::with_config(Arc::new(SystemClock), config);
    if let Some(uri) = &options.freshbooks_redirect_uri {
        sim.set_redirect_uri(uri);
    }
    story(&sim)?;
    let served = serve_at(sim.router(), options.port("freshbooks")).await?;
    let guide = guide(&sim, &served.url());
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let sim = sim.clone();
        Box::pin(async move {
            for attempt in sim.deliver(&*transport).await {
                tell("freshbooks", &attempt.about.name, attempt.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

/// A few records to look at.
fn story(sim: &FreshBooksSim) -> ml_connector_core::Result<()> {
    let client = sim.create(Client::new("Larkspur Dental Group"))?;
    let paid = sim.create(Invoice::new(client, Decimal::new(48_000, 2)).sent())?;
    sim.pay_invoice(paid, Decimal::new(48_000, 2))?;
    sim.create(Invoice::new(client, Decimal::new(632_800, 2)).sent())?;
    let vendor = sim.create(BillVendor::new("Harbourview Supply Co."))?;
    sim.create(Bill::new(vendor, Decimal::new(149_620, 2)).numbered("HV-20931"))?;
    sim.create(Expense::new("Serano Bakery", Decimal::new(12_995, 2))).map(|_| ())
}

fn guide(sim: &FreshBooksSim, url: &str) -> String {
    let credentials = sim.credentials();
    format!(
        "\
FreshBooks  {url}
  consent page     {url}/oauth/authorize
  token endpoint   {url}/auth/oauth/token
  account_id       {}
  business_id      {}
  business_uuid    {}
  client_id        {}
  client_secret    {}
  redirect_uri     {}
  refresh_token    {}   (works once)
Create an invoice, send it, pay it; callbacks are registered over the API:
  curl -d '{{\"amount\":\"149.97\"}}' {url}/_sim/invoices
  curl -X POST {url}/_sim/invoices/ID/sent
  curl -d '{{\"amount\":\"149.97\"}}' {url}/_sim/invoices/ID/payments
",
        credentials.account_id,
        credentials.business_id,
        credentials.business_uuid,
        credentials.client_id,
        credentials.client_secret,
        credentials.redirect_uri,
        credentials.refresh_token,
    )
}
