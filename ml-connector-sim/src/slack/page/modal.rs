//! What lies over the page: a modal, or the question that a button asks first.

use maud::{Markup, html};
use serde_json::Value;

use super::{
    Reader,
    blocks::{block, plain_text},
    path,
};
use crate::slack::{outbox::ReplyTo, views::View};

/// The modal in front of the reader.
pub(super) fn modal(view: &View, reader: &Reader<'_>) -> Markup {
    let sent = waits(view, reader);
    let blocks = view.view["blocks"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        div.curtain {
            form.modal role="dialog" aria-modal="true" method="post" action="/page/submit" {
                input type="hidden" name="as" value=(reader.user);
                input type="hidden" name="here" value=(reader.here());
                input type="hidden" name="view" value=(view.id);
                h1 { (plain_text(&view.view["title"])) }
                @if let Some(trouble) = &view.trouble { p.trouble { (trouble) } }
                @for part in blocks {
                    (block(part, false, &view.entered, reader))
                    @if let Some(error) = part["block_id"].as_str().and_then(|id| view.errors.get(id)) {
                        p.trouble { (error) }
                    }
                }
                footer {
                    @if sent { p.note { "Waiting for the app…" } }
                    button.button formaction="/page/close" formnovalidate disabled[sent] {
                        @if view.view["close"].is_null() { "Close" } @else { (plain_text(&view.view["close"])) }
                    }
                    @if !view.view["submit"].is_null() {
                        button.button.primary disabled[sent] { (plain_text(&view.view["submit"])) }
                    }
                }
            }
        }
    }
}

/// Whether the app has still to answer to the modal.
pub(super) fn waits(view: &View, reader: &Reader<'_>) -> bool {
    reader
        .workspace
        .outbox
        .waits(reader.now, |reply_to| matches!(reply_to, ReplyTo::Submission { view: id } if *id == view.id))
}

/// What a button asks before it is a click. The fields are those of the click.
pub(super) fn confirm(confirm: &Value, fields: &[(&str, &str)], reader: &Reader<'_>) -> Markup {
    let style = if confirm["style"] == "danger" { "danger" } else { "primary" };
    html! {
        div.curtain {
            form.modal role="dialog" aria-modal="true" method="post" action="/page/click" {
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                input type="hidden" name="confirmed" value="1";
                h1 { (plain_text(&confirm["title"])) }
                p { (super::blocks::text(&confirm["text"], reader)) }
                footer {
                    a.button href=(path(Some(reader.here()), &reader.user)) { (plain_text(&confirm["deny"])) }
                    button class={ "button " (style) } { (plain_text(&confirm["confirm"])) }
                }
            }
        }
    }
}
