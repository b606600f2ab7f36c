//! Somebody's decision about a document.

mod choice;

pub use choice::Choice;
