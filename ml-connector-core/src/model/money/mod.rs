//! Money as the vendor wrote it: decimal digits and a currency, never a binary fraction.

mod residue;

use std::fmt;

pub use residue::{exact_decimal, reliable, without_residue};
pub use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use crate::{Error, ErrorKind, Result};

/// An ISO 4217 currency code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads three letters, in either case.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the text is anything else.
    pub fn parse(code: &str) -> Result<Self> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_alphabetic) => {
                Ok(Self(letters.map(|letter| letter.to_ascii_uppercase())))
            }
            _ => Err(Error::new(ErrorKind::InvalidRequest, "expected a currency code of three letters")
                .with_context("chars", code.len())),
        }
    }

    /// The code in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many decimals amounts in this currency are written with (ISO 4217).
    #[must_use]
    pub fn minor_units(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF"
            | b"UGX" | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'_, str>::deserialize(from)?;
        Self::parse(&code).map_err(de::Error::custom)
    }
}

/// An amount in a currency. Amounts of different currencies do not compare. `Debug` shows the currency only.
///
/// Serialised with the amount as text (`{"amount":"1250.50","currency":"USD"}`), because JSON numbers pass
/// through binary fractions in most programs.
///
/// ```
/// use ml_connector_core::model::{Currency, Money};
///
/// let money = Money::parse("1250.5", "usd")?;
/// assert_eq!(money.to_string(), "1250.50 USD");
/// assert_eq!(money, Money::parse("1250.50", "USD")?);
/// assert!(money > Money::parse("99", "USD")?);
/// assert_eq!(money.partial_cmp(&Money::parse("99", "EUR")?), None);
/// # Ok::<_, ml_connector_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// The amount, with the digits that were read.
    pub amount: Decimal,
    /// Its currency.
    pub currency: Currency,
}

impl Money {
    /// An amount in a currency.
    #[must_use]
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Reads an amount and a currency code. Nothing is ever rounded.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when either is malformed, or the amount has more digits than fit into 28 decimals and 96
    /// bits.
    pub fn parse(amount: &str, currency: &str) -> Result<Self> {
        Ok(Self { amount: decimal(amount)?, currency: Currency::parse(currency)? })
    }
}

impl PartialOrd for Money {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self.currency == other.currency).then(|| self.amount.cmp(&other.amount))
    }
}

impl fmt::Display for Money {
    /// At least the currency's own decimals, and more where the amount has more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut amount = self.amount.normalize();
        if amount.scale() < self.currency.minor_units() {
            amount.rescale(self.currency.minor_units());
        }
        write!(f, "{amount} {}", self.currency)
    }
}

/// An amount is the customer's business: it is written where somebody asks for it by `Display`, and not into logs with
/// whatever holds it.
impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({})", self.currency)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredMoney {
    amount: String,
    currency: Currency,
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        StoredMoney { amount: self.amount.to_string(), currency: self.currency }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let StoredMoney { amount, currency } = StoredMoney::deserialize(from)?;
        Ok(Self { amount: decimal(&amount).map_err(de::Error::custom)?, currency })
    }
}

/// Reads a decimal from a JSON token, digit by digit: a number, also with an exponent, or a string holding
/// one. `null` and `""` are `None`.
///
/// Nothing is ever rounded: what does not fit into 28 decimals and 96 bits is an error, and its reader keeps the text.
///
/// # Errors
/// [`ErrorKind::InvalidResponse`] when the token is anything else, or has more digits than fit.
pub fn decimal_from_json(token: &RawValue) -> Result<Option<Decimal>> {
    let text = token.get();
    let text = match text.as_bytes() {
        b"null" | b"\"\"" => return Ok(None),
        [b'"', .., b'"'] => text[1..text.len() - 1].trim(),
        _ => text,
    };
    decimal(text).map(Some).map_err(|_| {
        Error::new(ErrorKind::InvalidResponse, "expected a decimal number").with_context("chars", text.len())
    })
}

/// Longer tokens are no amounts; the bound keeps a hostile sender from making us compute.
const MAX_DIGITS: usize = 64;

fn decimal(text: &str) -> Result<Decimal> {
    let malformed = || {
        Error::new(ErrorKind::InvalidRequest, "expected a decimal number of at most 28 digits")
            .with_context("chars", text.len())
    };
    exact_decimal(text).ok_or_else(malformed)
}

#[cfg(test)]
mod tests;
