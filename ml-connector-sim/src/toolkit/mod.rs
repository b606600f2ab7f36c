//! What every simulator is made of. It knows no vendor.
//!
//! A simulator of a new vendor is a folder beside this one, written in this order:
//!
//! 1. **State behind a lock.** One struct holds everything that changes (`Mutex<State>`: records, the OAuth server,
//!    windows, the outbox); the public handle is an `Arc` of it with a [`gate::Gate`], and clones share it.
//!    [`faults::locked`] takes the lock. Nothing waits under it. All time is [`gate::Gate::now`]: the clock that the
//!    test gave, which may be tokio's paused one (`TokioClock`) or one that stands still (`ManualClock`). All ids and
//!    tokens come from a [`seed::Seed`], all chance from [`dice::Dice`].
//! 2. **Router.** Implement [`gate::Vendor`] and serve it with [`gate::router`]. The gate reads the request, answers
//!    `/_sim/`, strikes with planted faults, adds jitter, counts calls at once, writes down what came, and calls
//!    [`gate::Vendor::answer`] at one instant. Add `impl SimTransport { pub fn with_<vendor>(..) }` in the vendor's
//!    folder, which serves the vendor's hosts by [`transport::SimTransport::with_router`].
//! 3. **OAuth.** Say [`oauth::Rules`] (lives, rotation, grace, too early, idle, quotas, client credentials), keep an
//!    [`oauth::OAuthServer`], and turn `Issued` and `Refused` into the vendor's answers.
//! 4. **Limits.** [`windows::Window`] (rolling, aligned to the clock, a zone's day) with the vendor's headers,
//!    [`buckets::Buckets`] (a burst, then a pace), [`windows::ErrorVelocity`] (blocked for too many errors), and
//!    [`gate::Call::at_once`] for calls at once. The vendor builds the refusal and counts its own violations.
//! 5. **Outbox.** [`outbox::Outbox`] with a [`outbox::RetryTable`]; put deliveries in as things happen, sign them,
//!    offer `take`, `settle` and `deliver` ([`outbox::send_all`]) on the handle.
//! 6. **Faults and conditions.** [`faults::Fault`] and [`conditions::Conditions`] come with the gate; the vendor only
//!    offers `plant`, `set_conditions`, `received` and so on, asks `numbered_page` or `cursor_page` of
//!    [`gate::Gate::conditions`] how many rows a page has, and `lists_know` whether a list shows a record by now.
//! 7. **Control.** Methods on the handle for tests; [`gate::Vendor::control`] offers the ones that people and programs
//!    need over HTTP.
//!
//! `zoho` is the example for an accounting system, `slack` for one with people in it.

#![allow(dead_code)] // no vendor needs all of it

pub(crate) mod buckets;
pub(crate) mod conditions;
pub(crate) mod control;
pub(crate) mod dice;
pub(crate) mod exchange;
pub(crate) mod faults;
pub(crate) mod gate;
pub(crate) mod json;
pub(crate) mod oauth;
pub(crate) mod outbox;
pub(crate) mod params;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod transport;
pub(crate) mod windows;
