//! How pages look: at both widths, in dark and in light, with a story that went well and with trouble.

use std::{path::PathBuf, time::Duration};

use fantoccini::Locator;
use ml_connector_core::{
    Error, ErrorKind, Retry,
    audit::{EntryKind, EntryState, Outcome, Query},
    model::{EntityRef, Seq},
};

use super::{
    chromium::Browser,
    server::{Mount, serve},
};
use crate::world::World;

/// The texts that are too faint on what is behind them, as a person with weak eyes would say: less than 4.5 to 1.
const FAINT: &str = r#"
const channels = (text) => (text.match(/[\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => { const part = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
const behind = (node) => { for (let at = node; at; at = at.parentElement) { const color = channels(getComputedStyle(at).backgroundColor); if (color.length === 3 || color[3] === 1) return color; } return [255, 255, 255]; };
const faint = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  const box = node.getBoundingClientRect();
  if (!own || node.closest("svg, .hidden, .skip") || box.width < 2 || box.height < 2) continue;
  const style = getComputedStyle(node), front = light(channels(style.color)), back = light(behind(node));
  const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  if (ratio < 4.5) faint.push(node.textContent.trim().slice(0, 40) + " " + ratio.toFixed(2));
}
return faint.join("; ");
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_fit_both_widths_and_are_readable_in_dark_and_in_light() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::new().await;
    for i in 0..6 {
        world.change("books", &format!("{}", 4210 + i), &format!("{}49.97", i + 1)).await;
    }
    let story = world.change("books", "4217", "20000.00").await;
    let dead = world.dead("books", 3).await;
    let running = running(&world).await;
    let (url, _server) = serve(&world, Mount::Nested, "ada").await;
    let pages = [
        ("overview", String::new()),
        ("events", "/events".to_owned()),
        ("filtered", "/events?kind=delivery&state=dead".to_owned()),
        ("event", format!("/event/{}", story.parent.unwrap())),
        ("running", format!("/event/{running}")),
        ("dead", format!("/event/{}", dead[0])),
        ("trouble", "/trouble".to_owned()),
        ("confirm", format!("/act?do=replay&connection=slack&state=dead&like={}", dead[0])),
        ("routes", "/routes".to_owned()),
        ("backfills", "/backfills".to_owned()),
        ("nothing", "/event/999999".to_owned()),
    ];
    for (width, height) in [(1280, 1000), (390, 1400)] {
        for scheme in ["light", "dark"] {
            browser.looks_like(width, height, scheme).await;
            for (name, page) in &pages {
                browser.goto(&format!("{url}{page}")).await;
                let wide: u32 =
                    browser.script("return document.documentElement.scrollWidth").await.parse().unwrap();
                assert!(wide <= width, "{name} at {width}: {wide} wide");
                let faint = browser.script(FAINT).await;
                assert!(faint.is_empty(), "{name} at {width} in {scheme}: {faint}");
                let lead = browser.client.find(Locator::Css("main")).await.unwrap().text().await.unwrap();
                assert_eq!(lead.contains("has not ended yet"), *name == "running", "{name}: {lead}");
                picture(&browser, &format!("{name}-{width}-{scheme}")).await;
            }
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
}

/// A story in the middle: one message is there, and the other waits for as long as the board wants. Returns the event.
async fn running(world: &World) -> Seq {
    let later = world.connector.context().now() + Duration::from_secs(3 * 3600);
    let wait = Error::new(ErrorKind::RateLimited, "come back later").with_retry(Retry::At(later));
    world.corners.faults.lock().unwrap().push_back(wait);
    world.tell("books", "4218", "18500.00").await;
    let deliveries =
        Query::of_kind(EntryKind::Delivery).with_entity(EntityRef::new("invoice", "4218 18500.00"));
    let waits = world.until(&deliveries, |entry| {
        entry.outcomes.iter().any(|recorded| matches!(recorded.outcome, Outcome::Retry { .. }))
    });
    let waits = waits.await;
    world.until(&deliveries, |entry| entry.state == EntryState::Done).await;
    waits.parent.unwrap()
}

/// Keeps a picture, where a folder is named for them.
async fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("ML_CONNECTOR_SCREENSHOTS") {
        let png = browser.client.screenshot().await.unwrap();
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), png).unwrap();
    }
}
