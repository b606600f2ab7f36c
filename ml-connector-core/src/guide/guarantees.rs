//! Guarantees, and where each of them ends.
//!
//! The README has a table of the tests that fail when one of them does not hold.
//!
//! | what holds | by what means | where it ends |
//! |---|---|---|
//! | **Nothing acknowledged is lost** | a webhook is answered 2xx when its signal is committed, and 503 otherwise | the log's own durability. A log that is restored from a backup does not know what came since: polls and sweeps find it |
//! | **Nothing is lost that no webhook told of** | polls with an overlap, sweeps that compare what exists | the interval of the feed ([`FeedInfo::every`](crate::FeedInfo::every)); what was created and deleted between two looks was never seen |
//! | **A change is one event** | one read is compared with the snapshot in the transaction that stores both | two changes between two reads are one event, with what differs in the end |
//! | **A message is posted once** | the beginning of each attempt is committed before it; what began and did not end is looked up before anything is repeated | where the other side cannot tell ([`Lookup::CannotTell`](crate::model::Lookup::CannotTell)), [`OnUnknown`](crate::OnUnknown) decides between possibly missing and possibly doubled, and the log says which it was |
//! | **Order** | deliveries of a lane go one at a time; changes of one record to one destination are in one lane | there is no order between destinations, and none between records but what the sink's lanes give. A dead delivery lets the next one go |
//! | **A decision is made once** | the state of an [approval](crate::approval) is compared and set; a click counts only on a card that the log knows | a vendor without versions: an edit in the moment between the last read and the call is told, not prevented |
//! | **Limits are kept** | every attempt, look-up and read is admitted by the [limiter](crate::RateLimiter) first | calls that others make with the same account, of which only the vendor knows. A pause that it asks for is kept |
//! | **A host that stops or dies is replaced** | partitions are leased under a fence; what a host wrote after its lease has ended is refused | a request that was sent before the pause, and arrives after it: it is looked up by whoever has taken over |
//! | **A failure stays where it belongs** | the error's scope: entry, lane, quota, connection | a log that takes no writes stops everything: without it nothing can be promised |
//!
//! # In numbers
//!
//! | what | how long | setting |
//! |---|---|---|
//! | a lane is blocked by one delivery that fails while its system answers | 15 minutes, then the delivery is dead | [`Settings::max_block`](crate::engine::Settings::max_block) |
//! | a system that cannot be reached | as long as it takes; tried every five minutes at least, and nothing is given up | |
//! | a record that cannot be read | 24 hours, then its signals are dead; 30 days when a right is missing | [`Settings::max_signal_age`](crate::engine::Settings::max_signal_age) |
//! | the work of a host that died waits | until its lease ends, 15 s | [`Settings::lease`](crate::engine::Settings::lease) |
//! | a webhook with an id of its own is recognized when it comes again | as long as its entry is kept, 30 days | [`Settings::retention`](crate::engine::Settings::retention) |
//! | a pause that a vendor asks for | believed for an hour, for a day when it is said again | |
//! | after a kill, windows count as spent | those of up to an hour | |
//!
//! These are the defaults:
//!
//! ```
//! use std::time::Duration;
//! use ml_connector_core::engine::Settings;
//!
//! const HOUR: Duration = Duration::from_secs(3600);
//! let settings = Settings::default();
//! assert_eq!(settings.max_block, HOUR / 4);
//! assert_eq!(settings.max_signal_age, 24 * HOUR);
//! assert_eq!(settings.lease, Duration::from_secs(15));
//! assert_eq!(settings.retention, Some(30 * 24 * HOUR));
//! ```
