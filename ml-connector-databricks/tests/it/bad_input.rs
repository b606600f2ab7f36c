//! Bad input, each with a clear outcome: what cannot be stored is named, what is set wrong says so, and the rest is written.

use ml_connector_core::{
    CheckResult, ErrorKind, Scope, Sink,
    model::{Column, Delivery},
};
use ml_connector_databricks::Config;

use crate::{
    lake::{Lake, TABLE},
    support::{Ledger, batch, columns, delivery, error, event, good},
};

#[tokio::test(start_paused = true)]
async fn numbers_that_are_none_and_amounts_of_forty_digits_are_named_and_the_rest_is_exact() {
    let lake = Lake::new();
    let sink = lake.builder().build().unwrap();
    let nines = "9".repeat(34);
    let stored = [
        ("least", "0.0001".to_owned()),
        ("most", format!("{nines}.9999")),
        ("below", format!("-{nines}.9999")),
        // A number that a vendor writes as text, and zeros that say nothing.
        ("text", r#""12.3400000""#.to_owned()),
        ("none", "null".to_owned()),
    ];
    let refused = [
        ("nan", r#""NaN""#.to_owned()),
        ("infinity", r#""-Infinity""#.to_owned()),
        ("comma", r#""1.234,50""#.to_owned()),
        ("word", r#""n/a""#.to_owned()),
        ("forty", "1".repeat(40)),
        ("forty_and_more", format!("{}.5", "1".repeat(40))),
        ("exponent", "1e400".to_owned()),
        ("finer", "0.00001".to_owned()),
        ("object", r#"{"amount":1}"#.to_owned()),
    ];
    let all = stored.iter().chain(&refused);
    let rows: Vec<Delivery> = (1..)
        .zip(all)
        .map(|(seq, (id, total))| {
            delivery(seq, event(id, 1, &format!(r#"{{"number":"{id}","total":{total}}}"#)))
        })
        .collect();
    let results = lake.deliver(&sink, &rows).await;
    for ((id, total), result) in stored.iter().chain(&refused).zip(results) {
        let Err(error) = result else {
            assert!(stored.iter().any(|(stored, _)| stored == id), "{id}: {total} is stored");
            continue;
        };
        assert!(refused.iter().any(|(refused, _)| refused == id), "{id}: {error}");
        assert_eq!((error.kind(), error.scope()), (ErrorKind::InvalidRequest, &Scope::Entry), "{id}");
        assert_eq!(error.context("column"), Some("total"), "{id}");
        assert!(!format!("{error:?}").contains(total.trim_matches('"')), "{id}: amounts are not shown");
    }
    assert_eq!(
        lake.rows(&format!("SELECT _id, total FROM {TABLE} ORDER BY _id")),
        [
            ["below", &format!("-{nines}.9999")],
            ["least", "0.0001"],
            ["most", &format!("{nines}.9999")],
            ["none", "-"],
            ["text", "12.3400"],
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn names_with_quotes_backticks_and_any_letters_are_names_and_nothing_else() {
    let lake = Lake::new();
    for sql in ["CREATE SCHEMA main.`bü``cher'\"`", "CREATE VOLUME main.`bü``cher'\"`.`ab'la``ge`"] {
        lake.sim.sql(sql).unwrap();
    }
    let odd = |config: &mut Config| {
        config.schema = "bü`cher'\"".to_owned();
        config.volume = Some("ab'la`ge".to_owned());
        config.max_parameter_bytes = 2_000;
        config.tables.insert("ledger/invoice".to_owned(), "請求書_o'brien`--".to_owned());
    };
    let form = columns().with(Column::string("size", "/größe`'").commented("it's `--` \"here\""));
    let sink = lake.builder().tables_of(&Ledger::of(form)).change_log().with(odd).build().unwrap();
    let text = r#"{"number":"O'Brien \\ \" ` -- ; DROP \u2028 \u0000 é 😀","größe`'":"'); --"}"#;
    good(lake.deliver(&sink, &[delivery(1, event("1'`", 1, text))]).await);
    // Through a file as well.
    good(lake.deliver(&sink, &batch(30)).await);
    let table = "main.`bü``cher'\"`.`請求書_o'brien``--`";
    assert_eq!(
        lake.rows(&format!("SELECT _id, number, size FROM {table} WHERE size IS NOT NULL")),
        [["1'`", "O'Brien \\ \" ` -- ; DROP \u{2028} \u{0} é \u{1F600}", "'); --"]]
    );
    assert_eq!(lake.rows(&format!("SELECT count(*) FROM {table}")), [["31"]]);
    let steps = sink.check(&lake.ctx()).await;
    assert!(steps.iter().all(|step| step.result == CheckResult::Passed), "{steps:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_that_is_not_there_stops_everything_and_the_check_names_it() {
    let lake = Lake::new();
    let sink = lake.builder().warehouse("0123456789abcdef").build().unwrap();
    let stopped = error(lake.deliver(&sink, &batch(3)).await);
    assert_eq!(
        (stopped.kind(), stopped.scope()),
        (ErrorKind::ConfigInvalid, &Scope::Connection),
        "{stopped}"
    );
    let steps = sink.check(&lake.ctx()).await;
    let warehouse = steps.iter().find(|step| step.step.starts_with("warehouse")).unwrap();
    assert!(
        warehouse.result == CheckResult::Failed && warehouse.step.contains("0123456789abcdef"),
        "{warehouse:?}"
    );
    assert!(warehouse.remedy.is_some(), "{warehouse:?}");
}
