//! Exact Online on a port.

use std::sync::Arc;

use ml_connector_core::{HttpTransport, SystemClock, http::ReqwestTransport, model::Decimal};
use ml_connector_sim::{
    ExactOnlineSim,
    exact::{CallbackHost, ExactOnlineConfig, Kind, NewDocument},
};

use crate::{Anything, Options, Round, Running, serve_at, tell};

/// Serves it with a few records.
pub(crate) async fn start(options: &Options) -> Result<Running, Anything> {
    let mut config = ExactOnlineConfig::default();
    config.conditions = options.conditions();
    let sim = ExactOnlineSim::with_config(Arc::new(SystemClock), config);
    sim.set_hooks(Arc::new(ReqwestTransport::new()));
    // Callbacks are on this machine and have no certificate.
    sim.tune(|quirks| quirks.callback_host = CallbackHost::Any);
    story(&sim)?;
    let served = serve_at(sim.router(), options.port("exact")).await?;
    sim.set_origin(&served.url());
    let guide = guide(&sim, &served.url());
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let sim = sim.clone();
        Box::pin(async move {
            for attempt in sim.deliver(&*transport).await {
                tell("exact", &attempt.about.topic, attempt.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

/// A few records to look at.
fn story(sim: &ExactOnlineSim) -> ml_connector_core::Result<()> {
    let invoice = NewDocument::new("Bakkerij Linde V.O.F.", Decimal::new(121_000, 2));
    let invoice = sim.create(Kind::SalesInvoices, &invoice);
    sim.process(Kind::SalesInvoices, &invoice)?;
    let entry = NewDocument::new("Molen De Hoop B.V.", Decimal::new(655_362, 2)).with_document();
    sim.create(Kind::PurchaseEntries, &entry);
    Ok(())
}

fn guide(sim: &ExactOnlineSim, url: &str) -> String {
    let credentials = sim.credentials();
    format!(
        "\
Exact Online  {url}
  consent page     {url}/api/oauth2/auth
  token endpoint   {url}/api/oauth2/token
  API              {url}/api/v1
  division         {}
  client_id        {}
  client_secret    {}
  webhook secret   {}
  redirect_uri     {}
  refresh_token    {}   (works once)
Write an invoice and process it; subscriptions are made over the API:
  curl -d '{{\"amount\":\"149.97\"}}' {url}/_sim/SalesInvoices
  curl -X POST {url}/_sim/SalesInvoices/ID/process
",
        credentials.division,
        credentials.client_id,
        credentials.client_secret,
        credentials.webhook_secret.expose(),
        credentials.redirect_uri,
        credentials.refresh_token,
    )
}
