//! The pages: which path shows which.

mod act;
mod acted;
mod backfills;
mod cause;
mod entry;
mod events;
mod named;
mod needs;
mod overview;
mod record;
mod routes;
mod trouble;
mod wanted;

use ml_connector_core::model::{EntityRef, Seq};

use crate::{
    answer::{Answer, Refusal},
    asked::Asked,
};

/// How the paths of pages begin: the console cannot be mounted at one of them.
pub(crate) const NAMES: [&str; 9] =
    ["events", "record", "event", "trouble", "act", "acted", "routes", "backfills", "assets"];

/// The answer to a request of somebody who may ask.
pub(crate) async fn answer(asked: &Asked, is_post: bool, path: &str) -> Result<Answer, Refusal> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (is_post, &parts[..]) {
        (false, []) => overview::show(asked).await.map(Into::into),
        (false, ["events"]) => events::show(asked).await,
        (false, ["record", connection, kind, id]) => {
            let record = EntityRef::new(decoded(kind)?, decoded(id)?);
            record::show(asked, &decoded(connection)?.into(), &record).await.map(Into::into)
        }
        (false, ["event", seq]) => entry::show(asked, number(seq)?).await.map(Into::into),
        (true, ["event", seq, "reveal"]) => entry::reveal(asked, number(seq)?).await.map(Into::into),
        (false, ["trouble"]) => trouble::show(asked).await.map(Into::into),
        (false, ["act"]) => act::confirm(asked).await,
        (true, ["act"]) => act::perform(asked).await,
        (false, ["acted", seq]) => acted::show(asked, number(seq)?).await.map(Into::into),
        (false, ["routes"]) => routes::show(asked).await.map(Into::into),
        (true, ["routes"]) => routes::change(asked).await,
        (false, ["backfills"]) => backfills::show(asked).await.map(Into::into),
        (true, ["" | "events" | "trouble" | "backfills" | "acted" | "record" | "event", ..] | []) => {
            Err(Refusal::Method)
        }
        _ => Err(Refusal::NotFound),
    }
}

fn number(text: &str) -> Result<Seq, Refusal> {
    text.parse().map(Seq).map_err(|_| Refusal::NotFound)
}

/// A part of a path, without escapes.
fn decoded(part: &str) -> Result<String, Refusal> {
    // What looks like a form has its plus signs; paths have not.
    let part = part.replace('+', "%2B");
    let text: String = url::form_urlencoded::parse(part.as_bytes())
        .map(|(name, value)| if value.is_empty() { name.into_owned() } else { format!("{name}={value}") })
        .collect();
    let is_good = text.len() <= 256 && !text.is_empty() && !text.chars().any(char::is_control);
    if is_good { Ok(text) } else { Err(Refusal::NotFound) }
}

/// A word of several.
fn plural(word: &str) -> String {
    match word {
        "delivery" => "deliveries".to_owned(),
        word => format!("{word}s"),
    }
}
