//! Progress bars for what takes long; plain lines where nobody watches.

use std::io::IsTerminal;

use futures_util::{StreamExt, stream::BoxStream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use ml_connector_core::{
    Connector, Error, ErrorKind, Result,
    engine::{Progress, Replay},
    model::ConnectionId,
};
use tokio::task::JoinSet;

/// Reads the past of all feeds of a connection, and shows how far each is. Whoever ends the program meanwhile loses
/// nothing: the reads go on when it runs again.
///
/// # Errors
/// As [`Connector::backfill`].
pub async fn backfill(connector: &Connector, connection: &ConnectionId) -> Result<()> {
    let bars = MultiProgress::new();
    let mut watched = JoinSet::new();
    for feed in connector.progress(connection).await? {
        let seq = connector.backfill(connection, feed.feed, None).await?;
        let bar = bars.add(ProgressBar::no_length().with_style(style()).with_prefix(feed.feed));
        watched.spawn(show(bar, connector.watch_backfill(connection, feed.feed, seq)));
    }
    while let Some(shown) = watched.join_next().await {
        shown.map_err(|panic| {
            Error::new(ErrorKind::Unexpected, "a progress bar panicked").with_source(panic)
        })??;
    }
    Ok(())
}

/// Sends again what a replay selects, and shows how far that is. A program that ends meanwhile loses nothing: the same
/// replay goes on when it is asked for again.
///
/// # Errors
/// As [`Connector::replay`].
pub async fn replay(connector: &Connector, replay: Replay) -> Result<()> {
    let bar = ProgressBar::no_length().with_style(style()).with_prefix("replayed");
    show(bar, connector.watch_replay(replay)).await
}

/// A bar of something that is counted, and of which nobody knows how much there is.
#[must_use]
pub fn counting(what: &'static str) -> ProgressBar {
    ProgressBar::no_length().with_style(style()).with_prefix(what)
}

/// Shows a stream until it ends. A log that does not answer for a while only stops the bar.
async fn show(bar: ProgressBar, mut progress: BoxStream<'static, Result<Progress>>) -> Result<()> {
    let is_watched = std::io::stderr().is_terminal();
    while let Some(seen) = progress.next().await {
        let seen = match seen {
            Err(error) if error.kind() == ErrorKind::Unavailable => continue,
            seen => seen?,
        };
        if let Some(total) = seen.total {
            bar.set_length(total);
        }
        bar.set_position(seen.done);
        let left = seen.time_left.map(|left| format!(", {} s left", left.as_secs())).unwrap_or_default();
        bar.set_message(format!("{} a minute, {} failed{left}", seen.per_minute, seen.failed));
        if seen.ended {
            bar.finish();
            if !is_watched {
                eprintln!("{}: {} read, {} failed", bar.prefix(), seen.done, seen.failed);
            }
            if let Some(why) = &seen.given_up {
                eprintln!("{}: given up: {why}", bar.prefix());
            }
        }
    }
    Ok(())
}

fn style() -> ProgressStyle {
    let template = "{prefix:>20} {spinner} {wide_bar} {pos} {msg} {elapsed}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
