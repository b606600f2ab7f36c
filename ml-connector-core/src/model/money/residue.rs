//! What binary fractions leave behind in amounts.

use std::str::FromStr;

use super::{Decimal, MAX_DIGITS};

/// A binary fraction of 64 bits has 15 reliable digits. What is behind them is residue.
const RELIABLE_DIGITS: u32 = 15;

/// Reads a number without rounding it. `None` when it is none, or has more digits than fit.
///
/// ```
/// use ml_connector_core::model::exact_decimal;
///
/// assert_eq!(exact_decimal("1.5e2"), "150".parse().ok());
/// assert_eq!(exact_decimal("0.1234567890123456789012345678901234567890"), None);
/// ```
#[must_use]
pub fn exact_decimal(text: &str) -> Option<Decimal> {
    let plain = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    if text.is_empty() || text.len() > MAX_DIGITS || !plain {
        return None;
    }
    Decimal::from_str_exact(text).ok().or_else(|| with_exponent(text))
}

/// A number with an exponent, which the library would round.
fn with_exponent(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let number = Decimal::from_str_exact(mantissa).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let (mut digits, mut scale) = (number.mantissa(), i64::from(number.scale()) - i64::from(exponent));
    if digits == 0 {
        return Some(Decimal::ZERO);
    }
    while scale > i64::from(Decimal::MAX_SCALE) && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    while scale < 0 {
        (digits, scale) = (digits.checked_mul(10)?, scale + 1);
    }
    Decimal::try_from_i128_with_scale(digits, u32::try_from(scale).ok()?).ok()
}

/// The amount in the smallest unit of its currency, where nothing but the residue of a binary fraction is apart from
/// it; `None` where something else is, or the text is no number. `decimals` are those of the currency.
///
/// ```
/// use ml_connector_core::model::without_residue;
///
/// assert_eq!(without_residue("249.97999999999999", 2), "249.98".parse().ok());
/// assert_eq!(without_residue("2.8421709430404007E-14", 2), "0".parse().ok());
/// assert_eq!(without_residue("1250.505", 2), None); // half a cent is a price
/// ```
#[must_use]
pub fn without_residue(text: &str, decimals: u32) -> Option<Decimal> {
    if text.len() > MAX_DIGITS {
        return None;
    }
    // With an exponent, a residue may have more decimals than fit; they are below every unit.
    let amount = exact_decimal(text)
        .or_else(|| Decimal::from_scientific_lossy(text).or_else(|_| Decimal::from_str(text)).ok())
        .or_else(|| is_far_below_one(text).then_some(Decimal::ZERO))?;
    let rounded = amount.round_dp(decimals);
    let apart = (amount - rounded).abs();
    let tiny = apart <= Decimal::new(1, decimals + 6);
    let long = digits(text) >= RELIABLE_DIGITS && digits(text) <= RELIABLE_DIGITS + 2;
    if apart.is_zero() {
        return Some(amount); // with the digits that were written
    }
    (tiny || long && apart <= Decimal::new(1, decimals + 3)).then_some(rounded)
}

/// The number without what a binary fraction leaves behind its reliable digits. Whole numbers stay.
///
/// For comparing: two spellings of one binary fraction are one number.
#[must_use]
pub fn reliable(number: Decimal) -> Decimal {
    let number = number.normalize();
    if number.scale() == 0 {
        return number;
    }
    if number.abs() < Decimal::new(1, 9) {
        return Decimal::ZERO;
    }
    number.round_sf(RELIABLE_DIGITS).unwrap_or(number).normalize()
}

/// Whether a number has an exponent that puts it below everything that a decimal can hold.
fn is_far_below_one(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let mantissa = exact_decimal(mantissa).is_some_and(|mantissa| mantissa.abs() < Decimal::TEN);
    mantissa && exponent.parse::<i32>().is_ok_and(|exponent| exponent <= -28)
}

/// How many digits are written, less leading zeros and the exponent.
fn digits(text: &str) -> u32 {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let written = mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0');
    u32::try_from(written.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn residue_ends_at_the_smallest_unit_and_prices_stay() {
        for (text, decimals, expected) in [
            ("249.98", 2, Some("249.98")),
            ("249.97999999999999", 2, Some("249.98")),
            ("0.30000000000000004", 2, Some("0.30")),
            ("1234567890.1200001", 2, Some("1234567890.12")),
            ("-2.8421709430404007E-14", 2, Some("0")),
            ("1e-300", 2, Some("0")),
            ("99.99999999999999", 0, Some("100")),
            ("1.2345", 3, None),
            ("1250.505", 2, None),
            ("0.1234567890123456789012345678901234567890", 2, None),
            ("1234567890123456789012345678901234567890", 2, None),
            ("many", 2, None),
            ("", 2, None),
        ] {
            assert_eq!(without_residue(text, decimals), expected.map(decimal), "{text}");
        }
        assert_eq!(without_residue("10.00", 2).unwrap().to_string(), "10.00", "the vendor's digits");
        assert_eq!(without_residue("10", 2).unwrap().to_string(), "10");
    }

    #[test]
    fn numbers_are_compared_by_their_reliable_digits() {
        for (one, other) in [("0.30000000000000004", "0.3"), ("0.00000000000002842", "0"), ("10.00", "10")] {
            assert_eq!(reliable(decimal(one)), decimal(other), "{one}");
        }
        for kept in ["481500000000103001", "0.00123", "1250.5"] {
            assert_eq!(reliable(decimal(kept)), decimal(kept), "{kept}");
        }
    }

    #[test]
    fn nothing_is_rounded_to_fit() {
        assert_eq!(exact_decimal("1e400"), None);
        assert_eq!(exact_decimal("1.5E3"), Some(decimal("1500")));
        assert_eq!(exact_decimal("0.123456789012345678901234567855e1"), None);
        assert_eq!(exact_decimal("12e-29"), None);
        assert_eq!(exact_decimal("120e-29"), Some(decimal("0.0000000000000000000000000012")));
        assert_eq!(exact_decimal("0e400"), Some(Decimal::ZERO));
        assert_eq!(exact_decimal("-7.9e28"), Some(decimal("-79000000000000000000000000000")));
        assert_eq!(exact_decimal("8e28"), None);
        assert_eq!(exact_decimal(" 1"), None);
        assert_eq!(exact_decimal("1,5"), None);
    }
}
