use ml_connector_core::model::{Column, Columns, RecordKind};
use proptest::prelude::*;

use super::*;

fn columns() -> Columns {
    Columns::new(RecordKind::Invoice, "invoices", "It's what is owed")
        .whole_with("/lines")
        .with(Column::string("number", "/number").commented("a\\b"))
        .with(Column::decimal("total", "/total", 9).refreshed_by("the next change"))
        .with(Column::list("lines", "/lines", [Column::string("item", "/item")]).in_detail())
}

fn name() -> TableName {
    TableName { catalog: "main".into(), schema: "fin`ance".into(), table: "invoices".into() }
}

#[test]
fn the_upsert_never_goes_back_and_tombstones_keep_what_was_known() {
    let sql = merge(&name(), &Layout::whole(&columns(), false), &Source::Parameter);
    let expected = r"MERGE INTO `main`.`fin``ance`.`invoices` AS t
USING (
  SELECT r.`_connection`, r.`_system`, r.`_account`, r.`_id`, r.`_event_id`, r.`_epoch`, r.`_n`, r.`_occurred_at`, r.`_deleted`, r.`_detailed`, r.`number`, r.`total`, r.`lines`
  FROM (SELECT explode(from_json(:batch, 'ARRAY<STRUCT<`_connection`: STRING, `_system`: STRING, `_account`: STRING, `_id`: STRING, `_event_id`: STRING, `_epoch`: BIGINT, `_n`: BIGINT, `_occurred_at`: TIMESTAMP, `_deleted`: BOOLEAN, `_detailed`: BOOLEAN, `number`: STRING, `total`: DECIMAL(38,9), `lines`: ARRAY<STRUCT<`item`: STRING>>>>', map('mode', 'FAILFAST'))) AS r)
  QUALIFY row_number() OVER (PARTITION BY r.`_connection`, r.`_id` ORDER BY r.`_epoch` DESC, r.`_n` DESC, r.`_event_id` DESC) = 1
) AS s
ON t.`_connection` = s.`_connection` AND t.`_id` = s.`_id`
WHEN MATCHED AND s.`_deleted` AND (s.`_epoch` > t.`_epoch` OR (s.`_epoch` = t.`_epoch` AND s.`_n` > t.`_n`)) THEN UPDATE SET `_connection` = s.`_connection`, `_system` = s.`_system`, `_account` = s.`_account`, `_id` = s.`_id`, `_event_id` = s.`_event_id`, `_epoch` = s.`_epoch`, `_n` = s.`_n`, `_occurred_at` = s.`_occurred_at`, `_ingested_at` = CAST(:ingested_at AS TIMESTAMP), `_deleted` = s.`_deleted`
WHEN MATCHED AND NOT s.`_detailed` AND (s.`_epoch` > t.`_epoch` OR (s.`_epoch` = t.`_epoch` AND s.`_n` > t.`_n`)) THEN UPDATE SET `_connection` = s.`_connection`, `_system` = s.`_system`, `_account` = s.`_account`, `_id` = s.`_id`, `_event_id` = s.`_event_id`, `_epoch` = s.`_epoch`, `_n` = s.`_n`, `_occurred_at` = s.`_occurred_at`, `_ingested_at` = CAST(:ingested_at AS TIMESTAMP), `_deleted` = s.`_deleted`, `number` = s.`number`, `total` = s.`total`
WHEN MATCHED AND (s.`_epoch` > t.`_epoch` OR (s.`_epoch` = t.`_epoch` AND s.`_n` > t.`_n`)) THEN UPDATE SET `_connection` = s.`_connection`, `_system` = s.`_system`, `_account` = s.`_account`, `_id` = s.`_id`, `_event_id` = s.`_event_id`, `_epoch` = s.`_epoch`, `_n` = s.`_n`, `_occurred_at` = s.`_occurred_at`, `_ingested_at` = CAST(:ingested_at AS TIMESTAMP), `_deleted` = s.`_deleted`, `_detailed` = s.`_detailed`, `number` = s.`number`, `total` = s.`total`, `lines` = s.`lines`
WHEN NOT MATCHED THEN INSERT (`_connection`, `_system`, `_account`, `_id`, `_event_id`, `_epoch`, `_n`, `_occurred_at`, `_ingested_at`, `_deleted`, `_detailed`, `number`, `total`, `lines`) VALUES (s.`_connection`, s.`_system`, s.`_account`, s.`_id`, s.`_event_id`, s.`_epoch`, s.`_n`, s.`_occurred_at`, CAST(:ingested_at AS TIMESTAMP), s.`_deleted`, s.`_detailed`, s.`number`, s.`total`, s.`lines`)";
    assert_eq!(sql, expected);
}

#[test]
fn a_staged_file_is_decoded_with_the_same_schema() {
    let shape = vec![
        ("_id".to_owned(), SqlType::parse("string")),
        ("a`b".to_owned(), SqlType::parse("array<struct<x:decimal(38, 9)>>")),
    ];
    assert_eq!(
        Source::File("/Volumes/main/f/v/staged/it's.json").rows(&shape, &["_id"], &["_n"]),
        "(\n  SELECT r.`_id`, r.`a``b`\n  FROM read_files('/Volumes/main/f/v/staged/it\\'s.json', format => 'json', schema => \
         '`_id` STRING, `a``b` ARRAY<STRUCT<`x`: DECIMAL(38,9)>>', mode => 'FAILFAST') AS r\n  QUALIFY row_number() OVER \
         (PARTITION BY r.`_id` ORDER BY r.`_n` DESC) = 1\n) AS s"
    );
}

#[test]
fn tables_are_made_with_comments_and_clustered_by_their_key() {
    let sql = create_table(&name(), &columns(), true);
    for part in [
        "CREATE TABLE IF NOT EXISTS `main`.`fin``ance`.`invoices` (\n  `_connection` STRING NOT NULL COMMENT '",
        "`_raw` STRING COMMENT 'The record\\'s JSON",
        "`number` STRING COMMENT 'a\\\\b'",
        "`total` DECIMAL(38,9) COMMENT 'Read anew by the next change'",
        "`lines` ARRAY<STRUCT<`item`: STRING>>\n)",
        "CLUSTER BY (`_connection`, `_id`)\nCOMMENT 'It\\'s what is owed'",
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
    let added = SqlType::parse("string");
    let columns =
        [(vec!["lines", "element", "unit"], &added, String::new()), (vec!["x"], &added, "it's".to_owned())];
    assert_eq!(
        add_columns(&name(), &columns),
        "ALTER TABLE `main`.`fin``ance`.`invoices` ADD COLUMNS (`lines`.`element`.`unit` STRING, `x` STRING COMMENT 'it\\'s')"
    );
    assert!(
        append(&name().change_log(), &Source::Parameter)
            .starts_with("MERGE INTO `main`.`fin``ance`.`invoices_changes`")
    );
}

#[test]
fn types_are_read_back_and_compared_by_what_they_hold() {
    let nested = "array<struct<item:string,taxes:array<struct<rate:decimal(38,9)>>,`odd,name`:bigint>>";
    let SqlType::Rows(fields) = SqlType::parse(nested) else { panic!() };
    assert_eq!(
        fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["item", "taxes", "odd,name"]
    );
    assert_eq!(
        SqlType::parse(nested).to_string(),
        "ARRAY<STRUCT<`item`: STRING, `taxes`: ARRAY<STRUCT<`rate`: DECIMAL(38,9)>>, `odd,name`: BIGINT>>"
    );
    let holds = |has: &str, asked: &str| SqlType::parse(has).holds(&SqlType::parse(asked));
    for (has, asked) in [
        ("decimal(38, 9)", "DECIMAL(38,9)"),
        ("string", "bigint"),
        ("decimal(20,4)", "decimal(18,2)"),
        ("array<struct<a:string,b:int>>", "array<struct<A:string>>"),
    ] {
        assert!(holds(has, asked), "{has} {asked}");
    }
    for (has, asked) in [
        ("decimal(18,2)", "decimal(18,4)"),
        ("double", "decimal(18,2)"),
        ("bigint", "string"),
        ("timestamp_ntz", "timestamp"),
        ("array<string>", "array<struct<a:string>>"),
        ("array<struct<a:double>>", "array<struct<a:decimal(9,2)>>"),
    ] {
        assert!(!holds(has, asked), "{has} {asked}");
    }
}

proptest! {
    #[test]
    fn no_text_leaves_its_quotes(text in "\\PC{0,40}|['`\\\\\n\r\u{0}]{0,10}") {
        let quoted = literal(&text);
        // Read as the language reads it: a backslash takes the next character with it.
        let inner = quoted.strip_prefix('\'').unwrap().strip_suffix('\'').unwrap();
        let (mut read, mut chars) = (String::new(), inner.chars());
        while let Some(c) = chars.next() {
            prop_assert_ne!(c, '\'');
            read.push(match c {
                '\\' => match chars.next().unwrap() { 'n' => '\n', 'r' => '\r', '0' => '\0', other => other },
                c => c,
            });
        }
        prop_assert_eq!(read.as_str(), text.as_str());
        let name = ident(&text);
        let inner = name.strip_prefix('`').unwrap().strip_suffix('`').unwrap();
        prop_assert_eq!(inner.replace("``", "`"), text.as_str());
        prop_assert_eq!(inner.replace("``", "").matches('`').count(), 0);
        let _ = SqlType::parse(&text);
    }
}
