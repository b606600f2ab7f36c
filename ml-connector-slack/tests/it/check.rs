//! What a check of a connection and of the places that routes name says.

use std::sync::Arc;

use ml_connector_core::{
    CheckResult, CheckStep, Clock, Context, HttpTransport, ManualClock, Sink, Timestamp, model::Destination,
    rate::MemoryRateLimiter, token::MemoryTokenStore,
};
use ml_connector_sim::{
    SimTransport, SlackSim,
    slack::{Channel, SlackConfig},
};
use ml_connector_slack::{Builder, Slack, admin, assignee, channel, clicker, email, user};

use crate::support::{NOW, World, json};

struct Lab {
    sim: SlackSim,
    ctx: Context,
}

impl Lab {
    fn new(change: impl FnOnce(&mut SlackConfig)) -> Self {
        let mut config = SlackConfig::default();
        config.channels.push(Channel::new("C07PRIVAT1", "board").private().without_bot());
        change(&mut config);
        let clock = Arc::new(ManualClock::at(NOW)) as Arc<dyn Clock>;
        let sim = SlackSim::with_config(Arc::clone(&clock), config);
        Self { ctx: Self::context(&sim, clock), sim }
    }

    fn context(sim: &SlackSim, clock: Arc<dyn Clock>) -> Context {
        let transport: Arc<dyn HttpTransport> = Arc::new(SimTransport::new().with_slack(sim));
        Context::new(transport, Arc::new(MemoryTokenStore::new()), Arc::new(MemoryRateLimiter::new()), clock)
    }

    fn builder(&self) -> Builder {
        Slack::builder("slack").token(self.sim.bot_token())
    }

    async fn check(&self) -> Vec<CheckStep> {
        self.builder().build().unwrap().check(&self.ctx).await
    }

    async fn place(&self, place: Destination) -> CheckStep {
        let slack = self.builder().admin("exec-alerts").build().unwrap();
        let mut steps = slack.check_destination(&self.ctx, &place).await;
        assert_eq!(steps.len(), 1, "{steps:?}");
        steps.remove(0)
    }
}

fn step<'a>(steps: &'a [CheckStep], name: &str) -> &'a CheckStep {
    steps.iter().find(|step| step.step == name).unwrap_or_else(|| panic!("{name}: {steps:?}"))
}

/// A link leads into the workspace, which the host names or Slack does, and nowhere else.
#[tokio::test]
async fn what_a_receipt_names_is_seen_in_the_workspace() {
    const MESSAGE: &str = "C07APPROV1/1767225605.000219";
    let lab = Lab::new(|_| {});
    let link = |slack: &Slack, receipt: &str| slack.link(receipt).map(|url| url.to_string());
    let seen = "https://ledgerworks.slack.com/archives/C07APPROV1/p1767225605000219";
    let slack = lab.builder().build().unwrap();
    assert_eq!(link(&slack, MESSAGE), None, "nobody has asked Slack yet");
    slack.check(&lab.ctx).await;
    assert_eq!(link(&slack, MESSAGE).as_deref(), Some(seen));
    for other in [
        "",
        "ephemeral:C07APPROV1/1767225605.000219",
        "C07APPROV1/../x",
        "x",
        "//evil.example/1767225605.000219",
    ] {
        assert_eq!(link(&slack, other), None, "{other}");
    }
    let told = lab.builder().workspace_url("https://ledgerworks.slack.com").build().unwrap();
    assert_eq!(link(&told, MESSAGE).as_deref(), Some(seen));
    for wrong in
        ["ledgerworks.slack.com", "http://ledgerworks.slack.com", "https://me:secret@ledgerworks.slack.com"]
    {
        assert!(lab.builder().workspace_url(wrong).build().is_err(), "{wrong}");
    }
}

/// Slack's word for where the workspace is leads to people's browsers: it is believed below Slack's own domain only.
#[tokio::test]
async fn an_address_that_is_not_slacks_is_no_link() {
    for (told, link) in [
        ("https://evil.example/", None),
        ("https://slack.com.evil.example/", None),
        ("javascript:alert(1)", None),
        ("own", Some("/archives/C07APPROV1/p1767225605000219")),
    ] {
        let world = World::new().await;
        let own = world.server.uri();
        let told = if told == "own" { &*own } else { told };
        world.answer("auth.test", json(200, &format!(r#"{{"ok":true,"url":"{told}"}}"#))).await;
        let slack = world.slack();
        slack.ping(&world.ctx).await.unwrap();
        let seen = slack.link("C07APPROV1/1767225605.000219").map(|url| url.to_string());
        assert_eq!(seen, link.map(|path| format!("{own}{path}")), "{told}");
    }
}

#[tokio::test]
async fn what_works_is_said_and_nothing_is_posted() {
    let lab = Lab::new(|_| {});
    let steps = lab.check().await;
    assert!(steps.iter().all(|step| step.result == CheckResult::Passed), "{steps:#?}");
    assert!(step(&steps, "bot").found.as_ref().unwrap().contains("T07LEDGER1"));
    for place in [
        channel("C07ACCTNG1"),
        channel("#accounting"),
        channel("invoice-approvals"),
        channel("exec-alerts"),
        admin(),
        user("U07APPROV1"),
        email("anna.verhoeven@ledgerworks.example"),
        assignee(&channel("accounting")),
    ] {
        let looked = lab.place(place.clone()).await;
        assert_eq!(looked.result, CheckResult::Passed, "{place}: {looked:?}");
        assert!(!looked.to_string().contains('@'), "{looked}");
    }
    let slack = lab.builder().build().unwrap();
    assert!(slack.check_destination(&lab.ctx, &clicker()).await.is_empty());
    assert!(lab.sim.posts("C07ACCTNG1").is_empty());
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named_with_what_it_is_for() {
    let lab = Lab::new(|config| config.scopes.retain(|scope| scope != "channels:history"));
    let steps = lab.check().await;
    let scopes = step(&steps, "scopes");
    assert_eq!(scopes.result, CheckResult::Warning);
    let found = scopes.found.as_ref().unwrap();
    assert!(found.contains("channels:history (") && !found.contains("groups:history"), "{found}");

    let lab = Lab::new(|config| config.scopes.retain(|scope| scope != "chat:write"));
    let steps = lab.check().await;
    assert_eq!(step(&steps, "scopes").result, CheckResult::Failed, "{steps:?}");

    let lab = Lab::new(|config| config.scopes.retain(|scope| scope != "channels:read"));
    let looked = lab.place(channel("C07ACCTNG1")).await;
    assert_eq!(looked.result, CheckResult::Skipped, "{looked:?}");
    assert!(looked.found.as_ref().unwrap().contains("channels:read"), "{looked:?}");
}

#[tokio::test]
async fn a_channel_that_takes_no_posts_says_why_and_what_to_do() {
    let lab = Lab::new(|config| config.scopes.retain(|scope| scope != "chat:write.public"));
    lab.sim.archive_channel("C07ACCTNG1", "U07APPROV1");
    for (place, word) in [
        (channel("C07ACCTNG1"), "unarchive"),
        (channel("#accounting"), "archived"),
        (channel("C07PRIVAT1"), "invited"),
        (channel("exec-alerts"), "invite the bot to the channel, or grant chat:write.public"),
        (channel("nowhere"), "check the id or the name"),
        (user("U07NOBODY1"), "check the id"),
        (email("nobody@ledgerworks.example"), "somebody who is in the workspace"),
    ] {
        let looked = lab.place(place.clone()).await;
        assert_eq!(looked.result, CheckResult::Failed, "{place}: {looked:?}");
        assert!(looked.to_string().contains(word), "{place}: {looked}");
    }
}

#[tokio::test]
async fn a_token_of_another_workspace_a_dead_one_and_a_wrong_clock_are_told_apart() {
    let lab = Lab::new(|_| {});
    let slack = lab.builder().team("T07OTHER01").signing_secret("shh").build().unwrap();
    let steps = slack.check(&lab.ctx).await;
    let workspace = step(&steps, "workspace");
    assert_eq!(workspace.result, CheckResult::Failed);
    assert!(workspace.found.as_ref().unwrap().contains("T07LEDGER1"), "{workspace:?}");

    let wrong = Slack::builder("slack").token("xoxb-wrong").build().unwrap().check(&lab.ctx).await;
    assert_eq!((wrong.len(), wrong[0].result), (1, CheckResult::Failed), "{wrong:?}");

    let late = Arc::new(ManualClock::at(Timestamp::from_secs(NOW.as_millis() / 1000 - 900)));
    let ctx = Lab::context(&lab.sim, late);
    let steps = lab.builder().build().unwrap().check(&ctx).await;
    assert_eq!(step(&steps, "clock").result, CheckResult::Failed, "{steps:?}");
}
