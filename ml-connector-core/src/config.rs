//! What the settings of system crates have in common.
//!
//! A setting that is missing or wrong is [`ErrorKind::ConfigInvalid`], and the error's context names it as `setting`.

use std::time::Duration;

use url::Url;

use crate::{Error, ErrorKind, Result, http::require_secure};

/// A setting that is not as it has to be.
pub fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

/// A setting that has to be set.
#[must_use]
pub fn missing(setting: &'static str) -> Error {
    invalid("a setting is missing").with_context("setting", setting)
}

/// Checks that a text is set.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] names the setting that is empty.
pub fn required(setting: &'static str, text: &str) -> Result<()> {
    if text.is_empty() { Err(missing(setting)) } else { Ok(()) }
}

/// Checks a setting.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] names the setting, and says what was expected: `"1 to 6000"`.
pub fn require(holds: bool, setting: &'static str, expected: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(invalid(format!("expected {expected}")).with_context("setting", setting)) }
}

/// Reads a URL that tokens travel to.
///
/// ```
/// use ml_connector_core::config::secure_url;
///
/// assert!(secure_url("base_url", "https://api.example.com").is_ok());
/// assert!(secure_url("base_url", "http://127.0.0.1:8080").is_ok()); // a simulator on this machine
/// let error = secure_url("base_url", "http://api.example.com").unwrap_err();
/// assert_eq!(error.context("setting"), Some("base_url"));
/// ```
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] unless it is https, or http to a loopback address, and names no user.
pub fn secure_url(setting: &'static str, text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|_| invalid("expected a URL").with_context("setting", setting))?;
    require_secure(&url).map(|()| url).map_err(|error| error.with_context("setting", setting))
}

/// A URL below another one, which may have a path of its own, such as behind a gateway or a simulator.
///
/// ```
/// use ml_connector_core::config::below;
///
/// let base = "https://gateway.example.com/books/".parse().unwrap();
/// assert_eq!(below(&base, &["oauth", "token"]).as_str(), "https://gateway.example.com/books/oauth/token");
/// ```
#[must_use]
pub fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// A duration in milliseconds, as settings hold it.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Writes setters of a builder that keeps a `Config` in its field `config`: one for each setting that takes its value as it
/// is. Their documentation is the setting's.
///
/// `into` takes whatever can be made into the type, `some` sets an option.
///
/// ```
/// #[derive(Default)]
/// pub struct Config {
///     pub api_url: Option<String>,
///     pub account_id: String,
///     pub practice: bool,
/// }
///
/// #[derive(Default)]
/// #[must_use]
/// pub struct Builder {
///     config: Config,
/// }
///
/// impl Builder {
///     ml_connector_core::setters! {
///         api_url: some into String,
///         account_id: into String,
///         practice: bool,
///     }
/// }
///
/// let Builder { config } = Builder::default().account_id("7310042").api_url("https://api.example.com");
/// assert_eq!((&*config.account_id, config.practice), ("7310042", false));
/// assert_eq!(config.api_url.as_deref(), Some("https://api.example.com"));
/// ```
#[macro_export]
macro_rules! setters {
    () => {};
    ($name:ident: some into $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $name (impl Into<$type>) value Some(value.into()));
        $crate::setters!($($rest)*);
    };
    ($name:ident: into $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $name (impl Into<$type>) value value.into());
        $crate::setters!($($rest)*);
    };
    ($name:ident: some $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $name ($type) value Some(value));
        $crate::setters!($($rest)*);
    };
    ($name:ident: $type:ty, $($rest:tt)*) => {
        $crate::setters!(@ $name ($type) value value);
        $crate::setters!($($rest)*);
    };
    (@ $name:ident ($type:ty) $value:ident $set:expr) => {
        #[doc = concat!("See [`Config::", stringify!($name), "`].")]
        pub fn $name(mut self, $value: $type) -> Self {
            self.config.$name = $set;
            self
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn a_refusal_names_the_setting_and_quotes_nothing() {
        for error in [
            missing("client_id"),
            required("client_id", "").unwrap_err(),
            require(false, "client_id", "1 to 9").unwrap_err(),
            secure_url("client_id", "planted").unwrap_err(),
            secure_url("client_id", "https://planted:planted@example.com").unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.context("setting")),
                (ErrorKind::ConfigInvalid, Some("client_id"))
            );
            assert!(!format!("{error:?}").contains("planted"), "{error:?}");
        }
        assert!(required("client_id", "x").is_ok() && require(true, "client_id", "x").is_ok());
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        let base = "https://example.com/a".parse().unwrap();
        assert_eq!(below(&base, &["../b", "c?d"]).as_str(), "https://example.com/a/..%2Fb/c%3Fd");
    }

    #[test]
    fn secrets_are_settings_and_show_nothing() {
        let secrets: Vec<Secret> = serde_json::from_str(r#"["planted"]"#).unwrap();
        assert_eq!((secrets[0].expose(), format!("{secrets:?}").contains("planted")), ("planted", false));
        assert!(serde_json::from_str::<Option<Secret>>("null").unwrap().is_none());
        assert!(Secret::default().is_empty());
    }
}
