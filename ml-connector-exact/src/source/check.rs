//! Whether a connection works, and what it would miss.

use std::time::Duration;

use ml_connector_core::{CheckResult, CheckStep, Context, Error, ErrorKind, model::Zone};

use super::poll::EVERYTHING;
use crate::{
    ExactOnline,
    client::{Class, ExactClient, is_refusal},
    error::Window,
    models::{
        Caution, Division, Resource,
        feed::{FEEDS, Sync},
    },
};

/// No row has a higher row version.
const NOTHING: &str = "Timestamp gt 9223372036854775806L";
/// The server's clocks may be read with so much in between.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);
/// Work in the background leaves one call in so many of the day, and waits then.
const FEW: u32 = 5;

impl ExactOnline {
    /// Reads the company, the region's clocks and one row of everything that is read. About twenty calls, and no write.
    pub(super) async fn look(&self, ctx: &Context) -> Vec<CheckStep> {
        let client = self.client.for_class(Class::Live);
        self.division.forget("");
        let mut steps = Vec::new();
        match self.require_division(ctx, &client).await {
            Ok(Some(division)) => steps.push(company(&division)),
            Ok(None) => {
                let remedy =
                    "tick the scope Organization administration in the App Center, and connect again";
                let found = "Exact Online does not let the app list companies: moves and archived companies are not noticed";
                steps.push(CheckStep::warning("company", remedy).with_found(found));
            }
            Err(error) => return vec![CheckStep::of("company", Err::<(), _>(&error))],
        }
        steps.push(self.look_at_zone(ctx, &client).await);
        let mut day = None;
        for resource in self.resources.iter().filter(|resource| !resource.is_term()) {
            steps.push(self.look_at_resource(ctx, &client, resource, &mut day).await);
        }
        let info = &self.source;
        for sync in FEEDS.into_iter().filter(|sync| info.feeds.iter().any(|feed| feed.name == sync.name)) {
            steps.push(self.look_at_feed(ctx, &client, sync, &mut day).await);
        }
        if info.mode.subscribes() {
            steps.push(self.look_at_topics(ctx, &client).await);
        }
        steps.push(calls(day));
        steps
    }

    /// Whether the server's clocks are read as they are meant.
    async fn look_at_zone(&self, ctx: &Context, client: &ExactClient) -> CheckStep {
        const STEP: &str = "server zone";
        let me = match client.me(ctx).await {
            Ok(me) => me,
            Err(error) => return CheckStep::of(STEP, Err::<(), _>(&error)),
        };
        let zone = &client.site().zone;
        let naive = |text: &str| Zone::UTC.local(text).map(|local| local.earliest());
        let shown = me.server_time.as_deref().and_then(|text| naive(text).ok());
        let expected = me.date.and_then(|date| naive(&zone.wall_clock(date).to_string()).ok());
        let Some((shown, expected)) = shown.zip(expected) else {
            return CheckStep::new(STEP, CheckResult::Skipped)
                .with_found("Exact Online does not say what time it has");
        };
        let apart = shown.saturating_since(expected).max(expected.saturating_since(shown));
        if apart <= CLOCKS_DIFFER {
            return CheckStep::passed(STEP).with_found(zone.name());
        }
        let remedy = "set server_zone to the zone in which this region's server tells times";
        let found = format!("its clocks are {} minutes from those of {}", apart.as_secs() / 60, zone.name());
        CheckStep::failed(STEP, remedy).with_found(found)
    }

    /// Whether a resource can be read. Who may not read one may get an empty list.
    async fn look_at_resource(
        &self,
        ctx: &Context,
        client: &ExactClient,
        resource: &'static Resource,
        day: &mut Option<Window>,
    ) -> CheckStep {
        let step = format!("read {}", resource.path);
        let looked = client.glance(ctx, (resource.list, resource.path), resource.key, EVERYTHING).await;
        let glance = match looked {
            Ok(glance) => glance,
            Err(error) => return self.refused(ctx, step, (resource.path, resource.scope), error).await,
        };
        *day = glance.day.or(*day);
        if !glance.is_empty {
            return CheckStep::passed(step);
        }
        let asked = self.rights.get(ctx, resource.path, client.may_read(ctx, resource.path)).await;
        match asked {
            Ok(Some(true)) => CheckStep::passed(step).with_found("it is empty"),
            Ok(Some(false)) => {
                CheckStep::failed(step, "give the role of the user who connected the right to read it")
            }
            Ok(None) => {
                let remedy = "tick the scope Organization administration, so that a lost right is not taken for an empty list";
                let found = "it is empty, and Exact Online does not say whether the user may see it";
                CheckStep::warning(step, remedy).with_found(found)
            }
            Err(error) => CheckStep::of(step, Err::<(), _>(&error)),
        }
    }

    /// Whether a list with row versions is there. Some packages lack one of a resource that has times of change, too.
    async fn look_at_feed(
        &self,
        ctx: &Context,
        client: &ExactClient,
        sync: &'static Sync,
        day: &mut Option<Window>,
    ) -> CheckStep {
        let step = format!("read {}", sync.path);
        match client.glance(ctx, (sync.operation, sync.path), "ID", NOTHING).await {
            Ok(glance) => {
                *day = glance.day.or(*day);
                CheckStep::passed(step)
            }
            Err(error) if is_refusal(&error) && sync.resources.iter().any(|own| own.feed == sync.name) => {
                let found = "the list with row versions is not there: changes are found by their time";
                CheckStep::passed(step).with_found(found)
            }
            Err(error) => {
                let scope = sync.resources.first().map_or("", |resource| resource.scope);
                self.refused(ctx, step, (sync.path, scope), error).await
            }
        }
    }

    /// Whether webhooks may be managed, and how many of them are there.
    async fn look_at_topics(&self, ctx: &Context, client: &ExactClient) -> CheckStep {
        const STEP: &str = "subscriptions";
        match client.subscriptions(ctx).await {
            Ok(all) => {
                let topics = self.resources.iter().filter_map(|resource| resource.topic);
                let topics: Vec<&str> = topics.collect();
                let there = topics.iter().filter(|topic| all.iter().any(|one| one.topic == **topic)).count();
                let found = format!("{there} of {} topics are subscribed", topics.len());
                CheckStep::passed(STEP).with_found(found)
            }
            Err(error) => {
                let checked = CheckStep::of(STEP, Err::<(), _>(&error));
                match error.kind() {
                    ErrorKind::PermissionDenied => checked.with_remedy(
                        "tick the scope Organization administration with the right to manage, and connect again",
                    ),
                    _ => checked,
                }
            }
        }
    }

    async fn refused(
        &self,
        ctx: &Context,
        step: String,
        (path, scope): (&'static str, &'static str),
        error: Error,
    ) -> CheckStep {
        let error = self.explained(ctx, path, scope, error).await;
        let checked = CheckStep::of(step, Err::<(), _>(&error));
        match error.kind() {
            ErrorKind::PermissionDenied => checked.with_remedy(format!(
                "see that the user's role, the app's scope ({scope}) and the module allow it, or leave it out of resources"
            )),
            _ => checked,
        }
    }
}

fn company(division: &Division) -> CheckStep {
    let found = format!("{} ({})", division.name, division.code);
    match division.caution {
        Some(Caution::Practice) => {
            CheckStep::warning("company", "connect the real company when the trial is over")
                .with_found(format!("{found}: made-up books for practice"))
        }
        Some(Caution::Dossier) => {
            CheckStep::warning("company", "check that the accountant's dossier is what is meant")
                .with_found(format!("{found}: an accountant's dossier"))
        }
        _ => CheckStep::passed("company").with_found(found),
    }
}

/// What is left of the day's calls.
fn calls(day: Option<Window>) -> CheckStep {
    const STEP: &str = "calls";
    let Some((left, limit)) = day.and_then(|day| day.remaining.zip(day.limit)) else {
        return CheckStep::new(STEP, CheckResult::Skipped)
            .with_found("Exact Online does not say how many are left");
    };
    let found = format!("{left} of {limit} are left of the day");
    if left < limit / FEW {
        let remedy = "see which other programs use this app: what can wait does so until midnight UTC";
        return CheckStep::warning(STEP, remedy).with_found(found);
    }
    CheckStep::passed(STEP).with_found(found)
}
