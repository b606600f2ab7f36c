use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// What `read` gives of this object, and the paths that were left out.
fn read<T>(json: &str, read: impl FnOnce(&Object<'_>) -> T) -> (T, Vec<String>) {
    let Decoded { value, left_out } = object(&raw(json), |object| Ok(read(object))).unwrap();
    (value, left_out.into_iter().map(|note| note.path).collect())
}

#[test]
fn nothing_has_five_forms_and_none_is_noted() {
    for value in [r#""#, r#","a":null"#, r#","a":"""#, r#","a":[]"#, r#","a":{}"#, r#","a":{ }"#] {
        let (found, notes) = read(&format!(r#"{{"z":1{value}}}"#), |object| {
            let texts = (object.text("a"), object.some_text("a"), object.flag("a"));
            let values = (object.date("a"), object.instant("a"), object.decimal("a"));
            let money = object.money("a", object.currency("a"));
            (texts, values, money, object.objects("a").len(), object.object("a").is_none())
        });
        assert_eq!(found, ((String::new(), None, false), (None, None, None), None, 0, true), "{value}");
        assert!(notes.is_empty(), "{value} {notes:?}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_left_out_and_its_path_is_noted() {
    let json = r#"{"name":["x"],"due":"20226-04-01","at":"soon","total":"many","code":"USDT","one":7,
        "lines":[{"total":"1"},null,"odd",{"total":[1]}],"flag":{"a":1},"other":"kept"}"#;
    let (found, notes) = read(json, |object| {
        assert!(object.text("name").is_empty() && object.date("due").is_none() && !object.flag("flag"));
        assert!(object.instant("at").is_none() && object.decimal("total").is_none());
        assert!(object.currency("code").is_none() && object.object("one").is_none());
        assert!(object.objects("one").is_empty());
        let lines = object.objects("lines").iter().filter_map(|line| line.decimal("total")).count();
        (lines, object.text("other"))
    });
    assert_eq!(found, (1, "kept".to_owned()));
    let expected = ["name", "due", "at", "total", "code", "one", "lines[2]", "lines[3].total"];
    assert_eq!(notes, expected);
}

#[test]
fn an_amount_with_too_many_digits_is_kept_as_text_and_never_rounded() {
    for digits in ["1234567890123456789012345678901234567890", "0.1234567890123456789012345678901234567890"] {
        let json = format!(r#"{{"a":{digits},"b":1}}"#);
        let Decoded { value, left_out } = object(&raw(&json), |object| {
            let usd = crate::model::Currency::parse("USD").ok();
            Ok((object.money("a", usd), object.decimal("a"), object.money("b", usd).is_some()))
        })
        .unwrap();
        assert_eq!(value, (None, None, true), "{digits}");
        assert_eq!((left_out[0].reason, left_out[0].text.as_deref()), (Reason::TooManyDigits, Some(digits)));
        assert!(!format!("{left_out:?}").contains("123456"), "amounts are the customer's business");
    }
}

#[test]
fn the_residue_of_a_binary_fraction_is_no_money() {
    for (written, amount) in [
        ("2.8421709430404007E-14", "0"),
        ("249.97999999999999", "249.98"),
        ("-0.000000000001", "0"),
        ("1250.50", "1250.50"),
        ("1250.505", "1250.505"),
        ("0.00123", "0.00123"),
    ] {
        let usd = crate::model::Currency::parse("USD").ok();
        let (found, notes) = read(&format!(r#"{{"a":{written}}}"#), |object| object.money("a", usd));
        assert_eq!(found.unwrap().amount, amount.parse().unwrap(), "{written}");
        assert!(notes.is_empty());
    }
}

#[test]
fn half_a_surrogate_pair_becomes_a_replacement_character() {
    for (json, text) in [
        (r#""a\ud83d""#, "a\u{fffd}"),
        (r#""\ude00b\n""#, "\u{fffd}b\n"),
        (r#""\ud83d\ude00 \ud83d!""#, "😀 \u{fffd}!"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ud83d\u0041\"\\\/""#, "\u{fffd}A\"\\/"),
    ] {
        let (found, notes) = read(&format!(r#"{{"a":{json},"\ud83d":1}}"#), |object| object.text("a"));
        assert_eq!(found, text, "{json}");
        assert!(notes.is_empty());
    }
}

#[test]
fn a_row_that_cannot_be_read_keeps_its_id_and_the_page_goes_on() {
    let list = raw(r#"[{"id":"1","n":5},null,{"id":2},{"n":1},"x",{"id":"3","n":7}]"#);
    let read = |object: &Object<'_>| {
        let id = object.id("id")?;
        let n = object.decimal("n").ok_or_else(|| Error::new(ErrorKind::InvalidResponse, "no n"))?;
        Ok((id, n.to_string()))
    };
    let told: Vec<String> = rows(&list, "id", read)
        .unwrap()
        .into_iter()
        .map(|row| match row {
            Row::Read { decoded, raw } => format!("{:?} {}", decoded.value, raw.get().len()),
            Row::Unreadable { row, .. } => format!("{}: {:?}", row.number, row.id),
        })
        .collect();
    assert_eq!(told, [r#"("1", "5") 16"#, r#"2: Some("2")"#, "3: None", "4: None", r#"("3", "7") 16"#]);
    assert!(rows(&raw("null"), "id", read).unwrap().is_empty());
    assert_eq!(rows(&raw("7"), "id", read).unwrap_err().kind(), ErrorKind::InvalidResponse);
}

#[test]
fn notes_are_bounded_and_each_place_is_noted_once() {
    let items = "7,".repeat(500);
    let (_, notes) = read(&format!("{{\"a\":[{items}7],\"b\":[1]}}"), |object| {
        for _ in 0..3 {
            let _ = (object.text("b"), object.objects("a"));
        }
    });
    assert_eq!((notes.len(), &*notes[0]), (MAX_NOTES, "b"));
}
