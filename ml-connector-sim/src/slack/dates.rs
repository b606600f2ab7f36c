//! Slack's date tokens, for a reader in UTC.

/// A date as its tokens ask for it, or nothing where one of them is unknown.
pub(super) fn shown(unix_seconds: i64, format: &str) -> Option<String> {
    let at = jiff::Timestamp::from_second(unix_seconds).ok()?;
    let mut shown = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('{') {
        let (token, after) = after.split_once('}')?;
        // No day is today here: the same page looks the same tomorrow.
        let pattern = match token.strip_suffix("_pretty").unwrap_or(token) {
            "date_num" => "%Y-%m-%d",
            "date" => "%B %-d, %Y",
            "date_short" | "ago" => "%b %-d, %Y",
            "date_long" => "%A, %B %-d, %Y",
            "time" => "%H:%M",
            "time_secs" => "%H:%M:%S",
            _ => return None,
        };
        shown.push_str(before);
        shown.push_str(&at.strftime(pattern).to_string());
        rest = after;
    }
    shown.push_str(rest);
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn tokens_become_dates_and_unknown_ones_nothing() {
        for (format, expected) in [
            ("Due {date_short}", Some("Due Jan 31, 2026")),
            ("{date_num} {time_secs}", Some("2026-01-31 00:00:00")),
            ("{date_long_pretty} at {time}", Some("Saturday, January 31, 2026 at 00:00")),
            ("no token", Some("no token")),
            ("{week}", None),
            ("{date", None),
        ] {
            assert_eq!(shown(1_769_817_600, format).as_deref(), expected, "{format}");
        }
        assert_eq!(shown(i64::MAX, "{date}"), None);
    }
}
