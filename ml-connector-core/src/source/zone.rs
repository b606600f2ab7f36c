//! The time zone of an account: the host sets it, or the vendor tells it.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use super::SourceInfo;
use crate::{
    CheckResult, CheckStep,
    model::{Timestamp, Zone},
};

/// The [`SourceInfo`] of a source whose vendor knows the time zone of the account. If the host has set no zone, the
/// vendor's is taken. If it has, both are compared, because in a wrong zone documents become overdue on the wrong day.
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
    /// What the vendor said last, and whether it is another one than the host's.
    told: Arc<Mutex<Option<(Zone, bool)>>>,
}

impl ZonedInfo {
    /// Begins with what is known. `is_set`: the host has set the zone in it.
    #[must_use]
    pub fn new(info: SourceInfo, is_set: bool) -> Self {
        Self { info, taken: (!is_set).then(Arc::default), told: Arc::default() }
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

    /// Takes the account's zone, an IANA name, from the vendor. Any other text is logged and ignored.
    pub fn told(&self, name: &str, now: Timestamp) {
        let connection = &self.info.connection;
        let Ok(zone) = Zone::named(name) else {
            tracing::warn!(%connection, "the account's time zone has no IANA name: it is not compared");
            return;
        };
        let is_apart = self.taken.is_none() && differs(&self.info.zone, &zone, now);
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some((zone.clone(), is_apart));
        if let Some(taken) = &self.taken {
            let taken = taken.get_or_init(|| SourceInfo { zone, ..self.info.clone() });
            tracing::info!(%connection, zone = taken.zone.name(), "the account's time zone is taken");
        } else if is_apart {
            tracing::error!(
                %connection,
                configured = self.info.zone.name(),
                account = name,
                "time_zone is not the account's: documents become overdue on the wrong day"
            );
        }
    }

    /// The step "time zone" of a check, by what the vendor has told.
    #[must_use]
    pub fn check(&self) -> CheckStep {
        const STEP: &str = "time zone";
        match &*self.told.lock().unwrap_or_else(PoisonError::into_inner) {
            None => CheckStep::new(STEP, CheckResult::Skipped).with_found("the account's is not told"),
            Some((account, true)) => {
                let found = format!("it is {}, and time_zone says {}", account.name(), self.info.zone.name());
                CheckStep::warning(
                    STEP,
                    "correct time_zone, or leave it out: documents become overdue on the wrong day",
                )
                .with_found(found)
            }
            Some((account, false)) => CheckStep::passed(STEP).with_found(account.name()),
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
        assert_eq!(set.check().result, CheckResult::Skipped);
        set.told("America/Toronto", NOW);
        let step = set.check();
        assert_eq!(step.result, CheckResult::Warning);
        assert_eq!(step.found.as_deref(), Some("it is America/Toronto, and time_zone says Europe/Berlin"));
        set.told("Europe/Copenhagen", NOW);
        assert_eq!(set.check().result, CheckResult::Passed, "the same clocks under another name");
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
