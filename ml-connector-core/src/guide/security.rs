//! The security model: who is trusted with what.
//!
//! `SECURITY.md` of the repository lists attackers, what is not protected, and every stored field. This chapter says what a host
//! has to do.
//!
//! # Trusted, and not trusted
//!
//! | who | is trusted with | is not trusted with |
//! |---|---|---|
//! | the host's code | everything: it holds the [`Connector`](crate::Connector) and the keys | |
//! | a webhook | to say which record to read, once its sender is proven | any value that is told to people, or a URL to fetch |
//! | a vendor's answer | what a record says | numbers that stop us (a pause of years), markup, links elsewhere, lists without an end |
//! | somebody who clicks | a decision that the host's [policy](crate::approval::Policy) gives them, about what the card showed | anything on a message that is not the connector's card |
//! | the storage | to keep what it is given, whole and as it is now | contents, where there is a key ring: what is in clear, moved or changed is refused |
//!
//! # What a host does
//!
//! - **Takes secrets from where it keeps them**, as [`Secret`](crate::Secret)s: they have no text in `Debug`. Those that change while
//!   the connector runs are [`NamedSecrets`](crate::token::NamedSecrets).
//! - **Encrypts what is stored**, with keys that are not kept beside the database (feature `encryption`).
//! - **Bounds what is in front of it**: the time for headers and the number of connections are the web server's. The connector
//!   bounds bodies, in bytes and in time.
//! - **Decides who may see the console**, and who may call [`Connector::act`](crate::Connector::act): the name given there is
//!   written into the log as it is.
//! - **Does not write bodies into its own logs.** Ours hold ids, codes and numbers.
//!
//! ```
//! use ml_connector_core::{Secret, encryption::{Key, KeyRing}};
//!
//! // Made once, and kept in a secret store; the text is the form that an environment variable takes.
//! let key = Key::generate("2026-11")?;
//! let text: Secret = key.to_text();
//! assert!(!format!("{text:?}").contains(text.expose()));
//!
//! // A new key in front of the old one: everything is readable, and what is written from now on is under the new one.
//! let ring = KeyRing::parse(text.expose())?;
//! let rotated = KeyRing::new(Key::generate("2026-12")?).with_old(key);
//! ring.replace(&rotated);
//! assert_eq!(ring.active().as_str(), "2026-12");
//! # Ok::<_, ml_connector_core::Error>(())
//! ```
