//! What a sink reads back after its own write: kept with the receipt, so that the vendor's webhook is no change.

use async_trait::async_trait;
use vendor::webhook;

use super::*;
use crate::{
    AttemptNotes, Context, Result, Sink, SinkInfo, Timestamp,
    model::{Delivery, DeliveryPlan, Event, LaneKey, Lookup, Origin, Receipt, Status},
};

/// Writes into the ledger that the source of the same connection reads.
#[derive(Debug)]
struct Pen {
    info: SinkInfo,
    ledger: Arc<Ledger>,
    source: LedgerSource,
}

impl Pen {
    fn new(ledger: &Arc<Ledger>) -> Self {
        let info = SinkInfo::new("books".into(), "ledger");
        Self { info, ledger: Arc::clone(ledger), source: LedgerSource::new("books", ledger) }
    }
}

#[async_trait]
impl Sink for Pen {
    fn info(&self) -> &SinkInfo {
        &self.info
    }

    fn plan(&self, _: &Delivery) -> Result<DeliveryPlan> {
        Ok(DeliveryPlan::new(LaneKey::from("pen")))
    }

    async fn deliver(&self, ctx: &Context, batch: &[Delivery], _: &dyn AttemptNotes) -> Vec<Result<Receipt>> {
        let record = {
            let mut invoices = self.ledger.invoices.lock().unwrap();
            let record = invoices.get_mut(&*batch[0].event.entity.id).unwrap();
            match batch[0].destination.as_str() {
                "pay" => record.status = Status::Paid,
                _ => record.reference = Some("noted".into()),
            }
            record.clone()
        };
        let mut receipt = Receipt::new("written");
        receipt.observed = Some(Arc::new(self.source.seen(&record, ctx.now())));
        vec![Ok(receipt)]
    }

    async fn look_up(&self, _: &Context, _: &Delivery) -> Result<Lookup> {
        Ok(Lookup::DidNotHappen)
    }

    async fn ping(&self, _: &Context) -> Result<()> {
        Ok(())
    }

    async fn maintain(&self, _: &Context) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

/// Created invoices are written on, and everything that is news comes to the board.
async fn written_on(how: &'static str) -> (World, Connector) {
    let world = World::new();
    let connector = world.connector_with(Vec::new());
    connector.add_sink(Pen::new(&world.ledger)).unwrap();
    let routes = vec![
        Route::new("write").on("invoice.created").to("books", Destination::from(how)),
        Route::new("news").to("board", Destination::from("a")),
    ];
    connector.set_routes(routes).unwrap();
    world.ledger.put("1", Status::Open, "2026-04-01");
    connector.receive(webhook("account:books 1", "good")).await;
    world.run(&connector, secs(60)).await;
    (world, connector)
}

async fn events(world: &World) -> Vec<(String, Origin)> {
    let events = world.entries(EntryKind::Event).await;
    let event = |entry: &Entry| Event::from_cloudevent(entry.body.as_ref().unwrap()).unwrap();
    events.iter().map(event).map(|event| (event.event_type().to_string(), event.origin)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_our_own_write_changed_is_told_once_and_its_webhook_is_no_change() {
    let (world, connector) = written_on("pay").await;
    connector.receive(webhook("account:books 1", "good")).await;
    world.run(&connector, secs(60)).await;
    assert_eq!(
        events(&world).await,
        [("invoice.sent".to_owned(), Origin::Live), ("invoice.paid".to_owned(), Origin::Live)]
    );
    assert_eq!(world.board.corner("a"), ["invoice.sent 1", "invoice.paid 1"]);
    assert_eq!(connector.stats().unchanged, 1);
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_we_left_is_no_news() {
    let (world, connector) = written_on("mark").await;
    connector.receive(webhook("account:books 1", "good")).await;
    world.run(&connector, secs(60)).await;
    assert_eq!(events(&world).await[1..], [("invoice.updated".to_owned(), Origin::Ours)]);
    assert_eq!(world.board.corner("a"), ["invoice.sent 1"]);
}
