//! Webhooks that are registered through a vendor's API, and kept registered.

use async_trait::async_trait;

use crate::{Context, Effect, ErrorKind, Result, Retry, Timestamp, model::Subscription};

/// What a vendor knows of webhooks, for [`look_after`].
#[async_trait]
pub trait Subscriptions: Sync {
    /// A webhook that should exist.
    type Wanted: Sync;
    /// All that exists.
    type Existing: Send + Sync;

    /// What should exist.
    fn wanted(&self) -> &[Self::Wanted];

    /// What people call a webhook, for logs and health: an event such as `invoice.changed`.
    fn name<'a>(&self, wanted: &'a Self::Wanted) -> &'a str;

    /// Reads what exists: all pages of it.
    ///
    /// # Errors
    /// The vendor's.
    async fn list(&self, ctx: &Context) -> Result<Self::Existing>;

    /// Whether the vendor calls this webhook, by what exists.
    fn serves(&self, existing: &Self::Existing, wanted: &Self::Wanted) -> bool;

    /// When a webhook that exists ends unless it is renewed; `None` = it does not end. For health.
    fn ends(&self, _existing: &Self::Existing, _wanted: &Self::Wanted) -> Option<Timestamp> {
        None
    }

    /// Creates, renews or repairs one webhook, and deletes what is in its way. Where all is well it writes nothing. Every
    /// write goes through [`Changes::note`].
    ///
    /// Returns when the webhook has to be looked after again, such as before it expires; `None` = no sooner than usual.
    ///
    /// # Errors
    /// The vendor's.
    async fn ensure(
        &self,
        ctx: &Context,
        existing: &Self::Existing,
        wanted: &Self::Wanted,
        changes: &mut Changes,
    ) -> Result<Option<Timestamp>>;
}

/// Whether anything was changed at the vendor, or may have been.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Changes(bool);

impl Changes {
    /// Notes the result of a write.
    ///
    /// # Errors
    /// That of the write.
    pub fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.0 |= result.as_ref().map_or_else(|error| error.effect() != Effect::None, |_| true);
        result
    }

    /// Whether there were any.
    #[must_use]
    pub fn any(self) -> bool {
        self.0
    }
}

/// What looking after webhooks led to.
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookedAfter {
    /// Whether anything was missing or wrong. Changes may have gone untold meanwhile: read the feeds.
    pub repaired: bool,
    /// Why webhooks do not come, or not all, in words for the connection's health.
    pub problem: Option<String>,
    /// Whether every webhook was looked at. If not, the same has to be tried again soon.
    pub complete: bool,
    /// When to look again at the latest. `None` = in the usual time.
    pub again: Option<Timestamp>,
    /// What is registered.
    pub subscriptions: Vec<Subscription>,
}

/// Compares what is wanted with what exists, and repairs the difference. Repeating it changes nothing.
///
/// After a repair it reads again what exists, and names what is still missing. What a vendor refuses for good is named in
/// [`LookedAfter::problem`], and the other webhooks are looked after all the same. A failure after something was changed is
/// no error but an incomplete look, because nobody could see later that there was a gap.
///
/// # Errors
/// The vendor's, when nothing was changed before. Dead credentials are always one.
pub async fn look_after<S: Subscriptions>(subscriptions: &S, ctx: &Context) -> Result<LookedAfter> {
    let mut changes = Changes::default();
    match repair(subscriptions, ctx, &mut changes).await {
        Ok(Repaired { problem, again, subscriptions }) => {
            Ok(LookedAfter { repaired: changes.any(), problem, complete: true, again, subscriptions })
        }
        Err(error) if changes.any() => {
            tracing::warn!(%error, "webhooks could not be looked after to the end");
            let problem = Some(format!("webhooks could not be looked after to the end ({})", error.kind()));
            let again = match error.retry() {
                Retry::At(at) => Some(at),
                _ => None,
            };
            Ok(LookedAfter { repaired: true, problem, again, ..LookedAfter::default() })
        }
        Err(error) => Err(error),
    }
}

/// What a look that came to its end led to.
struct Repaired {
    problem: Option<String>,
    again: Option<Timestamp>,
    subscriptions: Vec<Subscription>,
}

async fn repair<S: Subscriptions>(
    subscriptions: &S,
    ctx: &Context,
    changes: &mut Changes,
) -> Result<Repaired> {
    let mut existing = subscriptions.list(ctx).await?;
    let (mut refused, mut again) = (Vec::new(), None::<Timestamp>);
    for wanted in subscriptions.wanted() {
        match subscriptions.ensure(ctx, &existing, wanted, changes).await {
            Ok(None) => {}
            Ok(Some(at)) => again = Some(again.map_or(at, |earlier| earlier.min(at))),
            Err(error) if error.retry() == Retry::Never && error.kind() != ErrorKind::Unauthenticated => {
                tracing::warn!(%error, webhook = subscriptions.name(wanted), "a webhook could not be set up");
                refused.push(format!("{} ({})", subscriptions.name(wanted), error.kind()));
            }
            Err(error) => return Err(error),
        }
    }
    if changes.any() {
        existing = subscriptions.list(ctx).await?;
        let missing = subscriptions.wanted().iter().filter(|wanted| !subscriptions.serves(&existing, wanted));
        refused.extend(
            missing.map(|wanted| format!("{} (not there after it was made)", subscriptions.name(wanted))),
        );
    }
    let problem = (!refused.is_empty()).then(|| format!("webhooks not registered: {}", refused.join(", ")));
    let served = subscriptions.wanted().iter().filter(|wanted| subscriptions.serves(&existing, wanted));
    let registered = served.map(|wanted| Subscription {
        name: subscriptions.name(wanted).into(),
        ends: subscriptions.ends(&existing, wanted),
    });
    Ok(Repaired { problem, again, subscriptions: registered.collect() })
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use super::*;
    use crate::{Error, remembered::tests::context};

    /// A vendor that refuses some events.
    #[derive(Default)]
    struct Vendor {
        existing: Mutex<Vec<&'static str>>,
        refuses: Option<(&'static str, Error)>,
        forgets: bool,
    }

    #[async_trait]
    impl Subscriptions for Vendor {
        type Wanted = &'static str;
        type Existing = Vec<&'static str>;

        fn wanted(&self) -> &[&'static str] {
            &["invoice", "bill"]
        }

        fn name<'a>(&self, wanted: &'a &'static str) -> &'a str {
            wanted
        }

        async fn list(&self, _: &Context) -> Result<Vec<&'static str>> {
            Ok(self.existing.lock().unwrap().clone())
        }

        fn serves(&self, existing: &Vec<&'static str>, wanted: &&'static str) -> bool {
            existing.contains(wanted)
        }

        async fn ensure(
            &self,
            ctx: &Context,
            existing: &Vec<&'static str>,
            wanted: &&'static str,
            changes: &mut Changes,
        ) -> Result<Option<Timestamp>> {
            if !existing.contains(wanted) {
                let refusal = self.refuses.as_ref().filter(|(event, _)| event == wanted);
                let created = match refusal {
                    Some((_, error)) => Err(Error::new(error.kind(), "no")
                        .with_retry(error.retry())
                        .with_effect(error.effect())),
                    None => Ok(()),
                };
                changes.note(created)?;
                if !self.forgets {
                    self.existing.lock().unwrap().push(wanted);
                }
            }
            let expires = if *wanted == "bill" { 5 } else { 7 };
            Ok(Some(ctx.now() + Duration::from_secs(expires)))
        }
    }

    fn refusing(event: &'static str, error: Error) -> Vendor {
        Vendor { refuses: Some((event, error)), ..Vendor::default() }
    }

    #[tokio::test]
    async fn what_is_missing_is_made_once_and_the_first_to_expire_decides() {
        let (vendor, ctx) = (Vendor::default(), context());
        let first = look_after(&vendor, &ctx).await.unwrap();
        assert_eq!((first.repaired, first.complete, first.problem), (true, true, None));
        assert_eq!(first.again, Some(ctx.now() + Duration::from_secs(5)));
        let second = look_after(&vendor, &ctx).await.unwrap();
        let names: Vec<&str> = second.subscriptions.iter().map(|one| &*one.name).collect();
        assert_eq!((names, &second.subscriptions), (vec!["invoice", "bill"], &first.subscriptions));
        assert!(!second.repaired && vendor.existing.lock().unwrap().len() == 2);
    }

    #[tokio::test]
    async fn what_is_refused_for_good_or_not_there_afterwards_is_named() {
        let no =
            Error::new(ErrorKind::PermissionDenied, "no").with_retry(Retry::Never).with_effect(Effect::None);
        let vendor = refusing("invoice", no);
        let looked = look_after(&vendor, &context()).await.unwrap();
        let problem = looked.problem.unwrap();
        assert!(looked.repaired && problem.contains("invoice") && !problem.contains("bill ("), "{problem}");
        let vendor = Vendor { forgets: true, ..Vendor::default() };
        let problem = look_after(&vendor, &context()).await.unwrap().problem.unwrap();
        assert!(problem.contains("bill (not there after it was made)"), "{problem}");
    }

    #[tokio::test]
    async fn a_failure_after_a_change_is_told_as_an_incomplete_look() {
        let fails = || {
            Error::new(ErrorKind::Unavailable, "later").with_retry(Retry::Backoff).with_effect(Effect::None)
        };
        let looked = look_after(&refusing("bill", fails()), &context()).await.unwrap();
        assert!(looked.repaired && !looked.complete && looked.problem.is_some());
        assert!(look_after(&refusing("invoice", fails()), &context()).await.is_err(), "nothing was changed");
        let lost = fails().with_effect(Effect::Unknown);
        let looked = look_after(&refusing("invoice", lost), &context()).await.unwrap();
        assert!(looked.repaired && !looked.complete, "it may have been made");
    }
}
