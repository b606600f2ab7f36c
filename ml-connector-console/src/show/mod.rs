//! How things look: the frame of every page, times, words, marks and charts.

mod chart;
mod frame;
mod step;
mod text;
mod time;
mod timeline;
mod words;

pub(crate) use self::{
    chart::{Bar, bars, meter},
    frame::{Tab, denied, page, refreshing, refused},
    step::step,
    text::{cut, safe},
    time::{When, Zones, span},
    timeline::{Timeline, timeline},
    words::{kind, many, state},
};
