//! Callbacks are created, proven and kept in repair: what is wanted is compared with what exists.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Retry, SourceInfo, Timestamp, UpkeepRequest,
    model::{Signal, Subject, Upkeep},
    webhook::{Changes, LookedAfter, Subscriptions, look_after},
};

use super::{
    Webhook,
    state::{Asked, Kept, Left, State},
};
use crate::{
    client::{FreshBooksClient, callbacks::Callback},
    models::kind_of_noun,
};

/// How often it is looked whether the callbacks are there and verified: nothing tells when FreshBooks has disabled one.
const LOOK_EVERY: Duration = Duration::from_secs(15 * 60);
/// Without a public URL there is nothing to look after.
const NOTHING_TO_DO: Duration = Duration::from_secs(30 * 24 * 3600);
/// A handshake takes seconds to several minutes. Later the verifier is asked for again.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// For so long a callback may be unproven before that is a trouble.
const SLOW: Duration = Duration::from_secs(5 * 60);
/// When to look again after a look that broke off.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Webhook {
    /// Makes one callback for each noun exist under the public URL, and proves it. Those of another account that the
    /// connection read before are deleted first.
    ///
    /// # Errors
    /// FreshBooks', if nothing was changed.
    pub(crate) async fn look_after(
        &self,
        ctx: &Context,
        client: &FreshBooksClient,
        info: &SourceInfo,
        request: UpkeepRequest<'_>,
    ) -> Result<Upkeep> {
        let mut before = State::at(&self.account_id, &request, ctx.now());
        let Some(base) = request.callback.map(|url| url.trim_end_matches('/')) else {
            return Ok(Upkeep::new(ctx.now() + NOTHING_TO_DO).state(before.write()?));
        };
        let mut problems = Vec::new();
        for other in std::mem::take(&mut before.left) {
            if let Some(why) = leave(ctx, client, &other).await? {
                problems.push(why);
                before.left.push(other);
            }
        }
        let wanted = self.nouns.iter().map(|noun| Wanted { noun, uri: format!("{base}/{noun}") });
        let registration = Registration {
            client,
            wanted: wanted.collect(),
            before: before.clone(),
            after: Mutex::new(Work {
                state: State { base: base.to_owned(), ..before },
                look_again: Vec::new(),
            }),
            now: ctx.now(),
        };
        let LookedAfter { repaired, problem, complete, again, subscriptions, .. } =
            look_after(&registration, ctx).await?;
        let Work { state, look_again } =
            registration.after.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What happened while a callback did not work was told by nobody. What is left elsewhere keeps nothing from coming.
        let silent: Vec<String> =
            [problem, unproven(&state, base, ctx.now())].into_iter().flatten().collect();
        let gap = repaired || !silent.is_empty() && !info.mode.polls();
        problems.extend(silent);
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        if let Some(problem) = &problem {
            tracing::warn!(connection = %info.connection, problem, "webhooks do not come");
        }
        let feeds = info.feeds.iter().filter(|_| gap).map(|feed| Signal::feed(feed.name, None));
        let looks = look_again.into_iter().map(|noun| Signal::of(Subject::Subscription(noun.into())));
        let latest = ctx.now() + if complete { LOOK_EVERY } else { LOOK_AGAIN };
        Ok(Upkeep::new(again.map_or(latest, |again| again.min(latest)))
            .state(state.write()?)
            .signals(feeds.chain(looks).collect())
            .subscriptions(subscriptions)
            .problem(problem.map(Into::into)))
    }
}

impl Webhook {
    /// Deletes the callbacks under the public URL.
    ///
    /// # Errors
    /// FreshBooks'.
    pub(crate) async fn remove(
        &self,
        ctx: &Context,
        client: &FreshBooksClient,
        request: UpkeepRequest<'_>,
    ) -> Result<()> {
        let Some(base) = request.callback.map(|url| url.trim_end_matches('/')) else { return Ok(()) };
        let wanted = self.nouns.iter().map(|noun| Wanted { noun, uri: format!("{base}/{noun}") });
        let wanted: Vec<Wanted> = wanted.collect();
        for own in client.callbacks(ctx).await?.iter().filter(|own| wanted.iter().any(|one| one.is(own))) {
            client.delete_callback(ctx, &own.id).await?;
        }
        Ok(())
    }
}

/// Deletes the callbacks of an account that the connection has left. Returns what keeps it from that.
async fn leave(ctx: &Context, client: &FreshBooksClient, left: &Left) -> Result<Option<String>> {
    let there = client.at_account(&left.account);
    let is_ours = |callback: &Callback| {
        let path = callback.uri.strip_prefix(&left.base).and_then(|path| path.strip_prefix('/'));
        path.is_some_and(|noun| callback.event == noun && kind_of_noun(noun).is_some())
    };
    let deleted = async {
        for old in there.callbacks(ctx).await?.iter().filter(|callback| is_ours(callback)) {
            there.delete_callback(ctx, &old.id).await?;
        }
        Ok::<_, Error>(())
    };
    match deleted.await {
        Ok(()) => Ok(None),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ConfigInvalid | ErrorKind::NotFound
            ) =>
        {
            tracing::warn!(%error, "the callbacks of the account that the connection has left cannot be deleted");
            Ok(Some(format!(
                "callbacks of account {} are still there: the person who is connected may not delete them; let a person of \
                 that account do it, or wait: FreshBooks disables them",
                left.account
            )))
        }
        Err(error) => Err(error),
    }
}

/// Which callbacks FreshBooks does not use because their verifier did not arrive, and what to do.
fn unproven(state: &State, base: &str, now: Timestamp) -> Option<String> {
    let is_late =
        |kept: &Kept| kept.unverified_since.is_some_and(|since| now.saturating_since(since) >= SLOW);
    let late = state.nouns.iter().filter(|(_, kept)| is_late(kept)).map(|(noun, _)| noun.as_str());
    let late: Vec<&str> = late.collect();
    // The path proves that a request is FreshBooks', so only the host is shown.
    let host = base.split('/').take(3).collect::<Vec<_>>().join("/");
    (!late.is_empty()).then(|| {
        format!(
            "FreshBooks' handshake does not arrive for {}: check that {host} can be reached from the internet by https, \
             and answers a POST within 10 seconds with 200 and no redirect; changes are noticed by polling meanwhile",
            late.join(", ")
        )
    })
}

/// A callback that should exist.
struct Wanted {
    noun: &'static str,
    uri: String,
}

/// What one look leads to.
struct Work {
    state: State,
    /// Of which nouns a call is due as soon as it is written down that its handshake is waited for.
    look_again: Vec<&'static str>,
}

/// One look at the callbacks of an account.
struct Registration<'a> {
    client: &'a FreshBooksClient,
    wanted: Vec<Wanted>,
    /// What was written down when the look began.
    before: State,
    after: Mutex<Work>,
    now: Timestamp,
}

#[async_trait]
impl Subscriptions for Registration<'_> {
    type Wanted = Wanted;
    type Existing = Vec<Callback>;

    fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    fn name<'a>(&self, wanted: &'a Wanted) -> &'a str {
        wanted.noun
    }

    async fn list(&self, ctx: &Context) -> Result<Vec<Callback>> {
        self.client.callbacks(ctx).await
    }

    /// One that is not verified yet is there, too: its handshake takes its time. One that waits to be created may be missing.
    fn serves(&self, existing: &Vec<Callback>, wanted: &Wanted) -> bool {
        let is_due = self.work().look_again.contains(&wanted.noun);
        is_due || existing.iter().any(|callback| wanted.is(callback))
    }

    async fn ensure(
        &self,
        ctx: &Context,
        existing: &Vec<Callback>,
        wanted: &Wanted,
        changes: &mut Changes,
    ) -> Result<Option<Timestamp>> {
        let before = self.before.nouns.get(wanted.noun).cloned().unwrap_or_default();
        let mut kept = before.clone();
        let ensured = self.repair(ctx, existing, wanted, (&before, &mut kept), changes).await;
        self.work().state.nouns.insert(wanted.noun.to_owned(), kept);
        ensured
    }
}

impl Registration<'_> {
    fn work(&self) -> std::sync::MutexGuard<'_, Work> {
        self.after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn repair(
        &self,
        ctx: &Context,
        existing: &[Callback],
        wanted: &Wanted,
        (before, kept): (&Kept, &mut Kept),
        changes: &mut Changes,
    ) -> Result<Option<Timestamp>> {
        let own: Vec<&Callback> = existing.iter().filter(|callback| wanted.is(callback)).collect();
        let known = own.iter().find(|callback| Some(&callback.id) == kept.id.as_ref());
        let has_key = known.is_some() && kept.verifier.is_some();
        let chosen = known.or_else(|| own.iter().find(|callback| callback.verified)).or(own.last()).copied();
        let elsewhere = existing.iter().filter(|callback| self.is_ours_elsewhere(callback, before, wanted));
        let doubles =
            own.iter().copied().filter(|callback| Some(&callback.id) != chosen.map(|chosen| &chosen.id));
        for stray in elsewhere.chain(doubles) {
            changes.note(self.client.delete_callback(ctx, &stray.id).await)?;
        }
        let Some(callback) = chosen else {
            kept.offers.retain(|offer| Some(&offer.id) == kept.id.as_ref());
            if before.asked.is_some_and(|asked| !asked.sent) {
                let id = changes.note(self.client.create_callback(ctx, wanted.noun, &wanted.uri).await)?;
                // A verifier may have come already, and is matched by this id.
                (kept.id, kept.unverified_since) = (id, Some(self.now));
                kept.asked = Some(Asked { at: self.now, sent: true });
                kept.offers.clone_from(&before.offers);
                return Ok(Some(self.now + PATIENCE));
            }
            kept.id = None;
            self.ask(wanted, kept);
            return Ok(None);
        };
        kept.id = Some(callback.id.clone());
        kept.offers.retain(|offer| offer.id == callback.id);
        // Before all else: one of them may have been confirmed by a call whose answer was lost, and be in force already.
        let was_offered = !kept.offers.is_empty();
        while let Some(offer) = kept.offers.pop() {
            match changes.note(self.client.verify_callback(ctx, &callback.id, &offer.verifier.0).await) {
                Ok(()) => {
                    kept.adopt(offer, self.now);
                    return Ok(None);
                }
                // It was somebody else's, or an older one.
                Err(error) if is_refusal(&error) => {
                    tracing::warn!(%error, noun = wanted.noun, "FreshBooks refuses a verifier that was handed over");
                }
                Err(error) => {
                    kept.offers.push(offer);
                    return Err(error);
                }
            }
        }
        if callback.verified && has_key && !was_offered {
            (kept.asked, kept.unverified_since) = (None, None);
            return Ok(None);
        }
        if callback.verified {
            // Its key is not known, and FreshBooks hands it over only once: it is made anew.
            changes.note(self.client.delete_callback(ctx, &callback.id).await)?;
            kept.id = None;
            self.ask(wanted, kept);
            return Ok(None);
        }
        let since = *kept.unverified_since.get_or_insert(self.now);
        match before.asked {
            Some(asked) if !asked.sent => {
                changes.note(self.client.resend_verifier(ctx, &callback.id).await)?;
                kept.asked = Some(Asked { at: self.now, sent: true });
                Ok(Some((since + SLOW).max(self.now + Duration::from_secs(1)).min(self.now + PATIENCE)))
            }
            Some(asked) if self.now.saturating_since(asked.at) < PATIENCE => Ok(Some(asked.at + PATIENCE)),
            _ => {
                self.ask(wanted, kept);
                Ok(None)
            }
        }
    }

    /// Writes down that a verifier is waited for, before anything is asked that makes FreshBooks send one.
    fn ask(&self, wanted: &Wanted, kept: &mut Kept) {
        kept.asked = Some(Asked { at: self.now, sent: false });
        self.work().look_again.push(wanted.noun);
    }

    /// A callback that this connection has made, and that leads to where it is no longer. Others of the app stay, whatever
    /// they are called: they may be those of another host.
    fn is_ours_elsewhere(&self, callback: &Callback, before: &Kept, wanted: &Wanted) -> bool {
        let was_here = callback.uri == format!("{}/{}", self.before.base, wanted.noun);
        callback.uri != wanted.uri && (was_here || before.id.as_ref() == Some(&callback.id))
    }
}

impl Wanted {
    fn is(&self, callback: &Callback) -> bool {
        callback.event == self.noun && callback.uri == self.uri
    }
}

/// Whether FreshBooks has said no, and would say it again.
fn is_refusal(error: &Error) -> bool {
    error.retry() == Retry::Never && error.kind() != ErrorKind::Unauthenticated
}
