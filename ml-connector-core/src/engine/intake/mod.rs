//! Intake: from a request to a durable signal to an answer.

mod receive;
mod unrouted;
mod verify;
