//! General journal entries, and bank and cash entries.

use ml_connector_core::{
    Money, Result,
    decode::Object,
    model::{CodeName, Currency, Decimal, Line, Record, RecordKind, Side},
};

use super::{Lines, Resource, Site, line, status, value};

/// What is asked for of lines that are listed apart.
const LINES: &str = members_of_lines!(
    "AmountVATFC" "GLAccount" "GLAccountCode" "GLAccountDescription" "Account" "AccountCode" "AccountName" "Date" "OurRef"
    "ProjectCode"
);

/// General journal entries.
pub(crate) static JOURNAL_ENTRIES: Resource = Resource {
    kind: "journal_entry",
    feed: "general_journal_entries",
    path: "generaljournalentry/GeneralJournalEntries",
    key: "EntryID",
    get: "exact_online.get_general_journal_entry",
    list: "exact_online.list_general_journal_entries",
    scope: "Financial accounting",
    topic: Some("GeneralJournalEntries"),
    select: &[
        "EntryID",
        "EntryNumber",
        "Type",
        "Status",
        "Currency",
        "ExchangeRate",
        "FinancialYear",
        "FinancialPeriod",
        "JournalCode",
        "JournalDescription",
        "Reversal",
        "Created",
        "Modified",
        "Division",
    ],
    lines: Some(Lines {
        navigation: "GeneralJournalEntryLines",
        path: "generaljournalentry/GeneralJournalEntryLines",
        parent: "EntryID",
        list: "exact_online.list_general_journal_entry_lines",
        select: LINES,
    }),
    meaningful: &[
        "EntryNumber",
        "Type",
        "Status",
        "Currency",
        "FinancialYear",
        "FinancialPeriod",
        "JournalCode",
        "Reversal",
    ],
    open: Some("Status eq 20"),
    read: read_journal,
};

/// It has neither an amount nor a description: both are in its lines, which sum up to nothing.
fn read_journal(entry: &Object<'_>, site: &Site) -> Result<Record> {
    let mut record = begin(entry, RecordKind::JournalEntry, site)?;
    let currency = entry.currency("Currency").or(site.currency());
    record.lines = line::on_sides(line::read(entry, "GeneralJournalEntryLines", currency));
    let debit = record.lines.iter().filter(|line| line.side == Some(Side::Debit));
    record.total = sum(debit, currency);
    record.subject = record.lines.iter().map(|line| line.description.clone()).find(|text| !text.is_empty());
    record.date = first_day(entry, "GeneralJournalEntryLines");
    Ok(record)
}

/// Bank entries: one for each statement.
pub(crate) static BANK_ENTRIES: Resource = Resource {
    kind: "bank_entry",
    feed: "bank_entries",
    path: "financialtransaction/BankEntries",
    get: "exact_online.get_bank_entry",
    list: "exact_online.list_bank_entries",
    topic: Some("BankEntries"),
    lines: Some(Lines {
        navigation: "BankEntryLines",
        path: "financialtransaction/BankEntryLines",
        parent: "EntryID",
        list: "exact_online.list_bank_entry_lines",
        select: LINES,
    }),
    read: |entry, site| read_cash_flow(entry, site, RecordKind::BankEntry, "BankEntryLines"),
    ..CASH_FLOW
};

/// Cash entries.
pub(crate) static CASH_ENTRIES: Resource = Resource {
    kind: "cash_entry",
    feed: "cash_entries",
    path: "financialtransaction/CashEntries",
    get: "exact_online.get_cash_entry",
    list: "exact_online.list_cash_entries",
    topic: Some("CashEntries"),
    lines: Some(Lines {
        navigation: "CashEntryLines",
        path: "financialtransaction/CashEntryLines",
        parent: "EntryID",
        list: "exact_online.list_cash_entry_lines",
        select: LINES,
    }),
    read: |entry, site| read_cash_flow(entry, site, RecordKind::CashEntry, "CashEntryLines"),
    ..CASH_FLOW
};

/// What entries of banks and of cash have in common.
const CASH_FLOW: Resource = Resource {
    kind: "",
    feed: "",
    path: "",
    key: "EntryID",
    get: "",
    list: "",
    scope: "Financial accounting",
    topic: None,
    select: &[
        "EntryID",
        "EntryNumber",
        "Status",
        "Currency",
        "OpeningBalanceFC",
        "ClosingBalanceFC",
        "FinancialYear",
        "FinancialPeriod",
        "JournalCode",
        "JournalDescription",
        "Created",
        "Modified",
        "Division",
    ],
    lines: None,
    meaningful: &[
        "EntryNumber",
        "Status",
        "Currency",
        "OpeningBalanceFC",
        "ClosingBalanceFC",
        "FinancialYear",
        "FinancialPeriod",
        "JournalCode",
    ],
    open: Some("Status eq 20"),
    read: |entry, site| begin(entry, RecordKind::BankEntry, site),
};

/// Of lines, what was received has no sign, and what was paid has one.
fn read_cash_flow(entry: &Object<'_>, site: &Site, kind: RecordKind, navigation: &str) -> Result<Record> {
    let mut record = begin(entry, kind, site)?;
    let currency = entry.currency("Currency").or(site.currency());
    record.lines = line::read(entry, navigation, currency);
    record.total = sum(record.lines.iter(), currency);
    record.date = first_day(entry, navigation);
    Ok(record)
}

fn begin(entry: &Object<'_>, kind: RecordKind, site: &Site) -> Result<Record> {
    let (status, word) = status::of_entry(value::integer(entry, "Status"));
    let mut record = Record::new(kind, entry.id("EntryID")?, status);
    word.clone_into(&mut record.vendor_status);
    record.number = value::text(entry, "EntryNumber");
    record.journal =
        CodeName::known(None, value::text(entry, "JournalCode"), value::text(entry, "JournalDescription"));
    record.created_at = value::instant(entry, "Created", &site.zone);
    record.modified_at = value::instant(entry, "Modified", &site.zone);
    Ok(record)
}

fn sum<'a>(lines: impl Iterator<Item = &'a Line>, currency: Option<Currency>) -> Option<Money> {
    let mut amounts = lines.filter_map(|line| line.amount).peekable();
    amounts.peek()?;
    let total = amounts.try_fold(Decimal::ZERO, |total, money| total.checked_add(money.amount))?;
    Some(Money::new(total, currency?))
}

/// The date of the first line: entries of journals have none themselves.
fn first_day(entry: &Object<'_>, navigation: &str) -> Option<ml_connector_core::model::Date> {
    let lines = entry.object(navigation)?.objects("results");
    lines.iter().find_map(|line| value::day(line, "Date"))
}
