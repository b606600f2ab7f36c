//! The time zone of an account: the host sets it, or the vendor tells it.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::SourceInfo;
use crate::model::{Timestamp, Zone};

/// What a source says of itself, where the vendor knows the time zone of the account. A zone that the host has not set is
/// taken from the vendor; one that it has set is compared, because in a wrong zone documents become overdue on the wrong
/// day.
///
/// ```
/// use ml_connector_core::{SourceInfo, Timestamp, ZonedInfo};
///
/// let zoned = ZonedInfo::new(SourceInfo::new("books".into(), "acme_books"), false);
/// assert!(zoned.lacks_zone());
/// zoned.told("America/Toronto", Timestamp::from_secs(1_790_000_000));
/// assert_eq!(zoned.info().zone.name(), "America/Toronto");
/// ```
#[derive(Debug, Clone)]
pub struct ZonedInfo {
    info: SourceInfo,
    /// What is known once the vendor has told the zone. `None` = the host has set it.
    taken: Option<Arc<OnceLock<SourceInfo>>>,
}

impl ZonedInfo {
    /// Begins with what is known; `is_set` = the zone in it is the host's word.
    #[must_use]
    pub fn new(info: SourceInfo, is_set: bool) -> Self {
        Self { info, taken: (!is_set).then(Arc::default) }
    }

    /// What is known now.
    #[must_use]
    pub fn info(&self) -> &SourceInfo {
        self.taken.as_ref().and_then(|taken| taken.get()).unwrap_or(&self.info)
    }

    /// Whether the zone is not known yet: then the vendor is to be asked before the first poll.
    #[must_use]
    pub fn lacks_zone(&self) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.get().is_none())
    }

    /// The vendor has told the account's zone: an IANA name. What is none is logged and left.
    pub fn told(&self, name: &str, now: Timestamp) {
        let connection = &self.info.connection;
        let Ok(zone) = Zone::named(name) else {
            tracing::warn!(%connection, "the account's time zone has no IANA name: it is not compared");
            return;
        };
        if let Some(taken) = &self.taken {
            let taken = taken.get_or_init(|| SourceInfo { zone, ..self.info.clone() });
            tracing::info!(%connection, zone = taken.zone.name(), "the account's time zone is taken");
        } else if differs(&self.info.zone, &zone, now) {
            tracing::error!(
                %connection,
                configured = self.info.zone.name(),
                account = name,
                "time_zone is not the account's: documents become overdue on the wrong day"
            );
        }
    }
}

/// Whether two zones are apart at any time of this year. Names alone say nothing: some are aliases.
fn differs(one: &Zone, other: &Zone, at: Timestamp) -> bool {
    let month = Duration::from_secs(30 * 24 * 3600);
    (0..12).map(|n| at + month * n).any(|at| one.wall_clock(at) != other.wall_clock(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn info(zone: &str) -> SourceInfo {
        let mut info = SourceInfo::new("books".into(), "acme_books");
        info.zone = Zone::named(zone).unwrap();
        info
    }

    #[test]
    fn a_zone_of_the_host_stays_and_one_that_is_not_set_is_taken_once() {
        let set = ZonedInfo::new(info("Europe/Berlin"), true);
        set.told("America/Toronto", NOW);
        assert_eq!((set.info().zone.name(), set.lacks_zone()), ("Europe/Berlin", false));

        let open = ZonedInfo::new(info("UTC"), false);
        let clone = open.clone();
        open.told("Eastern Time (US & Canada)", NOW);
        assert!(clone.lacks_zone());
        open.told("America/Toronto", NOW);
        open.told("Asia/Tokyo", NOW);
        assert_eq!((clone.info().zone.name(), clone.lacks_zone()), ("America/Toronto", false));
    }

    #[test]
    fn an_alias_is_no_difference_and_summer_time_is_one() {
        let zone = |name| Zone::named(name).unwrap();
        assert!(!differs(&zone("America/Toronto"), &zone("America/New_York"), NOW));
        assert!(differs(&zone("America/Phoenix"), &zone("America/Denver"), NOW));
    }
}
