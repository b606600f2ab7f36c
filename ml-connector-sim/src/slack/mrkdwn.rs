//! Slack's markup as HTML. Whatever the text says, only the tags written here come out.

use maud::{Markup, PreEscaped, Render, html};

use super::{
    dates,
    ids::{BOT_NAME, BOT_USER},
    workspace::Workspace,
};

/// Renders mrkdwn.
pub(super) fn render(text: &str, workspace: &Workspace) -> Markup {
    // A fence that is never closed is text.
    let fenced = text.split_once("```").and_then(|(before, rest)| Some((before, rest.split_once("```")?)));
    html! {
        @match fenced {
            Some((before, (code, after))) => {
                (lines(before, workspace))
                pre { (plain(code.trim_matches('\n'))) }
                (render(after, workspace))
            }
            None => (lines(text, workspace)),
        }
    }
}

/// Text without markup: entities are decoded, for they had to be encoded, and nothing else is.
pub(super) fn plain(text: &str) -> Markup {
    PreEscaped(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").render().into_string())
}

fn lines(text: &str, workspace: &Workspace) -> Markup {
    // A quotation ends its line by itself.
    let mut needs_break = false;
    let lines = text.trim_matches('\n').split('\n').map(|line| match line.strip_prefix("&gt;") {
        Some(quoted) => {
            needs_break = false;
            html! { blockquote { (inline(quoted.trim_start(), workspace)) } }
        }
        None => {
            let breaks = std::mem::replace(&mut needs_break, true);
            html! { @if breaks { br; } (inline(line, workspace)) }
        }
    });
    html! { @for line in lines { (line) } }
}

fn inline(line: &str, workspace: &Workspace) -> Markup {
    let mut rest = line;
    let mut before = ' ';
    let mut out = Vec::new();
    let mut text_from = 0;
    while let Some(first) = rest.chars().next() {
        let at = line.len() - rest.len();
        let taken = match first {
            '<' => rest.find('>').map(|end| (end + 1, token(&rest[1..end], workspace))),
            '`' => closing(rest, '`').map(|end| (end + 1, html! { code { (plain(&rest[1..end])) } })),
            '*' | '_' | '~' if !before.is_alphanumeric() => closing(rest, first).map(|end| {
                let inner = inline(&rest[1..end], workspace);
                let styled = match first {
                    '*' => html! { b { (inner) } },
                    '_' => html! { i { (inner) } },
                    _ => html! { s { (inner) } },
                };
                (end + 1, styled)
            }),
            ':' => closing(rest, ':').and_then(|end| Some((end + 1, html! { (picture(&rest[1..end])?) }))),
            _ => None,
        };
        match taken {
            Some((length, markup)) => {
                out.push(plain(&line[text_from..at]));
                out.push(markup);
                text_from = at + length;
                rest = &rest[length..];
            }
            None => rest = &rest[first.len_utf8()..],
        }
        before = first;
    }
    out.push(plain(&line[text_from..]));
    html! { @for piece in out { (piece) } }
}

/// Where a style that opens at the start closes: around it something, before it no space, after it no letter or digit.
fn closing(text: &str, mark: char) -> Option<usize> {
    let inner = &text[mark.len_utf8()..];
    if inner.starts_with(mark) || inner.starts_with(char::is_whitespace) {
        return None;
    }
    inner
        .match_indices(mark)
        .find(|(at, _)| {
            let after = inner[at + mark.len_utf8()..].chars().next();
            *at > 0
                && !inner[..*at].ends_with(char::is_whitespace)
                && (mark == '`' || !after.is_some_and(char::is_alphanumeric))
        })
        .map(|(at, _)| at + mark.len_utf8())
}

/// What stands between angle brackets: a mention, a date or a link.
fn token(token: &str, workspace: &Workspace) -> Markup {
    let (target, label) = match token.split_once('|') {
        Some((target, label)) => (target, Some(label)),
        None => (token, None),
    };
    let mention = |sign: &str, name: &str| html! { span.mention { (sign) (name) } };
    if let Some(id) = target.strip_prefix('@') {
        let known = workspace.user(id).map(|user| user.real_name.as_str());
        return mention("@", known.or((id == BOT_USER).then_some(BOT_NAME)).unwrap_or(id));
    }
    if let Some(id) = target.strip_prefix('#') {
        return mention("#", workspace.channels.get(id).map_or(id, |channel| channel.name.as_str()));
    }
    if let Some(command) = target.strip_prefix('!') {
        return match command.split('^').next().unwrap_or_default() {
            "date" => date(command, label.unwrap_or(command)),
            "subteam" => mention("@", label.unwrap_or(command).trim_start_matches('@')),
            everybody => mention("@", everybody),
        };
    }
    link(target, plain(label.unwrap_or(target.strip_prefix("mailto:").unwrap_or(target))))
}

fn link(target: &str, shown: Markup) -> Markup {
    if !["https://", "http://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return shown;
    }
    html! { a href=(target.replace("&amp;", "&")) rel="noreferrer" { (shown) } }
}

/// `date^UNIX^format^link`, or its fallback.
fn date(command: &str, fallback: &str) -> Markup {
    let mut parts = command.splitn(4, '^').skip(1);
    let at = parts.next().and_then(|at| at.parse().ok());
    let shown = at.zip(parts.next()).and_then(|(at, format)| dates::shown(at, format));
    let shown = plain(shown.as_deref().unwrap_or(fallback));
    match parts.next() {
        Some(target) => link(target, shown),
        None => shown,
    }
}

/// An emoji, or its name where it is unknown here.
pub(super) fn emoji(name: &str) -> Markup {
    let base = name.split("::").next().unwrap_or(name);
    match picture(base) {
        Some(picture) => html! { (picture) },
        None => html! { ":" (name) ":" },
    }
}

fn picture(name: &str) -> Option<&'static str> {
    Some(match name {
        "white_check_mark" => "✅",
        "heavy_check_mark" => "✔️",
        "warning" => "⚠️",
        "x" => "❌",
        "no_entry" => "⛔",
        "thumbsup" | "+1" => "👍",
        "thumbsdown" | "-1" => "👎",
        "tada" => "🎉",
        "hourglass" | "hourglass_flowing_sand" => "⏳",
        "moneybag" => "💰",
        "receipt" => "🧾",
        "bell" => "🔔",
        "eyes" => "👀",
        "page_facing_up" => "📄",
        "rotating_light" => "🚨",
        "information_source" => "ℹ️",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ml_connector_core::Timestamp;

    use super::*;
    use crate::slack::SlackConfig;

    fn check(text: &str, html: &str) {
        let workspace = Workspace::new(SlackConfig::default(), Timestamp::from_secs(0));
        assert_eq!(render(text, &workspace).into_string(), html, "{text}");
    }

    #[test]
    fn styles_links_and_mentions_become_tags() {
        check("*Due*\n_soon_ ~now~ `a*b*`", "<b>Due</b><br><i>soon</i> <s>now</s> <code>a*b*</code>");
        check(
            "<https://a.example/x?y=1&amp;z|Open *it*>",
            r#"<a href="https://a.example/x?y=1&amp;z" rel="noreferrer">Open *it*</a>"#,
        );
        check(
            "<@U07APPROV1> in <#C07ACCTNG1>",
            r##"<span class="mention">@Anna Verhoeven</span> in <span class="mention">#accounting</span>"##,
        );
        check("<!date^1769817600^{date_short}|in January> :tada: :unknown:", "Jan 31, 2026 🎉 :unknown:");
        check("<!date^1769817600^{week}|in January>", "in January");
        check(
            "<!date^0^{date_num}^https://a.example|x>",
            r#"<a href="https://a.example" rel="noreferrer">1970-01-01</a>"#,
        );
        check("<!date^0^{date_num}^javascript:x|y>", "1970-01-01");
        check("&gt; said\nthen", "<blockquote>said</blockquote>then");
        check("```\n<b> *no*\n```", "<pre>&lt;b&gt; *no*</pre>");
    }

    #[test]
    fn what_only_looks_like_a_style_stays_text() {
        for text in ["A_1_B 2*3*4 * x * it`s", "open ``` fence", "10:30:45 *", "_ _ **"] {
            check(text, text);
        }
    }

    #[test]
    fn nothing_in_the_text_becomes_a_tag() {
        check(
            "&lt;script&gt;alert(1)&lt;/script&gt; \"q\"",
            "&lt;script&gt;alert(1)&lt;/script&gt; &quot;q&quot;",
        );
        check("<javascript:alert(1)|click>", "click");
        check("<script>", "script");
        check(
            "<https://x.example/\"onclick=\"a|b>",
            "<a href=\"https://x.example/&quot;onclick=&quot;a\" rel=\"noreferrer\">b</a>",
        );
        check("&amp;lt;b&amp;gt;", "&amp;lt;b&amp;gt;");
    }
}
