//! The sink against a Slack that answers on a loopback port, and the cards it makes.

mod cards;
mod deliver;
mod look_up;
mod names;
mod support;
