//! What needs somebody, as the health knows it.

use ml_connector_core::{Timestamp, engine::Health};

use crate::{show::many, text::safe};

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of the host, and of no connection.
    Host,
    Stopped,
    Refused,
    Dead,
    Parked,
    Unrouted,
    Sweep,
    Unavailable,
}

/// Something that needs somebody, with what to do about it.
pub(crate) struct Need {
    pub kind: Kind,
    pub connection: String,
    pub what: String,
    pub since: Option<Timestamp>,
    pub remedy: String,
}

/// What needs somebody, as the health knows it.
pub(crate) fn needs(health: &Health) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut need = |kind, connection: &str, what: String, since, remedy: &str| {
        needs.push(Need { kind, connection: connection.to_owned(), what, since, remedy: remedy.to_owned() });
    };
    if let Some(trouble) = &health.log {
        need(
            Kind::Host,
            "log",
            "The log takes no writes.".to_owned(),
            Some(trouble.since),
            "Nothing is read or sent until it does. Look at the disk and the database.",
        );
    }
    if health.clock.is_some() {
        need(
            Kind::Host,
            "clock",
            "The clock of this host is not believed.".to_owned(),
            None,
            "Set it, and keep it set by NTP.",
        );
    }
    for (id, hooks) in &health.endpoints {
        if let Some(remedy) = hooks.remedy {
            let what = format!(
                "{} refused, and nobody can say for which connection.",
                many(hooks.refused, "webhook")
            );
            need(Kind::Host, id.as_str(), what, hooks.accepted_at, remedy);
        }
    }
    for (id, of) in &health.connections {
        let id = id.as_str();
        if let Some(parked) = &of.parked {
            let said = of.token.as_ref().and_then(|token| token.message.clone());
            let remedy = said.unwrap_or_else(|| "Repair what the reason names. It is tried again by itself from time to time, or now from the page of trouble.".to_owned());
            need(
                Kind::Stopped,
                id,
                format!("The connection is stopped: {}", safe(&parked.reason, 200)),
                Some(parked.since),
                &safe(&remedy, 300),
            );
        }
        if let Some(remedy) = of.hooks.remedy {
            need(
                Kind::Refused,
                id,
                format!("{} refused.", many(of.hooks.refused, "webhook")),
                of.hooks.accepted_at,
                remedy,
            );
        }
        if of.dead > 0 {
            need(
                Kind::Dead,
                id,
                format!("{} given up.", many(of.dead as u64, "entry")),
                None,
                "Repair the cause, then send them again.",
            );
        }
        let parked: u64 = of.backlog.iter().map(|row| row.parked).sum();
        if parked > 0 {
            let first = of.parked_deliveries.first().map(|one| &one.parked);
            let why = first.map_or_else(String::new, |parked| format!(": {}", safe(&parked.reason, 160)));
            need(
                Kind::Parked,
                id,
                format!(
                    "{} for repair{why}",
                    if parked == 1 { "1 entry waits".to_owned() } else { format!("{parked} entries wait") }
                ),
                first.map(|parked| parked.since),
                "Repair the destination. They go on by themselves.",
            );
        }
        if of.unrouted > 0 {
            need(
                Kind::Unrouted,
                id,
                format!("{} for an account that no connection has.", many(of.unrouted as u64, "webhook")),
                None,
                "Connect the account, then take them in.",
            );
        }
        for sweep in &of.stopped_sweeps {
            need(
                Kind::Sweep,
                id,
                format!(
                    "A look for deleted records of {} missed {} of {} and was not believed.",
                    safe(&sweep.feed, 40),
                    sweep.missing,
                    sweep.known
                ),
                Some(sweep.at),
                "Look at the system. If they were really deleted, say so.",
            );
        }
        for feed in &of.unavailable_feeds {
            need(
                Kind::Unavailable,
                id,
                format!("{} cannot be read: {}", safe(&feed.feed, 40), safe(&feed.reason, 160)),
                Some(feed.since),
                "Grant the scope, or change the plan, at the vendor.",
            );
        }
    }
    needs
}
