//! How things look: the frame of every page, times, words, marks and charts.

mod chart;
mod frame;
mod step;
mod timeline;
mod words;

pub(crate) use self::{
    chart::{Bar, bars, meter},
    frame::{Tab, denied, page, refreshing, refused},
    step::{elsewhere, step},
    timeline::{Timeline, timeline},
    words::{kind, many, state},
};
