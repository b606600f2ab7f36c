//! Webhooks that are set up through the API: what is wanted is compared with what exists, and repaired.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ml_connector_core::{
    Context, Error, ErrorKind, Result, Secret, Timestamp, UpkeepRequest,
    model::{RecordKind, Revision, Subscription},
    webhook::{Changes, LookedAfter, Subscriptions, look_after},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::client::{
    BooksClient,
    settings::{Action, Criteria, Hook, NewHook, NewWorkflow, Workflow},
};

/// A rule that somebody has switched off is noticed within so long; two calls each.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);
/// After a look that broke off halfway.
const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// A look ends so long before its caller stops waiting, so that what it has done is not forgotten.
const TO_ANSWER: Duration = Duration::from_secs(2);
const DESCRIPTION: &str = "ml-connector";
/// For so long it is tried to remove the webhooks of an organization that the connection has left.
const LEAVING: Duration = Duration::from_secs(30 * 24 * 3600);
/// Plans without workflow rules, by the name in `GET /organizations`.
const PLANS_WITHOUT: [&str; 2] = ["free", "standard"];

/// The webhooks that one connection keeps registered.
#[derive(Debug, Clone)]
pub(crate) struct ManagedWebhooks {
    wanted: Vec<Wanted>,
    organization_id: String,
    /// What Zoho signs with from now on.
    secret: Secret,
}

/// A webhook with the rule that calls it.
#[derive(Debug, Clone)]
struct Wanted {
    /// Unique in the organization, 50 characters at most: by it both are found again.
    name: String,
    event: String,
    rule_type: &'static str,
    /// What Zoho may call the module; not all of it is documented. The first that is accepted is taken.
    entities: &'static [&'static str],
}

/// What was set up last: the answers do not show the secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The organization in which it was.
    #[serde(default)]
    organization: String,
    callback: String,
    secret: String,
    /// Where some may still be, because the connection was there before.
    #[serde(default)]
    left: Vec<Left>,
}

/// An organization that the connection has left, and the URL that its webhooks call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Left {
    organization: String,
    callback: String,
    since: Timestamp,
}

/// What looking after the webhooks led to.
pub(crate) struct Looked {
    pub(crate) state: Bytes,
    /// Whether anything was missing or wrong, so that changes may have gone untold.
    pub(crate) repaired: bool,
    /// Why webhooks do not come, or not all.
    pub(crate) problem: Option<String>,
    /// When to look again; `None` = in the usual time.
    pub(crate) again: Option<Timestamp>,
    /// What is registered.
    pub(crate) subscriptions: Vec<Subscription>,
}

impl ManagedWebhooks {
    pub(crate) fn new(resources: &[RecordKind], organization_id: &str, secret: Secret) -> Self {
        let wanted = resources.iter().flat_map(modules).flat_map(|(word, entities)| {
            [("changed", "add_edit"), ("deleted", "delete")].map(|(kind, rule_type)| Wanted {
                name: format!("mlc {} {kind} {organization_id}", entities[0]),
                event: format!("{word}.{kind}"),
                rule_type,
                entities,
            })
        });
        Self { wanted: wanted.collect(), organization_id: organization_id.to_owned(), secret }
    }

    /// What is kept where there is no URL to be called at.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when it cannot be written.
    pub(crate) fn keep(&self, request: &UpkeepRequest<'_>, now: Timestamp) -> Result<Bytes> {
        State::at(&self.organization_id, request, now).write()
    }

    /// Makes the wanted webhooks exist under `callback`, and looks whether they do. Those of another organization that the
    /// connection read before are removed first. A look that breaks off after it has changed something tells so, because
    /// nobody could see later that there was a gap.
    ///
    /// # Errors
    /// Of a call that may succeed later, if nothing was changed; what is refused for good is the problem that is returned.
    pub(crate) async fn look_after(
        &self,
        ctx: &Context,
        client: &BooksClient,
        callback: &str,
        request: &UpkeepRequest<'_>,
    ) -> Result<Looked> {
        let ctx = &ctx.within(ctx.time_left().saturating_sub(TO_ANSWER));
        let mut known = State::at(&self.organization_id, request, ctx.now());
        let mut stays = Vec::new();
        for other in std::mem::take(&mut known.left) {
            if let Some(why) = leave(ctx, client, &other).await? {
                stays.push(why);
                known.left.push(other);
            }
        }
        let state = State {
            callback: callback.to_owned(),
            secret: Revision::of(self.secret.expose().as_bytes()).to_string(),
            ..known.clone()
        };
        let looked = self.look_at_own(ctx, client, (&state, &known)).await?;
        let problems: Vec<String> = stays.into_iter().chain(looked.problem).collect();
        Ok(Looked { problem: (!problems.is_empty()).then(|| problems.join("; ")), ..looked })
    }

    async fn look_at_own(
        &self,
        ctx: &Context,
        client: &BooksClient,
        (state, known): (&State, &State),
    ) -> Result<Looked> {
        let organizations = client.organizations(ctx).await?;
        let own = organizations.into_iter().find(|organization| organization.id == self.organization_id);
        let plan = own.map(|organization| organization.plan_name).unwrap_or_default();
        if PLANS_WITHOUT.contains(&&*plan.to_ascii_lowercase()) {
            let problem = format!("the plan {plan} has no webhooks: changes are noticed by polling only");
            return Looked::new(known, false, Some(problem));
        }
        let callback = &state.callback;
        let registration = Registration { managed: self, client, callback, secret_is_known: state == known };
        let LookedAfter { repaired, problem, complete, again, subscriptions, .. } =
            look_after(&registration, ctx).await?;
        if complete {
            return Ok(Looked { subscriptions, ..Looked::new(state, repaired, problem)? });
        }
        let again = Some(again.unwrap_or(ctx.now() + LOOK_AGAIN));
        Ok(Looked { again, ..Looked::new(known, repaired, problem)? })
    }

    /// The events of which there is no webhook among these.
    pub(crate) fn missing(&self, hooks: &[Hook]) -> Vec<&str> {
        let is_there = |wanted: &&Wanted| hooks.iter().any(|hook| hook.webhook_name == wanted.name);
        self.wanted.iter().filter(|wanted| !is_there(wanted)).map(|wanted| &*wanted.event).collect()
    }

    /// Removes the wanted webhooks and their rules, as far as they are there.
    ///
    /// # Errors
    /// Zoho's.
    pub(crate) async fn remove(&self, ctx: &Context, client: &BooksClient) -> Result<()> {
        let existing =
            Existing { hooks: client.webhooks(ctx).await?, workflows: client.workflows(ctx).await? };
        // A rule names its webhook, so it goes first.
        for rule in self.wanted.iter().filter_map(|wanted| existing.rule(wanted)) {
            client.delete_workflow(ctx, &rule.workflow_id).await?;
        }
        for hook in self.wanted.iter().filter_map(|wanted| existing.hook(wanted)) {
            client.delete_webhook(ctx, &hook.webhook_id).await?;
        }
        Ok(())
    }

    fn hook<'a>(&'a self, wanted: &'a Wanted, entity: &'a str, url: &'a Url) -> NewHook<'a> {
        NewHook {
            webhook_name: &wanted.name,
            description: DESCRIPTION,
            entity,
            method: "POST",
            url: url.as_str(),
            secret: &self.secret,
        }
    }
}

/// One look at the webhooks of an organization.
struct Registration<'a> {
    managed: &'a ManagedWebhooks,
    client: &'a BooksClient,
    callback: &'a str,
    /// Whether the webhooks have the secret already: no answer shows it.
    secret_is_known: bool,
}

#[async_trait]
impl Subscriptions for Registration<'_> {
    type Wanted = Wanted;
    type Existing = Existing;

    fn wanted(&self) -> &[Wanted] {
        &self.managed.wanted
    }

    fn name<'a>(&self, wanted: &'a Wanted) -> &'a str {
        &wanted.event
    }

    async fn list(&self, ctx: &Context) -> Result<Existing> {
        Ok(Existing { hooks: self.client.webhooks(ctx).await?, workflows: self.client.workflows(ctx).await? })
    }

    fn serves(&self, existing: &Existing, wanted: &Wanted) -> bool {
        let hook = existing.hook(wanted).zip(existing.rule(wanted));
        hook.is_some_and(|(hook, rule)| rule.is_active && hook.is_called_by(rule))
    }

    /// One webhook and its rule. Zoho's webhooks do not expire.
    async fn ensure(
        &self,
        ctx: &Context,
        existing: &Existing,
        wanted: &Wanted,
        changes: &mut Changes,
    ) -> Result<Option<Timestamp>> {
        let Self { managed, client, callback, secret_is_known } = *self;
        let url = &wanted.url(callback, &managed.organization_id)?;
        let hook = existing.hook(wanted);
        let made;
        let (id, entity) = match hook {
            Some(hook) => {
                if !secret_is_known || hook.url != url.as_str() {
                    let new = managed.hook(wanted, &hook.entity, url);
                    changes.note(client.update_webhook(ctx, &hook.webhook_id, &new).await)?;
                }
                (hook.webhook_id.as_str(), hook.entity.as_str())
            }
            None => {
                made = changes.note(self.create(ctx, wanted, url).await)?;
                (made.0.as_str(), made.1)
            }
        };
        match existing.rule(wanted) {
            Some(rule) if hook.is_some_and(|hook| hook.is_called_by(rule)) => {
                if !rule.is_active {
                    changes.note(client.activate_workflow(ctx, &rule.workflow_id).await)?;
                }
            }
            stray => {
                if let Some(rule) = stray {
                    changes.note(client.delete_workflow(ctx, &rule.workflow_id).await)?;
                }
                let workflow = NewWorkflow {
                    workflow_name: &wanted.name,
                    description: DESCRIPTION,
                    entity,
                    rule_type: wanted.rule_type,
                    rule: Criteria {},
                    apply_rule_always: true,
                    instant_actions: [Action { action_type: "webhook", action_id: id }],
                };
                changes.note(client.create_workflow(ctx, &workflow).await)?;
            }
        }
        Ok(None)
    }
}

impl Registration<'_> {
    /// Returns the id, and the word for the module that was accepted.
    async fn create(&self, ctx: &Context, wanted: &Wanted, url: &Url) -> Result<(String, &'static str)> {
        let mut refusal = Error::new(ErrorKind::Unsupported, "no module sends webhooks about this");
        for entity in wanted.entities {
            match self.client.create_webhook(ctx, &self.managed.hook(wanted, entity, url)).await {
                Ok(id) => return Ok((id, entity)),
                Err(error) if error.kind() == ErrorKind::InvalidRequest => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }
}

impl Wanted {
    /// Event and organization are in the query, because the body names neither and the query is signed.
    fn url(&self, callback: &str, organization_id: &str) -> Result<Url> {
        let mut url = Url::parse(callback).map_err(|_| {
            Error::new(ErrorKind::ConfigInvalid, "expected a URL under which webhooks are received")
        })?;
        url.query_pairs_mut()
            .clear()
            .append_pair("mlc_event", &self.event)
            .append_pair("mlc_org", organization_id);
        Ok(url)
    }
}

/// What there is in the organization.
struct Existing {
    hooks: Vec<Hook>,
    workflows: Vec<Workflow>,
}

impl Existing {
    fn hook(&self, wanted: &Wanted) -> Option<&Hook> {
        self.hooks.iter().find(|hook| hook.webhook_name == wanted.name)
    }

    fn rule(&self, wanted: &Wanted) -> Option<&Workflow> {
        self.workflows.iter().find(|rule| rule.workflow_name == wanted.name)
    }
}

impl Hook {
    fn is_called_by(&self, rule: &Workflow) -> bool {
        let rules = self.related_rules.as_ref();
        rules.is_none_or(|rules| rules.contains(&rule.workflow_id))
    }
}

impl State {
    /// What is known when the connection reads `organization`: whatever other it read before is to be left.
    fn at(organization: &str, request: &UpkeepRequest<'_>, now: Timestamp) -> Self {
        let [former, state] = [request.former, request.state].map(|stored| {
            let read = stored.and_then(|stored| serde_json::from_slice::<Self>(stored).ok());
            read.unwrap_or_default()
        });
        let (mut left, mut known) = (Vec::new(), Self::default());
        for mut other in [former, state] {
            left.append(&mut other.left);
            if other.organization.is_empty() || other.organization == organization {
                known = other;
            } else {
                let Self { organization, callback, .. } = other;
                left.push(Left { organization, callback, since: now });
            }
        }
        left.retain(|left| left.organization != organization && now.saturating_since(left.since) < LEAVING);
        Self { organization: organization.to_owned(), left, ..known }
    }

    fn write(&self) -> Result<Bytes> {
        serde_json::to_vec(self).map(Bytes::from).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "the state of webhooks cannot be written").with_source(source)
        })
    }
}

/// Removes the webhooks of an organization that the connection has left, and their rules. Returns what keeps it from that.
async fn leave(ctx: &Context, client: &BooksClient, left: &Left) -> Result<Option<String>> {
    let there = client.at_organization(&left.organization);
    let is_ours = |hook: &&Hook| {
        let named = hook.webhook_name.strip_prefix("mlc ");
        named.is_some_and(|name| name.rsplit(' ').next() == Some(&left.organization))
            && hook.url.split('?').next() == Some(&left.callback)
    };
    let removed = async {
        let hooks = there.webhooks(ctx).await?;
        let ours: Vec<&Hook> = hooks.iter().filter(is_ours).collect();
        if ours.is_empty() {
            return Ok(());
        }
        // A rule names its webhook, so it goes first.
        for rule in there.workflows(ctx).await? {
            if ours.iter().any(|hook| hook.webhook_name == rule.workflow_name) {
                there.delete_workflow(ctx, &rule.workflow_id).await?;
            }
        }
        for hook in ours {
            there.delete_webhook(ctx, &hook.webhook_id).await?;
        }
        Ok::<_, Error>(())
    };
    match removed.await {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ConfigInvalid) => {
            tracing::warn!(%error, "the webhooks of the organization that the connection has left cannot be removed");
            Ok(Some(format!(
                "webhooks of organization {} still call this host: the person who is connected may not remove them; remove \
                 those whose name begins with mlc in its settings",
                left.organization
            )))
        }
        Err(error) => Err(error),
    }
}

impl Looked {
    fn new(state: &State, repaired: bool, problem: Option<String>) -> Result<Self> {
        Ok(Self { state: state.write()?, repaired, problem, again: None, subscriptions: Vec::new() })
    }
}

/// Our word for a kind of record, and Zoho's for the modules that tell about it.
fn modules(kind: &RecordKind) -> Vec<(&'static str, &'static [&'static str])> {
    match kind {
        RecordKind::Invoice => vec![("invoice", &["invoice"])],
        RecordKind::Bill => vec![("bill", &["bill"])],
        RecordKind::CustomerPayment => {
            vec![("customerpayment", &["customer_payment", "customerpayment", "payment"])]
        }
        RecordKind::VendorPayment => vec![("vendorpayment", &["vendor_payment", "vendorpayment"])],
        RecordKind::PurchaseOrder => vec![("purchaseorder", &["purchaseorder", "purchase_order"])],
        RecordKind::Contact => vec![("contact", &["customer", "contact"]), ("contact", &["vendor"])],
        _ => Vec::new(),
    }
}
