//! Zoho Books on a port.

use std::sync::Arc;

use ml_connector_core::{
    HttpTransport, Result, Secret, SystemClock,
    model::{Date, Decimal},
};
use ml_connector_sim::{
    ZohoBooksSim,
    zoho::{DataCenter, Entity, EventKind, NewDocument, WebhookRule, ZohoBooksConfig},
};

use crate::{Anything, Options, Round, Running, serve_at, tell};

/// Serves it with a few records.
pub(crate) async fn start(options: &Options) -> std::result::Result<Running, Anything> {
    let mut config = ZohoBooksConfig::default();
    config.conditions = options.conditions();
    let books = ZohoBooksSim::with_config(Arc::new(SystemClock), config);
    story(&books)?;
    if let Some(url) = &options.webhook_url {
        add_webhooks(&books, &url.parse()?, &Secret::from(options.webhook_secret.as_str()))?;
    }
    let served = serve_at(books.router(), options.port("zoho")).await?;
    books.set_api_domain(DataCenter::Us, &served.url());
    let guide = guide(&books, &served.url(), options);
    let deliver = move |transport: Arc<dyn HttpTransport>| -> Round {
        let books = books.clone();
        Box::pin(async move {
            for attempted in books.deliver_webhooks(&*transport).await {
                tell("webhook", &attempted.about.event, attempted.status);
            }
        })
    };
    Ok(Running { _served: served, guide, deliver: Box::new(deliver) })
}

/// A few records to look at.
fn story(books: &ZohoBooksSim) -> Result<()> {
    let overdue = books.create_invoice(
        NewDocument::new("Bluebird Logistics", Decimal::new(125_050, 2))
            .dated(Date::parse("2026-02-02")?)
            .due(Date::parse("2026-03-04")?),
    )?;
    books.mark_sent(&overdue)?;
    let partly_paid = books.create_invoice(NewDocument::new("Bluebird Logistics", Decimal::new(598, 0)))?;
    books.mark_sent(&partly_paid)?;
    books.pay_invoice(&partly_paid, Decimal::new(298, 0))?;
    books.create_invoice(NewDocument::new("Osprey Foods", Decimal::new(14_997, 2)))?;
    let bill = books
        .create_bill(NewDocument::new("Northgate Paper Co", Decimal::new(8200, 0)).numbered("NP-2302"))?;
    books.submit_for_approval(Entity::Bill, &bill)
}

fn add_webhooks(books: &ZohoBooksSim, url: &url::Url, secret: &Secret) -> Result<()> {
    for entity in [Entity::Invoice, Entity::Bill, Entity::CustomerPayment, Entity::VendorPayment] {
        for kind in [EventKind::Changed, EventKind::Deleted] {
            books.add_webhook(WebhookRule::new(entity, kind, url.clone(), Some(secret.clone())))?;
        }
    }
    books.set_webhook_retries(true);
    Ok(())
}

fn guide(books: &ZohoBooksSim, url: &str, options: &Options) -> String {
    let credentials = books.credentials();
    let webhooks = match &options.webhook_url {
        Some(url) => format!("to {url}, signed with {}", options.webhook_secret),
        None => "off; switch them on with --webhook-url".to_owned(),
    };
    format!(
        "\
Zoho Books  {url}
  token endpoint   {url}/oauth/v2/token
  API              {url}/books/v3
  organization_id  {}
  client_id        {}
  client_secret    {}
  refresh_token    {}
  webhooks         {webhooks}
Create an invoice, send it, pay it:
  curl -d '{{\"counterparty\":\"Bluebird Logistics\",\"total\":\"149.97\"}}' {url}/_sim/invoices
  curl -X POST {url}/_sim/invoices/ID/sent
  curl -d '{{\"amount\":\"149.97\"}}' {url}/_sim/invoices/ID/payments
",
        credentials.organization_id,
        credentials.client_id,
        credentials.client_secret,
        credentials.refresh_token,
    )
}
