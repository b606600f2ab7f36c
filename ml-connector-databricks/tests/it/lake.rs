//! The simulated workspace, and a sink for it.

use std::{sync::Arc, time::Duration};

use ml_connector_core::{
    Clock, Context, HttpTransport, Result, TokioClock,
    model::{Delivery, Receipt},
    rate::MemoryRateLimiter,
    token::MemoryTokenStore,
};
use ml_connector_databricks::{Builder, Databricks};
use ml_connector_sim::{DatabricksSim, SimTransport, databricks::DatabricksConfig};

use crate::support::{Kept, Ledger, NOW, attempt};

pub(crate) const TABLE: &str = "main.ml_finance.ledger_invoices";

/// A workspace whose statements are really executed.
pub(crate) struct Lake {
    pub(crate) sim: DatabricksSim,
    pub(crate) clock: Arc<dyn Clock>,
    transport: Arc<dyn HttpTransport>,
    tokens: Arc<MemoryTokenStore>,
}

impl Lake {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut DatabricksConfig)) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(NOW));
        let mut config = DatabricksConfig::default();
        change(&mut config);
        let sim = DatabricksSim::with_config(Arc::clone(&clock), config);
        let transport = Arc::new(
            SimTransport::new()
                .with_router(sim.host(), sim.router())
                .with_router("https://login.microsoftonline.com", sim.router()),
        );
        Self { sim, clock, transport, tokens: Arc::default() }
    }

    pub(crate) fn builder(&self) -> Builder {
        let credentials = self.sim.credentials();
        Databricks::builder("lake")
            .host(self.sim.host())
            .warehouse(credentials.warehouse_id)
            .schema("main", "ml_finance")
            .service_principal(credentials.client_id, credentials.client_secret)
            .tables_of(&Ledger::new())
    }

    pub(crate) fn transport(&self) -> Arc<dyn HttpTransport> {
        Arc::clone(&self.transport)
    }

    pub(crate) fn ctx(&self) -> Context {
        let limiter = Arc::new(MemoryRateLimiter::new());
        Context::new(self.transport(), self.tokens.clone(), limiter, Arc::clone(&self.clock))
            .within(Duration::from_secs(60))
    }

    pub(crate) async fn deliver(&self, sink: &Databricks, batch: &[Delivery]) -> Vec<Result<Receipt>> {
        attempt(sink, &self.ctx(), batch, &Kept::default()).await
    }

    /// Rows as text, `-` for null.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.sim.sql(sql).unwrap();
        rows.into_iter()
            .map(|row| row.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned())).collect())
            .collect()
    }
}
