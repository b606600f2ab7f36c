//! The console in a real browser: Debian's Chromium by its driver. Without them these tests say that they were skipped, unless
//! `ML_CONNECTOR_REQUIRE_BROWSER` is set. `ML_CONNECTOR_SCREENSHOTS` names a folder for pictures of every page.

mod chromium;
mod looks;
mod server;

use std::time::Duration;

use fantoccini::{Locator, key::Key};
use ml_connector_core::audit::{EntryKind, EntryState, Query};

use self::{
    chromium::Browser,
    server::{Mount, serve},
};
use crate::world::World;

/// How many times a key is pressed before something is given up.
const PRESSES: usize = 60;

/// Presses Tab until something with this text has the focus.
async fn tab_to(browser: &Browser, text: &str) {
    for _ in 0..PRESSES {
        browser.client.active_element().await.unwrap().send_keys(&Key::Tab.to_string()).await.unwrap();
        let active = browser.client.active_element().await.unwrap();
        if active.text().await.unwrap().contains(text) {
            return;
        }
    }
    panic!("{text:?} is not reached by the keyboard");
}

async fn enter(browser: &Browser, title: &str) {
    browser.client.active_element().await.unwrap().send_keys(&Key::Enter.to_string()).await.unwrap();
    let heading = format!("//h1[contains(., '{title}')]");
    browser
        .client
        .wait()
        .at_most(Duration::from_secs(60))
        .for_element(Locator::XPath(&heading))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_sent_again_with_the_keyboard_alone() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::new().await;
    let dead = world.dead("books", 3).await;
    let (url, _server) = serve(&world, Mount::Nested, "ada").await;
    browser.goto(&format!("{url}/trouble")).await;
    // The first key leads past the frame.
    tab_to(&browser, "To the content").await;
    tab_to(&browser, "Send again").await;
    enter(&browser, "Send again").await;
    tab_to(&browser, "Send 3 entries again").await;
    enter(&browser, "What was done").await;
    for seq in dead {
        world.until(&Query::entries(vec![seq]), |entry| entry.state == EntryState::Replayed).await;
    }
    let sent = Query::of_kind(EntryKind::Delivery).with_state(EntryState::Done);
    let count = async {
        while world.connector.count(&sent, 10).await.unwrap() < 3 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), count).await.unwrap();
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_works_at_every_mount_without_a_complaint() {
    let Some(browser) = Browser::start().await else { return };
    for mount in [Mount::Nested, Mount::Scoped, Mount::Bare, Mount::Proxied] {
        let world = World::at(mount.path()).await;
        let delivery = world.change("books", "1", "149.97").await;
        let (url, _server) = serve(&world, mount, "ada").await;
        let event = format!("/event/{}", delivery.seq);
        for page in ["", "/", "/events", "/trouble", "/routes", "/backfills", &event] {
            browser.goto(&format!("{url}{page}")).await;
            // The style sheet came, too.
            let weight =
                browser.script("return getComputedStyle(document.querySelector('.brand')).fontWeight").await;
            assert_eq!(weight, "650", "{mount:?} {page}");
        }
        // By the links alone.
        browser.client.find(Locator::LinkText("Events")).await.unwrap().click().await.unwrap();
        browser.client.find(Locator::LinkText("invoice.sent")).await.unwrap().click().await.unwrap();
        let address = browser.client.current_url().await.unwrap();
        assert!(address.as_str().starts_with(&format!("{url}/event/")), "{address}");
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{mount:?}");
    }
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_run_nothing_and_the_addresses_of_others_show_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::new().await;
    let hostile = "<img/src=x/onerror=document.title='owned'><script>document.title='owned'</script>";
    let delivery = world.change("books", hostile, "5.00").await;
    let other = world.change("rival", "2", "77.70").await;
    let (url, _server) = serve(&world, Mount::Nested, "carl").await;
    for page in [
        "/events?kind=all".to_owned(),
        format!("/event/{}", delivery.seq),
        "/events?q=%3Cscript%3Edocument.title%3D'owned'%3C/script%3E".to_owned(),
    ] {
        browser.goto(&format!("{url}{page}")).await;
        let title = browser.client.title().await.unwrap();
        assert!(!title.contains("owned") || title.contains("<"), "{page}: {title}");
        let images = browser.client.find_all(Locator::Css("main img, main script")).await.unwrap();
        assert!(images.is_empty(), "{page}");
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    for page in [format!("/event/{}", other.seq), "/record/rival/invoice/2%2077.70".to_owned()] {
        browser.goto(&format!("{url}{page}")).await;
        let text = browser.client.find(Locator::Css("main")).await.unwrap().text().await.unwrap();
        assert!(text.contains("Nothing here") && !text.contains("77.7"), "{page}: {text}");
    }
    browser.end().await;
}

/// What has come in later is dressed as what was there: times with the reader's own, on a page that looks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overview_that_has_looked_again_tells_the_readers_own_time() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::new().await;
    world.change("books", "1", "149.97").await;
    let (url, _server) = serve(&world, Mount::Nested, "ada").await;
    browser
        .before_pages("const wait = window.setInterval; window.setInterval = (what) => wait(what, 200);")
        .await;
    browser.goto(&url).await;
    let dressed = "const times = [...document.querySelectorAll('main time')]; \
                   return times.length > 0 && times.every((time) => time.title.split('Here:').length === 2) ? 'yes' : 'no'";
    assert_eq!(browser.script(dressed).await, "yes");
    browser.script("document.querySelector('main h1').dataset.before = 'yes'; return ''").await;
    let gone = Locator::Css("main h1:not([data-before])");
    browser.client.wait().at_most(Duration::from_secs(60)).for_element(gone).await.unwrap();
    assert_eq!(browser.script(dressed).await, "yes");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.end().await;
}
