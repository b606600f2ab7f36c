//! Who may decide.

use std::{collections::BTreeSet, fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::state::Verdict;
use crate::{
    Context, Error, ErrorKind, Money, Result,
    model::{Actor, Denied, Record},
};

/// Who may decide about documents: everybody whom a rule names, except the people on the deny list and the requester.
///
/// ```
/// use ml_connector_core::{Money, approval::{Approvers, Policy}};
///
/// let policy = Policy::default()
///     .allow(Approvers::default().person("anna@example.com").group("S07FINANCE").up_to(Money::parse("10000", "EUR")?))
///     .allow(Approvers::default().person("U07CFO"))
///     .deny("U07INTERN");
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
///
/// `Debug` shows how many people it names.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// Who may, and up to which amount.
    pub allow: Vec<Approvers>,
    /// People who may never decide: ids or addresses. If an address is listed, a person whose own address cannot be
    /// read may not decide either.
    pub deny: Vec<Arc<str>>,
    /// Whether the requester may decide. Default: `false`. Where the requester is known, a person whose name or
    /// address cannot be compared with theirs may not decide either.
    pub requester_may_decide: bool,
}

/// A rule: who, and up to which amount. `Debug` shows how many people and groups it names.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Approvers {
    /// Everybody who sees the request.
    pub anyone: bool,
    /// People, by id (`U07APPROV1`) or address.
    pub people: Vec<Arc<str>>,
    /// Groups of the [`Directory`], by its ids.
    pub groups: Vec<Arc<str>>,
    /// Whoever is responsible for the document in the books, [`Record::assignee`], known by address.
    pub assignee: bool,
    /// The largest total, one per currency; empty = any. With limits, a document without a total, or in a currency
    /// that is not named, is above them, and one whose total is zero or negative is not covered by them. Rejecting has no
    /// limit.
    pub up_to: Vec<Money>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allow, deny, requester_may_decide } = self;
        f.debug_struct("Policy")
            .field("allow", allow)
            .field("deny", &deny.len())
            .field("requester_may_decide", requester_may_decide)
            .finish()
    }
}

impl fmt::Debug for Approvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { anyone, people, groups, assignee, up_to } = self;
        f.debug_struct("Approvers")
            .field("anyone", anyone)
            .field("people", &people.len())
            .field("groups", &groups.len())
            .field("assignee", assignee)
            .field("up_to", up_to)
            .finish()
    }
}

impl Policy {
    /// Also lets these decide.
    #[must_use]
    pub fn allow(mut self, approvers: Approvers) -> Self {
        self.allow.push(approvers);
        self
    }

    /// Never lets this person decide: by id or address.
    #[must_use]
    pub fn deny(mut self, person: impl Into<Arc<str>>) -> Self {
        self.deny.push(person.into());
        self
    }

    /// The groups that rules name, each once.
    pub(super) fn groups(&self) -> BTreeSet<&Arc<str>> {
        self.allow.iter().flat_map(|rule| &rule.groups).collect()
    }

    pub(super) fn validate(&self, has_directory: bool) -> Result<()> {
        let invalid = |message| Err(Error::new(ErrorKind::ConfigInvalid, message));
        let names_nobody = |rule: &Approvers| {
            !rule.anyone && !rule.assignee && rule.people.is_empty() && rule.groups.is_empty()
        };
        if self.allow.is_empty() || self.allow.iter().any(names_nobody) {
            return invalid(
                "a policy needs rules that name somebody: people, groups, the assignee or `anyone`",
            );
        }
        let named =
            self.allow.iter().flat_map(|rule| rule.people.iter().chain(&rule.groups)).chain(&self.deny);
        if named.into_iter().any(|name| name.trim().is_empty()) {
            return invalid("a policy names somebody by an empty text");
        }
        if !has_directory && !self.groups().is_empty() {
            return invalid("a policy with groups needs a directory");
        }
        Ok(())
    }

    /// Whether somebody may decide about a document so; `groups` are those of the policy's that they belong to.
    ///
    /// # Errors
    /// Why not.
    pub fn check(
        &self,
        verdict: Verdict,
        document: &Record,
        actor: &Actor,
        groups: &BTreeSet<Arc<str>>,
    ) -> Result<(), Denied> {
        if actor.deactivated {
            return Err(Denied::Deactivated);
        }
        if self.deny.iter().any(|person| is(actor, person)) {
            return Err(Denied::Listed);
        }
        if self.requesters(document).any(|requester| asked(actor, requester)) {
            return Err(Denied::Requester);
        }
        let mut denied = Denied::NoApprover;
        for rule in &self.allow {
            let named = rule.anyone
                || rule.people.iter().any(|person| is(actor, person))
                || rule.assignee && is_assignee(actor, document)
                || rule.groups.iter().any(|group| groups.contains(group));
            match named {
                true if verdict == Verdict::Reject || rule.covers(document) => {
                    return self.unknown(document, actor).map_or(Ok(()), Err);
                }
                true if is_no_amount(document) => denied = Denied::NoAmount,
                true => denied = Denied::OverLimit,
                false => {}
            }
        }
        Err(denied)
    }

    /// What is not known of somebody whom the rules let decide, and would have to be: without it they may be one of
    /// those who may not.
    fn unknown(&self, document: &Record, actor: &Actor) -> Option<Denied> {
        let (has_address, has_name) = (actor.email.is_some(), names(actor).next().is_some());
        // An address tells people apart whatever they call themselves at present; a name is what is left without one.
        let by_address = self.requesters(document).any(is_address);
        if !has_address && (by_address || self.deny.iter().any(|person| is_address(person))) {
            return Some(Denied::NoAddress);
        }
        let by_name = !by_address && self.requesters(document).next().is_some();
        (by_name && !has_name).then_some(Denied::NoName)
    }

    /// What the books call whoever asked, if they may not decide.
    fn requesters<'a>(&self, document: &'a Record) -> impl Iterator<Item = &'a str> + use<'a> {
        let by = document.submitted_by.iter().flat_map(|by| [by.name.as_deref(), by.email.as_deref()]);
        let may_decide = self.requester_may_decide;
        by.flatten().filter(move |name| !may_decide && !name.trim().is_empty())
    }
}

impl Approvers {
    /// Everybody who sees the request.
    #[must_use]
    pub fn anyone() -> Self {
        Self { anyone: true, ..Self::default() }
    }

    /// Also this person: by id or address.
    #[must_use]
    pub fn person(mut self, person: impl Into<Arc<str>>) -> Self {
        self.people.push(person.into());
        self
    }

    /// Also the members of this group.
    #[must_use]
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Also whoever is responsible for the document in the books, such as its purchaser. Somebody without an address
    /// there is not recognized.
    #[must_use]
    pub fn assignee(mut self) -> Self {
        self.assignee = true;
        self
    }

    /// Up to this total in its currency.
    #[must_use]
    pub fn up_to(mut self, total: Money) -> Self {
        self.up_to.push(total);
        self
    }

    fn covers(&self, document: &Record) -> bool {
        self.up_to.is_empty()
            || !is_no_amount(document)
                && document.total.is_some_and(|total| self.up_to.iter().any(|limit| total <= *limit))
    }
}

/// Whether the total is zero or negative: no limit is about such an amount.
fn is_no_amount(document: &Record) -> bool {
    document.total.is_some_and(|total| total.amount.is_zero() || total.amount.is_sign_negative())
}

/// Whether the text names the person: an id as it is, an address in any case.
fn is(actor: &Actor, text: &str) -> bool {
    !text.trim().is_empty() && (*actor.id == *text || is_address_of(actor, text))
}

/// Whether the person is who the books hold responsible: by address, because names are many people's.
fn is_assignee(actor: &Actor, document: &Record) -> bool {
    let address = document.assignee.as_ref().and_then(|person| person.email.as_deref()).map(str::trim);
    address.is_some_and(|address| !address.is_empty() && is_address_of(actor, address))
}

fn is_address_of(actor: &Actor, text: &str) -> bool {
    actor.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(text))
}

fn is_address(text: &str) -> bool {
    text.contains('@')
}

/// Whether the person is who asked, as the books name people: by address, by any name, or by an id both know.
fn asked(actor: &Actor, requester: &str) -> bool {
    let requester = requester.trim();
    is(actor, requester) || names(actor).any(|name| words(name).eq(words(requester)))
}

fn names(actor: &Actor) -> impl Iterator<Item = &str> {
    actor.name.iter().chain(&actor.aliases).map(|name| name.trim()).filter(|name| !name.is_empty())
}

/// A name without what people write now so, now so.
fn words(name: &str) -> impl Iterator<Item = String> {
    name.split_whitespace().map(str::to_lowercase)
}

/// Knows who belongs to which group. Slack's user groups are one.
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// The ids of the group's members, as actors have them. May be remembered for some minutes.
    ///
    /// # Errors
    /// One that passes delays the decision. With [`Retry::Never`](crate::Retry::Never), nobody is taken for a member.
    async fn members(&self, ctx: &Context, group: &str) -> Result<Vec<Arc<str>>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Person, RecordKind, Status};

    fn money(amount: &str) -> Money {
        Money::parse(amount, "EUR").unwrap()
    }

    fn bill(total: Option<Money>) -> Record {
        let mut bill = Record::new(RecordKind::Bill, "1", Status::PendingApproval);
        (bill.total, bill.submitted_by) = (total, Some(Person::named("Ben Buyer")));
        bill
    }

    fn actor(id: &str, name: &str, email: &str) -> Actor {
        let mut actor = Actor::new("slack", id);
        (actor.name, actor.email) = (Some(name.into()), Some(email.into()));
        actor
    }

    #[test]
    fn whoever_a_rule_names_may_within_its_limits() {
        let policy = Policy::default()
            .allow(Approvers::default().person("Anna@example.com").group("S1").up_to(money("100")))
            .allow(Approvers::default().person("U9"))
            .deny("U3");
        let groups = BTreeSet::from([Arc::from("S1")]);
        let check = |verdict, total: Option<&str>, id: &str, email: &str, groups: &BTreeSet<Arc<str>>| {
            policy.check(verdict, &bill(total.map(money)), &actor(id, "Somebody", email), groups)
        };
        let (none, approve) = (BTreeSet::new(), Verdict::Approve);
        for (total, id, email, groups, expected) in [
            (Some("100.00"), "U1", "anna@example.com", &none, Ok(())),
            (Some("100.01"), "U1", "anna@example.com", &none, Err(Denied::OverLimit)),
            (None, "U1", "anna@example.com", &none, Err(Denied::OverLimit)),
            (Some("100"), "U1", "ann@example.com", &none, Err(Denied::NoApprover)),
            (Some("1"), "U2", "", &groups, Ok(())),
            (Some("1"), "U2", "", &none, Err(Denied::NoApprover)),
            (Some("1"), "U3", "anna@example.com", &groups, Err(Denied::Listed)),
            (Some("99999"), "U9", "", &none, Ok(())),
        ] {
            assert_eq!(check(approve, total, id, email, groups), expected, "{id} {email} {total:?}");
        }
        assert_eq!(check(Verdict::Reject, Some("100.01"), "U1", "anna@example.com", &none), Ok(()));
        assert_eq!(check(Verdict::Reject, Some("1"), "U2", "", &none), Err(Denied::NoApprover));
    }

    #[test]
    fn nobody_is_named_by_nothing_and_no_limit_covers_an_amount_that_is_none() {
        let none = BTreeSet::new();
        let nobody = Policy::default().allow(Approvers::default().person("").person("U1"));
        assert!(nobody.validate(true).is_err(), "an empty name is refused");
        let check = |policy: &Policy, total: &str, actor: &Actor| {
            policy.check(Verdict::Approve, &bill(Some(money(total))), actor, &none)
        };
        assert_eq!(check(&nobody, "1", &actor("U2", "Eva", "")), Err(Denied::NoApprover));
        let limited = Policy::default().allow(Approvers::anyone().up_to(money("100")));
        let unlimited = Policy::default().allow(Approvers::anyone());
        let eva = actor("U2", "Eva", "eva@example.com");
        for total in ["0", "0.00", "-1", "-100000"] {
            assert_eq!(check(&limited, total, &eva), Err(Denied::NoAmount), "{total}");
            assert_eq!(check(&unlimited, total, &eva), Ok(()), "{total}");
        }
        let gone = Actor { deactivated: true, ..eva };
        assert_eq!(check(&unlimited, "1", &gone), Err(Denied::Deactivated));
    }

    #[test]
    fn whoever_the_books_hold_responsible_is_known_by_address_alone() {
        let none = BTreeSet::new();
        let policy = Policy::default().allow(Approvers::default().assignee().up_to(money("100")));
        assert!(policy.validate(false).is_ok());
        let responsible = |name: Option<&str>, email: Option<&str>| {
            let mut bill = bill(Some(money("50")));
            bill.assignee = Person::known(Some("LK".into()), name.map(Into::into), email.map(Into::into));
            bill
        };
        let eva = actor("U2", "Eva", "Eva@Example.com");
        let check = |bill: &Record, actor: &Actor| policy.check(Verdict::Approve, bill, actor, &none);
        assert_eq!(check(&responsible(None, Some(" eva@example.com ")), &eva), Ok(()));
        for other in [
            responsible(Some("Eva"), None),
            responsible(Some("Eva"), Some("")),
            responsible(Some("Eva"), Some("eve@example.com")),
            bill(Some(money("50"))),
        ] {
            assert_eq!(check(&other, &eva), Err(Denied::NoApprover), "{:?}", other.assignee);
        }
        let mut nobody = Actor::new("slack", "U3");
        nobody.name = Some("Eva".into());
        assert_eq!(check(&responsible(None, Some("")), &nobody), Err(Denied::NoApprover));
        let mut large = responsible(None, Some("eva@example.com"));
        large.total = Some(money("101"));
        assert_eq!(check(&large, &eva), Err(Denied::OverLimit));
    }

    #[test]
    fn an_amount_in_a_currency_without_a_limit_is_above_it() {
        let rule = Approvers::anyone().up_to(money("100"));
        let policy = Policy::default().allow(rule);
        let dollars = bill(Some(Money::parse("1", "USD").unwrap()));
        let checked = policy.check(Verdict::Approve, &dollars, &Actor::new("slack", "U1"), &BTreeSet::new());
        assert_eq!(checked, Err(Denied::OverLimit));
    }

    #[test]
    fn who_asked_does_not_decide_however_the_books_name_them() {
        let none = BTreeSet::new();
        let mut policy = Policy::default().allow(Approvers::anyone());
        let mut ben = actor("U5", "Benjamin", "ben@example.com");
        ben.aliases = vec!["benny".into(), "ben  BÜYER ".into()];
        for requester in ["Ben Büyer", " BEN@example.com", "U5", "Benny", "BENJAMIN"] {
            let mut bill = bill(None);
            bill.submitted_by = Some(Person::named(requester));
            assert_eq!(policy.check(Verdict::Approve, &bill, &ben, &none), Err(Denied::Requester));
        }
        assert_eq!(policy.check(Verdict::Approve, &bill(None), &actor("U6", "Eva", "e@x"), &none), Ok(()));
        policy.requester_may_decide = true;
        assert_eq!(policy.check(Verdict::Approve, &bill(None), &ben, &none), Ok(()));
    }

    #[test]
    fn who_may_be_one_of_those_who_may_not_does_not_decide() {
        let (none, by_id) = (BTreeSet::new(), Policy::default().allow(Approvers::default().person("U5")));
        let denies = |person: &str| by_id.clone().deny(person);
        let known = |name: Option<&str>, email: Option<&str>| {
            let mut actor = Actor::new("slack", "U5");
            (actor.name, actor.email) = (name.map(Into::into), email.map(Into::into));
            actor
        };
        let (nothing, named, all) =
            (known(None, None), known(Some("Eva"), None), known(Some("Eva"), Some("e@x")));
        for (policy, requester, actor, expected) in [
            // Without a list and a requester, ids are enough.
            (&by_id, None, &nothing, Ok(())),
            (&denies("U6"), None, &nothing, Ok(())),
            (&denies("mallory@x"), None, &nothing, Err(Denied::NoAddress)),
            (&denies("mallory@x"), None, &named, Err(Denied::NoAddress)),
            (&denies("mallory@x"), None, &all, Ok(())),
            (&denies("U5"), None, &nothing, Err(Denied::Listed)),
            (&by_id, Some("Ben Buyer"), &nothing, Err(Denied::NoName)),
            (&by_id, Some("Ben Buyer"), &known(Some(" "), Some("e@x")), Err(Denied::NoName)),
            (&by_id, Some("Ben Buyer"), &named, Ok(())),
            (&by_id, Some("ben@x"), &named, Err(Denied::NoAddress)),
            (&by_id, Some("ben@x"), &all, Ok(())),
            (&by_id, Some("U5"), &nothing, Err(Denied::Requester)),
        ] {
            let mut bill = bill(None);
            bill.submitted_by = requester.map(|name| {
                if name.contains('@') {
                    Person { email: Some(name.into()), ..Person::default() }
                } else {
                    Person::named(name)
                }
            });
            let checked = policy.check(Verdict::Approve, &bill, actor, &none);
            assert_eq!(checked, expected, "{policy:?} {requester:?}");
        }
        // Nobody is told of what is missing who may not in any case.
        let other = Actor::new("slack", "U9");
        assert_eq!(
            denies("mallory@x").check(Verdict::Approve, &bill(None), &other, &none),
            Err(Denied::NoApprover)
        );
        let free = Policy { requester_may_decide: true, ..by_id.clone() };
        assert_eq!(free.check(Verdict::Approve, &bill(None), &nothing, &none), Ok(()));
    }

    #[test]
    fn who_asked_does_not_decide_under_a_new_name() {
        let (none, policy) = (BTreeSet::new(), Policy::default().allow(Approvers::anyone()));
        let mut asked_by_ben = bill(None);
        asked_by_ben.submitted_by =
            Person::known(None, Some("Ben Buyer".into()), Some("Ben@Example.com".into()));
        let check = |actor: &Actor| policy.check(Verdict::Approve, &asked_by_ben, actor, &none);
        assert_eq!(check(&actor("U5", "Somebody Else", "ben@example.com")), Err(Denied::Requester));
        assert_eq!(check(&actor("U6", "Eva", "eva@example.com")), Ok(()));
        let mut named = Actor::new("slack", "U7");
        assert_eq!(check(&named), Err(Denied::NoAddress), "nothing to compare");
        named.name = Some("Eva".into());
        assert_eq!(check(&named), Err(Denied::NoAddress), "a name may be a new one");
    }

    #[test]
    fn a_policy_that_lets_nobody_decide_is_refused() {
        for (policy, directory, good) in [
            (Policy::default(), true, false),
            (Policy::default().allow(Approvers::default().up_to(money("1"))), true, false),
            (Policy::default().allow(Approvers::default().group("S1")), false, false),
            (Policy::default().allow(Approvers::default().group("S1")), true, true),
            (Policy::default().allow(Approvers::anyone()), false, true),
        ] {
            assert_eq!(policy.validate(directory).is_ok(), good, "{policy:?}");
        }
    }
}
