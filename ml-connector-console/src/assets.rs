//! The style sheet and the script, named by their content: a browser keeps each for ever, and asks for a new one at once.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::answer::Answer;

const STYLE: &str = include_str!("../assets/console.css");
/// Refreshes, shows local times and copies. Every page works without it.
const SCRIPT: &str = include_str!("../assets/console.js");

const ICON: &str = include_str!("../assets/icon.svg");

static NAMES: LazyLock<[String; 3]> =
    LazyLock::new(|| [named(STYLE, "css"), named(SCRIPT, "js"), named(ICON, "svg")]);

fn named(text: &str, ending: &str) -> String {
    let digest = Sha256::digest(text);
    let digits: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{digits}.{ending}")
}

/// The path of the style sheet, below the console's own.
pub(crate) fn style() -> &'static str {
    &NAMES[0]
}

/// The path of the script.
pub(crate) fn script() -> &'static str {
    &NAMES[1]
}

/// The path of the icon.
pub(crate) fn icon() -> &'static str {
    &NAMES[2]
}

/// The file at this path.
pub(crate) fn at(path: &str) -> Option<Answer> {
    match path {
        path if path == style() => Some(Answer::Asset("text/css; charset=utf-8", STYLE)),
        path if path == script() => Some(Answer::Asset("text/javascript; charset=utf-8", SCRIPT)),
        path if path == icon() => Some(Answer::Asset("image/svg+xml", ICON)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_neither_file_asks_for_another() {
        assert!(SCRIPT.len() <= 4096, "{} bytes", SCRIPT.len());
        for (name, text) in [("style", STYLE), ("script", SCRIPT)] {
            for word in ["http:", "https:", "@import", "url(", "eval(", "innerHTML", "import("] {
                assert!(!text.contains(word), "{name} holds {word}");
            }
        }
    }
}
