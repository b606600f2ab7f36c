//! Text from outside: cut, without characters that pretend, and without what looks like a secret.

use std::borrow::Cow;

/// Words before a secret, as `name=secret`, `name: secret` or `name secret`.
const NAMES: [&str; 14] = [
    "token",
    "access_token",
    "refresh_token",
    "secret",
    "client_secret",
    "password",
    "passwd",
    "signature",
    "authorization",
    "api_key",
    "apikey",
    "bearer",
    "zoho-oauthtoken",
    "assertion",
];
/// How secrets of known systems begin.
const BEGINNINGS: [&str; 7] = ["xoxb-", "xoxp-", "xoxa-", "xapp-", "xoxe", "eyJ", "dapi"];
/// What stands for one.
const HIDDEN: &str = "•••";

/// Text as it may be shown: without secrets and mail addresses, with every character visible, `most` characters at most.
pub(crate) fn safe(text: &str, most: usize) -> String {
    // Redaction first: what is cut must not hide how a secret began.
    cut(&redact(&visible(text)), most)
}

/// The first characters, and that there were more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} more characters)", &text[..end], text[end..].chars().count()),
    }
}

/// Whether a character is not seen, or turns the text around.
pub(crate) fn pretends(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}');
    c.is_control() || turns
}

/// Characters that pretend are shown as a mark.
fn visible(text: &str) -> Cow<'_, str> {
    match text.contains(pretends) {
        false => text.into(),
        true => text
            .chars()
            .map(|c| match c {
                '\n' | '\r' | '\t' => ' ',
                c if pretends(c) => '\u{fffd}',
                c => c,
            })
            .collect::<String>()
            .into(),
    }
}

fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut word = String::new();
    let mut names_secret = false;
    // Words end where a secret cannot go on.
    let is_end = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\''
                    | ','
                    | ';'
                    | '='
                    | ':'
                    | '&'
                    | '?'
                    | '<'
                    | '>'
                    | '('
                    | ')'
                    | '{'
                    | '}'
                    | '['
                    | ']'
            )
    };
    for c in text.chars().chain(['\0']) {
        if c != '\0' && !is_end(c) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            let is_name = NAMES.contains(&word.to_lowercase().as_str());
            let hides =
                names_secret && !is_name && word.len() >= 4 && !is_plain_word(&word) || is_secret(&word);
            shown.push_str(if hides { HIDDEN } else { &word });
            names_secret = is_name;
            word.clear();
        }
        if c != '\0' {
            shown.push(c);
        }
    }
    shown
}

/// A word as people write it: `the token has expired` names no token.
fn is_plain_word(word: &str) -> bool {
    word.len() < 16 && word.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.' | '-'))
}

fn is_secret(word: &str) -> bool {
    let begins = word.len() > 12 && BEGINNINGS.iter().any(|beginning| word.starts_with(beginning));
    let is_mail = word.split_once('@').is_some_and(|(who, host)| !who.is_empty() && host.contains('.'));
    begins || is_mail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_mail_addresses_are_hidden() {
        for (text, shown) in [
            ("refused: xoxb-1234567890-abcdefghij", "refused: •••"),
            ("GET /x?access_token=1000.abc123def&page=2", "GET /x?access_token=•••&page=2"),
            ("Authorization: Bearer s3cr3tValue", "Authorization: Bearer •••"),
            ("{\"client_secret\":\"aB3dEf\"}", "{\"client_secret\":\"•••\"}"),
            ("mail to ada.lovelace@example.com failed", "mail to ••• failed"),
            ("the token has expired", "the token has expired"),
            (
                "no channel C07ACCTNG1 for #4213, sha256 00ff00ff00ff00ff00ff00ff00ff00ff",
                "no channel C07ACCTNG1 for #4213, sha256 00ff00ff00ff00ff00ff00ff00ff00ff",
            ),
            ("record 5bbca2f0-0000-4d1e-a7ac-112233445566", "record 5bbca2f0-0000-4d1e-a7ac-112233445566"),
        ] {
            assert_eq!(safe(text, 500), shown);
        }
    }

    #[test]
    fn characters_that_pretend_are_marked_and_long_text_is_cut() {
        assert_eq!(safe("invoice\u{202e}fdp.exe\u{0}\n", 100), "invoice\u{fffd}fdp.exe\u{fffd} ");
        assert_eq!(safe("äöüß", 2), "äö… (2 more characters)");
        assert!(!safe(&format!("{} token=abcd1234", "x".repeat(50)), 60).contains("abcd"));
    }
}
