//! Settings of the engine.

use std::time::Duration;

use super::retry::Retries;

/// How the engine works. The defaults suit most hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The largest webhook that is taken. Default: 2 MiB, above the largest batch a vendor documents.
    pub max_webhook_bytes: usize,
    /// How long the body of a webhook may take to arrive at [`Connector::service`](crate::Connector::service). Default: 10 s.
    pub webhook_body: Duration,
    /// How many records are read at the same time. A connection has half of them at most, a system three quarters where
    /// there are several, and the last quarter is kept for connections that have none, so that one whose system hangs does
    /// not delay the others. Sources that gather nothing ([`coalesce`](crate::SourceInfo::coalesce) is zero), such as
    /// clicks, have a quarter as many beside these. Default: 64.
    pub max_resolving: usize,
    /// How many deliveries are under way at the same time, shared in the same way. Default: 256.
    pub max_delivering: usize,
    /// How long one read or one delivery may take. Default: 60 s.
    pub call: Duration,
    /// How long a partition is leased. The work of a host that died waits for this time. Leases are renewed after a
    /// third of it. At most an hour. Default: 15 s.
    pub lease: Duration,
    /// How long [`Connector::run`](crate::Connector::run) lets work under way finish after the shutdown; partitions stay its own meanwhile.
    /// Default: 10 s.
    pub grace: Duration,
    /// How long the first delivery of a lane may fail for reasons that pass. Then it is dead, and the lane goes on.
    /// Default: 15 min.
    pub max_block: Duration,
    /// What is tried again, when, and how often.
    pub retries: Retries,
    /// How long signals of a record are tried before they are dead. Default: 24 h. Signals that wait for a missing
    /// right are tried for 30 days.
    pub max_signal_age: Duration,
    /// How long settled entries are kept, with the bodies of requests; `None` = for ever. Default: 30 days. What
    /// waits, and what is known of records, is kept regardless.
    pub retention: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_webhook_bytes: 2 << 20,
            webhook_body: Duration::from_secs(10),
            max_resolving: 64,
            max_delivering: 256,
            call: Duration::from_secs(60),
            lease: Duration::from_secs(15),
            grace: Duration::from_secs(10),
            max_block: Duration::from_secs(15 * 60),
            retries: Retries::default(),
            max_signal_age: Duration::from_secs(24 * 3600),
            retention: Some(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}

/// A setter for each field, so that settings can be written in one expression.
macro_rules! setters {
    ($($setter:ident($field:ident: $type:ty)),+ $(,)?) => {
        impl Settings {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }

        #[cfg(test)]
        mod tests {
            use super::*;

            /// A new field without a setter does not compile here.
            #[test]
            fn every_field_has_a_setter_that_sets_it_alone() {
                let Settings { $($field: _),+ } = Settings::default();
                let other = || Settings {
                    max_webhook_bytes: 1,
                    webhook_body: Duration::from_secs(1),
                    max_resolving: 2,
                    max_delivering: 3,
                    call: Duration::from_secs(2),
                    lease: Duration::from_secs(3),
                    grace: Duration::from_secs(4),
                    max_block: Duration::from_secs(5),
                    retries: Retries { kinds: [(crate::ErrorKind::Conflict, super::super::retry::RetryPolicy::default())].into(), ..Retries::default() },
                    max_signal_age: Duration::from_secs(6),
                    retention: None,
                };
                let mut all = Settings::default();
                $(
                    let one = Settings::default().$setter(other().$field);
                    assert_ne!(one, Settings::default(), stringify!($field));
                    let back = one.$setter(Settings::default().$field);
                    assert_eq!(back, Settings::default(), stringify!($field));
                    all = all.$setter(other().$field);
                )+
                assert_eq!(all, other());
            }
        }
    };
}

setters! {
    with_max_webhook_bytes(max_webhook_bytes: usize),
    with_webhook_body(webhook_body: Duration),
    with_max_resolving(max_resolving: usize),
    with_max_delivering(max_delivering: usize),
    with_call(call: Duration),
    with_lease(lease: Duration),
    with_grace(grace: Duration),
    with_max_block(max_block: Duration),
    with_retries(retries: Retries),
    with_max_signal_age(max_signal_age: Duration),
    with_retention(retention: Option<Duration>),
}
