//! What people read in Slack of what happens in FreshBooks.

use ml_connector_core::{
    CheckResult,
    model::Date,
    route::{Route, RouteSet},
};
use ml_connector_sim::freshbooks::{Bill, BillVendor, Expense, Invoice, Kind};
use ml_connector_slack::channel;

use super::slack::{ACCOUNTING, ALERTS, World};
use crate::world::{amount, secs};

struct Story {
    world: World,
    seen: usize,
}

impl Story {
    async fn new() -> Self {
        let kinds = ["invoice.*", "customer_payment.*", "credit.*", "bill.*", "bill_payment.*", "expense.*"];
        let route = kinds.into_iter().fold(Route::new("all"), Route::on);
        Self { world: World::new(vec![route.to("slack", channel(ACCOUNTING))]).await, seen: 0 }
    }

    /// What is new in the channel, after the dust has settled: texts, and whether each has a link into the web app.
    async fn new_posts(&mut self) -> Vec<(String, bool)> {
        self.world.settle().await;
        let posts = self.world.slack.posts(ACCOUNTING);
        let new = posts[self.seen..].iter().map(|post| {
            (post.text.clone(), post.blocks.to_string().contains("https://my.freshbooks.com/#/"))
        });
        let mut new: Vec<_> = new.collect();
        new.sort();
        self.seen = posts.len();
        new
    }

    async fn new_texts(&mut self) -> Vec<String> {
        self.new_posts().await.into_iter().map(|(text, _)| text).collect()
    }

    async fn poll(&self, feed: &str) {
        self.world.connector.poll_now(&"books".into(), feed).await.unwrap();
    }

    /// Exactly one message is new: this one, with a link or without.
    async fn told(&mut self, text: &str, has_link: bool) {
        assert_eq!(self.new_posts().await, [(text.to_owned(), has_link)]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_has_its_words_and_invoices_payments_and_expenses_a_link() {
    let mut story = Story::new().await;
    let sim = story.world.sim.clone();
    let client = story.world.client();
    let vendor = sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    let paper = "Larkspur Dental Group, 6,328.00 USD";

    let invoice = sim.create(Invoice::new(client, amount(632_800))).unwrap();
    let number = sim.get::<Invoice>(invoice).unwrap().number;
    story.told(&format!("Invoice {number} created: {paper}"), true).await;
    sim.edit(invoice, |invoice: &mut Invoice| "Thank you".clone_into(&mut invoice.notes)).unwrap();
    story.told(&format!("Invoice {number} updated: {paper}"), true).await;
    sim.mark_sent(invoice).unwrap();
    story.told(&format!("Invoice {number} sent: {paper}"), true).await;
    sim.view(invoice).unwrap();
    assert_eq!(story.new_texts().await, [""; 0], "a visit is no change");
    sim.pay_invoice(invoice, amount(632_800)).unwrap();
    let both =
        [(format!("Invoice {number} paid: {paper}"), true), (format!("Payment received: {paper}"), true)];
    assert_eq!(story.new_posts().await, both);

    let supplier = "Harbourview Supply Co., 1,496.20 USD";
    let bill = sim.create(Bill::new(vendor, amount(149_620)).numbered("HV-20931")).unwrap();
    story.told(&format!("Bill HV-20931 created: {supplier}"), false).await;
    sim.edit(bill, |bill: &mut Bill| bill.number = Some("HV-20932".to_owned())).unwrap();
    story.told(&format!("Bill HV-20932 updated: {supplier}"), false).await;
    sim.pay_bill(bill, amount(149_620)).unwrap();
    story.poll("bill_payments").await;
    let both = [
        (format!("Bill HV-20932 paid: {supplier}"), false),
        (format!("Bill payment created: {supplier}"), false),
    ];
    assert_eq!(story.new_posts().await, both);

    let expense = sim.create(Expense::new("Rail Canada", amount(24_000))).unwrap();
    story.told("Expense created: Rail Canada, 240.00 USD", true).await;
    sim.edit(expense, |expense: &mut Expense| "Kingston".clone_into(&mut expense.notes)).unwrap();
    story.told("Expense updated: Rail Canada, 240.00 USD", true).await;

    let due = Invoice::new(client, amount(5_000)).sent().dated(Date::parse("2026-06-29").unwrap(), 0);
    let due = sim.create(due).unwrap();
    let number = sim.get::<Invoice>(due).unwrap().number;
    story.told(&format!("Invoice {number} sent: Larkspur Dental Group, 50.00 USD"), true).await;
    tokio::time::sleep(secs(2 * 86_400)).await;
    story.told(&format!("Invoice {number} overdue: Larkspur Dental Group, 50.00 USD"), true).await;
    story.world.running.stop().await;
}

/// One payment is one message by the routes that are shipped.
#[tokio::test(start_paused = true)]
async fn the_sample_routes_tell_a_payment_once() {
    let routes = RouteSet::from_toml(include_str!("../../../examples/freshbooks_routes.toml")).unwrap();
    let routes = routes.routes.iter().map(|route| Route::clone(route)).collect();
    let mut story = Story { world: World::new(routes).await, seen: 0 };
    let sim = story.world.sim.clone();
    let client = story.world.client();
    let invoice = sim.create(Invoice::new(client, amount(10_000)).sent()).unwrap();
    assert_eq!(story.new_texts().await.len(), 1);
    sim.pay_invoice(invoice, amount(4_000)).unwrap();
    story.told("Payment received: Larkspur Dental Group, 40.00 USD", true).await;
    sim.pay_invoice(invoice, amount(6_000)).unwrap();
    story.told("Payment received: Larkspur Dental Group, 60.00 USD", true).await;
    let vendor = sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    let bill = sim.create(Bill::new(vendor, amount(100))).unwrap();
    assert_eq!(story.new_texts().await.len(), 1);
    sim.pay_bill(bill, amount(100)).unwrap();
    story.poll("bill_payments").await;
    assert_eq!(story.new_texts().await.len(), 1);
    story.world.running.stop().await;
}

/// 01: what was paid too much becomes a credit, which is no new money, neither then nor when it is used.
#[tokio::test(start_paused = true)]
async fn money_is_received_once_and_a_credit_is_none() {
    let mut story = Story::new().await;
    let sim = story.world.sim.clone();
    let client = story.world.client();
    let first = sim.create(Invoice::new(client, amount(18_000)).sent()).unwrap();
    let second = sim.create(Invoice::new(client, amount(2_000)).sent()).unwrap();
    story.new_posts().await;
    sim.pay_invoice(first, amount(20_000)).unwrap();
    story.poll("payments").await;
    let told = story.new_texts().await;
    let received: Vec<_> = told.iter().filter(|text| text.contains("received")).collect();
    assert_eq!(received.len(), 1, "{told:#?}");
    assert!(received[0].contains("180.00") && !told.iter().any(|text| text.contains("200.00")), "{told:#?}");
    sim.pay_from_credit(second, amount(2_000)).unwrap();
    story.poll("payments").await;
    let told = story.new_texts().await;
    assert!(!told.is_empty() && !told.iter().any(|text| text.contains("received")), "{told:#?}");
    story.world.running.stop().await;
}

/// 12: what is given back changes a payment. It is never received.
#[tokio::test(start_paused = true)]
async fn a_refund_is_a_smaller_payment_and_a_payment_that_is_deleted_is_owed_again() {
    let mut story = Story::new().await;
    let sim = story.world.sim.clone();
    let client = story.world.client();
    let invoice = sim.create(Invoice::new(client, amount(50_000)).sent()).unwrap();
    story.new_posts().await;
    let payment = sim.pay_invoice(invoice, amount(50_000)).unwrap();
    assert_eq!(story.new_texts().await.len(), 2);
    sim.refund(payment, amount(20_000)).unwrap();
    let told = story.new_texts().await;
    let refunded = |text: &String| {
        text.starts_with("Customer payment updated") && text.contains("300.00 USD, was 500.00 USD")
    };
    assert!(told.iter().any(refunded), "{told:#?}");
    assert!(told.iter().any(|text| text.contains("partially paid")), "{told:#?}");
    assert!(!told.iter().any(|text| text.contains("received")), "{told:#?}");
    sim.delete(Kind::Payment, payment).unwrap();
    let told = story.new_texts().await;
    assert!(told.iter().any(|text| text.starts_with("Customer payment deleted")), "{told:#?}");
    assert!(!told.iter().any(|text| text.contains("received") || text.contains(" paid")), "{told:#?}");
    sim.pay_invoice(invoice, amount(50_000)).unwrap();
    let told = story.new_texts().await;
    assert!(told.iter().any(|text| text.contains("received")), "{told:#?}");
    assert!(told.iter().any(|text| text.contains(" paid")), "money can go back and come again: {told:#?}");
    story.world.running.stop().await;
}

/// 05: Bill Pay's bills are in a store without an API. That none is listed does not mean that none is owed.
#[tokio::test(start_paused = true)]
async fn that_bill_pay_cannot_be_seen_is_said_in_health_and_disturbs_nobody() {
    let mut story = Story::new().await;
    let remarks = async |story: &Story| {
        let health = story.world.connector.health().await.unwrap();
        assert!(health.is_good(), "{health:?}");
        health.connections[&"books".into()].remarks.clone()
    };
    tokio::time::sleep(secs(20 * 3600)).await;
    assert!(remarks(&story).await.is_empty());
    tokio::time::sleep(secs(30 * 3600)).await;
    let [remark] = <[_; 1]>::try_from(remarks(&story).await).unwrap();
    assert!(remark.feed == "bills" && remark.remark.contains("Bill Pay"), "{remark:?}");
    tokio::time::sleep(secs(86_400)).await;
    assert_eq!(remarks(&story).await[0], remark, "once, and since when");
    assert_eq!(story.new_texts().await, [""; 0]);
    let vendor = story.world.sim.create(BillVendor::new("Harbourview Supply Co.")).unwrap();
    story.world.sim.create(Bill::new(vendor, amount(100))).unwrap();
    story.poll("bills").await;
    assert_eq!(story.new_texts().await.len(), 1);
    assert!(remarks(&story).await.is_empty());
    story.world.running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_looks_at_the_channel_of_every_route() {
    let route = |name: &str, to: &str| Route::new(name).on("invoice.*").to("slack", channel(to));
    let world = World::new(vec![route("daily", ACCOUNTING), route("large", ALERTS)]).await;
    let check = world.connector.check().await;
    assert!(check.is_good(), "{check}");
    world.slack.archive_channel(ALERTS, "U07APPROV1");
    let check = world.connector.check().await;
    let failed: Vec<_> = check.steps().filter(|(.., step)| step.result == CheckResult::Failed).collect();
    let [("route", "large", step)] = failed[..] else { panic!("{check}") };
    assert!(step.step.contains(ALERTS) && step.to_string().contains("unarchive"), "{step}");
    world.running.stop().await;
}
