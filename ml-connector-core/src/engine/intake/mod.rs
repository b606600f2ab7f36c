//! Intake: from a request to a durable signal to an answer.

mod receive;
mod store;
mod unrouted;
mod unusable;
mod verify;
