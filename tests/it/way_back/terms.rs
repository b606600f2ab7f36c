//! Which documents are asked about, and when: amounts, quiet times, what is there already, and whose connection does it. What
//! becomes of a click on a card that is not known yet.

use std::{sync::Arc, time::Duration};

use ml_connector_bc::{BusinessCentral, post};
use ml_connector_core::{
    Clock, Connector, Money, Secret, SourceMode,
    approval::{Approvals, ApprovalsBuilder, Approvers, Policy},
    audit::EntryKind,
    model::{Decimal, Event, Status},
    route::Route,
};
use ml_connector_sim::{
    BusinessCentralSim, Fault,
    bc::{BusinessCentralConfig, NewDocument, Set},
    slack::User,
    zoho::ZohoBooksConfig,
};
use ml_connector_slack::{channel, clicker};
use serde_json::Value;

use super::{ANNA, APPROVALS, APPROVE, workspace};
use crate::world::{ACCOUNTING, Running, World, secs};

const INVOICES: Set = Set::PurchaseInvoices;
const SALES: Set = Set::SalesInvoices;
const LENA: &str = "U07LENA001";

/// Companies that are polled every minute, and one channel.
struct Desk {
    world: World,
    companies: Vec<BusinessCentralSim>,
    connector: Connector,
    running: Running,
}

impl Desk {
    async fn open(
        companies: usize,
        erp: impl Fn(ml_connector_bc::Builder) -> ml_connector_bc::Builder,
        terms: impl FnOnce(ApprovalsBuilder) -> ApprovalsBuilder,
        before: impl Fn(&BusinessCentralSim),
    ) -> Self {
        let mut slack = workspace();
        slack.users.push(User::new(LENA, "Lena Kaya", "lena@harbor.example"));
        let world = World::with("2026-03-02T14:00:00Z", ZohoBooksConfig::default(), slack);
        let (mut sims, mut transport, mut sources) = (Vec::new(), world.transport.clone(), Vec::new());
        for n in 0..companies {
            let mut config = BusinessCentralConfig::default();
            config.seed = 70 + u64::try_from(n).unwrap();
            let sim = BusinessCentralSim::with_config(Arc::clone(&world.clock) as _, config);
            before(&sim);
            let (known, host) = (sim.credentials(), format!("https://erp{n}.example.com"));
            transport = transport.with_router(&host, sim.router());
            sim.set_origin(&host);
            let source = BusinessCentral::builder(format!("erp{n}"))
                .tenant(&known.tenant)
                .environment(&known.environment)
                .company(&known.company_id, "HARBOR SUPPLY")
                .client(&known.client_id, known.client_secret.as_str())
                .login_url(&host)
                .api_url(&host)
                .mode(SourceMode::Poll)
                .poll_minutes(1)
                .sets([INVOICES.name(), SALES.name()]);
            sources.push(erp(source).build().unwrap());
            sims.push(sim);
        }
        // What is there by then is no news.
        tokio::time::sleep(secs(3600)).await;
        let world = World { transport, ..world };
        let slack = world.sink().signing_secret(Secret::from(world.slack.signing_secret().expose()));
        let approvers = Approvers::default().person(ANNA);
        let mut approvals = Approvals::builder("approvals")
            .awaiting(Status::Draft)
            .awaiting(Status::PendingApproval)
            .awaiting(Status::Approved)
            .ask("slack", channel(APPROVALS), clicker())
            .command_at_home(post())
            .policy(Policy::default().allow(approvers));
        for n in 0..companies {
            approvals =
                approvals.documents(format!("erp{n}"), "bill.*").documents(format!("erp{n}"), "invoice.*");
        }
        let mut builder = world.builder();
        for source in sources {
            builder = builder.connect(source);
        }
        let connector = builder
            .connect(slack.team("T07LEDGER1").build().unwrap())
            .connect(terms(approvals).build().unwrap())
            .route(Route::new("told").on("bill.*").to("slack", channel(ACCOUNTING)))
            .build()
            .unwrap();
        let running = Running::start(&connector);
        Self { world, companies: sims, connector, running }
    }

    fn draft(&self, company: usize, new: &NewDocument) -> (String, String) {
        let id = self.companies[company].create(INVOICES, new);
        let number = self.companies[company].field(INVOICES, &id, "number").unwrap();
        (id, number)
    }

    /// The cards about a number, as they are shown.
    fn cards(&self, number: &str) -> Vec<(String, String)> {
        let about = self.world.slack.posts(APPROVALS).into_iter().filter(|card| card.text.contains(number));
        about.map(|card| (card.ts, card.blocks.to_string())).collect()
    }

    fn is_asked(&self, number: &str) -> bool {
        self.cards(number).iter().any(|(_, shown)| shown.contains(APPROVE))
    }

    async fn pass(&self, secs: u64) {
        tokio::time::sleep(Duration::from_secs(secs)).await;
    }

    async fn click(&self, number: &str, user: &str) {
        let (ts, _) = self.cards(number).pop().unwrap();
        self.world.slack.click(APPROVALS, &ts, APPROVE, user).unwrap();
        for delivery in self.world.slack.take_deliveries() {
            let answer = self.connector.receive(delivery.request.clone()).await;
            self.world.slack.settle(delivery, Ok(answer));
        }
        self.pass(60).await;
    }

    async fn end(self) {
        self.running.stop().await;
        assert_eq!(self.world.limits_broken(), 0);
        assert!(self.companies.iter().all(|company| company.limit_violations() == 0));
    }
}

fn invoice(total: i64) -> NewDocument {
    NewDocument::new("Northline Packaging", Decimal::from(total)).vendor_invoice_number("NP-1")
}

fn usd(amount: &str) -> Money {
    Money::parse(amount, "USD").unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_what_is_large_enough_in_its_currency_is_asked_about() {
    let at_least = |approvals: ApprovalsBuilder| {
        approvals.at_least(usd("1000")).at_least(Money::parse("900", "EUR").unwrap()).above_zero()
    };
    let desk = Desk::open(1, |erp| erp, at_least, |_| {}).await;
    desk.pass(120).await;
    let drafts = [
        (invoice(1_000), true),
        (invoice(999), false),
        (invoice(900).currency("EUR"), true),
        (invoice(899).currency("EUR"), false),
        // Without a limit in its currency every amount asks, but none that is zero.
        (invoice(1).currency("CHF"), true),
        (invoice(0).currency("CHF"), false),
    ];
    let drafts = drafts.map(|(new, asked)| (desk.draft(0, &new), asked));
    desk.pass(300).await;
    for ((_, number), asked) in &drafts {
        assert_eq!(desk.is_asked(number), *asked, "{number}");
    }
    assert_eq!(desk.world.slack.posts(ACCOUNTING).len(), drafts.len(), "all are told");
    // What falls below is not to be approved any more, and what rises is.
    let (id, number) = &drafts[0].0;
    desk.companies[0].set_total(INVOICES, id, Decimal::from(500)).unwrap();
    let (small, small_number) = &drafts[1].0;
    desk.companies[0].set_total(INVOICES, small, Decimal::from(5_000)).unwrap();
    desk.pass(300).await;
    assert!(!desk.is_asked(number) && desk.is_asked(small_number));
    desk.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_is_still_edited_is_asked_about_once_it_is_left_alone() {
    let desk = Desk::open(1, |erp| erp, |approvals| approvals.quiet_for(secs(600)), |_| {}).await;
    desk.pass(120).await;
    let (id, number) = desk.draft(0, &invoice(1_000));
    for total in 1_001..1_004 {
        desk.pass(300).await;
        assert!(desk.cards(&number).is_empty());
        desk.companies[0].set_total(INVOICES, &id, Decimal::from(total)).unwrap();
    }
    desk.pass(500).await;
    assert!(desk.cards(&number).is_empty(), "it is not quiet for long enough");
    desk.pass(300).await;
    let [(_, shown)] = &desk.cards(&number)[..] else { panic!("one card") };
    assert!(shown.contains(APPROVE) && shown.contains("1,003.00"), "{shown}");
    // An edit ends the request at once, and asks anew in its time.
    desk.companies[0].set_total(INVOICES, &id, Decimal::from(2_000)).unwrap();
    desk.pass(180).await;
    assert!(!desk.is_asked(&number));
    desk.pass(700).await;
    assert!(desk.is_asked(&number));
    desk.end().await;
}

#[tokio::test(start_paused = true)]
async fn drafts_that_were_there_before_are_asked_about_on_request_only() {
    for with_past in [false, true] {
        let terms = |approvals: ApprovalsBuilder| if with_past { approvals.with_past() } else { approvals };
        let before = |erp: &BusinessCentralSim| drop(erp.create(INVOICES, &invoice(1_000)));
        let desk = Desk::open(1, |erp| erp, terms, before).await;
        desk.pass(300).await;
        assert!(desk.world.slack.posts(APPROVALS).is_empty());
        desk.connector.backfill(&"erp0".into(), INVOICES.name(), None).await.unwrap();
        desk.pass(300).await;
        assert_eq!(desk.world.slack.posts(APPROVALS).len(), usize::from(with_past));
        desk.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_company_posts_its_own_documents() {
    let desk = Desk::open(2, |erp| erp, |approvals| approvals, |_| {}).await;
    desk.pass(120).await;
    let (second, second_number) = desk.draft(1, &invoice(2_000));
    desk.pass(180).await;
    desk.click(&second_number, ANNA).await;
    let posted = |company: usize| desk.companies[company].postings();
    assert_eq!((posted(0).len(), posted(1).len()), (0, 1));
    assert_eq!(posted(1)[0].id, second);
    desk.end().await;
}

/// A card that was posted, and of which nobody has heard: whoever clicks at once is told to wait, and their word counts as soon
/// as the receipt is there.
#[tokio::test(start_paused = true)]
async fn a_click_on_a_card_without_a_receipt_waits_for_it_and_its_clicker_is_told() {
    let desk = Desk::open(1, |erp| erp, |approvals| approvals, |_| {}).await;
    desk.pass(120).await;
    let lost = Fault::timeout().having_acted().on("chat.postMessage").target(APPROVALS);
    desk.world.slack.plant(lost);
    let (_, number) = desk.draft(0, &invoice(1_000));
    let began = desk.world.clock.now();
    while desk.cards(&number).is_empty() {
        assert!(desk.world.clock.now() < began + secs(300), "nothing is asked");
        desk.pass(1).await;
    }
    let (ts, _) = desk.cards(&number).pop().unwrap();
    desk.world.slack.click(APPROVALS, &ts, APPROVE, ANNA).unwrap();
    for delivery in desk.world.slack.take_deliveries() {
        let answer = desk.connector.receive(delivery.request.clone()).await;
        desk.world.slack.settle(delivery, Ok(answer));
    }
    desk.pass(2).await;
    let told = desk.world.slack.ephemerals(ANNA);
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.text.starts_with("One moment: "), "{told:?}");
    assert!(desk.companies[0].postings().is_empty(), "nobody knows what she saw");
    desk.pass(170).await;
    assert_eq!(desk.companies[0].postings().len(), 1);
    let told = desk.world.slack.ephemerals(ANNA);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].text.starts_with("You approved "), "{told:?}");
    assert_eq!(desk.cards(&number).len(), 1, "the card is not posted twice");
    desk.end().await;
}

/// Nobody decides: they are reminded, and in the end nobody can any more.
#[tokio::test(start_paused = true)]
async fn who_does_not_decide_is_reminded_until_the_request_expires() {
    let terms = |approvals: ApprovalsBuilder| approvals.remind_every(secs(3600)).expire_after(secs(9000));
    let desk = Desk::open(1, |erp| erp, terms, |_| {}).await;
    desk.pass(120).await;
    let (_, number) = desk.draft(0, &invoice(1_000));
    desk.pass(180).await;
    let reminders = || {
        let cards = desk.world.slack.posts(APPROVALS);
        cards.iter().filter(|card| card.thread_ts.is_some() && card.text.contains("Reminder")).count()
    };
    assert_eq!((desk.is_asked(&number), reminders()), (true, 0));
    desk.pass(7300).await;
    assert_eq!((desk.is_asked(&number), reminders()), (true, 2));
    desk.pass(1700 + 3600).await;
    let root = desk.cards(&number).remove(0).1;
    assert!(root.contains("nobody decided in time") && !root.contains(APPROVE), "{root}");
    assert_eq!(reminders(), 2, "there are no more");
    assert!(desk.companies[0].postings().is_empty());
    desk.end().await;
}

/// Who is on the deny list does not decide, whoever else may.
#[tokio::test(start_paused = true)]
async fn who_is_on_the_deny_list_does_not_decide() {
    let everybody_but = |approvals: ApprovalsBuilder| {
        approvals
            .policy(Policy::default().allow(Approvers::anyone()).deny("Anna.Verhoeven@ledgerworks.example"))
    };
    let desk = Desk::open(1, |erp| erp, everybody_but, |_| {}).await;
    desk.pass(120).await;
    let (_, number) = desk.draft(0, &invoice(1_000));
    desk.pass(180).await;
    desk.click(&number, ANNA).await;
    assert!(desk.companies[0].postings().is_empty());
    let told = desk.world.slack.ephemerals(ANNA);
    assert!(told.last().unwrap().text.contains("you are not one of those who may decide"), "{told:?}");
    desk.click(&number, LENA).await;
    assert_eq!(desk.companies[0].postings().len(), 1);
    desk.end().await;
}

/// The purchaser's employee is found in the company and mentioned, and may decide although no rule names them.
#[tokio::test(start_paused = true)]
async fn the_purchaser_is_mentioned_and_may_decide() {
    let employees = |erp: &BusinessCentralSim| {
        let values: [(&str, Value); 4] = [
            ("number", "E1".into()),
            ("displayName", "Lena Kaya".into()),
            ("email", "Lena@harbor.example".into()),
            ("status", "Active".into()),
        ];
        drop(erp.create_master(Set::Employees, &values));
        let values: [(&str, Value); 3] =
            [("number", "E2".into()), ("displayName", "Max Vos".into()), ("status", "Active".into())];
        drop(erp.create_master(Set::Employees, &values));
    };
    let policy = |approvals: ApprovalsBuilder| {
        approvals.policy(Policy::default().allow(Approvers::default().assignee()))
    };
    let erp = |erp: ml_connector_bc::Builder| erp.purchaser("LK", "E1").purchaser("MV", "E2");
    let desk = Desk::open(1, erp, policy, employees).await;
    desk.pass(120).await;
    let (_, number) = desk.draft(0, &invoice(1_000).purchaser("LK"));
    let (_, other) = desk.draft(0, &invoice(1_000).purchaser("MV"));
    desk.pass(180).await;
    let shown = &desk.cards(&number)[0].1;
    assert!(shown.contains(&format!("<@{LENA}>, this waits for a decision.")), "{shown}");
    let hint = "Max Vos is not mentioned: the books have no e-mail address";
    assert!(desk.cards(&other)[0].1.contains(hint), "{:?}", desk.cards(&other));
    desk.click(&number, ANNA).await;
    assert!(desk.companies[0].postings().is_empty(), "Anna is not responsible for it");
    desk.click(&number, LENA).await;
    assert_eq!(desk.companies[0].postings().len(), 1);
    desk.end().await;
}

/// `submitted`: Business Central shows Draft all the same, and its approval entries say who sent it.
#[tokio::test(start_paused = true)]
async fn what_is_sent_for_approval_is_told_as_such_and_its_sender_does_not_decide() {
    let desk = Desk::open(1, |erp| erp.approval_entries(true), |approvals| approvals, |_| {}).await;
    desk.pass(120).await;
    let (id, number) = desk.draft(0, &invoice(1_000));
    desk.pass(180).await;
    let sender = desk.world.slack.ephemerals(ANNA).len();
    desk.companies[0].send_for_approval(INVOICES, &id, "Anna Verhoeven", "MV").unwrap();
    desk.pass(300).await;
    let events = desk.world.entries(EntryKind::Event).await;
    let submitted = events.iter().filter(|entry| entry.index.name.as_deref() == Some("bill.submitted"));
    let bodies: Vec<Event> =
        submitted.map(|entry| Event::from_cloudevent(entry.body.as_ref().unwrap()).unwrap()).collect();
    let [event] = &bodies[..] else { panic!("submitted once: {}", bodies.len()) };
    let record = event.record().unwrap();
    assert_eq!((record.status.as_str(), &*record.vendor_status), ("pending_approval", "Draft"));
    assert!(desk.is_asked(&number), "it is asked about anew");
    desk.click(&number, ANNA).await;
    let told = desk.world.slack.ephemerals(ANNA);
    assert!(told.len() > sender && told.last().unwrap().text.contains("you asked for it yourself"));
    assert!(desk.companies[0].postings().is_empty());
    desk.end().await;
}

/// Released is not posted: the request that was open is asked anew, and ends with the posting.
#[tokio::test(start_paused = true)]
async fn a_sales_invoice_is_asked_about_until_it_is_posted() {
    for route in [true, false] {
        let desk = Desk::open(1, |erp| erp, |approvals| approvals, |_| {}).await;
        desk.pass(120).await;
        let erp = &desk.companies[0];
        erp.tune(|tuning| tuning.automate = route);
        let new = NewDocument::new("Osprey Foods", Decimal::from(1_000));
        let id = erp.create(SALES, &new);
        let number = erp.field(SALES, &id, "number").unwrap();
        desk.pass(180).await;
        assert!(desk.is_asked(&number));
        erp.send_for_approval(SALES, &id, "LK", "MV").unwrap();
        desk.pass(180).await;
        erp.release(SALES, &id).unwrap();
        desk.pass(180).await;
        assert!(desk.is_asked(&number), "it is not posted: {:?}", desk.cards(&number));
        let events = desk.world.entries(EntryKind::Event).await;
        let names: Vec<_> = events.iter().filter_map(|entry| entry.index.name.clone()).collect();
        assert!(names.iter().any(|name| &**name == "invoice.approved"), "{names:?}");
        assert!(!names.iter().any(|name| &**name == "invoice.sent"), "{names:?}");
        desk.click(&number, ANNA).await;
        let posted = desk.companies[0].postings();
        assert_eq!((posted.len(), posted[0].id.as_str(), posted[0].by != "people"), (1, id.as_str(), true));
        let cards = desk.cards(&number);
        assert!(cards.iter().any(|(_, shown)| shown.contains(&posted[0].number)), "{cards:?}");
        desk.pass(300).await;
        let events = desk.world.entries(EntryKind::Event).await;
        let sent = events.iter().filter(|entry| entry.index.name.as_deref() == Some("invoice.sent"));
        assert_eq!(sent.count(), 1, "and told as sent, once");
        desk.end().await;
    }
}

/// Somebody posts a released one in Business Central: that is an ending of its own.
#[tokio::test(start_paused = true)]
async fn a_sales_invoice_that_is_posted_there_is_asked_about_no_more() {
    let desk = Desk::open(1, |erp| erp, |approvals| approvals, |_| {}).await;
    desk.pass(120).await;
    let erp = &desk.companies[0];
    let id = erp.create(SALES, &NewDocument::new("Osprey Foods", Decimal::from(1_000)));
    let number = erp.field(SALES, &id, "number").unwrap();
    erp.release(SALES, &id).unwrap();
    desk.pass(180).await;
    assert!(desk.is_asked(&number));
    erp.post(SALES, &id).unwrap();
    desk.pass(180).await;
    assert!(!desk.is_asked(&number), "{:?}", desk.cards(&number));
    assert!(desk.cards(&number).iter().any(|(_, shown)| shown.contains("approved in the books")));
    desk.end().await;
}

/// Case 12: a data upgrade that was skipped brings forty drafts of years ago. No card, and no message.
#[tokio::test(start_paused = true)]
async fn a_data_upgrade_asks_nobody_and_tells_nobody() {
    let desk = Desk::open(1, |erp| erp, |approvals| approvals, |_| {}).await;
    desk.pass(120).await;
    for n in 0..60 {
        let id = desk.companies[0].create(INVOICES, &invoice(1_000 + n));
        for date in ["invoiceDate", "postingDate"] {
            desk.companies[0].set(INVOICES, &id, date, "2024-05-04").unwrap();
        }
        if n >= 40 {
            desk.companies[0].post(INVOICES, &id).unwrap();
        }
    }
    desk.pass(600).await;
    desk.companies[0].upgrade(INVOICES);
    desk.pass(600).await;
    assert!(desk.world.slack.posts(APPROVALS).is_empty() && desk.world.slack.posts(ACCOUNTING).is_empty());
    // What is entered today is news.
    let (_, number) = desk.draft(0, &invoice(500));
    desk.pass(180).await;
    assert!(desk.is_asked(&number));
    assert_eq!(desk.world.slack.posts(ACCOUNTING).len(), 1);
    desk.end().await;
}
