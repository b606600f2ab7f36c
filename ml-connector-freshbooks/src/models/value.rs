//! Values as FreshBooks writes them.

use std::sync::LazyLock;

use ml_connector_core::{
    Error, ErrorKind, Money, Result, Timestamp,
    decode::Object,
    model::{Address, Currency, Decimal, Zone},
};

/// The zone of most of FreshBooks' times, which are written without one.
static EASTERN: LazyLock<Option<Zone>> = LazyLock::new(|| Zone::named("America/New_York").ok());

/// The zone of New York.
///
/// # Errors
/// [`ErrorKind::ConfigInvalid`] where the machine's time zone data lack it.
pub(crate) fn eastern() -> Result<&'static Zone> {
    EASTERN.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::ConfigInvalid, "this machine does not know the time zone America/New_York")
    })
}

/// A time in New York, such as `2026-06-29 12:52:44`. Of an hour that is there twice, the earlier one: nothing that is
/// looked for since then is missed.
pub(super) fn eastern_time(from: &Object<'_>, name: &str) -> Option<Timestamp> {
    from.parsed(name, |text| time(text, eastern()?))
}

/// A time in UTC, with or without a mark of its zone.
pub(super) fn utc_time(from: &Object<'_>, name: &str) -> Option<Timestamp> {
    from.parsed(name, |text| time(text, &Zone::UTC))
}

/// With a `T` it is UTC, whoever writes it.
fn time(text: &str, zone: &Zone) -> Result<Timestamp> {
    match text.contains('T') {
        true => Timestamp::parse(text).or_else(|_| Zone::UTC.local(text).map(|local| local.earliest())),
        false => zone.local(text).map(|local| local.earliest()),
    }
}

/// An amount: `{"amount":"6328.00","code":"CAD"}`, or a bare number in `currency`, as in old versions.
pub(super) fn money(from: &Object<'_>, name: &str, currency: Option<Currency>) -> Option<Money> {
    if !from.raw(name)?.get().starts_with('{') {
        return from.money(name, currency);
    }
    let pair = from.object(name)?;
    pair.money("amount", pair.currency("code").or(currency))
}

/// The number of an amount.
pub(super) fn amount(from: &Object<'_>, name: &str, currency: Option<Currency>) -> Option<Decimal> {
    money(from, name, currency).map(|money| money.amount)
}

/// Two amounts together; `None` when there are none, or they are in different currencies.
pub(super) fn sum([one, other]: [Option<Money>; 2]) -> Option<Money> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
    let amount = one.amount.checked_add(other.amount).filter(|_| one.currency == other.currency)?;
    Some(Money::new(amount, one.currency))
}

/// An id of something else. FreshBooks writes 0 where there is none.
pub(super) fn reference(from: &Object<'_>, name: &str) -> Option<String> {
    from.some_text(name).filter(|id| id != "0")
}

/// A name of people: the organization's, else their own.
pub(super) fn name(from: &Object<'_>, organizations: &[&str]) -> Option<String> {
    let organization = organizations.iter().find_map(|name| from.some_text(name));
    organization.or_else(|| {
        let names = ["fname", "lname"].map(|name| from.text(name));
        Some(names.join(" ").trim().to_owned()).filter(|name| !name.is_empty())
    })
}

/// The names of the members that an address is in: two lines, city, region, postal code, country.
pub(super) fn address(from: &Object<'_>, names: [&str; 6]) -> Option<Address> {
    let [street, street2, city, region, code, country] = names.map(|name| from.some_text(name));
    let mut address = Address::default();
    address.lines = street.into_iter().chain(street2).collect();
    (address.city, address.region) = (city, region);
    (address.postal_code, address.country) = (code, country);
    address.unless_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_means_another_instant_in_each_zone_and_a_repeated_hour_is_the_earlier() {
        let at = |text: &str, zone: &Zone| time(text, zone).map(|at| at.to_string());
        let eastern = eastern().unwrap();
        assert_eq!(at("2026-06-29 12:52:44", eastern).unwrap(), "2026-06-29T16:52:44Z");
        assert_eq!(at("2026-06-29 12:52:44.256995", eastern).unwrap(), "2026-06-29T16:52:44.256Z");
        assert_eq!(at("2026-12-29 12:52:44", eastern).unwrap(), "2026-12-29T17:52:44Z");
        assert_eq!(at("2026-11-01 01:30:00", eastern).unwrap(), "2026-11-01T05:30:00Z");
        assert_eq!(at("2026-06-29 16:44:12", &Zone::UTC).unwrap(), "2026-06-29T16:44:12Z");
        assert_eq!(at("2026-06-22T08:47:04.668Z", eastern).unwrap(), "2026-06-22T08:47:04.668Z");
        assert_eq!(at("2020-11-19T13:22:04", eastern).unwrap(), "2020-11-19T13:22:04Z");
        for text in ["2026-06-29 08:16:74", "2026-06-29", "soon"] {
            assert!(at(text, eastern).is_err(), "{text}");
        }
    }
}
