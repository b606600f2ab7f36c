//! Purchase and sales invoices in Business Central, which posting makes final.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use ml_connector_bc::{BusinessCentral, post};
use ml_connector_core::{
    Connector, HttpTransport,
    approval::ApprovalsBuilder,
    engine::ConnectorBuilder,
    http::{Limits, TransportError},
    model::{Decimal, Status},
};
use ml_connector_sim::{
    BusinessCentralSim, Fault,
    bc::{BusinessCentralConfig, NewDocument, Refusal, Set},
    zoho::ZohoBooksConfig,
};

use super::{Ledger, Mishap, Office, Plot, workspace};
use crate::world::{World, amount, secs};

const SETS: [Set; 2] = [Set::PurchaseInvoices, Set::SalesInvoices];
const POST: &str = "Microsoft.NAV.post";

/// A company, and who answers its handshakes at present.
pub(super) struct Company {
    erp: BusinessCentralSim,
    host: Arc<Host>,
    /// Of which set each document is.
    documents: Mutex<BTreeMap<String, Set>>,
}

impl Company {
    fn set(&self, document: &str) -> Set {
        self.documents.lock().unwrap()[document]
    }
}

/// The host's endpoint, which one process after another serves.
#[derive(Debug, Default)]
struct Host(Mutex<Option<Connector>>);

#[async_trait]
impl HttpTransport for Host {
    async fn send(&self, request: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, TransportError> {
        let connector = self.0.lock().unwrap().clone().unwrap();
        Ok(connector.receive(request).await)
    }
}

pub(super) fn open(seed: u64) -> Office<Company> {
    let world = World::with("2026-03-02T14:00:00Z", ZohoBooksConfig::default(), workspace());
    let mut config = BusinessCentralConfig::default();
    config.seed = seed + 1;
    let erp = BusinessCentralSim::with_config(Arc::clone(&world.clock) as _, config);
    let host = Arc::<Host>::default();
    erp.set_hooks(Arc::clone(&host) as _);
    erp.tune(|tuning| tuning.notice_after = Duration::ZERO);
    let transport = world.transport.clone().with_business_central(&erp);
    Office::new(World { transport, ..world }, Company { erp, host, documents: Mutex::default() }, seed)
}

impl Ledger for Company {
    fn connect(
        &self,
        builder: ConnectorBuilder,
        approvals: ApprovalsBuilder,
    ) -> (ConnectorBuilder, ApprovalsBuilder) {
        let known = self.erp.credentials();
        let erp = BusinessCentral::builder("erp")
            .tenant(&known.tenant)
            .environment(&known.environment)
            .company(&known.company_id, "HARBOR SUPPLY")
            .client(&known.client_id, known.client_secret.as_str())
            .poster(&known.poster_id, known.poster_secret.as_str())
            .webhook_secret("a secret of the host, never told")
            .sets(SETS.map(Set::name))
            .build()
            .unwrap();
        let approvals = approvals.documents("erp", "bill.*").documents("erp", "invoice.*");
        // A sales invoice that is released is approved there, and waits to be posted.
        let approvals = approvals.awaiting(Status::Draft).awaiting(Status::Approved);
        (builder.connect(erp), approvals.command("erp", post()))
    }

    fn is_served_by(&self, connector: Option<&Connector>) {
        *self.host.0.lock().unwrap() = connector.cloned();
    }

    fn plots(&self) -> Vec<Plot> {
        vec![
            Plot::DoubleClick,
            Plot::TwoAtOnce,
            Plot::Unauthorized,
            Plot::Rejected,
            Plot::ChangedUnseen,
            Plot::ChangedMeanwhile,
            Plot::ApprovedThere,
            Plot::Released,
            Plot::Spoiled(Mishap::Busy),
            Plot::Spoiled(Mishap::LostAnswer),
            Plot::Spoiled(Mishap::BadGateway),
            Plot::Spoiled(Mishap::RefusedAlthoughDone),
            Plot::Spoiled(Mishap::GoesOn),
            Plot::Spoiled(Mishap::Refused),
            Plot::Spoiled(Mishap::RefusedAndTouched),
        ]
    }

    fn enter(&self, round: usize, i: usize, _: usize) -> (String, String) {
        let set = SETS[(round + i) % 2];
        let new = match set {
            Set::PurchaseInvoices => NewDocument::new("Northline Packaging", amount(95_300))
                .vendor_invoice_number(format!("NP-{round:04}-{i:02}")),
            _ => NewDocument::new("Osprey Foods", amount(95_300)),
        };
        let invoice = self.erp.create(set, &new);
        let number = self.erp.field(set, &invoice, "number").unwrap();
        self.documents.lock().unwrap().insert(invoice.clone(), set);
        (invoice, number)
    }

    fn edit(&self, document: &str) {
        let set = self.set(document);
        let total: Decimal =
            self.erp.field(set, document, "totalAmountIncludingTax").unwrap().parse().unwrap();
        self.erp.set_total(set, document, total + Decimal::ONE).unwrap();
    }

    fn approve_there(&self, document: &str) {
        self.erp.post(self.set(document), document).unwrap();
    }

    fn release(&self, document: &str) {
        self.erp.release(self.set(document), document).unwrap();
    }

    fn spoil(&self, document: &str, mishap: Mishap) {
        let fault = |fault: Fault| self.erp.plant(fault.on(POST).target(document));
        let refuse = |refusal| self.erp.tune(|tuning| _ = tuning.refusals.insert(document.into(), refusal));
        match mishap {
            Mishap::LostAnswer => fault(Fault::timeout().having_acted()),
            Mishap::BadGateway => fault(Fault::html(StatusCode::BAD_GATEWAY)),
            Mishap::Busy => fault(Fault::status(StatusCode::CONFLICT).times(5)),
            Mishap::RefusedAlthoughDone => self.erp.tune(|tuning| tuning.although_posted = 1),
            Mishap::GoesOn => self.erp.tune(|tuning| _ = tuning.goes_on.insert(document.into(), secs(240))),
            Mishap::Refused => refuse(Refusal::ClosedPeriod),
            Mishap::RefusedAndTouched => refuse(Refusal::BlockedAccount),
        }
    }

    fn repair(&self, document: &str) {
        self.erp.tune(|tuning| _ = tuning.refusals.remove(document));
    }

    fn webhooks(&self) -> Vec<Request<Bytes>> {
        let taken = self.erp.take_notices().into_iter().map(|batch| {
            let received = Ok(Response::new(Bytes::new()));
            self.erp.settle_notice(&batch, &received);
            batch.request
        });
        taken.collect()
    }

    fn end(&self, document: &str) -> (bool, usize) {
        let ledger = self.erp.postings();
        let postings: Vec<_> = ledger.iter().filter(|posting| posting.id == document).collect();
        assert!(postings.len() <= 1, "{document} is in the ledger {} times", postings.len());
        (!postings.is_empty(), postings.iter().filter(|posting| posting.by != "people").count())
    }

    /// A posting runs for eight minutes at most, after it has waited; only then is a draft that is still one an answer.
    fn certain_after(&self) -> Duration {
        secs(1_500)
    }

    fn knows_who_approved(&self) -> bool {
        true
    }

    fn limits_broken(&self) -> u64 {
        self.erp.limit_violations()
    }
}
