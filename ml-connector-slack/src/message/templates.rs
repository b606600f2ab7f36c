//! Templates by name.

use std::{collections::BTreeMap, fmt, sync::Arc};

use ml_connector_core::{
    Error, ErrorKind, Result,
    model::{Delivery, Event},
};

use super::{Assignee, Brief, Cards, DigestTemplate, Message, PostCards, Table, Template};

/// The name of [`Cards`], and what is used where nothing else is said.
pub const CARD: &str = "card";
/// The name of [`PostCards`].
pub const POST: &str = "post";
/// The name of [`Brief`].
pub const BRIEF: &str = "brief";
/// The name of [`Table`], and what digests use where nothing else is said.
pub const TABLE: &str = "table";

/// Everything a connection can make messages with.
pub(crate) struct Templates {
    single: BTreeMap<String, Arc<dyn Template>>,
    digest: BTreeMap<String, Arc<dyn DigestTemplate>>,
}

impl Default for Templates {
    fn default() -> Self {
        let mut templates = Self { single: BTreeMap::new(), digest: BTreeMap::new() };
        templates.add(CARD, Arc::new(Cards));
        templates.add(POST, Arc::new(PostCards));
        templates.add(BRIEF, Arc::new(Brief));
        templates.add_digest(TABLE, Arc::new(Table));
        templates
    }
}

impl Templates {
    pub(crate) fn add(&mut self, name: &str, template: Arc<dyn Template>) {
        self.single.insert(name.to_owned(), template);
    }

    pub(crate) fn add_digest(&mut self, name: &str, template: Arc<dyn DigestTemplate>) {
        self.digest.insert(name.to_owned(), template);
    }

    /// Whether there is what the route asks for.
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] names the templates that there are.
    pub(crate) fn check(&self, delivery: &Delivery) -> Result<()> {
        let Some(name) = delivery.template.as_deref() else { return Ok(()) };
        let known =
            if delivery.digest { self.digest.contains_key(name) } else { self.single.contains_key(name) };
        if known {
            return Ok(());
        }
        let names: Vec<&str> = if delivery.digest {
            self.digest.keys().map(String::as_str).collect()
        } else {
            self.single.keys().map(String::as_str).collect()
        };
        Err(Error::new(ErrorKind::ConfigInvalid, "the route asks for a template that there is not")
            .with_operation("slack.render")
            .with_context("template", name.escape_debug())
            .with_context("templates", names.join(" ")))
    }

    /// The message of one event: by the template that the route names, else the one for its type (`invoice.paid`), else
    /// for its kind (`invoice`), else the card.
    pub(crate) fn render(&self, delivery: &Delivery, assignee: &Assignee) -> Result<Message> {
        self.check(delivery)?;
        let event = &delivery.event;
        let kind = event.event_type();
        let names = match delivery.template.as_deref() {
            Some(name) => vec![name],
            None => vec![kind.as_str(), &*event.entity.kind, CARD],
        };
        let template = names.into_iter().find_map(|name| self.single.get(name));
        let made = template.map(|template| template.render_for(event, assignee));
        checked(made.unwrap_or_else(|| Cards.render_for(event, assignee)))
    }

    /// The message of all events of a digest; `head` is its first delivery.
    pub(crate) fn digest(&self, head: &Delivery, events: &[&Event]) -> Result<Message> {
        self.check(head)?;
        let template = self.digest.get(head.template.as_deref().unwrap_or(TABLE));
        checked(template.map_or_else(|| Table.render(events), |template| template.render(events)))
    }
}

/// A message that Slack takes.
fn checked(message: Message) -> Result<Message> {
    let refused = |message| Error::new(ErrorKind::InvalidRequest, message).with_operation("slack.render");
    if message.blocks().is_empty() {
        let empty = message.text().trim().is_empty();
        return if empty { Err(refused("the template made an empty message")) } else { Ok(message) };
    }
    match message.blocks().validate() {
        Err(violations) => {
            let error = refused("the template made blocks that Slack refuses");
            Err(violations.into_iter().take(1).fold(error, |error, broken| {
                error
                    .with_context("rule", broken.rule)
                    .with_context("pointer", broken.pointer)
                    .with_context("actual", broken.actual)
                    .with_context("limit", broken.limit)
            }))
        }
        Ok(()) => Ok(message),
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates")
            .field("single", &self.single.keys())
            .field("digest", &self.digest.keys())
            .finish()
    }
}
