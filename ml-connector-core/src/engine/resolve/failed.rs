//! A read that failed: its signals are tried again, or given up.

use std::time::Duration;

use super::signals::{Resolved, WaitingSignal};
use crate::{
    Error, ErrorKind, Retry, Scope, Timestamp,
    audit::{Lease, Outcome, Settlement, Transaction},
    engine::{
        lanes::{Batch, Evidence, Hold, Item},
        notices::{self, Notice},
        registry::Missed,
        shared::Shared,
        stats::Stat,
        trouble::TroubleKind,
        writes::{Stop, apply, dead},
    },
    error::causes,
    model::{Change, Subject},
    rate::Feedback,
};

/// How often signals are tried whose read fails for a reason that does not pass by itself.
const PERMANENT_TRIES: u32 = 3;

/// So often in a row a record is read in vain before the other side is taken to be away, if nothing else is read
/// meanwhile. A feed's page is enough.
const AWAY_AFTER: u32 = 3;
/// A pause that the other side names, and that is longer, is its own, and no failure of what was read.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// However long the other side wants to be left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// A right that is missing is granted by somebody, who needs longer than a few tries last.
const REFUSED_FIRST: Duration = Duration::from_secs(15 * 60);
/// So long a right that is missing is waited for: whoever can grant it may be away for weeks.
const REFUSED_LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Decides what a failed read means for its signals.
pub(crate) async fn failed(
    shared: &Shared,
    lease: Lease,
    batch: &Batch,
    group: &[WaitingSignal],
    error: &Error,
) -> Result<Resolved, Stop> {
    let now = shared.clock.now();
    // The other side is asked again within the hour: a slip of its must not stop us. Its quotas wait by themselves.
    let latest = now + LONGEST_WAIT;
    if let (Scope::Quota(key), Retry::At(until)) = (error.scope(), error.retry()) {
        shared.context.limiter().report(key, Feedback::PausedUntil(until), now).await?;
    }
    let outage = matches!(error.scope(), Scope::Connection);
    let unanswered = error.kind() == ErrorKind::Unavailable && error.retry() != Retry::Never && !outage;
    let away = unanswered && is_away(shared, batch, group, error, now);
    let counted = !outage && !away && error.kind() != ErrorKind::RateLimited;
    let refused = error.kind() == ErrorKind::PermissionDenied && !outage;
    let policy = shared.settings.retries.of_signal(error);
    let mut resolved = Resolved {
        waits: Vec::new(),
        hold: match error.retry() {
            Retry::At(at) if outage => Hold::Outage(at),
            Retry::At(at) if away => Hold::Down(at),
            _ if outage => Hold::Outage(now),
            _ if away => Hold::Down(now),
            _ => Hold::None,
        },
        down: (outage || away).then(|| shared.down(&batch.connection, error)),
        // What has no room makes no call.
        proof: if counted && !unanswered { Evidence::Answers } else { Evidence::Nothing },
    };
    let mut transaction = Transaction { fence: Some(lease), ..Transaction::default() };
    let mut wake = Vec::new();
    for WaitingSignal { item, signal, troubled_since, .. } in group {
        let attempt = item.attempt + u32::from(counted);
        let age = now.saturating_since(*troubled_since);
        let hopeless = error.retry() == Retry::Never && attempt >= PERMANENT_TRIES && counted && !refused;
        let longest = if refused { REFUSED_LONGEST } else { shared.settings.max_signal_age };
        let too_old = counted
            && (policy.total.is_some_and(|total| age > total) || age > longest && attempt >= PERMANENT_TRIES);
        let hopeless = hopeless || counted && !refused && policy.is_used_up(attempt);
        if hopeless || too_old {
            shared.count(Stat::Dead, 1, &batch.connection, None);
            let (connection, cause) = (&batch.connection, causes(error));
            tracing::error!(%connection, seq = item.seq.0, %error, %cause, "a signal is dead: replay it when the cause is gone");
            transaction.settle.push(dead(item.seq, error));
            shared.trouble(TroubleKind::SignalDead, &batch.connection, item.seq, error.to_string().into());
            let notice = Notice {
                kind: "signal",
                seq: item.seq,
                change: Change::Dead,
                connection: batch.connection.clone(),
                lane: batch.lane,
                about: match &signal.subject {
                    Subject::Entity(entity) => Some(entity.clone()),
                    _ => None,
                },
                reason: error.to_string().into(),
            };
            wake.extend(notices::append(shared, notice, &mut transaction).await?);
            continue;
        }
        let due = if outage || away {
            item.due.min(now)
        } else if refused {
            now + age.clamp(REFUSED_FIRST, LONGEST_WAIT)
        } else {
            policy.next(error, item.seq, attempt.max(1), now).min(latest)
        };
        shared.count(Stat::Retried, 1, &batch.connection, None);
        let outcome =
            Outcome::Retry { attempt, due, error: error.to_string().into(), uncertain: false, note: None };
        transaction.settle.push(Settlement::new(item.seq, outcome));
        resolved.waits.push(Item { due, attempt, ..*item });
    }
    let (connection, record) = (&batch.connection, group.first().map(|waiting| &waiting.signal.subject));
    let cause = causes(error);
    tracing::warn!(%connection, ?record, %error, %cause, signals = group.len(), "a read failed");
    apply(shared, transaction).await?;
    shared.mailbox.wake(&wake);
    Ok(resolved)
}

/// Whether the other side is away, as far as a read that was not answered can tell: nothing else is answered either, or it
/// wants to be left alone for longer.
fn is_away(shared: &Shared, batch: &Batch, group: &[WaitingSignal], error: &Error, now: Timestamp) -> bool {
    let registry = shared.registry();
    let Some(slot) = registry.source(&batch.connection) else { return false };
    let of_quota = matches!(error.scope(), Scope::Quota(_));
    let is_long_pause =
        matches!(error.retry(), Retry::At(at) if !of_quota && at.saturating_since(now) > LONG_PAUSE);
    let is_page = group.iter().any(|waiting| waiting.signal.subject.feed().is_some());
    // New signals of a record join those that wait for it already.
    let head = batch.items.iter().map(|item| item.seq).min().unwrap_or_default();
    match slot.pulse.miss(batch.lane.lane, head) {
        Missed::Everywhere => true,
        Missed::Alone(times) => is_long_pause || is_page || times >= AWAY_AFTER,
        Missed::ByItself => is_long_pause,
    }
}
