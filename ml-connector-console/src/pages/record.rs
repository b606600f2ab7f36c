//! Record: everything the log knows about one document.

use std::collections::BTreeMap;

use maud::{Markup, html};
use ml_connector_core::{
    audit::Query,
    model::{ConnectionId, EntityRef},
};

use super::events::{PAGE, table};
use crate::{
    answer::Refusal,
    asked::{Asked, segment},
    show::{Tab, page},
    text::safe,
};

/// What stands in an address for every connection.
const ANY: &str = "any";

pub(crate) async fn show(
    asked: &Asked,
    connection: &ConnectionId,
    record: &EntityRef,
) -> Result<Markup, Refusal> {
    let mut query = Query::default().with_entity(record.clone()).newest_first().with_limit(PAGE);
    query.connection = Some(connection.clone()).filter(|connection| connection.as_str() != ANY);
    query.after = asked.params.seq("after")?;
    let entries = asked.scoped.search(query).await?;
    if entries.is_empty() && asked.params.get("after").is_none() {
        return Err(Refusal::NotFound);
    }
    let number = entries.iter().find_map(|entry| entry.index.number.clone());
    let title = format!("{} {}", safe(&record.kind, 40), safe(number.as_deref().unwrap_or(&record.id), 60));
    let lead = html! {
        "Everything that the log knows of this record, the newest first: what came in, what changed, and what was sent. Its id is "
        code.copy { (safe(&record.id, 100)) } "."
    };
    let path =
        format!("/record/{}/{}/{}", segment(connection.as_str()), segment(&record.kind), segment(&record.id));
    let last = entries.last().filter(|_| entries.len() == PAGE).map(|last| last.seq.to_string());
    let body = html! {
        (table(asked, &entries, &BTreeMap::new()))
        nav.pager aria-label="Pages of the list" {
            @if let Some(last) = &last { a.button rel="next" href=(asked.href(&path, &[("after", last)])) { "Older" } }
            @else { span.faint { "That is all." } }
        }
        @if connection.as_str() != ANY {
            p { a href=(asked.href(&format!("/record/{ANY}/{}/{}", segment(&record.kind), segment(&record.id)), &[])) { "With what was sent to other systems" } }
        }
    };
    Ok(page(asked, Tab::Events, &title, &lead, &body))
}
