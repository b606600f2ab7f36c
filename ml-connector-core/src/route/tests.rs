//! Routes: what they take, and what is wrong with them.

use std::collections::BTreeSet;

use super::*;
use crate::{
    Timestamp,
    model::{
        Actor, Change, CodeName, DocumentRef, EntityRef, Event, Follow, Interaction, Line, Party, Reaction,
        Record, RecordKind, TimeOfDay, Weekday, Zone,
    },
};

fn invoice(total: &str, currency: &str, changes: &[Change]) -> Event {
    let mut record = Record::new(RecordKind::Invoice, "1", Status::Open);
    record.total = Some(Money::parse(total, currency).unwrap());
    let changes: BTreeSet<_> = changes.iter().copied().collect();
    Event::new("books".into(), record.entity(), 1, changes, Timestamp::default(), Some(record.into()))
}

fn route() -> Route {
    Route::new("r").to("slack", Destination::from("channel:a"))
}

#[test]
fn any_change_of_an_event_can_match_and_the_first_obstacle_is_named() {
    let event = invoice("500", "USD", &[Change::Created, Change::Overdue(7)]);
    for (route, expected) in [
        (route(), RouteMatch::Matched),
        (route().on("invoice.created"), RouteMatch::Matched),
        (route().on("invoice.overdue:7"), RouteMatch::Matched),
        (route().on("invoice.overdue:30"), RouteMatch::OtherChange),
        (route().on("bill.*"), RouteMatch::OtherChange),
        (route().on("bill.*").on("*.overdue"), RouteMatch::Matched),
        (route().from("other"), RouteMatch::OtherConnection),
        (route().with_origin(Origin::Backfill), RouteMatch::OtherOrigin),
        (route().at_least(Money::parse("500.00", "USD").unwrap()), RouteMatch::Matched),
        (route().at_least(Money::parse("500.01", "USD").unwrap()), RouteMatch::BelowThreshold),
        (route().at_least(Money::parse("1000", "EUR").unwrap()), RouteMatch::Matched),
        (route().below(Money::parse("500", "USD").unwrap()), RouteMatch::AboveThreshold),
    ] {
        assert_eq!(route.verdict(&event), expected, "{route:?}");
    }
}

#[test]
fn an_error_names_the_route_and_the_field() {
    let usd = |amount| Money::parse(amount, "USD").unwrap();
    for (route, field) in [
        (Route::new("").to("s", Destination::from("d")), "name"),
        (Route::new("x"), "to"),
        (route().on("invoice"), "on[0]"),
        (route().on("bill.*").on("invoice.payed"), "on[1]"),
        (route().at_least(usd("1")).at_least(usd("2")), "at_least"),
        (route().at_least(usd("10")).below(usd("10")), "below"),
    ] {
        let error = route.validate().unwrap_err();
        assert_eq!(
            (error.kind(), error.context("field")),
            (ErrorKind::ConfigInvalid, Some(field)),
            "{error}"
        );
    }
}

#[test]
fn a_route_is_data() {
    let json = r#"{"name":"big","on":["invoice.*"],"at_least":[{"amount":"10000","currency":"USD"}],
                   "to":[{"sink":"slack","destination":"channel:a"}]}"#;
    let route: Route = serde_json::from_str(json).unwrap();
    route.validate().unwrap();
    assert_eq!(serde_json::from_str::<Route>(&serde_json::to_string(&route).unwrap()).unwrap(), route);
    assert!(serde_json::from_str::<Route>(r#"{"name":"x","too":[]}"#).is_err());
}

/// A bill with everything that a route can ask for.
fn bill() -> Event {
    let mut record = Record::new(RecordKind::Bill, "7", Status::PendingApproval);
    record.counterparty = Some(Party { id: Some("481".into()), name: "Harbor Lane Supply".into() });
    let line = |account: &str, cost_center: Option<&str>| Line {
        account: CodeName::known(Some("9".into()), Some("4000".into()), Some(account.into())),
        cost_center: cost_center.map(CodeName::named),
        ..Line::default()
    };
    record.lines = vec![line("Rent", None), line("Travel", Some("Berlin"))];
    record.tags = vec!["urgent".into()];
    let changes = BTreeSet::from([Change::Submitted]);
    Event::new("books".into(), record.entity(), 1, changes, Timestamp::default(), Some(record.into()))
}

/// Somebody's thumb, on a message about an order.
fn thumb() -> Event {
    let order = EntityRef::new("purchase_order", "3");
    let about = DocumentRef { connection: "orders".into(), entity: order, n: 1 };
    let at = Timestamp::default();
    let reaction = Reaction::new("+1::skin-tone-3", Actor::new("slack", "U1"), about, at);
    let content = Interaction::Reaction(reaction).into();
    let entity = EntityRef::new("reaction", "1");
    Event::new("slack".into(), entity, 1, [Change::Created].into(), at, Some(content))
}

#[test]
fn what_people_did_is_routed_by_emoji_and_document() {
    for (route, expected) in [
        (route().emoji("+1"), RouteMatch::Matched),
        (route().emoji(":+1::skin-tone-6:"), RouteMatch::Matched),
        (route().emoji("eyes").emoji("+1"), RouteMatch::Matched),
        (route().emoji("eyes"), RouteMatch::OtherEmoji),
        (route().tag("+1"), RouteMatch::OtherTags),
        (route().about("orders").emoji("+1"), RouteMatch::Matched),
        (route().about("books"), RouteMatch::OtherDocument),
    ] {
        route.validate().unwrap();
        assert_eq!(route.verdict(&thumb()), expected, "{route:?}");
    }
    assert_eq!(route().emoji("+1").verdict(&bill()), RouteMatch::OtherEmoji);
    assert!(route().emoji("").validate().is_err());
}

#[test]
fn every_filter_has_a_verdict_of_its_own() {
    let gone = Event { content: None, ..bill() };
    for (route, of_bill, of_gone) in [
        (route().counterparty("481"), RouteMatch::Matched, RouteMatch::OtherCounterparty),
        (route().counterparty("Harbor Lane Supply"), RouteMatch::Matched, RouteMatch::OtherCounterparty),
        (
            route().counterparty("harbor lane supply"),
            RouteMatch::OtherCounterparty,
            RouteMatch::OtherCounterparty,
        ),
        (route().counterparty("482").counterparty("481"), RouteMatch::Matched, RouteMatch::OtherCounterparty),
        (route().status(Status::PendingApproval), RouteMatch::Matched, RouteMatch::OtherStatus),
        (route().status(Status::Paid), RouteMatch::OtherStatus, RouteMatch::OtherStatus),
        (route().account("Travel"), RouteMatch::Matched, RouteMatch::OtherAccount),
        (route().account("4000"), RouteMatch::Matched, RouteMatch::OtherAccount),
        (route().account("9"), RouteMatch::Matched, RouteMatch::OtherAccount),
        (route().account("Wages"), RouteMatch::OtherAccount, RouteMatch::OtherAccount),
        (route().cost_center("Berlin"), RouteMatch::Matched, RouteMatch::OtherCostCenter),
        (route().cost_center("Paris"), RouteMatch::OtherCostCenter, RouteMatch::OtherCostCenter),
        (route().tag("late").tag("urgent"), RouteMatch::Matched, RouteMatch::OtherTags),
        (route().tag("late"), RouteMatch::OtherTags, RouteMatch::OtherTags),
        (route().about("books"), RouteMatch::OtherDocument, RouteMatch::OtherDocument),
    ] {
        route.validate().unwrap();
        assert_eq!((route.verdict(&bill()), route.verdict(&gone)), (of_bill, of_gone), "{route:?}");
        assert_eq!(of_bill.is_match(), of_bill.to_string() == "matched");
    }
}

#[test]
fn the_first_route_that_matches_is_enough_if_the_set_says_so() {
    let named = |name: &str| Route::new(name).to("slack", Destination::from("d"));
    let all = RouteSet::new(vec![named("payments").on("*.paid"), named("bills").on("bill.*"), named("rest")]);
    let takers = |set: &RouteSet| set.takers(&bill()).map(|route| route.name.to_string()).collect::<Vec<_>>();
    assert_eq!(takers(&all), ["bills", "rest"]);
    let first = all.first_match();
    assert_eq!(takers(&first), ["bills"]);
    let verdicts: Vec<_> = first.verdicts(&bill()).map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, [RouteMatch::OtherChange, RouteMatch::Matched, RouteMatch::EarlierRoute]);
}

const JSON: &str = r#"{
  "mode": "first-match",
  "routes": [
    {
      "name": "large",
      "from": ["books"],
      "on": ["bill.*"],
      "at_least": [{"amount": "10000.50", "currency": "USD"}],
      "counterparty": ["481"], "status": ["open"], "account": ["Rent"], "cost_center": ["Berlin"], "tags": ["urgent"],
      "origins": ["live", "replay"],
      "to": [
        {"sink": "slack", "destination": "channel:a", "template": "short", "follow": "thread"},
        {"sink": "slack", "destination": "channel:b",
         "schedule": {"at": ["09:00"], "zone": "Europe/Berlin", "days": ["mon"], "digest": {"events": 20}}}
      ]
    },
    {
      "name": "rest",
      "to": [{"sink": "slack", "destination": "channel:a"}]
    }
  ]
}"#;

#[cfg(feature = "toml")]
const TOML: &str = r#"
mode = "first-match"

[[routes]]
name = "large"
from = ["books"]
on = ["bill.*"]
at_least = [{ amount = "10000.50", currency = "USD" }]
counterparty = ["481"]
status = ["open"]
account = ["Rent"]
cost_center = ["Berlin"]
tags = ["urgent"]
origins = ["live", "replay"]

[[routes.to]]
sink = "slack"
destination = "channel:a"
template = "short"
follow = "thread"

[[routes.to]]
sink = "slack"
destination = "channel:b"
schedule = { at = ["09:00"], zone = "Europe/Berlin", days = ["mon"], digest = { events = 20 } }

[[routes]]
name = "rest"
to = [{ sink = "slack", destination = "channel:a" }]
"#;

fn built() -> RouteSet {
    let schedule =
        Schedule::daily([TimeOfDay::parse("09:00").unwrap()], Zone::named("Europe/Berlin").unwrap());
    let schedule = schedule.on_days([Weekday::Mon]).as_digest(Digest::of(20));
    let large = Route::new("large")
        .from("books")
        .on("bill.*")
        .at_least(Money::parse("10000.50", "USD").unwrap())
        .counterparty("481")
        .status(Status::Open)
        .account("Rent")
        .cost_center("Berlin")
        .tag("urgent")
        .with_origin(Origin::Live)
        .with_origin(Origin::Replay)
        .to_target(
            Target::new("slack", Destination::from("channel:a"))
                .with_template("short")
                .following(Follow::Thread),
        )
        .to_target(Target::new("slack", Destination::from("channel:b")).scheduled(schedule));
    RouteSet::new(vec![large, Route::new("rest").to("slack", Destination::from("channel:a"))]).first_match()
}

#[test]
fn a_builder_and_a_file_make_the_same_routes() {
    let built = built();
    built.validate().unwrap();
    assert_eq!(RouteSet::from_json(JSON).unwrap(), built);
    assert_eq!(RouteSet::from_json(&serde_json::to_string(&built).unwrap()).unwrap(), built);
    #[cfg(feature = "toml")]
    assert_eq!(RouteSet::from_toml(TOML).unwrap(), built);
    assert_eq!(RouteSet::from_json("{}").unwrap(), RouteSet::default());
}

/// What an error says: route, field, line.
fn said(error: &Error) -> [Option<&str>; 3] {
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    ["route", "field", "line"].map(|key| error.context(key))
}

#[test]
fn an_error_in_a_json_file_names_the_route_the_field_and_the_line() {
    for (right, wrong, route, field, line) in [
        (r#""bill.*""#, r#""bill.payed""#, Some("large"), Some("on[0]"), "4"),
        (r#""from""#, r#""form""#, Some("large"), Some("form"), "6"),
        (r#""10000.50""#, "10000.50", Some("large"), Some("at_least[0].amount"), "8"),
        (r#""Europe/Berlin""#, r#""Europe/Bonn""#, Some("large"), Some("to[1].schedule.zone"), "14"),
        (r#""09:00""#, r#""9:00""#, Some("large"), Some("to[1].schedule.at[0]"), "14"),
        (r#""zone": "Europe/Berlin", "#, "", Some("large"), Some("to[1].schedule.zone"), "4"),
        (
            r#""sink": "slack", "destination": "channel:b""#,
            r#""sink": "slack""#,
            Some("large"),
            Some("to[1]"),
            "14",
        ),
        (r#""name": "rest""#, r#""name": "large""#, Some("large"), Some("name"), "17"),
        (r#""name": "rest","#, "", Some("number 2"), None, "20"),
        (r#""first-match""#, r#""some""#, None, None, "2"),
        ("]\n}", "]\n}}", None, None, "22"),
    ] {
        assert!(JSON.contains(right), "{right}");
        let at = JSON.rfind(right).unwrap();
        let text = [&JSON[..at], wrong, &JSON[at + right.len()..]].concat();
        let error = RouteSet::from_json(&text).unwrap_err();
        assert_eq!(said(&error), [route, field, Some(line)], "{wrong}: {error}");
    }
}

#[cfg(feature = "toml")]
#[test]
fn an_error_in_a_toml_file_names_the_route_the_field_and_the_line() {
    for (right, wrong, route, field, line) in [
        (r#""bill.*""#, r#""bill.payed""#, Some("large"), Some("on[0]"), "4"),
        ("from", "form", Some("large"), Some("form"), "6"),
        (r#""10000.50""#, "10000.50", Some("large"), Some("at_least[0].amount"), "8"),
        (r#""Europe/Berlin""#, r#""Europe/Bonn""#, Some("large"), Some("to[1].schedule.zone"), "25"),
        (r#"zone = "Europe/Berlin", "#, "", Some("large"), Some("to[1].schedule.zone"), "4"),
        (r#"name = "rest""#, r#"name = "large""#, Some("large"), Some("name"), "27"),
        (r#"name = "rest""#, "", Some("number 2"), None, "27"),
        (r#""first-match""#, r#""some""#, None, Some("mode"), "2"),
        (r#"mode = "#, "mode ", None, None, "2"),
    ] {
        assert!(TOML.contains(right), "{right}");
        let at = TOML.find(right).unwrap();
        let text = [&TOML[..at], wrong, &TOML[at + right.len()..]].concat();
        let error = RouteSet::from_toml(&text).unwrap_err();
        assert_eq!(said(&error), [route, field, Some(line)], "{wrong}: {error}");
    }
}

#[cfg(feature = "toml")]
#[test]
fn the_example_is_right_and_says_what_it_says() {
    let routes = RouteSet::from_toml(include_str!("../../../examples/routes.toml")).unwrap();
    assert_eq!(routes.mode, RouteMode::All);
    let takers = |event: &Event| routes.takers(event).map(|route| route.name.to_string()).collect::<Vec<_>>();
    assert_eq!(takers(&invoice("12000", "USD", &[Change::Created])), ["large invoices"]);
    assert_eq!(takers(&invoice("12000", "USD", &[Change::Overdue(30)])), ["overdue"]);
    // A payment is one message: the payment tells it, not the invoice.
    assert_eq!(takers(&invoice("80", "USD", &[Change::Paid])), [""; 0]);
    let mut payment = invoice("80", "USD", &[Change::Created]);
    payment.entity = EntityRef::new("customer_payment", "5");
    assert_eq!(takers(&payment), ["daily business"]);
    assert_eq!(takers(&bill()), ["approvals of travel"]);
    let dead = EntityRef::new("delivery", "9");
    let dead = Event::new("slack".into(), dead, 1, [Change::Dead].into(), Timestamp::default(), None);
    assert_eq!(takers(&dead), ["trouble"]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,60}|[\\[\\]{}\":=,a-z\n]{0,60}", at in 0..600_usize) {
        let _ = RouteSet::from_json(&text);
        let cut = JSON.char_indices().map(|(i, _)| i).nth(at).unwrap_or(0);
        let _ = RouteSet::from_json(&[&JSON[..cut], &text, &JSON[cut..]].concat());
        #[cfg(feature = "toml")]
        {
            let _ = RouteSet::from_toml(&text);
            let cut = TOML.char_indices().map(|(i, _)| i).nth(at).unwrap_or(0);
            let _ = RouteSet::from_toml(&[&TOML[..cut], &text, &TOML[cut..]].concat());
        }
    }
}

#[test]
fn amounts_of_other_currencies_and_signs_are_classified_as_the_route_says() {
    let money = |amount, currency| Money::parse(amount, currency).unwrap();
    let usd = |amount| money(amount, "USD");
    let skip = OtherCurrencies::Skip;
    for (route, event, expected) in [
        (route().at_least(usd("1")), ("5", "EUR"), RouteMatch::Matched),
        (route().at_least(usd("1")).other_currencies(skip), ("5", "EUR"), RouteMatch::OtherCurrency),
        (route().at_least(usd("1")).other_currencies(skip), ("5", "USD"), RouteMatch::Matched),
        (route().at_least(usd("100")), ("-20000", "USD"), RouteMatch::BelowThreshold),
        (route().at_least(usd("100")).absolute(), ("-20000", "USD"), RouteMatch::Matched),
        (route().below(usd("100")).absolute(), ("-20000", "USD"), RouteMatch::AboveThreshold),
        (route().base_at_least(usd("100")), ("99", "USD"), RouteMatch::BelowThreshold),
        (route().base_below(usd("100")), ("100", "USD"), RouteMatch::AboveThreshold),
        (route().not_status(Status::Open), ("1", "USD"), RouteMatch::OtherStatus),
        (route().not_status(Status::Draft), ("1", "USD"), RouteMatch::Matched),
    ] {
        let event = invoice(event.0, event.1, &[Change::Created]);
        assert_eq!(route.verdict(&event), expected, "{route:?}");
        let written = serde_json::to_string(&route).unwrap();
        assert_eq!(serde_json::from_str::<Route>(&written).unwrap(), route, "{written}");
    }
    // What is not known of an amount is told rather than missed, by every kind of threshold.
    let mut unknown = invoice("1", "USD", &[Change::Created]);
    let mut record = unknown.record().unwrap().clone();
    record.total = None;
    unknown.content = Some(record.into());
    for route in [
        route().at_least(usd("100")),
        route().below(usd("100")),
        route().at_least(usd("100")).other_currencies(skip),
        route().base_at_least(usd("100")),
        route().base_below(usd("100")).absolute(),
    ] {
        assert_eq!(route.verdict(&unknown), RouteMatch::Matched, "{route:?}");
    }
    let mut tagged = invoice("1", "USD", &[Change::Created]);
    let mut record = tagged.record().unwrap().clone();
    record.tags = vec!["internal".into()];
    record.base_total = Some(money("5000", "EUR"));
    tagged.content = Some(record.into());
    assert_eq!(route().base_at_least(money("6000", "EUR")).verdict(&tagged), RouteMatch::BelowThreshold);
    assert_eq!(route().base_at_least(money("5000", "EUR")).verdict(&tagged), RouteMatch::Matched);
    assert_eq!(route().not_tag("internal").verdict(&tagged), RouteMatch::OtherTags);
    assert_eq!(route().not_tag("other").verdict(&tagged), RouteMatch::Matched);
    for origin in [Origin::Live, Origin::Backfill, Origin::Ours, Origin::Replay] {
        tagged.origin = origin;
        assert_eq!(route().with_all_origins().verdict(&tagged), RouteMatch::Matched, "{origin:?}");
    }
    for route in [route().with_pages().with_all_origins(), route().with_all_origins().with_pages()] {
        assert_eq!((route.origins.len(), route.pages), (0, true), "pages are of an origin, too");
    }
    for (route, field) in [
        (route().absolute(), "absolute"),
        (route().at_least(usd("-1")).absolute(), "absolute"),
        (route().other_currencies(skip), "other_currencies"),
        (route().base_at_least(usd("1")).base_below(money("2", "EUR")), "base_below"),
        (route().status(Status::Open).not_status(Status::Open), "not_status"),
        (route().tag("a").not_tag("a"), "not_tags"),
        (route().with_all_origins().with_origin(Origin::Live), "all_origins"),
    ] {
        assert_eq!(route.validate().unwrap_err().context("field"), Some(field), "{route:?}");
    }
}
