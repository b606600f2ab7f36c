//! Business Central on a port.

use std::sync::Arc;

use ml_connector_core::{HttpTransport, SystemClock, http::ReqwestTransport, model::Decimal};
use ml_connector_sim::{
    BusinessCentralSim,
    bc::{BusinessCentralConfig, NewDocument, Set},
};

use crate::{Anything, Options, Round, Running, serve_at, tell};

/// Serves it with a draft.
pub(crate) async fn start(options: &Options) -> Result<Running, Anything> {
    let mut config = BusinessCentralConfig::default();
    config.conditions = options.conditions();
    let sim = BusinessCentralSim::with_config(Arc::new(SystemClock), config);
    sim.set_hooks(Arc::new(ReqwestTransport::new()));
    let draft = NewDocument::new("Northline Packaging", Decimal::new(148_250, 2));
    drop(sim.create(Set::PurchaseInvoices, &draft));
    let served = serve_at(sim.router(), options.port("bc")).await?;
    sim.set_origin(&served.url());
    let guide = guide(&sim, &served.url());
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let sim = sim.clone();
        Box::pin(async move {
            for notice in sim.deliver_notices(&*transport).await {
                tell("bc", "notification", notice.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

fn guide(sim: &BusinessCentralSim, url: &str) -> String {
    let credentials = sim.credentials();
    format!(
        "\
Business Central  {url}
  token endpoint   {url}/{}/oauth2/v2.0/token
  API              {url}/v2.0/{}/{}/api/v2.0
  company          {}
  client_id        {}
  client_secret    {}
  poster           {} {}
Write an invoice, change its total, post it; subscriptions are made over the API:
  curl -d '{{\"counterparty\":\"Northline Packaging\",\"total\":\"8200\"}}' {url}/_sim/purchaseInvoices
  curl -d '{{\"total\":\"8300\"}}' {url}/_sim/purchaseInvoices/ID/total
  curl -X POST {url}/_sim/purchaseInvoices/ID/post
  curl {url}/_sim/postings
",
        credentials.tenant,
        credentials.tenant,
        credentials.environment,
        credentials.company_id,
        credentials.client_id,
        credentials.client_secret,
        credentials.poster_id,
        credentials.poster_secret,
    )
}
