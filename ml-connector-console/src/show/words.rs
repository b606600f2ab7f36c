//! Kinds and states in words, with a mark each: nothing is said by color alone.

use maud::{Markup, html};
use ml_connector_core::audit::{EntryKind, EntryState};

/// What an entry is.
pub(crate) fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Signal => "signal",
        EntryKind::Event => "event",
        EntryKind::Delivery => "delivery",
        EntryKind::Note => "note",
        EntryKind::Act => "act",
    }
}

/// Where an entry stands: a mark, a word, and a color besides.
pub(crate) fn state(of: EntryState, acknowledged: bool) -> Markup {
    let (class, mark, word) = match of {
        EntryState::Pending => ("wait", "◷", "waits"),
        EntryState::Parked => ("bad", "‖", "needs repair"),
        EntryState::Done => ("good", "✓", "done"),
        EntryState::Dead => ("bad", "✕", "given up"),
        EntryState::Dropped => ("calm", "–", "nothing to do"),
        EntryState::Cancelled => ("calm", "⊘", "cancelled"),
        EntryState::Discarded => ("calm", "⊘", "left undone"),
        EntryState::Replayed => ("calm", "↻", "sent again"),
        _ => ("calm", "·", "otherwise"),
    };
    html! {
        span.chip.(class) { span.mark aria-hidden="true" { (mark) } " " (word) @if acknowledged { ", known" } }
    }
}

/// A number with its noun.
pub(crate) fn many(count: u64, one: &str) -> String {
    let irregular = [("delivery", "deliveries"), ("entry", "entries"), ("thing", "things")];
    let more =
        irregular.iter().find(|(singular, _)| *singular == one).map(|(_, plural)| (*plural).to_owned());
    let more = more.unwrap_or_else(|| format!("{one}s"));
    if count == 1 { format!("1 {one}") } else { format!("{} {more}", grouped(count)) }
}

/// Digits in groups of three.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_with_their_noun() {
        assert_eq!(many(1, "delivery"), "1 delivery");
        assert_eq!(many(1_234_567, "entry"), "1,234,567 entries");
        assert_eq!(many(0, "event"), "0 events");
    }
}
