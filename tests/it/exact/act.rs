//! People who work in a company.

use std::{collections::BTreeSet, time::Duration};

use ml_connector_core::{Timestamp, model::Decimal};
use ml_connector_exact::Invoices;
use ml_connector_sim::{
    ExactOnlineSim,
    exact::{Kind, NewDocument, NewLine, Settlement},
};

use crate::{
    mirror::{Diary, Kept},
    proof::Dice,
};

/// What was paid so long ago was told, also when nobody could read anything for a day.
const TOLD_AFTER: Duration = Duration::from_secs(36 * 3600);

/// A company and what happened in it.
pub(super) struct Company {
    pub(super) sim: ExactOnlineSim,
    pub(super) invoices: Invoices,
    pub(super) diary: Diary,
    /// The documents that were touched since the connector could read last.
    pub(super) used: BTreeSet<usize>,
    documents: Vec<Document>,
    /// Terms that were paid by money, and when: they may be matched in parts later.
    paid: Vec<(Timestamp, Kind, String)>,
}

/// Something that is in the books.
#[derive(Debug, Clone)]
struct Document {
    kind: Kind,
    id: String,
    stage: Stage,
    /// Whether money has moved because of it: then it is not deleted.
    is_settled: bool,
    /// Whether the whole of it was read: of what was there at the beginning no more is known than that it is there, so that
    /// nobody can tell a change from a new stamp.
    is_known: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Processed,
    Gone,
}

impl Company {
    pub(super) fn new(connection: &'static str, sim: ExactOnlineSim, invoices: Invoices) -> Self {
        let (diary, used) = (Diary::new(connection), BTreeSet::new());
        Self { sim, invoices, diary, used, documents: Vec::new(), paid: Vec::new() }
    }

    fn kinds(&self) -> [Kind; 7] {
        let sale = match self.invoices {
            Invoices::Invoices => Kind::SalesInvoices,
            Invoices::Entries => Kind::SalesEntries,
        };
        [
            sale,
            Kind::PurchaseEntries,
            Kind::PurchaseOrders,
            Kind::GeneralJournalEntries,
            Kind::BankEntries,
            Kind::CashEntries,
            Kind::CostTransactions,
        ]
    }

    /// What the books hold before anybody is connected.
    pub(super) fn furnish(&mut self, documents: usize, dice: &mut Dice) {
        for n in 0..documents {
            self.create(self.kinds()[n % 7], dice);
            if n % 4 == 0 {
                self.process(n);
            }
        }
        self.is_watched();
    }

    /// From now on what happens is told. The row of a cost transaction is all that there is of it, so that an open one is known
    /// from its list; of other documents the list has no lines.
    pub(super) fn is_watched(&mut self) {
        self.diary.begin();
        for document in &mut self.documents {
            document.is_known = document.kind == Kind::CostTransactions;
        }
    }

    fn tell(&mut self, kind: Kind, verb: &str, id: &str) {
        self.diary.note(word(kind), verb, id);
        let document = self.documents.iter_mut().find(|document| document.id == id);
        document.into_iter().for_each(|document| document.is_known = true);
    }

    /// The connection and the id of a document.
    pub(super) fn about(&self, at: usize) -> (&'static str, String) {
        (self.diary.connection, self.documents[at].id.clone())
    }

    /// Enters a document, and returns its place.
    pub(super) fn enter(&mut self, kind: Kind, dice: &mut Dice) -> usize {
        self.create(kind, dice);
        self.documents.len() - 1
    }

    /// Matches a payment that was told long ago in two parts, which splits its term. No money has moved.
    pub(super) fn split(&mut self, dice: &mut Dice, now: Timestamp) {
        let is_old = |(at, ..): &(Timestamp, Kind, String)| *at + TOLD_AFTER < now;
        if dice.below(2) == 0 || !self.paid.first().is_some_and(is_old) {
            return;
        }
        let (_, term, key) = self.paid.remove(0);
        let other = self.sim.split_term(term, &key, Decimal::new(301, 2)).unwrap();
        for row in [&key, &other] {
            self.sim.match_term(term, row).unwrap();
        }
    }

    /// Deletes a few documents of which nothing was paid.
    pub(super) fn delete_some(&mut self) {
        let free = |document: &&mut Document| document.stage == Stage::Open && !document.is_settled;
        for document in self.documents.iter_mut().filter(free).take(4) {
            self.sim.delete(document.kind, &document.id).unwrap();
            document.stage = Stage::Gone;
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Kept> {
        self.documents.iter().map(|document| Kept {
            connection: self.diary.connection,
            kind: word(document.kind),
            id: document.id.clone(),
            exists: document.stage != Stage::Gone,
        })
    }

    fn create(&mut self, kind: Kind, dice: &mut Dice) {
        let amount = Decimal::new(dice.cents(1_000, 900_000), 2);
        let party = dice.one_of(&["Bakkerij Linde V.O.F.", "Molen De Hoop B.V.", "Kwekerij Zonnehof B.V."]);
        let new = match kind {
            Kind::GeneralJournalEntries => NewDocument::empty(party)
                .line(NewLine::new("Doorbelasting huur", amount).for_cost_center("DC1", "Nijmegen"))
                .line(NewLine::new("Tussenrekening huur", -amount).on_account("1990", "Tussenrekening")),
            // More lines than a page has.
            Kind::PurchaseEntries if dice.below(12) == 0 => (0..70)
                .fold(NewDocument::empty(party), |new, n| {
                    new.line(NewLine::new(&format!("deel {n}"), amount))
                }),
            _ => NewDocument::new(party, amount),
        };
        let new = if kind == Kind::PurchaseEntries && dice.below(2) == 0 { new.with_document() } else { new };
        let id = self.sim.create(kind, &new);
        self.documents.push(Document {
            kind,
            id: id.clone(),
            stage: Stage::Open,
            is_settled: false,
            is_known: true,
        });
        let verb = match kind {
            Kind::PurchaseOrders | Kind::CostTransactions => "submitted",
            Kind::SalesEntries => "sent",
            _ => "created",
        };
        self.tell(kind, verb, &id);
    }

    /// Does something to a record that nobody has touched in this round. While nobody may see a kind, its records are left
    /// alone.
    pub(super) fn act(&mut self, dice: &mut Dice, hidden: Option<Kind>, now: Timestamp) {
        if dice.below(5) < 2 {
            let kind = dice.one_of(&self.kinds());
            self.create(kind, dice);
            self.used.insert(self.documents.len() - 1);
            return;
        }
        let at = dice.place(self.documents.len());
        let Document { kind, id, stage, is_settled, .. } = self.documents[at].clone();
        if stage == Stage::Gone || hidden == Some(kind) || !self.used.insert(at) {
            return;
        }
        let before = self.documents.len();
        match (dice.below(10), stage) {
            // Somebody looks at it, and it is stamped anew.
            (0, _) => {
                self.sim.set(kind, &id, "Modified", "/Date(0)/").unwrap();
                if !self.documents[at].is_known {
                    self.tell(kind, "updated", &id);
                }
            }
            (1..=3, Stage::Open) => self.process(at),
            (4..=6, _) if !self.sim.open_terms(&id).is_empty() => self.settle(at, dice, now),
            (4, _) if kind == Kind::BankEntries => {
                // What is not matched is a term, and no payment.
                drop(self.sim.leave_unmatched(&id, Decimal::new(29_000, 2)).unwrap());
            }
            (7, Stage::Open) if !is_settled => {
                self.sim.delete(kind, &id).unwrap();
                self.documents[at].stage = Stage::Gone;
                self.tell(kind, "deleted", &id);
            }
            (_, Stage::Open) => {
                let amount = Decimal::new(dice.cents(1_000, 900_000), 2);
                self.sim.set_total(kind, &id, amount).unwrap();
                self.tell(kind, "updated", &id);
            }
            _ => {}
        }
        self.used.extend(before..self.documents.len());
    }

    pub(super) fn process(&mut self, at: usize) {
        let Document { kind, id, .. } = self.documents[at].clone();
        let verb = match kind {
            Kind::PurchaseOrders => {
                self.sim.approve(&id).unwrap();
                "approved"
            }
            // Its status is another one.
            Kind::CostTransactions => return,
            _ => {
                self.sim.process(kind, &id).unwrap();
                if kind == Kind::SalesInvoices { "sent" } else { "updated" }
            }
        };
        self.documents[at].stage = Stage::Processed;
        self.tell(kind, verb, &id);
    }

    /// Settles a term of a document, or a part of it: by money, or by a credit note or a discount.
    fn settle(&mut self, at: usize, dice: &mut Dice, now: Timestamp) {
        let Document { kind, id, .. } = self.documents[at].clone();
        let (term, key) = self.sim.open_terms(&id).remove(0);
        let part = (dice.below(3) == 0).then(|| Decimal::new(500, 2));
        let how = [Settlement::Bank, Settlement::Bank, Settlement::CreditNote, Settlement::WriteOff];
        let how = dice.one_of(&how);
        self.documents[at].is_settled = true;
        let Some(bank) = self.sim.settle_part(&id, how, part).unwrap() else { return };
        // What an entry of a bank has left unmatched is a term, too. Paying it back is no payment of an invoice, and its own
        // entry tells it.
        if kind != Kind::BankEntries {
            assert_ne!(self.sim.field(term, &key, "TransactionType").as_deref(), Some("40"), "{kind:?} {id}");
            self.tell(term, "created", &key);
            self.paid.push((now, term, key.clone()));
        }
        self.tell(Kind::BankEntries, "created", &bank);
        self.documents.push(Document {
            kind: Kind::BankEntries,
            id: bank,
            stage: Stage::Open,
            is_settled: true,
            is_known: true,
        });
        // Matching it later pays nothing.
        if term == Kind::Payments && dice.below(2) == 0 {
            self.sim.match_term(term, &key).unwrap();
        }
    }
}

/// What we call a kind of record.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::SalesInvoices | Kind::SalesEntries => "invoice",
        Kind::PurchaseEntries => "bill",
        Kind::PurchaseOrders => "purchase_order",
        Kind::GeneralJournalEntries => "journal_entry",
        Kind::BankEntries => "bank_entry",
        Kind::CashEntries => "cash_entry",
        Kind::Payments => "vendor_payment",
        Kind::Receivables => "customer_payment",
        _ => "cost_transaction",
    }
}
