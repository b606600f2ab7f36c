//! Amounts as bytes that sort as the amounts do, for stores that cannot compare decimals.

use rust_decimal::Decimal;

/// What every key of an amount above zero exceeds, and every one below zero does not reach.
const ZERO: u8 = 0x80;
/// The first byte of the key of an amount from 0.1 to 1; one more for each digit before the point.
const ONE_TENTH: i16 = 0xa0;
/// Ends the key of an amount below zero: larger than any byte of its digits.
const END: u8 = 0xff;

/// The key of an amount: compared byte by byte, keys are in the order of their amounts, and equal amounts have the same
/// key. A few bytes long.
///
/// ```
/// use ml_connector_core::audit::amount_key;
/// use rust_decimal::Decimal;
///
/// let key = |mantissa, scale| amount_key(Decimal::new(mantissa, scale));
/// assert!(key(-25, 1) < key(9, 0) && key(9, 0) < key(10, 0), "-2.5 < 9 < 10");
/// assert_eq!(key(7, 0), key(700, 2), "7 = 7.00");
/// ```
#[must_use]
pub fn amount_key(amount: Decimal) -> Vec<u8> {
    if amount.is_zero() {
        return vec![ZERO];
    }
    let digits = amount.mantissa().unsigned_abs().to_string();
    let before_point = i16::try_from(digits.len()).unwrap_or(i16::MAX) - scale(amount);
    let mut key = vec![u8::try_from(ONE_TENTH + before_point).unwrap_or(u8::MAX)];
    // One more than each pair, so that no byte is zero.
    let pair = |pair: &[u8]| 1 + (pair[0] - b'0') * 10 + pair.get(1).map_or(0, |digit| digit - b'0');
    key.extend(digits.trim_end_matches('0').as_bytes().chunks(2).map(pair));
    if amount.is_sign_negative() {
        key.iter_mut().for_each(|byte| *byte = !*byte);
        key.push(END);
    }
    key
}

/// The amount of a key; `None` = these bytes are no key.
#[must_use]
pub fn amount_of_key(key: &[u8]) -> Option<Decimal> {
    let (&first, digits) = key.split_first()?;
    if first == ZERO {
        return digits.is_empty().then_some(Decimal::ZERO);
    }
    if first < ZERO {
        let (end, digits) = digits.split_last()?;
        let positive: Vec<u8> = [first].iter().chain(digits).map(|byte| !byte).collect();
        return if *end == END { amount_of_key(&positive).map(|amount| -amount) } else { None };
    }
    let before_point = i16::from(first) - ONE_TENTH;
    let mut mantissa = 0_i128;
    for byte in digits {
        let pair = byte.checked_sub(1).filter(|pair| *pair < 100)?;
        mantissa = mantissa.checked_mul(100)?.checked_add(pair.into())?;
    }
    let scale = i16::try_from(digits.len() * 2).ok()? - before_point;
    let (mut mantissa, mut scale) = (Some(mantissa).filter(|mantissa| *mantissa > 0)?, scale);
    while scale > 0 && mantissa % 10 == 0 {
        (mantissa, scale) = (mantissa / 10, scale - 1);
    }
    while scale < 0 {
        (mantissa, scale) = (mantissa.checked_mul(10)?, scale + 1);
    }
    Decimal::try_from_i128_with_scale(mantissa, u32::try_from(scale).ok()?).ok()
}

fn scale(amount: Decimal) -> i16 {
    i16::try_from(amount.scale()).unwrap_or(i16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount() -> impl Strategy<Value = Decimal> {
        let of = |mantissa: i128, scale| Decimal::from_i128_with_scale(mantissa, scale);
        prop_oneof![
            (-2000..2000_i128, 0..4_u32).prop_map(move |(mantissa, scale)| of(mantissa, scale)),
            (any::<i64>(), 0..29_u32).prop_map(move |(mantissa, scale)| of(mantissa.into(), scale)),
            Just(Decimal::MAX),
            Just(Decimal::MIN),
        ]
    }

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_their_amounts(a in amount(), b in amount()) {
            prop_assert_eq!(amount_key(a).cmp(&amount_key(b)), a.cmp(&b), "{} and {}", a, b);
        }

        #[test]
        fn a_key_leads_back_to_its_amount(amount in amount()) {
            prop_assert_eq!(amount_of_key(&amount_key(amount)), Some(amount));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let _ = amount_of_key(&bytes);
        }
    }
}
