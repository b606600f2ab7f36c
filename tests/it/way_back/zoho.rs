//! Bills in Zoho Books, which an approve call approves.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use ml_connector_core::{approval::ApprovalsBuilder, engine::ConnectorBuilder};
use ml_connector_sim::{
    Fault, ZohoBooksSim,
    zoho::{Entity, ZohoBooksConfig},
};
use ml_connector_zoho::approve;

use super::{Ledger, Mishap, Office, Plot, workspace};
use crate::world::{HARBOR, World, document, organization, secs, source};

const BILL: Entity = Entity::Bill;

pub(super) fn open(seed: u64) -> Office<ZohoBooksSim> {
    let mut books = ZohoBooksConfig::default();
    books.organizations = vec![organization(HARBOR, "Harbor Lane Supply", "America/New_York")];
    let world = World::with("2026-03-02T14:00:00Z", books, workspace());
    world.books.set_daily_quota(10_000_000);
    let books = world.books.clone();
    Office::new(world, books, seed)
}

impl Ledger for ZohoBooksSim {
    fn connect(
        &self,
        builder: ConnectorBuilder,
        approvals: ApprovalsBuilder,
    ) -> (ConnectorBuilder, ApprovalsBuilder) {
        let books = source("books", &self.credentials()).build().unwrap();
        (builder.connect(books), approvals.documents("books", "bill.*").command("books", approve()))
    }

    fn plots(&self) -> Vec<Plot> {
        vec![
            Plot::DoubleClick,
            Plot::TwoAtOnce,
            Plot::Unauthorized,
            Plot::Rejected,
            Plot::Requester,
            Plot::ChangedUnseen,
            Plot::Spoiled(Mishap::LostAnswer),
            Plot::Spoiled(Mishap::BadGateway),
            Plot::ApprovedThere,
            Plot::ChangedMeanwhile,
            Plot::TwoLevels(None),
            Plot::TwoLevels(Some(Mishap::LostAnswer)),
        ]
    }

    fn enter(&self, round: usize, i: usize, levels: usize) -> (String, String) {
        self.set_approvers(levels);
        let number = format!("NP-{round:04}-{i:02}");
        let bill = self.create_bill(document("Northgate Paper Co", 820_000).numbered(&number)).unwrap();
        self.submit_for_approval(BILL, &bill).unwrap();
        (bill, number)
    }

    fn edit(&self, document: &str) {
        let edits = self.received().len();
        self.set_reference(BILL, document, &format!("changed after {edits} calls")).unwrap();
    }

    fn approve_there(&self, document: &str) {
        self.approve(BILL, document).unwrap();
    }

    fn spoil(&self, document: &str, mishap: Mishap) {
        let fault = match mishap {
            Mishap::LostAnswer => Fault::timeout().having_acted(),
            Mishap::BadGateway => Fault::html(StatusCode::BAD_GATEWAY),
            other => panic!("Zoho Books does not know {other:?}"),
        };
        self.plant(fault.on(&format!("/bills/{document}/approve")));
    }

    fn repair(&self, _: &str) {}

    fn webhooks(&self) -> Vec<Request<Bytes>> {
        self.take_webhooks().into_iter().map(|webhook| webhook.request).collect()
    }

    fn end(&self, document: &str) -> (bool, usize) {
        let path = format!("/bills/{document}/approve");
        let done = |status: Option<StatusCode>| status.is_some_and(|status| status.is_success());
        let calls = self.received();
        let ours = calls.iter().filter(|call| call.path.ends_with(&path) && done(call.status)).count();
        (self.status_of(BILL, document) == Some("open"), ours)
    }

    fn certain_after(&self) -> Duration {
        secs(300)
    }

    fn limits_broken(&self) -> u64 {
        self.limit_violations()
    }
}
