//! Reading everything, page by page. A source without feeds has these behaviors, too.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Lists, SourceUnderTest};
use crate::{
    Context, ErrorKind, PollRequest, Result, Source,
    conformance::wire::{Fault, cuts, polled_at_most, tidy},
    model::{EntityRef, LostRow, Observation, Observed, Page, PollMode, Record, Subject},
};

/// More pages than this are a cursor that turns in circles.
const MAX_PAGES: usize = 1000;

/// Instead of a page without anything in it.
pub async fn an_unknown_feed_is_unsupported(source: &SourceUnderTest) {
    let lab = source.lab().await;
    let page = (source.connect)().poll(&lab.ctx(), PollRequest::new("no-such-feed", PollMode::Live)).await;
    assert_eq!(page.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
}

/// By the vendor's own end mark, and with every row on the way.
pub async fn a_feed_ends_and_finds_the_record(source: &SourceUnderTest) {
    let feeds = feeds(source);
    let mut found = BTreeSet::new();
    for feed in &feeds {
        found.extend(pages(source, feed, None).await.into_iter().flat_map(|(entities, _)| entities));
    }
    assert!(feeds.is_empty() || found.contains(&source.entity), "no feed shows {}: {found:?}", source.entity);
}

/// Another host goes on where the last commit was: what is in a checkpoint is all there is.
pub async fn a_feed_goes_on_from_any_checkpoint(source: &SourceUnderTest) {
    for feed in feeds(source) {
        let whole = pages(source, feed, None).await;
        for (read, (_, checkpoint)) in whole.iter().enumerate().take(whole.len() - 1) {
            let rest = pages(source, feed, Some(checkpoint.clone())).await;
            assert_eq!(rest, whole[read + 1..], "feed {feed} from its checkpoint {read}");
        }
    }
}

/// Never a page with some of its rows, which a checkpoint would then leave behind.
pub async fn half_a_page_is_an_error(source: &SourceUnderTest) {
    for feed in feeds(source) {
        let lab = source.lab().await;
        page(source, &*(source.connect)(), &lab.ctx(), feed, None).await.expect("a page is read");
        for fault in cuts(lab.body_bytes()).into_iter().map(Fault::Cut).chain([Fault::Torn]) {
            let lab = source.lab().await;
            lab.always(fault.clone());
            let half = page(source, &*(source.connect)(), &lab.ctx(), feed, None).await;
            assert!(half.is_err(), "{fault:?} is taken for a page of feed {feed}");
        }
    }
}

/// At every point at which it waits; the same page comes again.
pub async fn a_page_can_be_dropped_anywhere(source: &SourceUnderTest) {
    for feed in feeds(source) {
        let first = &pages(source, feed, None).await[0].0;
        for polls in 0.. {
            let (lab, connected) = (source.lab().await, (source.connect)());
            let ctx = lab.ctx();
            let dropped = page(source, &*connected, &ctx, feed, None);
            let done = polled_at_most(polls, dropped).await.is_some();
            let began = lab.now();
            let again = loop {
                match page(source, &*connected, &lab.ctx(), feed, None).await {
                    Ok(page) => break page,
                    Err(error) => lab.wait_out(&error, began).await,
                }
            };
            assert_eq!(&entities(&again), first, "feed {feed} after a poll was dropped");
            if done {
                break;
            }
        }
    }
}

/// One odd row must not keep the others from being told; and what is wrong with it may be repaired, so its id is told. Where
/// nobody can tell yet what it belongs to, it is [lost](Page::lost) with its id.
pub async fn an_unreadable_row_keeps_its_id_and_the_page_goes_on(source: &SourceUnderTest) {
    let id = &*source.entity.id;
    for feed in feeds(source) {
        for mode in [PollMode::Baseline, PollMode::Live, PollMode::Backfill { since: None }, PollMode::Sweep]
        {
            let sweeps = (source.connect)().info().sweeps.iter().any(|sweep| sweep.name == feed);
            if mode == PollMode::Sweep && !sweeps {
                continue;
            }
            let (whole, _) = run(source, feed, mode, None).await;
            let (mut poisoned, lost) = run(source, feed, mode, Some(Fault::Poison(id.to_owned()))).await;
            if lost.iter().any(|row| row.id.as_deref() == Some(id)) {
                poisoned.insert(source.entity.clone());
            }
            // Of what an ordinary run passes over, a row that cannot be read may be looked at once more.
            let same = if mode == PollMode::Live { poisoned.is_superset(&whole) } else { poisoned == whole };
            assert!(
                same,
                "feed {feed} in mode {mode:?} shows {poisoned:?} instead of {whole:?} with a row that cannot be read"
            );
        }
    }
}

/// Of such a row nothing can be told, not even that there is something: so it is handed over as [lost](Page::lost), for health
/// and the log to show.
pub async fn a_row_without_an_id_is_shown_as_lost_and_the_page_goes_on(source: &SourceUnderTest) {
    let (id, feeds) = (&*source.entity.id, feeds(source));
    let mut tried = 0;
    for feed in &feeds {
        for mode in [PollMode::Baseline, PollMode::Live, PollMode::Backfill { since: None }] {
            let mut whole = run(source, feed, mode, None).await.0;
            if !whole.remove(&source.entity) {
                continue;
            }
            tried += 1;
            let (shown, lost) = run(source, feed, mode, Some(Fault::Nameless(id.to_owned()))).await;
            assert!(
                lost.iter().any(|row| row.id.is_none()),
                "feed {feed} in mode {mode:?} says nothing of a row that does not say which record it is"
            );
            assert!(
                shown.is_superset(&whole),
                "feed {feed} in mode {mode:?} shows {shown:?} instead of {whole:?} beside such a row"
            );
        }
    }
    assert!(feeds.is_empty() || tried > 0, "no feed shows {}", source.entity);
}

/// A row that a backfill hands over as the record is compared with the record that a webhook leads to: in two forms an untouched
/// record would change with every look. What says less comes as a [row](Page::rows), and waits for its detail.
pub async fn a_row_that_stands_for_the_record_has_its_revision(source: &SourceUnderTest) {
    let compared = compare(
        source,
        |page| &page.observations,
        |feed, mode, row, detail| {
            // At the first look a row is all that is known, and its detail fills it in.
            if mode == PollMode::Baseline {
                return;
            }
            let forms = (row.state.revision(), detail.state.revision());
            assert_eq!(forms.0, forms.1, "feed {feed} shows {} in another form", row.entity);
        },
    );
    let compared = compared.await;
    assert!(compared > 0 || source.lists != Lists::Records, "no row stands for the record");
}

/// A row is told before its detail, with the vendor's own JSON; and where nothing has happened meanwhile, the detail fills it in
/// without an event. So it has the detail's stamp, says the same of what decides, and is known for a row.
pub async fn a_row_before_its_detail_fits_it(source: &SourceUnderTest) {
    let columns = (source.connect)().info().columns.clone();
    let compared = compare(
        source,
        |page| &page.rows,
        |feed, _, row, detail| {
            let (Some(listed), Some(whole)) = (row.state.record(), detail.state.record()) else {
                panic!("feed {feed}: a row and its detail are records");
            };
            assert_eq!(
                listed.modified_at, whole.modified_at,
                "feed {feed}: a row has the stamp of its detail"
            );
            let says = |record: &Record| (record.status.clone(), record.total, record.due_date);
            assert_eq!(says(listed), says(whole), "feed {feed}: a row says what its detail does");
            let Observed::Present { raw: Some(raw), .. } = &row.state else {
                panic!("feed {feed}: a row is told with the vendor's JSON");
            };
            let Some(table) = columns.iter().find(|table| table.kind == listed.kind) else { return };
            assert!(!table.is_whole(raw), "feed {feed}: a row is taken for the whole record");
            let read = table.read(raw).map(drop).map_err(|error| error.kind());
            assert_eq!(read, Ok(()), "feed {feed}: the table takes a row as well");
        },
    );
    let compared = compared.await;
    assert!(compared > 0 || source.lists != Lists::Rows, "no row comes before its detail");
}

/// Compares what a first look and a backfill show of the record with the record itself. Returns how often.
async fn compare(
    source: &SourceUnderTest,
    of: fn(&Page) -> &Vec<Observation>,
    fits: impl Fn(&str, PollMode, &Observation, &Observation),
) -> usize {
    let mut compared = 0;
    for feed in feeds(source) {
        for mode in [PollMode::Baseline, PollMode::Backfill { since: None }] {
            let (lab, connected, mut checkpoint) = (source.lab().await, (source.connect)(), None);
            for _ in 0..MAX_PAGES {
                let request = PollRequest::new(feed, mode).checkpoint(checkpoint.as_ref());
                let page = connected.poll(&lab.ctx(), request).await;
                let page = page.map_err(|error| tidy(error, &source.secrets)).expect("a page is read");
                for row in of(&page).iter().filter(|row| row.entity == source.entity) {
                    let detail = source.read(&*(source.connect)(), &source.lab().await.ctx()).await;
                    fits(feed, mode, row, &detail.expect("the record is read"));
                    compared += 1;
                }
                if !page.more {
                    break;
                }
                assert_ne!(checkpoint.as_ref(), Some(&page.checkpoint), "feed {feed} does not move on");
                checkpoint = Some(page.checkpoint);
            }
        }
    }
    compared
}

/// Everything that a run through a feed shows, and the rows that are lost in it.
async fn run(
    source: &SourceUnderTest,
    feed: &str,
    mode: PollMode,
    fault: Option<Fault>,
) -> (BTreeSet<EntityRef>, Vec<LostRow>) {
    let (lab, connected, mut shown) = (source.lab().await, (source.connect)(), BTreeSet::new());
    let mut lost = Vec::new();
    if let Some(fault) = fault {
        lab.always(fault);
    }
    let mut checkpoint = None;
    for _ in 0..MAX_PAGES {
        let request = PollRequest::new(feed, mode).checkpoint(checkpoint.as_ref());
        let page = connected.poll(&lab.ctx(), request).await;
        let page = page.unwrap_or_else(|error| panic!("a row stops feed {feed}: {error:?}"));
        shown.append(&mut entities(&page));
        lost.extend(page.lost);
        if !page.more {
            return (shown, lost);
        }
        checkpoint = Some(page.checkpoint);
    }
    panic!("feed {feed} does not end");
}

fn feeds(source: &SourceUnderTest) -> Vec<&'static str> {
    (source.connect)().info().feeds.iter().map(|feed| feed.name).collect()
}

async fn page(
    source: &SourceUnderTest,
    connected: &dyn Source,
    ctx: &Context,
    feed: &str,
    checkpoint: Option<&Bytes>,
) -> Result<Page> {
    let page = connected.poll(ctx, PollRequest::new(feed, PollMode::Baseline).checkpoint(checkpoint)).await;
    page.map_err(|error| tidy(error, &source.secrets))
}

/// What each page shows, and the checkpoint after it, each read by an instance of its own.
async fn pages(
    source: &SourceUnderTest,
    feed: &str,
    mut checkpoint: Option<Bytes>,
) -> Vec<(BTreeSet<EntityRef>, Bytes)> {
    let (lab, mut pages) = (source.lab().await, Vec::new());
    loop {
        let next = page(source, &*(source.connect)(), &lab.ctx(), feed, checkpoint.as_ref()).await;
        let next = next.expect("a page is read");
        pages.push((entities(&next), next.checkpoint.clone()));
        if !next.more {
            return pages;
        }
        assert_ne!(checkpoint.as_ref(), Some(&next.checkpoint), "feed {feed} does not move on");
        assert!(pages.len() < MAX_PAGES, "feed {feed} does not end");
        checkpoint = Some(next.checkpoint);
    }
}

fn entities(page: &Page) -> BTreeSet<EntityRef> {
    let signaled = page.signals.iter().filter_map(|signal| match &signal.subject {
        Subject::Entity(entity) => Some(entity.clone()),
        _ => None,
    });
    let rows = page.observations.iter().chain(&page.rows);
    rows.map(|row| row.entity.clone()).chain(signaled).collect()
}
