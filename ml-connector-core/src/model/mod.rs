//! What flows through the connector: signals, records, events, deliveries.

mod actor;
mod approval;
mod before;
mod change;
mod columns;
mod content;
mod delivery;
mod event;
mod id;
mod intake;
mod interaction;
mod left_out;
mod local;
mod money;
mod observation;
mod page;
mod parts;
mod quota;
mod raw;
mod record;
mod signal;
mod time;
mod time_of_day;
mod upkeep;
mod weekday;

pub use actor::{Actor, DocumentRef};
pub use approval::{
    Approval, ApprovalStatus, Decider, Decision, Denied, LiesIn, PostedDocument, PrivateAnswer, Refusal,
    Reply, RequestId,
};
pub use before::Before;
pub use change::Change;
pub use columns::{Column, ColumnType, Columns, Fields, Value};
pub use content::Content;
pub use delivery::{
    Delivery, DeliveryId, DeliveryPlan, Destination, Ended, Fate, Follow, Lookup, Receipt, Root,
};
pub use event::{Event, EventType, Origin};
pub(crate) use id::text_id;
pub use id::{AccountKey, Affinity, ConnectionId, DedupeKey, EndpointId, EntityRef, LaneKey, Partition, Seq};
pub use intake::{Intake, Prompt};
pub(crate) use interaction::emoji_name;
pub use interaction::{Action, Interaction, Reaction};
pub use left_out::{LeftOut, LeftOutReason, LostRow};
pub use local::{LocalTime, WallClock};
pub use money::{Currency, Decimal, Money, decimal_from_json, exact_decimal, reliable, without_residue};
pub use observation::{DeletionProof, Observation, Observed, Resolution, Revision};
pub use page::{Page, PollMode};
pub use parts::{Address, Allocation, Attachment, CodeName, CustomField, Line, Party, Person, Side};
pub use quota::{Cost, Quota, QuotaKey};
pub use record::{Raw, Record, RecordKind, Status};
pub use signal::{Signal, Subject};
pub use time::{Date, Timestamp, Zone};
pub use time_of_day::TimeOfDay;
pub use upkeep::{Subscription, Upkeep};
pub use weekday::Weekday;
