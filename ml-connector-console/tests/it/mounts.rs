//! Where the console may be mounted, and how requests come to it.

use http::StatusCode;
use ml_connector_console::Console;

use crate::world::{People, World, get};

#[tokio::test(start_paused = true)]
async fn a_page_is_the_same_with_the_path_and_without_with_a_slash_and_without() {
    for (mount, bases) in [
        ("/console", &["/console", ""][..]),
        ("/console/", &["/console", ""]),
        ("/ops/console", &["/ops/console", "/console", ""]),
        ("/", &[""]),
    ] {
        let world = World::at(mount).await;
        let own = mount.trim_end_matches('/');
        for base in bases {
            for (page, title) in
                [("", "Overview"), ("/", "Overview"), ("/events", "Events"), ("/events/", "Events")]
            {
                let path = format!("{base}{page}");
                let path = if path.is_empty() { "/" } else { &*path };
                let answer = world.get("ada", path).await;
                assert_eq!(answer.status, StatusCode::OK, "{mount}: {path}");
                answer.shows(&format!("<h1>{title}</h1>"));
                // Addresses are as browsers see them, however the request came in.
                answer.shows(&format!("href=\"{own}/trouble\""));
                let home = if own.is_empty() { "/" } else { own };
                answer.shows(&format!("class=\"brand\" href=\"{home}\""));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_of_which_only_a_part_fits_is_not_taken_for_it() {
    let world = World::at("/console").await;
    for path in ["/consoles", "/console2/events", "/other/console", "//console", "/console//events"] {
        assert_eq!(get(&world.console, "ada", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_path_that_could_be_misread_is_refused() {
    let world = World::new().await;
    for path in [
        "",
        "console",
        "/con sole",
        "//",
        "/a//b",
        "/../x",
        "/.",
        "/events",
        "/act/console",
        "/a?b",
        "/a\"b",
        "/%2f",
    ] {
        assert!(Console::new(world.connector.clone(), People).at(path).is_err(), "{path:?}");
    }
    for path in ["/", "/console", "/console/", "/a/b-c/d_e/f.g~h"] {
        assert!(Console::new(world.connector.clone(), People).at(path).is_ok(), "{path:?}");
    }
}
