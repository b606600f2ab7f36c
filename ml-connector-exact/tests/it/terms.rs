//! Payment terms: what was paid is told once, and nothing else of them.

use ml_connector_core::model::PollMode;
use ml_connector_sim::exact::{Kind, NewDocument, Settlement};

use crate::support::{CUSTOMER, Lab, amount, shown};

/// Polls terms again and again.
struct Terms {
    lab: Lab,
    source: ml_connector_exact::ExactOnline,
    at: Option<bytes::Bytes>,
}

impl Terms {
    async fn new() -> Self {
        let lab = Lab::new();
        let source = lab.source();
        let (_, at) = lab.run(&source, "payment_terms", PollMode::Baseline, None).await.unwrap();
        Self { lab, source, at: Some(at) }
    }

    /// What is told since.
    async fn told(&mut self) -> Vec<String> {
        let run = self.lab.run(&self.source, "payment_terms", PollMode::Live, self.at.take()).await;
        let (pages, at) = run.unwrap();
        self.at = Some(at);
        shown(&pages)
    }

    fn bill(&self, total: &str) -> String {
        self.lab.sim.create(Kind::PurchaseEntries, &NewDocument::new(CUSTOMER, amount(total)))
    }

    /// A sales invoice that is processed.
    fn sold(&self, total: &str) -> String {
        let invoice = self.lab.invoice(total);
        self.lab.sim.process(Kind::SalesInvoices, &invoice).unwrap();
        invoice
    }
}

#[tokio::test(start_paused = true)]
async fn paid_once_however_it_is_matched_later() {
    let mut terms = Terms::new().await;
    let bill = terms.bill("100");
    let (kind, term) = terms.lab.sim.open_terms(&bill).remove(0);
    terms.lab.sim.settle(&bill, Settlement::Bank).unwrap();
    assert_eq!(terms.told().await, [format!("vendor_payment/{term} paid")]);
    // 40 becomes 50. The same row again has the same revision: see the mirror test.
    terms.lab.sim.match_term(kind, &term).unwrap();
    let again = terms.told().await;
    assert!(again.iter().all(|one| *one == format!("vendor_payment/{term} paid")), "{again:?}");
    // Without a day of the payment it is not taken back either.
    terms.lab.sim.set(kind, &term, "LastPaymentDate", ()).unwrap();
    terms.lab.sim.set(kind, &term, "EndDate", ()).unwrap();
    let again = terms.told().await;
    assert!(again.iter().all(|one| *one == format!("vendor_payment/{term} paid")), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_split_term_is_told_when_it_is_paid() {
    for sold in [false, true] {
        let mut terms = Terms::new().await;
        let (document, kind) = match sold {
            true => (terms.sold("1000"), "customer_payment"),
            false => (terms.bill("1000"), "vendor_payment"),
        };
        assert_eq!(terms.told().await, [""; 0]);
        let mut paid = Vec::new();
        for part in ["250", "250"] {
            let (_, term) = terms.lab.sim.open_terms(&document).remove(0);
            terms.lab.sim.settle_part(&document, Settlement::Bank, Some(amount(part))).unwrap();
            assert_eq!(terms.told().await, [format!("{kind}/{term} paid")]);
            paid.push(term);
        }
        let (_, rest) = terms.lab.sim.open_terms(&document).remove(0);
        terms.lab.sim.settle(&document, Settlement::Bank).unwrap();
        assert_eq!(terms.told().await, [format!("{kind}/{rest} paid")]);
        assert!(!paid.contains(&rest) && paid[0] != paid[1], "{paid:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_credit_note_a_discount_or_a_write_off_settles_is_not_paid() {
    let mut terms = Terms::new().await;
    for how in [Settlement::CreditNote, Settlement::WriteOff] {
        let (bill, invoice) = (terms.bill("100"), terms.sold("100"));
        terms.lab.sim.settle(&bill, how).unwrap();
        terms.lab.sim.settle(&invoice, how).unwrap();
    }
    assert_eq!(terms.told().await, [""; 0]);
}

/// Case g2: 1,500 arrive, 1,210 are matched, 290 stay open.
#[tokio::test(start_paused = true)]
async fn a_receipt_that_is_a_term_itself_is_told_by_its_bank_entry_only() {
    for says_type in [true, false] {
        let mut terms = Terms::new().await;
        let sim = terms.lab.sim.clone();
        let invoice = terms.sold("1210");
        let (_, term) = sim.open_terms(&invoice).remove(0);
        let bank = sim.settle(&invoice, Settlement::Bank).unwrap().unwrap();
        let matched = sim.leave_unmatched(&bank, amount("1210")).unwrap();
        let open = sim.leave_unmatched(&bank, amount("290")).unwrap();
        sim.set(Kind::Receivables, &matched, "Status", 50).unwrap();
        sim.set(Kind::Receivables, &matched, "LastPaymentDate", "/Date(1775606400000)/").unwrap();
        if !says_type {
            for row in [&matched, &open] {
                sim.set(Kind::Receivables, row, "TransactionType", ()).unwrap();
            }
        }
        assert_eq!(terms.told().await, [format!("customer_payment/{term} paid")]);
        // The rest is matched as well.
        sim.set(Kind::Receivables, &open, "Status", 50).unwrap();
        sim.set(Kind::Receivables, &open, "LastPaymentDate", "/Date(1775606400000)/").unwrap();
        assert_eq!(terms.told().await, [""; 0]);
        assert_eq!(terms.lab.sim.tallies().errors, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_decides_nothing() {
    for negative in [true, false] {
        let mut terms = Terms::new().await;
        terms.lab.sim.tune(|quirks| quirks.negative_receivables = negative);
        let invoice = terms.sold("1210");
        let (_, term) = terms.lab.sim.open_terms(&invoice).remove(0);
        terms.lab.sim.settle(&invoice, Settlement::Bank).unwrap();
        let run = terms.lab.run(&terms.source, "payment_terms", PollMode::Live, terms.at.take()).await;
        let seen = run.unwrap().0.remove(0).observations.remove(0);
        let record = seen.state.record().unwrap();
        assert_eq!((&*record.id, record.total.unwrap().to_string()), (&*term, "1210.00 EUR".to_owned()));
    }
}
