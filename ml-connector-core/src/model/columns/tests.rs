use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn raw(json: &str) -> Raw {
    Raw::new(RawValue::from_string(json.into()).unwrap())
}

/// What a column reads from a member of a record.
fn read(kind: ColumnType, json: &str) -> Result<Value<'static>> {
    let columns = Columns::new(RecordKind::Item, "items", "").with(Column::new("x", kind, "/x"));
    let raw = raw(&format!(r#"{{"x":{json}}}"#));
    let value = columns.read(&raw)?.remove(0);
    Ok(match value {
        Value::String(text) => Value::String(text.into_owned().into()),
        Value::Decimal(text) => Value::Decimal(text.into_owned().into()),
        Value::Date(text) => Value::Date(text.into_owned().into()),
        Value::Timestamp(text) => Value::Timestamp(text),
        Value::BigInt(n) => Value::BigInt(n),
        Value::Boolean(yes) => Value::Boolean(yes),
        Value::Null | Value::List(_) => Value::Null,
    })
}

fn decimal(json: &str, precision: u8, scale: u8) -> Option<String> {
    match read(ColumnType::Decimal { precision, scale }, json).ok()? {
        Value::Decimal(digits) => Some(digits.into_owned()),
        Value::Null => Some("null".into()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn decimals_keep_their_digits_or_are_refused() {
    for (json, digits) in [
        ("1250.50", "1250.50"),
        ("\"1250.50\"", "1250.50"),
        ("-0.10", "-0.10"),
        ("0", "0"),
        ("99999999999999999999999999999999.999999", "99999999999999999999999999999999.999999"),
        ("1e3", "1000"),
        ("1.5E-3", "0.0015"),
        ("-12.5e1", "-125"),
        ("\"+7.10\"", "7.1"),
        ("\".5\"", "0.5"),
        ("0.1000000000", "0.1"),
        ("-0.00000000", "0"),
        ("0e999", "0"),
        ("\"007\"", "007"),
        ("\"\"", "null"),
        ("null", "null"),
    ] {
        assert_eq!(decimal(json, 38, 6).as_deref(), Some(digits), "{json}");
    }
    for refused in [
        "0.1234567",
        "1e40",
        "1e-7",
        "1e2147483648",
        "1234567890123456789012345678901234567890",
        "\"NaN\"",
        "\"Infinity\"",
        "\"-\"",
        "\"1,234.50\"",
        "\"1 000\"",
        "\"0x10\"",
        "\".\"",
        "true",
        "[1]",
        "{}",
        "\"١\"",
    ] {
        let error = read(ColumnType::Decimal { precision: 38, scale: 6 }, refused).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("column")),
            (ErrorKind::InvalidRequest, Some("x")),
            "{refused}"
        );
        assert!(!error.to_string().contains("1234"), "{error}");
    }
}

#[test]
fn what_binary_fractions_leave_behind_is_rounded_where_a_vendor_computes_so() {
    let columns = Columns::new(RecordKind::Item, "items", "").with(Column::decimal("x", "/x", 2).rounded());
    for (json, digits) in [
        ("249.97999999999999", "249.98"),
        ("-0.995", "-1"),
        ("999.999", "1000"),
        ("2.842170943040401e-14", "0"),
        ("-1e-300", "0"),
        ("0.005", "0.01"),
        ("0.0049", "0"),
        ("12.30", "12.30"),
    ] {
        let raw = raw(&format!(r#"{{"x":{json}}}"#));
        assert_eq!(columns.read(&raw).unwrap(), [Value::Decimal(digits.into())], "{json}");
    }
    assert!(columns.read(&raw(r#"{"x":1e300}"#)).is_err());
    assert!(columns.read(&raw(&format!(r#"{{"x":{}.999}}"#, "9".repeat(36)))).is_err());
}

#[test]
fn other_types_take_what_vendors_write_and_nothing_else() {
    let string = |json| read(ColumnType::String, json).unwrap();
    assert_eq!(string(r#""it's \"so\" \u00e9""#), Value::String("it's \"so\" é".into()));
    assert_eq!(string("1.10"), Value::String("1.10".into()));
    assert_eq!(string(r#"{"a":[1.0]}"#), Value::String(r#"{"a":[1.0]}"#.into()));
    assert_eq!(string(r#""""#), Value::String("".into()));
    for (kind, json, value) in [
        (ColumnType::Boolean, "true", Value::Boolean(true)),
        (ColumnType::Boolean, r#""false""#, Value::Boolean(false)),
        (ColumnType::BigInt, "30", Value::BigInt(30)),
        (ColumnType::BigInt, r#""-9223372036854775808""#, Value::BigInt(i64::MIN)),
        (ColumnType::BigInt, "5.0", Value::BigInt(5)),
        (ColumnType::Date, r#""2026-02-28""#, Value::Date("2026-02-28".into())),
        (ColumnType::Date, r#""2026-02-28T10:00:00Z""#, Value::Date("2026-02-28".into())),
        (ColumnType::Date, r#""""#, Value::Null),
        (
            ColumnType::Timestamp,
            r#""2026-03-12T10:05:00-0400""#,
            Value::Timestamp("2026-03-12T14:05:00Z".into()),
        ),
        (
            ColumnType::Timestamp,
            r#""2026-03-12T10:05:00.1234567+05:30""#,
            Value::Timestamp("2026-03-12T04:35:00.123456Z".into()),
        ),
        (
            ColumnType::Timestamp,
            r#""1969-12-31T23:59:59.25Z""#,
            Value::Timestamp("1969-12-31T23:59:59.25Z".into()),
        ),
    ] {
        assert_eq!(read(kind, json).unwrap(), value, "{json}");
    }
    for (kind, json) in [
        (ColumnType::Boolean, "1"),
        (ColumnType::BigInt, "9223372036854775808"),
        (ColumnType::BigInt, "5.5"),
        (ColumnType::Date, r#""2026-02-30""#),
        (ColumnType::Date, r#""20260228""#),
        (ColumnType::Date, r#""/Date(1)/""#),
        (ColumnType::Timestamp, r#""2026-03-12T10:05:00""#),
        (ColumnType::Timestamp, "1773324300"),
    ] {
        assert!(read(kind, json).is_err(), "{json}");
    }
}

#[test]
fn lists_and_members_of_members_are_found_in_one_pass() {
    let columns = Columns::new(RecordKind::Invoice, "invoices", "")
        .with(Column::string("city", "/address/city"))
        .with(Column::string("address", "/address"))
        .with(Column::string("city_again", "/address/city"))
        .with(Column::list("lines", "/lines", [Column::decimal("rate", "/price/rate", 2)]))
        .with(Column::list("tags", "/tags", [Column::string("tag", "")]))
        .with(Column::string("odd", "/a~1b"));
    columns.validate().unwrap();
    let whole = raw(
        r#"{"tags":["a","b"],"address":{"city":"Delft"},"lines":[{"price":{"rate":1.10}},{}],"a/b":1,"x":{"city":2}}"#,
    );
    let text = |text: &'static str| Value::String(text.into());
    assert_eq!(
        columns.read(&whole).unwrap(),
        [
            text("Delft"),
            text(r#"{"city":"Delft"}"#),
            text("Delft"),
            Value::List(vec![vec![Value::Decimal("1.10".into())], vec![Value::Null]]),
            Value::List(vec![vec![text("a")], vec![text("b")]]),
            text("1"),
        ]
    );
    for nothing in ["{}", "[]", "7", r#"{"lines":null,"tags":"","address":null}"#] {
        assert_eq!(columns.read(&raw(nothing)).unwrap(), vec![Value::Null; 6], "{nothing}");
    }
    let wrong = columns.read(&raw(r#"{"lines":[{"price":{"rate":"much"}}]}"#)).unwrap_err();
    assert_eq!((wrong.context("column"), wrong.context("of")), (Some("rate"), Some("lines")));
    assert!(columns.read(&raw(r#"{"lines":7}"#)).is_err());
}

#[test]
fn a_row_of_a_list_is_told_from_a_whole_record_and_what_is_required_is() {
    let columns = Columns::new(RecordKind::Bill, "bills", "")
        .whole_with("/line_items")
        .with(Column::string("id", "/bill_id").required());
    for (json, whole) in [(r#"{"line_items":[],"bill_id":"7"}"#, true), (r#"{"bill_id":"7"}"#, false)] {
        let raw = raw(json);
        assert_eq!((columns.is_whole(&raw), columns.read_with_form(&raw).unwrap().1), (whole, whole));
    }
    assert_eq!(columns.read(&raw("{}")).unwrap_err().context("column"), Some("id"));
}

#[test]
fn names_and_precisions_that_no_warehouse_takes_are_refused() {
    let good = Column::string("a", "/a");
    for wrong in [
        Column::string("A", "/a"),
        Column::string("_id", "/a"),
        Column::string("a`b", "/a"),
        Column::string("", "/a"),
        Column::string("b", "a"),
        Column::string("a", "/b"),
        Column::decimal("b", "/b", 39),
        Column::list("b", "/b", []),
        Column::list("b", "/b", [Column::string("C", "")]),
    ] {
        let columns = Columns::new(RecordKind::Item, "items", "").with(good.clone()).with(wrong.clone());
        assert_eq!(columns.validate().unwrap_err().kind(), ErrorKind::ConfigInvalid, "{wrong:?}");
    }
    assert!(Columns::new(RecordKind::Item, "the items", "").validate().is_err());
}

proptest! {
    #[test]
    fn a_decimal_that_is_taken_has_the_value_that_was_written(
        whole in 0_u64..1_000_000, fraction in "[0-9]{0,8}", exponent in -6_i32..6, negative: bool,
    ) {
        let sign = if negative { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        let json = format!("{sign}{whole}{point}{fraction}e{exponent}");
        let exact: i128 = format!("{whole}{fraction}").parse().unwrap();
        let places = i32::try_from(fraction.len()).unwrap() - exponent;
        if let Some(digits) = decimal(&json, 38, 9) {
            let (before, behind) = digits.trim_start_matches('-').split_once('.').unwrap_or((digits.trim_start_matches('-'), ""));
            let read: i128 = format!("{before}{behind}").parse().unwrap();
            // Both as multiples of 10^-20.
            let scaled = |n: i128, places: i32| n * 10_i128.pow(u32::try_from(20 - places).unwrap());
            prop_assert_eq!(scaled(read, i32::try_from(behind.len()).unwrap()), scaled(exact, places));
            prop_assert_eq!(digits.starts_with('-'), negative && read != 0);
        }
    }

    #[test]
    fn no_json_panics(text in "[-+0-9eE.\"a-z]{0,20}", precision in 1_u8..=38) {
        if let Ok(value) = RawValue::from_string(text) {
            let raw = Raw::new(RawValue::from_string(format!(r#"{{"x":{}}}"#, value.get())).unwrap());
            for kind in [
                ColumnType::Decimal { precision, scale: precision / 2 },
                ColumnType::BigInt,
                ColumnType::Date,
                ColumnType::Timestamp,
                ColumnType::Boolean,
            ] {
                let columns = Columns::new(RecordKind::Item, "items", "").with(Column::new("x", kind, "/x"));
                let _ = columns.read(&raw);
            }
        }
    }
}
