//! Text that Slack shows as it was written: escaping, measuring, shortening.

use std::fmt;

use ml_connector_core::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use url::Url;

use super::is_user;
use super::limits::{TEXT_MAX, URL_MAX};

const ELLIPSIS: char = '…';

/// A text object. Everything that comes from outside is escaped on the way in, so no value can mention anybody,
/// link anywhere or, in the plain form, style anything. `Debug` shows the form and the size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    markup: bool,
    text: String,
}

impl Text {
    /// Shows `text` literally: no styles, no emoji names.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { markup: false, text: escape(text) }
    }

    /// Shows markup. Bare URLs, names and channels in it are not turned into links (`verbatim`).
    #[must_use]
    pub fn markup(markup: Markup) -> Self {
        Self { markup: true, text: markup.0 }
    }

    /// A link, if there can be one.
    pub(crate) fn link(url: &str, label: &str) -> Option<Self> {
        let Markup(text) = Markup::new().link(url, label);
        text.starts_with('<').then_some(Self { markup: true, text })
    }

    /// The same, cut to `limit` units with an ellipsis if it is longer.
    #[must_use]
    pub fn shortened(self, limit: usize) -> Self {
        Self { text: shorten_escaped(&self.text, limit), ..self }
    }

    /// The text as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is markup rather than plain text.
    #[must_use]
    pub fn is_markup(&self) -> bool {
        self.markup
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_struct("Text", 3)?;
        if self.markup {
            object.serialize_field("type", "mrkdwn")?;
            object.serialize_field("text", &self.text)?;
            object.serialize_field("verbatim", &true)?;
        } else {
            object.serialize_field("type", "plain_text")?;
            object.serialize_field("text", &self.text)?;
            object.serialize_field("emoji", &false)?;
        }
        object.end()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.markup { "Markup" } else { "Plain" };
        write!(f, "{form}({} units)", units(&self.text))
    }
}

/// Slack markup under construction. Values from outside go in by [`text`](Self::text), which escapes them;
/// `Debug` shows the size only.
///
/// ```
/// use ml_connector_slack::blocks::Markup;
///
/// let markup = Markup::new().bold("Vendor").text(" <!channel> & Sons");
/// assert_eq!(markup.as_str(), "*Vendor* &lt;!channel&gt; &amp; Sons");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Markup(String);

impl Markup {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text. Slack has no escape for its style characters: `*x*` is shown in bold. Untrusted values are
    /// better placed in [`Text::plain`].
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.push_str(&escape(text));
        self
    }

    /// Adds text in bold.
    #[must_use]
    pub fn bold(mut self, text: &str) -> Self {
        self.0.push('*');
        self.0.push_str(&escape(text).replace('*', ""));
        self.0.push('*');
        self
    }

    /// Adds a link; only its label when the URL is not one that [`safe_url`] lets pass, or makes the markup longer than
    /// the 3,000 units that a text may have.
    #[must_use]
    pub fn link(mut self, url: &str, label: &str) -> Self {
        let label = escape(label);
        // A `|` ends the URL, so the label may hold one; only the three characters have to be escaped.
        let link = safe_url(url).map(|url| format!("<{}|{label}>", url.replace('&', "&amp;")));
        let link = link.filter(|link| units(&self.0) + units(link) <= TEXT_MAX);
        self.0.push_str(&link.unwrap_or(label));
        self
    }

    /// Adds the name of a person, who is notified. Nothing that is no user id.
    #[must_use]
    pub fn user(mut self, id: &str) -> Self {
        if is_user(id) {
            self.0.push_str(&format!("<@{id}>"));
        }
        self
    }

    /// Adds an instant as a date and a time in the reader's own zone, and in UTC where Slack cannot show that. Not for
    /// dates without a time: to half of the world they would be the day before.
    #[must_use]
    pub fn instant(mut self, at: Timestamp) -> Self {
        let (secs, utc) = (at.as_secs(), escape(&at.to_string()));
        self.0.push_str(&format!("<!date^{secs}^{{date_short}} {{time}}|{utc}>"));
        self
    }

    /// The markup as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Markup({} units)", units(&self.0))
    }
}

/// Replaces the three characters that begin something in Slack's markup, and removes what cannot be seen: control
/// characters become spaces (line breaks stay), and marks that turn the reading direction or have no width go.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Gives a URL in a form that is safe in a link and a button: https, no user name, every character encoded that
/// would end a link. `None` for anything else, or more than 3,000 units.
#[must_use]
pub fn safe_url(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let encoded = String::from(url).replace('|', "%7C").replace('<', "%3C").replace('>', "%3E");
    (units(&encoded.replace('&', "&amp;")) <= URL_MAX).then_some(encoded)
}

/// What Slack counts, on the safe side: UTF-16 units after escaping (the vendor does not define "character").
#[must_use]
pub fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Text without what cannot be seen.
pub(crate) fn visible(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter_map(|c| match c {
        '\n' => Some('\n'),
        // Direction marks, overrides and isolates; zero-width space; word joiner; byte order mark. The zero-width
        // joiners stay: emoji and some scripts need them.
        '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => None,
        '\u{2028}' | '\u{2029}' => Some(' '),
        c if c.is_control() => Some(' '),
        c => Some(c),
    })
}

/// Whether nothing of a text is to be seen: blanks, joiners and variation selectors that have nothing to join or to vary,
/// fillers, tags.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_whitespace()
            || c.is_control()
            || matches!(
                c,
                '\u{ad}'
                    | '\u{34f}'
                    | '\u{61c}'
                    | '\u{115f}'
                    | '\u{1160}'
                    | '\u{17b4}'
                    | '\u{17b5}'
                    | '\u{180b}'..='\u{180f}'
                    | '\u{200b}'..='\u{200f}'
                    | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}'
                    | '\u{2800}'
                    | '\u{3164}'
                    | '\u{fe00}'..='\u{fe0f}'
                    | '\u{feff}'
                    | '\u{ffa0}'
                    | '\u{e0000}'..='\u{e0fff}'
            )
    })
}

/// Cuts text that needs no escaping.
pub(crate) fn shorten_literal(text: &str, limit: usize) -> String {
    shorten(text, limit, |_| None)
}

/// Cuts escaped text: never inside an entity, never inside a `<…>` token.
#[must_use]
pub fn shorten_escaped(text: &str, limit: usize) -> String {
    shorten(text, limit, |rest| match rest.as_bytes()[0] {
        b'&' => ["&amp;", "&lt;", "&gt;"].iter().find(|entity| rest.starts_with(**entity)).map(|e| e.len()),
        b'<' => rest.find('>').map(|end| end + 1),
        _ => None,
    })
}

/// Cuts on a boundary of pieces; a piece is what `whole` says must stay together, else one code point.
fn shorten(text: &str, limit: usize, whole: impl Fn(&str) -> Option<usize>) -> String {
    if units(text) <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(ELLIPSIS.len_utf16());
    let (mut end, mut used) = (0, 0);
    while let Some(c) = text[end..].chars().next() {
        let rest = &text[end..];
        let length = whole(rest).unwrap_or(c.len_utf8());
        used += units(&rest[..length]);
        if used > room {
            break;
        }
        end += length;
    }
    let mut cut = text[..end].to_owned();
    if limit > 0 {
        cut.push(ELLIPSIS);
    }
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_from_outside_becomes_a_mention_or_a_link() {
        for (raw, sent) in [
            ("<!channel>", "&lt;!channel&gt;"),
            ("<https://evil.example|Approve>", "&lt;https://evil.example|Approve&gt;"),
            ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
            ("a\u{0}b\tc\nd", "a b c\nd"),
            ("abc\u{202e}cba\u{200b}", "abccba"),
        ] {
            assert_eq!(escape(raw), sent);
        }
    }

    #[test]
    fn a_link_leads_to_https_only_and_cannot_be_left() {
        let link = |url| Markup::new().link(url, "a>b").as_str().to_owned();
        assert_eq!(
            link("https://x.example/p?a=1&b=2|c>d"),
            "<https://x.example/p?a=1&amp;b=2%7Cc%3Ed|a&gt;b>"
        );
        for refused in ["http://x.example/", "javascript:alert(1)", "https://u:p@x.example/", "nonsense", ""]
        {
            assert_eq!(link(refused), "a&gt;b", "{refused}");
        }
        assert_eq!(safe_url(&format!("https://x.example/{}", "a".repeat(URL_MAX))), None);
    }

    #[test]
    fn a_link_that_would_make_the_text_too_long_is_its_label() {
        for before in ["", "more in "] {
            // `<`, `|` and `>`, and the label.
            let room = TEXT_MAX - before.len() - 3 - 4;
            for (units, is_link) in [(room - 1, true), (room, true), (room + 1, false), (URL_MAX, false)] {
                let url = format!("https://x.example/{}", "a".repeat(units - 18));
                assert!(safe_url(&url).is_some());
                let markup = Markup::new().text(before).link(&url, "Open");
                assert!(super::units(markup.as_str()) <= TEXT_MAX);
                assert_eq!(markup.as_str() != format!("{before}Open"), is_link, "{units}");
            }
        }
    }

    #[test]
    fn a_cut_leaves_entities_tokens_and_code_points_whole() {
        assert_eq!(shorten_escaped("ab&amp;cd", 9), "ab&amp;cd");
        assert_eq!(shorten_escaped("ab&amp;cd", 8), "ab&amp;…");
        assert_eq!(shorten_escaped("ab&amp;cd", 7), "ab…");
        assert_eq!(shorten_escaped("a<https://x.example|x>b", 20), "a…");
        assert_eq!(shorten_escaped("😀😀😀", 5), "😀😀…");
        assert_eq!(shorten_literal("&amp;&amp;", 4), "&am…");
        assert_eq!(shorten_literal("abc", 0), "");
    }

    proptest! {
        #[test]
        fn escaped_text_holds_no_angle_bracket_and_reads_back(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>']));
            let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            prop_assert_eq!(back, visible(&text).collect::<String>());
        }

        #[test]
        fn a_cut_keeps_the_limit_and_splits_nothing(text in "[a&<>é😀 ]{0,60}", limit in 1_usize..40) {
            let cut = shorten_escaped(&escape(&text), limit);
            prop_assert!(units(&cut) <= limit);
            let rest = cut.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            prop_assert!(!rest.contains('&'), "{}", cut);
        }

        #[test]
        fn a_url_that_passes_never_ends_its_link(url in "https://[a-z]{1,9}\\.example/[ -~]{0,40}") {
            if let Some(safe) = safe_url(&url) {
                prop_assert!(!safe.contains(['|', '<', '>', ' ']), "{}", safe);
            }
        }
    }
}
