#![doc = include_str!("../docs.md")]

mod answer;
mod asked;
mod assets;
mod authorizer;
mod console;
mod pages;
mod params;
mod scoped;
mod security;
mod show;
mod text;
mod time;

pub use self::{
    authorizer::{Access, Authorizer, Grant, Visible},
    console::{Console, ConsoleService},
};
