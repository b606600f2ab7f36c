//! How a log is opened.

use std::time::Duration;

/// How a log is opened. The default suits everybody who does not know better.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// The schema that holds the tables; it is created when it is missing. Default: `ml_connector`.
    pub schema: String,
    /// How long a call may take, from waiting for a connection to the answer to `COMMIT`: at most half of the time for which
    /// partitions are leased (15 s by default), or no connector is built with it. Default: 5 s.
    pub deadline: Duration,
    /// How many commits may wait for a connection; one more is refused with
    /// [`Unavailable`](ml_connector_core::ErrorKind::Unavailable), which a webhook answers with 503. Default: 4096.
    pub queue: usize,
    /// How many connections commit at the same time. Default: 4.
    pub writers: usize,
    /// How many connections a pool of our own has at most; one more listens. Default: 12.
    pub connections: usize,
    /// Whose clock says when a lease ends. Default: the server's.
    pub lease_clock: LeaseClock,
    /// Keep a [chain](ml_connector_core::audit::ChainedLog), as evidence of tampering. It begins with what is appended from
    /// then on, and a schema that has one keeps it: whoever opens it. Begin it while no other host runs. Default: no.
    pub chain: bool,
}

/// Whose clock says when a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseClock {
    /// The server's: hosts may differ from it by [`PostgresOptions::MAX_SKEW`]; one that differs by more gets no leases, and
    /// an error that says so.
    Server,
    /// That of whoever asks, for tests that make up the time. Hosts whose clocks differ would take the other's leases for
    /// ended.
    Caller,
}

impl PostgresOptions {
    /// By how much the clock of a host may differ from the server's.
    pub const MAX_SKEW: Duration = Duration::from_secs(5);

    /// Sets the schema.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets how long a call may take.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how many commits may wait.
    #[must_use]
    pub fn with_queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// Sets how many connections commit at the same time.
    #[must_use]
    pub fn with_writers(mut self, writers: usize) -> Self {
        self.writers = writers;
        self
    }

    /// Sets how many connections a pool of our own has.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets whose clock says when a lease ends.
    #[must_use]
    pub fn with_lease_clock(mut self, lease_clock: LeaseClock) -> Self {
        self.lease_clock = lease_clock;
        self
    }

    /// Keeps a chain, as evidence of tampering.
    #[must_use]
    pub fn with_chain(mut self) -> Self {
        self.chain = true;
        self
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "ml_connector".to_owned(),
            deadline: Duration::from_secs(5),
            queue: 4096,
            writers: 4,
            connections: 12,
            lease_clock: LeaseClock::Server,
            chain: false,
        }
    }
}
