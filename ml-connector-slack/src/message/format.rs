//! Amounts, dates and words as people read them.

use ml_connector_core::model::{Change, Date, Money, RecordKind};

/// `1,250.50 USD`: digits in groups of three, at least the currency's own decimals, every digit that was read.
#[must_use]
pub fn money(money: &Money) -> String {
    let text = money.to_string();
    let (amount, currency) = text.split_once(' ').unwrap_or((&text, ""));
    let (sign, digits) = amount.strip_prefix('-').map_or(("", amount), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    grouped.push_str(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    format!("{grouped} {currency}")
}

/// `Mar 4, 2026`. Plain text, no date token of Slack: a token stands for an instant and is shown in the reader's
/// zone, which can turn a due date into the day before. Instants are shown as tokens:
/// [`Markup::instant`](crate::blocks::Markup::instant).
#[must_use]
pub fn date(date: Date) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let iso = date.to_string();
    let readable = || {
        let mut parts = iso.rsplitn(3, '-');
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some(format!("{month} {}, {year}", day.parse::<u8>().ok()?))
    };
    readable().unwrap_or(iso.clone())
}

/// What a record is called in a sentence: `Invoice`, `Purchase order`.
pub(super) fn noun(kind: &RecordKind) -> String {
    match kind {
        RecordKind::CustomerPayment => "Customer payment".to_owned(),
        RecordKind::VendorPayment => "Supplier payment".to_owned(),
        other => words(other.as_str()),
    }
}

/// What happened, after the noun: `paid`, `awaiting approval`.
pub(super) fn verb(change: Change) -> String {
    match change {
        // The threshold that was passed: how late it is exactly stands beside it, as the due date.
        Change::Overdue(0 | 1) => "overdue".to_owned(),
        Change::Overdue(days) => format!("{days}+ days overdue"),
        Change::Submitted => "awaiting approval".to_owned(),
        Change::PartiallyPaid => "partially paid".to_owned(),
        Change::Dead => "failed for good".to_owned(),
        Change::Parked => "waits for a repair".to_owned(),
        Change::Resumed => "works again".to_owned(),
        other => words(other.as_str()).to_lowercase(),
    }
}

/// `pending_approval` as `Pending approval`.
pub(super) fn words(code: &str) -> String {
    let spaced = code.replace('_', " ");
    let mut chars = spaced.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_and_keep_every_digit() {
        for (amount, currency, expected) in [
            ("1250.5", "USD", "1,250.50 USD"),
            ("0.05", "USD", "0.05 USD"),
            ("999", "EUR", "999.00 EUR"),
            ("-1000", "EUR", "-1,000.00 EUR"),
            ("-999.9", "EUR", "-999.90 EUR"),
            ("1234567", "JPY", "1,234,567 JPY"),
            ("99999999999999.9999", "USD", "99,999,999,999,999.9999 USD"),
            ("0", "KWD", "0.000 KWD"),
        ] {
            assert_eq!(money(&Money::parse(amount, currency).unwrap()), expected);
        }
    }

    #[test]
    fn dates_are_the_same_day_for_every_reader() {
        assert_eq!(date(Date::parse("2026-03-04").unwrap()), "Mar 4, 2026");
        assert_eq!(date(Date::parse("2026-12-31").unwrap()), "Dec 31, 2026");
    }
}
