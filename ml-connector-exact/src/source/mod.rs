//! Exact Online as a source of events.

mod check;
mod checkpoint;
mod poll;
mod read;
mod synced;
mod terms;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, atomic::Ordering},
};

use async_trait::async_trait;
use ml_connector_core::{
    CheckStep, Connection, Context, Error, ErrorKind, IntoConnection, PollRequest, ReceiveRequest, Result,
    Retry, Scope, Source, SourceInfo, UpkeepRequest,
    model::{Currency, Intake, Page, Prompt, Resolution, Signal, Subject, Upkeep},
    snapshot::Snapshot,
};

use self::poll::Listing;
use crate::{
    ExactOnline,
    client::{ExactClient, is_refusal},
    models::{Caution, Division, Resource},
};

/// Which lists were too much for the server, and how often: they are asked for less at a time.
#[derive(Debug, Default)]
pub(crate) struct Narrowed(Mutex<BTreeMap<&'static str, u32>>);

impl Narrowed {
    /// How many rows to ask for; `None`: as many as there are on a page.
    pub(crate) fn rows(&self, list: &'static str) -> Option<u32> {
        const PAGE: u32 = 1_000;
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(list).copied().unwrap_or(0);
        (steps > 0).then(|| PAGE >> (2 * steps))
    }

    /// Asks for whole pages again: the rows come in no order, so that a part of them says nothing about the rest.
    pub(crate) fn widen(&self, list: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(list);
    }

    /// Takes note of how a page went.
    pub(crate) fn learn(&self, list: &'static str, too_much: bool) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = steps.entry(list).or_default();
        *known = if too_much { (*known + 1).min(4) } else { known.saturating_sub(1) };
    }
}

impl ExactOnline {
    /// The companies that the person who connected may open, for a host that asks which is meant: let a person choose,
    /// never take the one where they are at the moment. Any number will do as the connection's own until then.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when Exact Online does not take the token; [`ErrorKind::PermissionDenied`] without the
    /// scope Organization administration.
    pub async fn divisions(&self, ctx: &Context) -> Result<Vec<Division>> {
        self.client.divisions(ctx).await
    }

    /// The company as Exact Online describes it, if it may be connected. `None`: Exact Online does not let companies be listed.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] in the scope of the connection for a company that may not be connected, and
    /// [`ErrorKind::Unavailable`] for one that cannot be read at present; as the call's.
    async fn require_division(&self, ctx: &Context, client: &ExactClient) -> Result<Option<Division>> {
        let found = self.division.get(ctx, "", async { client.division(ctx).await }).await?;
        let Some(division) = &found else {
            return self.client.site().currency().map(|_| None).ok_or_else(|| self.no_currency());
        };
        self.is_made_up.store(division.caution == Some(Caution::Practice), Ordering::Relaxed);
        let wrong = |kind, message: &'static str| {
            Error::new(kind, message).with_scope(Scope::Connection).with_context("division", division.code)
        };
        if division.blocked {
            return Err(wrong(
                ErrorKind::Unavailable,
                "the company is blocked, such as during a backup or a conversion",
            )
            .with_retry(Retry::Backoff));
        }
        match division.caution {
            Some(Caution::Archived) => {
                return Err(wrong(ErrorKind::ConfigInvalid, "the company is archived"));
            }
            Some(Caution::Inactive) => {
                return Err(wrong(ErrorKind::ConfigInvalid, "the company is inactive"));
            }
            Some(Caution::Practice) if !self.practice => {
                let message = "the company has made-up books for practice: set practice to connect it";
                return Err(wrong(ErrorKind::ConfigInvalid, message));
            }
            _ => {}
        }
        let site = self.client.site();
        let Ok(told) = Currency::parse(&division.currency.to_ascii_uppercase()) else {
            return site.currency().map(|_| found.clone()).ok_or_else(|| self.no_currency());
        };
        let own = *site.currency.get_or_init(|| told);
        if own != told {
            let message = "currency is not the one in which the company keeps its books";
            return Err(wrong(ErrorKind::ConfigInvalid, message)
                .with_context("currency", own)
                .with_context("company", told));
        }
        Ok(found)
    }

    /// Amounts mean nothing without it.
    fn no_currency(&self) -> Error {
        let message = "Exact Online does not say in which currency the company keeps its books: set currency";
        Error::new(ErrorKind::ConfigInvalid, message)
            .with_scope(Scope::Connection)
            .with_context("division", self.client.site().division)
    }

    /// The resource of a kind that this connection reads.
    fn resource(&self, kind: &str) -> Option<&'static Resource> {
        self.resources.iter().find(|resource| resource.kind == kind).copied()
    }

    /// A refusal of one resource, with what is known of its cause. Exact Online is asked once a day.
    async fn explained(&self, ctx: &Context, path: &'static str, scope: &'static str, error: Error) -> Error {
        if !is_refusal(&error) || error.context("scope").is_some() || error.kind() == ErrorKind::Unsupported {
            return error;
        }
        let asked = self.rights.get(ctx, path, async { self.client.may_read(ctx, path).await }).await;
        let cause = match asked {
            Ok(Some(false)) => {
                "the role of the user who connected does not allow it in this company: give the user the right"
            }
            Ok(Some(true)) => {
                "the user may, so the app lacks the scope, or the subscription lacks the module"
            }
            Ok(None) | Err(_) => {
                "Exact Online does not say why, because the app lacks the scope Organization administration: the user's role, \
                 the app's scope or the module"
            }
        };
        Error::new(error.kind(), format!("Exact Online does not let {path} be read: {cause}"))
            .with_operation(error.operation())
            .with_context("company", self.company(ctx).await)
            .with_context("scope", scope)
    }

    /// What people call the company: its name, as far as it is known, and its number.
    async fn company(&self, ctx: &Context) -> String {
        /// Names are of that length at most here.
        const LONGEST: usize = 60;
        let code = self.client.site().division;
        match self.division.get(ctx, "", async { self.client.division(ctx).await }).await {
            Ok(Some(division)) if !division.name.is_empty() => {
                let name: String = division.name.chars().take(LONGEST).collect();
                format!("{} ({code})", name.escape_debug())
            }
            _ => code.to_string(),
        }
    }
}

#[async_trait]
impl Source for ExactOnline {
    fn info(&self) -> &SourceInfo {
        &self.source
    }

    fn receive(&self, request: ReceiveRequest<'_>) -> Result<Intake> {
        self.webhook.receive(request)
    }

    async fn prompt(&self, _: &Context, _: Prompt) -> Result<()> {
        Ok(())
    }

    async fn resolve(
        &self,
        ctx: &Context,
        signals: &[Signal],
        last: Option<&Snapshot>,
    ) -> Result<Resolution> {
        let Some(Subject::Entity(entity)) = signals.first().map(|signal| &signal.subject) else {
            return Ok(Resolution::Done { note: "exact_online reads single records only" });
        };
        let Some(resource) = self.resource(&entity.kind) else {
            return Ok(Resolution::Done { note: "exact_online does not read records of this kind" });
        };
        self.read(ctx, resource, entity, signals, last).await
    }

    async fn poll(&self, ctx: &Context, request: PollRequest<'_>) -> Result<Page> {
        Listing::new(self, ctx, request.mode).page(request).await
    }

    async fn upkeep(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<Upkeep> {
        // Nothing is subscribed in a company that is not to be connected.
        self.require_division(ctx, &self.client).await?;
        self.webhook.look_after(ctx, (&self.client, self.former.as_ref()), &self.source, request).await
    }

    async fn unsubscribe(&self, ctx: &Context, request: UpkeepRequest<'_>) -> Result<()> {
        self.webhook.remove(ctx, &self.client, request).await
    }

    async fn check(&self, ctx: &Context) -> Vec<CheckStep> {
        self.look(ctx).await
    }
}

/// Exact Online is only read.
impl IntoConnection for ExactOnline {
    fn into_connection(self) -> Result<Connection> {
        Ok(Connection::new().source(self))
    }
}
