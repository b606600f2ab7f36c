use proptest::prelude::*;

use super::*;

fn check(token: &str, expected: Option<&str>) {
    let token = RawValue::from_string(token.to_owned()).unwrap();
    let read = decimal_from_json(&token).unwrap().map(|decimal| decimal.to_string());
    assert_eq!(read.as_deref(), expected, "{token}");
}

#[test]
fn digits_and_scale_are_kept_in_every_shape() {
    check("99999999999999.99", Some("99999999999999.99"));
    check("123456789012345.67", Some("123456789012345.67"));
    check("10.00", Some("10.00"));
    check("598", Some("598"));
    check("-0.30", Some("-0.30"));
    check("1.5e3", Some("1500"));
    check("\"8200.125\"", Some("8200.125"));
    check("\"\"", None);
    check("null", None);
    check("7.60133524082021936099189318", Some("7.60133524082021936099189318"));
}

#[test]
fn anything_else_is_refused() {
    for token in ["true", "\"1,250.50\"", "\"abc\"", "[1]", "{}", "1e400", &"1".repeat(5000)] {
        let token = RawValue::from_string((*token).to_owned()).unwrap();
        assert!(decimal_from_json(&token).is_err(), "{token}");
    }
}

#[test]
fn text_shows_the_currency_s_own_decimals() {
    for (amount, currency, text) in [
        ("1250.5", "USD", "1250.50 USD"),
        ("598", "eur", "598.00 EUR"),
        ("598.000", "JPY", "598 JPY"),
        ("1.2345", "USD", "1.2345 USD"),
        ("0.1", "KWD", "0.100 KWD"),
    ] {
        assert_eq!(Money::parse(amount, currency).unwrap().to_string(), text);
    }
}

#[test]
fn money_survives_a_round_trip_with_its_scale() {
    let json = r#"{"amount":"10.00","currency":"USD"}"#;
    let money: Money = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&money).unwrap(), json);
}

/// An amount that is not what the vendor wrote is worse than none: its reader keeps the text, and says so.
#[test]
fn more_digits_than_fit_are_refused_and_never_rounded() {
    for text in [
        "0.00000000000000000000000000005",
        "-0.00000000000000000000000000025",
        "0.123456789012345678901234567890123",
        "0.123456789012345678901234567855e1",
        "1.4210854715202004e-14",
        "79228162514264337593543950336",
        "1234567890123456789012345678.95",
        "12345678901234567890123456789.5",
        "7922816251426433759354395033.55",
        &"9".repeat(40),
    ] {
        let token = RawValue::from_string(text.to_owned()).unwrap();
        assert!(decimal_from_json(&token).is_err(), "{text}");
        let refused = Money::parse(text, "EUR").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{text}");
        let json = format!(r#"{{"amount":"{text}","currency":"EUR"}}"#);
        assert!(serde_json::from_str::<Money>(&json).is_err(), "{text}");
    }
}

#[test]
fn exponents_are_exact() {
    check("79228162514264337593543950335", Some("79228162514264337593543950335"));
    check("-79228162514264337593543950335", Some("-79228162514264337593543950335"));
    check("1E+2", Some("100"));
    check("125e-2", Some("1.25"));
    check("-0", Some("0"));
    check("0.00", Some("0.00"));
    check("\" 12.50 \"", Some("12.50"));
}

proptest! {
    #[test]
    fn no_json_token_panics(text in "\\PC{0,100}|\"?[-+0-9.eE]{0,80}\"?") {
        if let Ok(token) = RawValue::from_string(text.clone()) {
            let _ = decimal_from_json(&token);
        }
        let _ = Money::parse(&text, "EUR");
        let _ = Currency::parse(&text);
    }

    #[test]
    fn up_to_28_digits_come_back_as_they_were_written(
        mantissa in -9_999_999_999_999_999_999_999_999_999_i128..=9_999_999_999_999_999_999_999_999_999,
        scale in 0..=28_u32,
        quoted in any::<bool>(),
    ) {
        let written = Decimal::from_i128_with_scale(mantissa, scale).to_string();
        let token = if quoted { format!("\"{written}\"") } else { written.clone() };
        let read = decimal_from_json(&RawValue::from_string(token).unwrap()).unwrap().unwrap();
        prop_assert_eq!(read.to_string(), written);
    }

    /// Whatever is read is what was written, to the last digit.
    #[test]
    fn no_digits_are_ever_changed(whole in "[1-9][0-9]{0,30}", part in "[0-9]{0,31}[1-9]") {
        let written = format!("{whole}.{part}");
        if let Ok(read) = Money::parse(&written, "EUR") {
            prop_assert_eq!(read.amount.to_string(), written);
        }
    }

    #[test]
    fn money_comes_back_from_json_and_from_its_text(mantissa in any::<i64>(), scale in 0..=12_u32) {
        let money = Money::new(Decimal::new(mantissa, scale), Currency::parse("EUR").unwrap());
        let json = serde_json::to_string(&money).unwrap();
        let read: Money = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read, money);
        prop_assert_eq!(read.amount.scale(), scale);
        let text = money.to_string();
        let (amount, currency) = text.split_once(' ').unwrap();
        prop_assert_eq!(Money::parse(amount, currency).unwrap(), money);
    }
}
