//! Exact decimals of up to 38 digits.

use std::{cmp::Ordering, fmt};

/// What DECIMAL holds at most.
pub(crate) const MAX_PRECISION: u8 = 38;

/// `units / 10^scale`, with at most 38 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    pub(crate) units: i128,
    pub(crate) scale: u8,
}

/// A number as written, before it is brought to a scale.
#[derive(Debug)]
pub(crate) struct Written {
    negative: bool,
    /// Without leading zeros.
    digits: Vec<u8>,
    exponent: i64,
}

impl Written {
    /// Reads `-12.50`, `1e3`, `.5`. Nothing else: no blanks, no thousands separators.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut digits = Vec::with_capacity(mantissa.len());
        for byte in whole.bytes().chain(fraction.bytes()) {
            match byte {
                b'0' if digits.is_empty() => {}
                b'0'..=b'9' => digits.push(byte - b'0'),
                _ => return None,
            }
        }
        let fraction = i64::try_from(fraction.len()).ok()?;
        Some(Self { negative, digits, exponent: exponent - fraction })
    }

    /// Rounded half up to a scale; `None` when it does not fit the precision.
    pub(crate) fn rounded(&self, precision: u8, scale: u8) -> Option<Decimal> {
        let shift = self.exponent + i64::from(scale);
        let len = i64::try_from(self.digits.len()).ok()?;
        let (kept, zeros, up) = match usize::try_from(shift) {
            Ok(zeros) => (&self.digits[..], if len == 0 { 0 } else { zeros }, false),
            Err(_) if -shift > len => (&self.digits[..0], 0, false),
            Err(_) => {
                let kept = usize::try_from(len + shift).ok()?;
                (&self.digits[..kept], 0, self.digits[kept..].first().is_some_and(|digit| *digit >= 5))
            }
        };
        if kept.len() + zeros > usize::from(MAX_PRECISION) {
            return None;
        }
        let mut units = kept.iter().fold(0_i128, |units, digit| units * 10 + i128::from(*digit));
        units = units.checked_mul(pow10(u8::try_from(zeros).ok()?))? + i128::from(up);
        Decimal { units: if self.negative { -units } else { units }, scale }.within(precision)
    }

    /// With as many decimals as were written, for a literal.
    pub(crate) fn exact(&self) -> Option<Decimal> {
        let scale = u8::try_from((-self.exponent).max(0)).ok()?;
        if scale > MAX_PRECISION { None } else { self.rounded(MAX_PRECISION, scale) }
    }
}

/// An exponent so large that only zero survives it is cut to one that is large enough.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.trim_start_matches('0');
    let value = if value.len() > 6 { 1_000_000 } else { value.parse().unwrap_or(0) };
    Some(if text.starts_with('-') { -value } else { value })
}

/// A power of ten; 38 at most.
pub(crate) fn pow10(exponent: u8) -> i128 {
    10_i128.pow(u32::from(exponent.min(MAX_PRECISION)))
}

impl Decimal {
    pub(crate) fn whole(value: i64) -> Self {
        Self { units: i128::from(value), scale: 0 }
    }

    /// Itself, unless it has more digits.
    pub(crate) fn within(self, precision: u8) -> Option<Self> {
        (self.units.unsigned_abs() < pow10(precision).unsigned_abs()).then_some(self)
    }

    /// Rounded half up to a scale; `None` when it does not fit the precision.
    pub(crate) fn rescaled(self, precision: u8, scale: u8) -> Option<Self> {
        let units = if scale >= self.scale {
            self.units.checked_mul(pow10(scale - self.scale))?
        } else {
            divided(self.units, pow10(self.scale - scale))
        };
        Self { units, scale }.within(precision)
    }

    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.rescaled(MAX_PRECISION, scale)?, other.rescaled(MAX_PRECISION, scale)?);
        Self { units: left.units.checked_add(right.units)?, scale }.within(MAX_PRECISION)
    }

    pub(crate) fn checked_mul(self, other: Self) -> Option<Self> {
        Some(Self { units: self.units.checked_mul(other.units)?, scale: self.scale + other.scale })
    }

    /// Divided, with a scale. `None` for a zero divisor or too many digits.
    pub(crate) fn checked_div(self, other: Self, scale: u8) -> Option<Self> {
        let shift = i32::from(scale) + i32::from(other.scale) - i32::from(self.scale);
        let by = pow10(u8::try_from(shift.unsigned_abs()).ok()?);
        let (units, divisor) = if shift >= 0 {
            (self.units.checked_mul(by)?, other.units)
        } else {
            (self.units, other.units.checked_mul(by)?)
        };
        (divisor != 0).then(|| Self { units: divided(units, divisor), scale })
    }

    /// The part before the point.
    pub(crate) fn truncated(self) -> i128 {
        self.units / pow10(self.scale)
    }

    pub(crate) fn compared(self, other: Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.units / pow10(self.scale), other.units / pow10(other.scale));
        left.cmp(&right).then_with(|| {
            let part = |of: Self| (of.units % pow10(of.scale)) * pow10(scale - of.scale);
            part(self).cmp(&part(other))
        })
    }

    /// Without idle zeros.
    pub(crate) fn normalized(mut self) -> Self {
        while self.scale > 0 && self.units % 10 == 0 {
            self.units /= 10;
            self.scale -= 1;
        }
        self
    }
}

/// Rounds half away from zero.
fn divided(units: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (units / divisor, units % divisor);
    let up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    match (up, (units < 0) == (divisor < 0)) {
        (false, _) => quotient,
        (true, true) => quotient + 1,
        (true, false) => quotient - 1,
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let (units, scale) = (self.units.unsigned_abs(), usize::from(self.scale));
        if scale == 0 {
            return write!(f, "{sign}{units}");
        }
        let digits = format!("{units:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_rounded_half_up_and_never_loses_a_digit_that_fits() {
        for (text, precision, scale, expected) in [
            ("12.345", 18, 2, Some("12.35")),
            ("-12.345", 18, 2, Some("-12.35")),
            ("12.344999", 18, 2, Some("12.34")),
            ("0.004", 18, 2, Some("0.00")),
            ("0.005", 18, 2, Some("0.01")),
            ("1e3", 18, 2, Some("1000.00")),
            ("1E-3", 18, 4, Some("0.0010")),
            ("99999999999999.9999", 18, 4, Some("99999999999999.9999")),
            ("99999999999999.99995", 18, 4, None),
            ("99999999999999999999999999999999999999", 38, 0, Some("99999999999999999999999999999999999999")),
            ("9999999999999999999999999999999999999999", 38, 0, None),
            ("0e999999999999", 38, 0, Some("0")),
            ("1e-999999999999", 38, 9, Some("0.000000000")),
            ("1e999999999999", 38, 0, None),
            ("00012.50", 4, 2, Some("12.50")),
        ] {
            let read = Written::parse(text).unwrap().rounded(precision, scale);
            assert_eq!(read.map(|decimal| decimal.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "NaN", "Infinity", "1,234", "1e", "0x1F", "१२", " 1", "1.2.3"] {
            assert!(Written::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn values_of_different_scales_compare_by_value() {
        let dec = |text: &str| Written::parse(text).unwrap().exact().unwrap();
        assert_eq!(dec("1.10").compared(dec("1.1")), Ordering::Equal);
        assert_eq!(dec("-0.5").compared(dec("-0.49")), Ordering::Less);
        let large = dec("99999999999999999999999999999999999999");
        assert_eq!(large.compared(dec("0.00000000000000000001")), Ordering::Greater);
    }
}
