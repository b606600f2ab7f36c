//! How to write a system crate, with a whole one to read.
//!
//! A system crate teaches the engine one vendor: where changes come from ([`Source`](crate::Source)), where events
//! go ([`Sink`](crate::Sink)), or both. Queueing, retries, pacing, tokens, order, deduplication and audit are the
//! engine's; the crate says what the vendor's requests and answers *mean*. Everything below is Ledgerly, an
//! accounting system with invoices that can be read and have notes written to them. Its code is compiled and proven
//! by the [conformance suite](crate::conformance) with every run of this crate's tests.
//!
//! # Which file holds what
//!
//! Every system crate has the same files, so who has read one can work in all. A test compares them.
//!
//! | file | question | Ledgerly |
//! |---|---|---|
//! | `lib.rs` | what does a host see? | [here](#librs-what-a-host-sees) |
//! | `config.rs` | what does the vendor need to know of us? | [here](#configrs-settings-as-plain-data) |
//! | `builder.rs` | do the settings fit together? | [here](#builderrs-settings-checked-once) |
//! | `auth.rs` or `auth/` | how are tokens made? | [here](#authrs-how-tokens-are-made) |
//! | `client/` | which calls are there? | [here](#client-one-method-a-call) |
//! | `error.rs` | what does an answer mean? | [here](#errorrs-what-an-answer-means) |
//! | `models/` | what is a record in our words? | [here](#models-the-vendors-words-in-ours) |
//! | `webhook/` | who says so, and about which record? | [here](#webhook-verify-then-decode) |
//! | `source.rs` or `source/` | how is the truth read? | [here](#sourcers-read-the-truth) |
//! | `sink.rs` or `sink/` | how is something written once? | [here](#sinkrs-write-it-once) |
//! | `docs.md` | which scopes, limits and quirks are there? | [here](#docsmd-scopes-limits-quirks) |
//! | `tests/it/` | is it so? | [here](#proven) |
//!
//! In a crate of its own, Ledgerly wants this in `Cargo.toml`:
//!
//! ```toml
//! [dependencies]
//! ml-connector-core = { git = "https://github.com/ml-connector/ml-connector", default-features = false }
//! async-trait = "0.1"
//! bytes = "1"
//! http = "1"
//! serde = { version = "1", features = ["derive"] }
//! serde_json = "1"
//! url = "2"
//!
//! [dev-dependencies]
//! ml-connector-core = { git = "https://github.com/ml-connector/ml-connector", features = ["testing"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util", "time"] }
//! ```
//!
//! What a second system needs, too, is in core: [`config`](crate::config), [`decode`](crate::decode),
//! [`snapshot::revision_of`](crate::snapshot::revision_of), [`rate::Budget`](crate::rate::Budget),
//! [`webhook::Form`](crate::webhook::Form), [`webhook::look_after`](crate::webhook::look_after) and
//! [`Remembered`](crate::Remembered).
//!
//! # Order of work
//!
//! 1. **The vendor sheet.** Before any code: limits, error codes, signatures, what a 404 means, which answers lie.
//!    Every constant in the crate names its source.
//! 2. **`error.rs`.** One function classifies every answer; a table test lists every documented code. Most of what goes
//!    wrong in production goes wrong here.
//! 3. **`models/`** from recorded answers, then **`client/`**: small now, because the [pipeline](crate::http) does
//!    deadlines, tokens, limits and repeats.
//! 4. **`webhook/`** from recorded deliveries, with the toolbox in [`webhook`](crate::webhook).
//! 5. **`source.rs`, `sink.rs`, `config.rs`, `builder.rs`**: put together what is there.
//! 6. **The suite**, from the first day it compiles: [`conformance::source::all`](crate::conformance::source::all)
//!    and [`conformance::sink::all`](crate::conformance::sink::all) put themselves between the crate and a vendor
//!    that answers as it should, and let everything go wrong: refused tokens, "too often" in every form, a failure
//!    behind a 200, half an answer, no answer, a future dropped at every point at which it waits, a restart in the
//!    middle, forged and repeated and stale webhooks. Ledgerly's adapter is at the [end](#proven).
//!
//! # `lib.rs`: what a host sees
//!
//! A type that reads well where it is used, its builder, and functions that make destinations. Vendor types stay
//! inside.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/mod.rs")]
//! ```
//!
//! # `config.rs`: settings as plain data
//!
//! A host may keep them in a file. Secrets are [`Secret`](crate::Secret)s. Every address can be replaced, so that tests
//! need no special build.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/config.rs")]
//! ```
//!
//! # `builder.rs`: settings, checked once
//!
//! Setters cannot fail; `build` checks everything together and names what is missing.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/builder.rs")]
//! ```
//!
//! # `auth.rs`: how tokens are made
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/auth.rs")]
//! ```
//!
//! # `client/`: one method a call
//!
//! A [`Call`](crate::http::Call) is a *read*, which the pipeline may repeat, or a *write*, which it may not. Ids
//! become path segments through [`Client::url`](crate::http::Client::url), so that none can leave its place.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/client/mod.rs")]
//! ```
//!
//! # `error.rs`: what an answer means
//!
//! The kind tells what to do, the effect what the vendor may have done, the scope what has to wait, the retry when
//! to come back. Say [`Effect::None`](crate::Effect::None) only when a write is known not to have happened, and
//! [`NotFound`](crate::ErrorKind::NotFound) only when the vendor, and not a proxy on the way, says so: it makes a
//! record *gone*.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/error.rs")]
//! ```
//!
//! # `models/`: the vendor's words in ours
//!
//! Only the members that are used. Unknown ones are ignored, unknown values kept, and what cannot be read is left out:
//! one odd value costs that value, never the record. Money is read from the vendor's digits and never passes through a
//! binary fraction. Nothing here has a `Debug` that shows names or amounts.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/models/mod.rs")]
//! ```
//!
//! # `webhook/`: verify, then decode
//!
//! Over the bytes as received, and before anything is parsed. What does not prove its sender is
//! [`SignatureInvalid`](crate::ErrorKind::SignatureInvalid) and leaves no trace; what does and makes no sense is
//! [`InvalidRequest`](crate::ErrorKind::InvalidRequest) and is kept for somebody to look at.
//!
//! Ledgerly hands over what it signs with in a webhook of its own. So receiving it returns a new
//! [state](crate::model::Intake::state), which is stored with the signal that has it given back, and
//! [evidence](crate::model::Intake::evidence) in place of the body. A vendor that signs nothing, or that deletes
//! subscriptions when it is refused, says so in [`Proof`](crate::conformance::source::Proof) and
//! [`WebhookAnswers`](crate::WebhookAnswers).
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/webhook/mod.rs")]
//! ```
//!
//! # `source.rs`: read the truth
//!
//! A signal says which record to read, and the read says what is so. The revision is a digest of
//! what means something to people or money, by an allow-list; what *happened* is not decided here but by the [snapshot step](crate::snapshot), from the
//! facts in the record.
//!
//! What a list shows of a record is one of three things. A row that says all that the record does is an
//! [observation](crate::model::Page::observations), in the same revision form as a read of the record alone. A row that says
//! less, like Ledgerly's, is a [row](crate::model::Page::rows): at the first look it is what is known until the record
//! changes, and a backfill tells of it at once, with the row's own JSON, while the details follow one by one. It has the
//! stamp that its detail has, so that a detail of the same stamp fills it in and is no event; and the table's
//! [`whole_with`](crate::model::Columns::whole_with) names a member that only details have. Everything else is a
//! [signal](crate::model::Page::signals) to read the record: news, which is never told from a row, what a sweep shows, and a
//! row that cannot be read. [`Lists`](crate::conformance::source::Lists) says which of them it is. A row of another account
//! is none of them: it stops the connection.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/source.rs")]
//! ```
//!
//! # `sink.rs`: write it once
//!
//! Every attempt of a delivery carries the same id, [`Delivery::id`](crate::model::Delivery::id). When the answer to a
//! write is lost, the engine asks [`look_up`](crate::Sink::look_up) for that id before it does anything again. A
//! vendor that cannot tell is no shame:
//! [`CannotTell`](crate::model::Lookup::CannotTell) leaves the decision to the host.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/ledgerly/sink.rs")]
//! ```
//!
//! # `docs.md`: scopes, limits, quirks
//!
//! Part of the crate's rustdoc. Every quirk names the test that shows it.
//!
//! ```markdown
#![doc = include_str!("../../tests/it/guide/ledgerly/docs.md")]
//! ```
//!
//! # Proven
//!
//! The adapter for the suite, and one run through a whole connector: three webhooks for each change, one note.
//!
//! ```ignore
#![doc = include_str!("../../tests/it/guide/mod.rs")]
//! ```
