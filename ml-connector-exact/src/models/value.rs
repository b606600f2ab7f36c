//! Values as Exact Online writes them.

use std::time::Duration;

use ml_connector_core::{
    Error, ErrorKind, Money, Result, Timestamp,
    decode::Object,
    model::{CodeName, Currency, Date, Decimal, LocalTime, Zone},
};

/// What stands for "none" where an id could be.
const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// An instant: `/Date(1773310442447)/`. The number counts milliseconds on the server's clocks, which show the wall time of
/// `zone`. Of an hour that is there twice, the earlier reading: nothing that is looked for since then is missed.
pub(crate) fn instant(from: &Object<'_>, name: &str, zone: &Zone) -> Option<Timestamp> {
    from.parsed(name, |text| Ok(zone.local_millis(millis(text)?)?.earliest()))
}

/// The later reading of an [`instant`], for those that ask whether it is old: what may be new is not taken for old.
pub(crate) fn at_the_latest(at: Timestamp, zone: &Zone) -> Timestamp {
    zone.wall_clock(at).readings().latest()
}

/// What an [`instant`] was that was read then. Of an hour that is there twice, the later reading, unless it was still to
/// come: what is read has changed just before, as a rule.
pub(crate) fn as_read(at: Timestamp, read_at: Timestamp, zone: &Zone) -> Timestamp {
    /// Two clocks differ by so much.
    const CLOCKS_DIFFER: Duration = Duration::from_secs(60);
    match zone.wall_clock(at).readings() {
        LocalTime::Fold { later, .. } if later <= read_at + CLOCKS_DIFFER => later,
        _ => at,
    }
}

/// A date: midnight on the server's clocks. It is never shifted.
pub(super) fn day(from: &Object<'_>, name: &str) -> Option<Date> {
    from.parsed(name, |text| {
        let text = text.trim();
        match text.starts_with("/Date(") {
            true => Ok(Timestamp::from_millis(millis(text)?).date_in(&Zone::UTC)),
            false => Date::parse(text.get(..10).unwrap_or(text)),
        }
    })
}

/// The milliseconds in `/Date(…)/`. An offset behind them has never been seen, and says nothing.
fn millis(text: &str) -> Result<i64> {
    let malformed = || Error::new(ErrorKind::InvalidResponse, "expected /Date(milliseconds)/");
    let inner = text.trim().strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/"));
    let inner = inner.ok_or_else(malformed)?;
    let end = inner.rfind(['+', '-']).filter(|at| *at > 0).unwrap_or(inner.len());
    inner[..end].parse().map_err(|_| malformed())
}

/// An amount, rounded half to even to the currency's digits: Exact Online computes with binary fractions.
pub(super) fn money(from: &Object<'_>, name: &str, currency: Option<Currency>) -> Option<Money> {
    let Money { amount, currency } = from.money(name, currency)?;
    Some(Money::new(amount.round_dp(currency.minor_units()), currency))
}

/// An amount without its sign: whether money comes or goes is told by what it is, because nobody documents signs.
pub(super) fn unsigned(money: Option<Money>) -> Option<Money> {
    money.map(|money| Money::new(money.amount.abs(), money.currency))
}

/// A text without the blanks that pad codes.
pub(super) fn text(from: &Object<'_>, name: &str) -> Option<String> {
    from.some_text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The id of something else.
pub(super) fn guid(from: &Object<'_>, name: &str) -> Option<String> {
    text(from, name).filter(|id| id != NO_GUID)
}

/// Something by its id, code and name.
pub(super) fn code_name(from: &Object<'_>, id: &str, code: &str, name: &str) -> Option<CodeName> {
    CodeName::known(guid(from, id).map(Into::into), text(from, code), text(from, name))
}

/// A number that is not zero: lines without a quantity have a zero.
pub(super) fn some_decimal(from: &Object<'_>, name: &str) -> Option<Decimal> {
    from.decimal(name).filter(|number| !number.is_zero())
}

/// A whole number, which Exact Online writes as a number or, where it has 64 bits, as a text.
pub(crate) fn integer(from: &Object<'_>, name: &str) -> Option<i64> {
    from.parsed(name, |text| {
        text.parse().map_err(|_| Error::new(ErrorKind::InvalidResponse, "expected a whole number"))
    })
}

/// Whether a text is a GUID: what filters are built of is nothing else.
pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use ml_connector_core::decode;
    use serde_json::value::RawValue;

    use super::*;

    fn amsterdam() -> Zone {
        Zone::named("Europe/Amsterdam").unwrap()
    }

    fn at<T>(json: &str, read: impl Fn(&Object<'_>) -> T) -> T {
        let raw = RawValue::from_string(format!("{{\"v\":{json}}}")).unwrap();
        decode::object(&raw, |object| Ok(read(object))).unwrap().value
    }

    #[test]
    fn milliseconds_are_dutch_wall_time_at_both_changes_of_the_clock() {
        for (written, meant) in [
            ("/Date(1773310442447)/", "2026-03-12T09:14:02.447Z"),
            ("/Date(1782404229433)/", "2026-06-25T14:17:09.433Z"),
            ("/Date(1773310442447+0200)/", "2026-03-12T09:14:02.447Z"),
            // 2026-10-25 02:30 is there twice.
            ("/Date(1792895400000)/", "2026-10-25T00:30:00Z"),
            // 2026-03-29 02:30 was never there.
            ("/Date(1774751400000)/", "2026-03-29T00:30:00Z"),
            ("/Date(-3600000)/", "1969-12-31T22:00:00Z"),
        ] {
            let read = at(&format!("\"{written}\""), |object| instant(object, "v", &amsterdam()));
            assert_eq!(read.unwrap().to_string(), meant, "{written}");
        }
        let twice = amsterdam().local_millis(1_792_895_400_000).unwrap();
        assert_eq!(twice.latest().to_string(), "2026-10-25T01:30:00Z");
        for wrong in
            ["\"/Date()/\"", "\"1773310442447\"", "\"/Date(1e3)/\"", "{}", "\"/Date(99999999999999999)/\""]
        {
            assert_eq!(at(wrong, |object| instant(object, "v", &amsterdam())), None, "{wrong}");
        }
    }

    #[test]
    fn of_an_hour_that_is_there_twice_the_reading_counts_that_was_over_when_it_was_read() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        for (earlier, read_at, meant) in [
            ("2026-10-25T00:30:00Z", "2026-10-25T00:31:00Z", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "2026-10-25T01:28:00Z", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "2026-10-25T01:30:10Z", "2026-10-25T01:30:00Z"),
            // The server's clock is a little ahead.
            ("2026-10-25T00:30:00Z", "2026-10-25T01:29:50Z", "2026-10-25T01:30:00Z"),
            ("2026-10-24T23:59:59Z", "2026-10-25T09:00:00Z", "2026-10-24T23:59:59Z"),
            ("2026-10-25T02:00:00Z", "2026-10-25T09:00:00Z", "2026-10-25T02:00:00Z"),
            ("2026-03-29T01:00:00Z", "2026-03-29T09:00:00Z", "2026-03-29T01:00:00Z"),
        ] {
            let read = as_read(at(earlier), at(read_at), &amsterdam());
            assert_eq!(read.to_string(), meant, "{earlier}, read at {read_at}");
        }
        let latest = at_the_latest(at("2026-10-25T00:30:00Z"), &amsterdam());
        assert_eq!(latest.to_string(), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn a_date_is_never_shifted() {
        for (written, meant) in [
            ("\"/Date(1773273600000)/\"", "2026-03-12"),
            ("\"/Date(1775606400000)/\"", "2026-04-08"),
            ("\"2026-03-12T00:00:00\"", "2026-03-12"),
        ] {
            assert_eq!(at(written, |object| day(object, "v")).unwrap().to_string(), meant);
        }
        assert_eq!(at("null", |object| day(object, "v")), None);
    }

    #[test]
    fn amounts_are_rounded_half_to_even_to_the_currency() {
        let of = |json: &str, code: &str| {
            let currency = Some(Currency::parse(code).unwrap());
            at(json, |object| money(object, "v", currency)).map(|money| money.to_string())
        };
        for (json, code, meant) in [
            ("1210", "EUR", "1210.00 EUR"),
            ("0.125", "EUR", "0.12 EUR"),
            ("0.135", "EUR", "0.14 EUR"),
            ("-6553.62", "EUR", "-6553.62 EUR"),
            ("73.120000000000005", "EUR", "73.12 EUR"),
            ("100.5", "JPY", "100 JPY"),
            ("1.2345", "KWD", "1.234 KWD"),
        ] {
            assert_eq!(of(json, code).as_deref(), Some(meant), "{json}");
        }
        assert_eq!((of("null", "EUR"), of("\"many\"", "EUR")), (None, None));
    }

    #[test]
    fn codes_are_trimmed_and_long_numbers_may_be_texts() {
        assert_eq!(at("\"           3000042\"", |o| text(o, "v")).as_deref(), Some("3000042"));
        assert_eq!(at("\"   \"", |o| text(o, "v")), None);
        assert_eq!(at(&format!("\"{NO_GUID}\""), |o| guid(o, "v")), None);
        assert_eq!(
            (at("\"58201447\"", |o| integer(o, "v")), at("58201447", |o| integer(o, "v"))),
            (Some(58_201_447), Some(58_201_447))
        );
        assert!(is_guid("a8e5638f-5fb2-56bf-b895-bb18600e3c6a"));
        for wrong in [
            "",
            "a8e5638f-5fb2-56bf-b895-bb18600e3c6",
            "a8e5638f'5fb2-56bf-b895-bb18600e3c6a",
            "1 or 1 eq 1 aaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(!is_guid(wrong), "{wrong}");
        }
    }
}
