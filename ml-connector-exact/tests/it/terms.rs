//! Payment terms: what was paid is told once, and nothing else of them.

use ml_connector_core::model::{Observation, PollMode};
use ml_connector_sim::exact::{Kind, NewDocument, Settlement};

use crate::support::{CUSTOMER, Lab, amount, told};

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
        self.seen().await.iter().map(told).collect()
    }

    /// What is shown since.
    async fn seen(&mut self) -> Vec<Observation> {
        let run = self.lab.run(&self.source, "payment_terms", PollMode::Live, self.at.take()).await;
        let (pages, at) = run.unwrap();
        self.at = Some(at);
        pages.into_iter().flat_map(|page| page.observations).collect()
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
    let [paid] = &terms.seen().await[..] else { panic!("one payment") };
    assert_eq!(told(paid), format!("vendor_payment/{term} paid"));
    // 40 becomes 50: the row is shown again, and has the same revision, which is no change.
    terms.lab.sim.match_term(kind, &term).unwrap();
    let [again] = &terms.seen().await[..] else { panic!("the same row") };
    assert_eq!((told(again), again.state.revision()), (told(paid), paid.state.revision()));
    // Matched without a day of the payment it is not shown at all, and so is not taken back.
    terms.lab.sim.set(kind, &term, "~LastPaymentDate", ()).unwrap();
    assert_eq!(terms.told().await, [""; 0]);
    // Taken back it is told.
    terms.lab.remember(paid).await;
    terms.lab.sim.set(kind, &term, "Status", 20).unwrap();
    assert_eq!(terms.told().await, [format!("vendor_payment/{term} open")]);
}

/// A payment of 1,000 that was told is matched in two parts.
#[tokio::test(start_paused = true)]
async fn a_term_that_is_split_after_it_was_paid_is_no_other_payment() {
    let mut terms = Terms::new().await;
    let bill = terms.bill("1000");
    let (kind, term) = terms.lab.sim.open_terms(&bill).remove(0);
    terms.lab.sim.settle(&bill, Settlement::Bank).unwrap();
    let [paid] = &terms.seen().await[..] else { panic!("one payment") };
    terms.lab.remember(paid).await;
    let before = terms.lab.calls("cashflow/Payments");
    let rest = terms.lab.sim.split_term(kind, &term, amount("600")).unwrap();
    assert_eq!(terms.told().await, [""; 0]);
    assert_eq!(terms.lab.calls("cashflow/Payments") - before, 1, "one question for both rows");
    // Another payment of the same invoice is told, and so is one that the list does not show yet.
    let more = terms.lab.sim.split_term(kind, &rest, amount("150")).unwrap();
    terms.lab.sim.set(kind, &more, "AmountDC", 251).unwrap();
    terms.lab.sim.set(kind, &more, "AmountFC", 251).unwrap();
    assert!(terms.told().await.contains(&format!("vendor_payment/{more} paid")));
    // Where terms may not be listed, nothing is lost.
    terms.lab.sim.refuse(kind, Some(ml_connector_sim::exact::Right::ForbiddenByModule));
    terms.lab.sim.set(kind, &rest, "YourRef", "again").unwrap();
    assert_eq!(terms.told().await, [format!("vendor_payment/{rest} paid")]);
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
