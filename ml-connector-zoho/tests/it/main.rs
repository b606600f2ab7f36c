//! Zoho Books from the outside: what a host sees of it.

mod config;
mod resolve;
mod support;
mod webhook;
