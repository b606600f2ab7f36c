//! Putting approvals together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use super::{
    Directory, English, Policy, Wording,
    state::{Terms, Verdict},
};
use crate::{
    Error, ErrorKind, Money, Repeat, Result, SinkInfo, SourceInfo,
    model::{ApprovalStatus, ConnectionId, Destination, Follow, Interaction, Origin, Status},
    route::{Pattern, Route, Target},
};

/// Decisions of people about documents, as a connection: see the [module's documentation](super). Cheap to clone;
/// all clones are one connection.
#[derive(Clone)]
pub struct Approvals(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) source: SourceInfo,
    pub(super) sink: SinkInfo,
    pub(super) policy: Policy,
    pub(super) directory: Option<Arc<dyn Directory>>,
    pub(super) terms: Terms,
    pub(super) awaiting: Vec<Status>,
    pub(super) reactions: BTreeMap<Arc<str>, Verdict>,
    pub(super) command: Option<Command>,
    pub(super) at_least: Vec<Money>,
    pub(super) above_zero: bool,
    pub(super) quiet_for: Option<Duration>,
    pub(super) wording: Arc<dyn Wording>,
    routes: Vec<Route>,
}

/// What the books have to do.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// Who does it; `None` = the connection of the document.
    pub(super) sink: Option<ConnectionId>,
    pub(super) destination: Destination,
}

/// What a card shows by being rewritten: everything but reminders, which are replies to it.
const SHOWN: [ApprovalStatus; 9] = [
    ApprovalStatus::Requested,
    ApprovalStatus::Approved,
    ApprovalStatus::PartiallyApproved,
    ApprovalStatus::Posted,
    ApprovalStatus::Refused,
    ApprovalStatus::Rejected,
    ApprovalStatus::Expired,
    ApprovalStatus::Superseded,
    ApprovalStatus::DoneElsewhere,
];

/// Builds [`Approvals`]. Setters cannot fail; [`build`](Self::build) checks everything.
pub struct ApprovalsBuilder {
    connection: ConnectionId,
    documents: Vec<(ConnectionId, Pattern)>,
    cards: Option<(ConnectionId, Destination, Destination)>,
    template: Option<Arc<str>>,
    command: Option<Command>,
    at_least: Vec<Money>,
    above_zero: bool,
    quiet_for: Option<Duration>,
    with_past: bool,
    wording: Arc<dyn Wording>,
    policy: Policy,
    directory: Option<Arc<dyn Directory>>,
    terms: Terms,
    awaiting: Vec<Status>,
    reactions: BTreeMap<Arc<str>, Verdict>,
}

impl Approvals {
    /// Begins a connection under the host's name for it.
    #[must_use]
    pub fn builder(connection: impl Into<ConnectionId>) -> ApprovalsBuilder {
        ApprovalsBuilder {
            connection: connection.into(),
            documents: Vec::new(),
            cards: None,
            template: None,
            command: None,
            at_least: Vec::new(),
            above_zero: false,
            quiet_for: None,
            with_past: false,
            wording: Arc::new(English),
            policy: Policy::default(),
            directory: None,
            terms: Terms::default(),
            awaiting: Vec::new(),
            reactions: BTreeMap::new(),
        }
    }

    /// Where documents, clicks and reactions have to be delivered.
    #[must_use]
    pub fn inbox() -> Destination {
        Destination::from("inbox")
    }

    /// The routes of the whole flow: documents and choices to the approvals, cards, reminders and answers to the
    /// people, approved documents back to the books. Their names begin with the connection's.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.0.routes.clone()
    }
}

impl ApprovalsBuilder {
    /// Asks about documents of a connection. `pattern` says which changes are watched, such as `bill.*`. It has to take
    /// in deletions and every other change, because these end a request.
    #[must_use]
    pub fn documents(mut self, of: impl Into<ConnectionId>, pattern: impl Into<Pattern>) -> Self {
        self.documents.push((of.into(), pattern.into()));
        self
    }

    /// The people: where requests are shown and decided, and where the person who decided is answered, such as
    /// `slack::channel("approvals")` and `slack::clicker()`.
    #[must_use]
    pub fn ask(mut self, by: impl Into<ConnectionId>, cards: Destination, answers: Destination) -> Self {
        self.cards = Some((by.into(), cards, answers));
        self
    }

    /// In which form requests are shown, by a name that the sink knows; without it, in its own. Slack has `post`, whose
    /// button says that the document will be posted.
    #[must_use]
    pub fn shown_as(mut self, template: impl Into<Arc<str>>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// What the books have to do once a document is approved, such as `zoho::approve()`. Without it, nothing follows an
    /// approval.
    #[must_use]
    pub fn command(mut self, sink: impl Into<ConnectionId>, destination: Destination) -> Self {
        self.command = Some(Command { sink: Some(sink.into()), destination });
        self
    }

    /// The same, done by the connection whose document it is: for several organizations with one group of approvers.
    #[must_use]
    pub fn command_at_home(mut self, destination: Destination) -> Self {
        self.command = Some(Command { sink: None, destination });
        self
    }

    /// Asks only about documents with at least this total: one amount per currency. A document whose total is not known, or
    /// is in a currency without an amount here, is asked about as well: a threshold leaves out only what is known to be below
    /// it. A negative total is below every positive amount. If the total falls below while a request is open, the request is
    /// superseded.
    ///
    /// This says what is asked about, not who may decide: for [`Approvers::up_to`](super::Approvers::up_to) an unknown total
    /// is above the limit.
    #[must_use]
    pub fn at_least(mut self, total: Money) -> Self {
        self.at_least.push(total);
        self
    }

    /// Asks only about documents with a total above zero, so not about a draft without lines. A document whose total is
    /// not known is asked about, as for [`at_least`](Self::at_least).
    #[must_use]
    pub fn above_zero(mut self) -> Self {
        self.above_zero = true;
        self
    }

    /// Asks once the document has stayed unchanged for this time, so that a document which is still being edited is asked
    /// about once. A request about a document that changes is superseded at once. Default: asks at once.
    #[must_use]
    pub fn quiet_for(mut self, time: Duration) -> Self {
        self.quiet_for = Some(time);
        self
    }

    /// Also asks about documents that were there before the connection was: a
    /// [backfill](crate::Connector::backfill) of their connection tells of them.
    #[must_use]
    pub fn with_past(mut self) -> Self {
        self.with_past = true;
        self
    }

    /// What people are told, in other words than the English ones.
    #[must_use]
    pub fn wording(mut self, wording: impl Wording) -> Self {
        self.wording = Arc::new(wording);
        self
    }

    /// Who may decide. Required.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Who knows the members of the policy's groups.
    #[must_use]
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// How long people can decide. Default: without an end.
    #[must_use]
    pub fn expire_after(mut self, time: Duration) -> Self {
        self.terms.expire_after = Some(time);
        self
    }

    /// How often people are reminded. Default: never.
    #[must_use]
    pub fn remind_every(mut self, time: Duration) -> Self {
        self.terms.remind_every = Some(time);
        self
    }

    /// In which status a document waits for a decision. Default: [`Status::PendingApproval`] alone.
    #[must_use]
    pub fn awaiting(mut self, status: Status) -> Self {
        self.awaiting.push(status);
        self
    }

    /// Takes this emoji on a card for a decision. Off unless an emoji is named: a reaction is easily given by
    /// mistake, and shows no amount.
    #[must_use]
    pub fn by_reaction(mut self, emoji: impl Into<Arc<str>>, verdict: Verdict) -> Self {
        self.reactions.insert(emoji.into(), verdict);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names what is missing.
    pub fn build(self) -> Result<Approvals> {
        let missing = |message| Error::new(ErrorKind::ConfigInvalid, message);
        self.connection.validate()?;
        self.policy.validate(self.directory.is_some())?;
        if self.documents.is_empty() {
            return Err(missing("approvals need documents to ask about: name them with `documents`"));
        }
        let pauses = [self.terms.expire_after, self.terms.remind_every, self.quiet_for];
        if pauses.contains(&Some(Duration::ZERO)) {
            return Err(missing(
                "a request cannot expire, or be reminded of, at once, and no time is no quiet time",
            ));
        }
        let twice =
            |(i, one): (usize, &Money)| self.at_least[..i].iter().any(|other| other.currency == one.currency);
        if self.at_least.iter().enumerate().any(twice) {
            return Err(missing("`at_least` has more than one amount in a currency"));
        }
        let routes =
            self.routes().ok_or_else(|| missing("approvals need somebody to ask: name them with `ask`"))?;
        let mut source = SourceInfo::new(self.connection.clone(), "approvals");
        (source.outcomes, source.keeps_raw) = (true, true);
        source.coalesce = Duration::ZERO;
        source.statuses = vec!["posted", "refused", "expired", "superseded", "given"];
        let mut sink = SinkInfo::new(self.connection, "approvals");
        sink.repeat = Repeat::Safe;
        sink.affinity.clone_from(&source.affinity);
        let awaiting = if self.awaiting.is_empty() { vec![Status::PendingApproval] } else { self.awaiting };
        Ok(Approvals(Arc::new(Inner {
            source,
            sink,
            policy: self.policy,
            directory: self.directory,
            terms: Terms { posts: self.command.is_some(), ..self.terms },
            awaiting,
            reactions: self.reactions,
            command: self.command,
            at_least: self.at_least,
            above_zero: self.above_zero,
            quiet_for: self.quiet_for,
            wording: self.wording,
            routes,
        })))
    }

    fn routes(&self) -> Option<Vec<Route>> {
        let (people, cards, answers) = self.cards.as_ref()?;
        let own = &self.connection;
        let name = |what: &str| format!("{own}: {what}");
        let mut routes = Vec::new();
        for (i, (connection, pattern)) in self.documents.iter().enumerate() {
            let mut route = Route::new(name(&format!("documents {}", i + 1)));
            if self.with_past {
                route = route.with_origin(Origin::Live).with_origin(Origin::Backfill);
            }
            routes
                .push(route.from(connection.clone()).on(pattern.clone()).to(own.clone(), Approvals::inbox()));
        }
        let mut choices = Route::new(name("choices")).from(people.clone()).on("action.created");
        if !self.reactions.is_empty() {
            choices = choices.on("reaction.created");
        }
        routes.push(choices.to(own.clone(), Approvals::inbox()));
        let mut shown = Route::new(name("cards")).from(own.clone());
        for status in SHOWN {
            shown = shown.on(format!("{}.{}", Interaction::APPROVAL, status.change()));
        }
        let card =
            || Target { template: self.template.clone(), ..Target::new(people.clone(), cards.clone()) };
        routes.push(shown.to_target(card().following(Follow::Update)));
        let reminders = Route::new(name("reminders")).from(own.clone()).on("approval.reminded");
        routes.push(reminders.to_target(card().following(Follow::Thread)));
        let told = Route::new(name("answers")).from(own.clone()).on("answer.created");
        routes.push(told.to(people.clone(), answers.clone()));
        if let Some(Command { sink, destination }) = &self.command {
            let approved = |what: &str| Route::new(name(what)).from(own.clone()).on("approval.approved");
            let homes: BTreeSet<_> = self.documents.iter().map(|(home, _)| home).collect();
            match sink {
                Some(sink) => routes.push(approved("commands").to(sink.clone(), destination.clone())),
                None => routes.extend(homes.into_iter().map(|home| {
                    let route = approved(&format!("commands to {home}")).about(home.clone());
                    route.to(home.clone(), destination.clone())
                })),
            }
        }
        Some(routes)
    }
}

impl fmt::Debug for ApprovalsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApprovalsBuilder").field("connection", &self.connection).finish_non_exhaustive()
    }
}
