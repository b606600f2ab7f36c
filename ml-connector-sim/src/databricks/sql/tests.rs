//! What statements do, failing ones first.

use std::collections::BTreeMap;

use super::{catalog::Schema, *};

/// The privileges of the sheet's set-up script.
const ALL: [&str; 7] =
    ["USE SCHEMA", "CREATE TABLE", "CREATE VOLUME", "SELECT", "MODIFY", "READ VOLUME", "WRITE VOLUME"];

struct Bench {
    database: Database,
    session: Session,
}

fn bench() -> Bench {
    let mut database = Database::default();
    let schemas = BTreeMap::from([("fin".to_owned(), Schema::default())]);
    database.catalogs.insert("main".to_owned(), schemas);
    database.grants.grant("USE CATALOG", "main");
    ALL.iter().for_each(|privilege| database.grants.grant(privilege, "main.fin"));
    let session = Session {
        catalog: "main".to_owned(),
        schema: "fin".to_owned(),
        parameters: BTreeMap::new(),
        now: 1_772_442_905_000_000,
        zone: SessionZone::UTC,
        principal: "robot".to_owned(),
        policies_refuse_merge: false,
    };
    Bench { database, session }
}

impl Bench {
    fn run(&mut self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let outcome = parse(sql).and_then(|parsed| parsed.execute(&mut self.database, &self.session));
        let Some(rows) = outcome.map_err(|error| error.to_string())? else { return Ok(Vec::new()) };
        let shown = |row: &super::catalog::Row| {
            let cells = row.iter().zip(&rows.columns);
            cells
                .map(|(value, column)| {
                    cell(value, &column.ty, &self.session.zone).unwrap_or_else(|| "NULL".to_owned())
                })
                .collect()
        };
        Ok(rows.rows.iter().map(shown).collect())
    }

    fn ok(&mut self, sql: &str) -> String {
        match self.run(sql) {
            Ok(rows) => rows.iter().map(|row| row.join("|")).collect::<Vec<_>>().join("\n"),
            Err(error) => panic!("{sql}: {error}"),
        }
    }

    fn set(&mut self, name: &str, ty: &str, value: Option<&str>) {
        let parameter = Parameter { ty: data_type(ty).unwrap(), value: value.map(str::to_owned) };
        self.session.parameters.insert(name.to_owned(), parameter);
    }
}

/// Runs `SELECT <expression>` and compares the cell, or the start of the error.
fn check(expression: &str, expected: &str) {
    let mut bench = bench();
    let outcome = match bench.run(&format!("SELECT {expression}")) {
        Ok(rows) => rows.iter().map(|row| row.join("|")).collect::<Vec<_>>().join(";"),
        Err(error) => error.trim_start().split(']').next().unwrap_or_default().to_owned() + "]",
    };
    assert_eq!(outcome, expected, "{expression}");
}

#[test]
fn what_lies_outside_the_grammar_is_refused_by_name() {
    for (sql, start) in [
        (
            "INSER INTO t VALUES (1)",
            "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'INSER'. SQLSTATE: 42601 (line 1, pos 0)\n\n== SQL ==\nINSER INTO t VALUES (1)\n^^^\n",
        ),
        (
            "SELECT 1; SELECT 2",
            "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'SELECT'. SQLSTATE: 42601 (line 1, pos 10)",
        ),
        ("", "\n[PARSE_SYNTAX_ERROR]"),
        ("SELECT 'open", "\n[PARSE_SYNTAX_ERROR]"),
        ("SELECT 'It''s'", "[SIM_UNSUPPORTED]"),
        ("OPTIMIZE t", "[SIM_UNSUPPORTED]"),
        ("MERGE WITH SCHEMA EVOLUTION INTO t USING s ON true WHEN MATCHED THEN DELETE", "[SIM_UNSUPPORTED]"),
        ("SELECT sha2('x', 256)", "[SIM_UNSUPPORTED]"),
        ("SELECT * FROM t TABLESAMPLE (1 ROWS)", "[SIM_UNSUPPORTED]"),
        (
            "SELECT a FROM nope",
            "[TABLE_OR_VIEW_NOT_FOUND] The table or view `main`.`fin`.`nope` cannot be found. Verify the spelling and correctness of the schema and catalog. SQLSTATE: 42P01; line 1 pos 14",
        ),
        ("SELECT CAST(1 AS DECIMAL(39,0))", "[DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION]"),
        ("CREATE TABLE nowhere.at.all (a STRING)", "[CATALOG_NOT_FOUND]"),
        ("CREATE TABLE main.nope.t (a STRING)", "[SCHEMA_NOT_FOUND]"),
        ("SELECT :missing", "[UNBOUND_SQL_PARAMETER]"),
    ] {
        let error = bench().run(sql).unwrap_err();
        assert!(error.starts_with(start), "{sql}: {error}");
    }
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(bench().run(&deep).unwrap_err().starts_with("[SIM_UNSUPPORTED]"));
}

#[test]
fn casts_fail_or_round_as_the_vendor_does() {
    for (expression, expected) in [
        ("CAST('twelve' AS DECIMAL(18,4))", "[CAST_INVALID_INPUT]"),
        ("CAST('12.345' AS DECIMAL(18,2))", "12.35"),
        ("CAST('-0.005' AS DECIMAL(18,2))", "-0.01"),
        ("CAST('12.34' AS DECIMAL)", "12"),
        ("CAST('123' AS DECIMAL(4,2))", "[NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION]"),
        (
            "CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0))",
            "99999999999999999999999999999999999999",
        ),
        (
            "CAST('1234567890123456789012345678901234567890' AS DECIMAL(38,9))",
            "[NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION]",
        ),
        ("CAST('NaN' AS DECIMAL(18,4))", "[CAST_INVALID_INPUT]"),
        ("try_cast('x' AS BIGINT)", "NULL"),
        ("CAST('9223372036854775808' AS BIGINT)", "[CAST_INVALID_INPUT]"),
        ("CAST(300 AS TINYINT)", "[CAST_OVERFLOW]"),
        ("CAST('1.9' AS INT)", "[CAST_INVALID_INPUT]"),
        ("CAST(1.9 AS INT)", "1"),
        ("CAST('2026-03-02T09:15:05.1234567+02:00' AS TIMESTAMP)", "2026-03-02T07:15:05.123456Z"),
        ("CAST('2026-03-02T09:15:05Z' AS DATE)", "2026-03-02"),
        ("CAST('/Date(1772442905000)/' AS TIMESTAMP)", "[CAST_INVALID_INPUT]"),
        ("CAST('' AS DATE)", "[CAST_INVALID_INPUT]"),
        ("CAST(NULL AS DATE)", "NULL"),
        ("CAST(TIMESTAMP '2026-03-02T09:15:05.250Z' AS STRING)", "2026-03-02 09:15:05.25"),
        ("CAST('tRuE' AS BOOLEAN)", "true"),
        ("CAST(unbase64('SXQncyDigqw=') AS STRING)", "It's €"),
        ("'12.5'::DECIMAL(5,2)", "12.50"),
        ("CAST(array(1) AS STRING)", "[1]"),
        ("CAST(DATE '2026-03-02' AS BOOLEAN)", "[DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION]"),
    ] {
        check(expression, expected);
    }
}

#[test]
fn unknown_is_a_third_truth() {
    for (expression, expected) in [
        ("NULL = NULL", "NULL"),
        ("NULL <=> NULL", "true"),
        ("1 <> NULL", "NULL"),
        ("NULL AND false", "false"),
        ("NULL AND true", "NULL"),
        ("NULL OR true", "true"),
        ("NOT NULL", "NULL"),
        ("1 IN (2, NULL)", "NULL"),
        ("1 NOT IN (1, NULL)", "false"),
        ("NULL IS NOT DISTINCT FROM 1", "false"),
        ("CASE WHEN NULL THEN 1 ELSE 2 END", "2"),
        ("coalesce(NULL, NULL, 3)", "3"),
        ("1 BETWEEN NULL AND 0", "false"),
        ("1 AND 2", "[DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN]"),
    ] {
        check(expression, expected);
    }
}

#[test]
fn calculations_are_exact() {
    for (expression, expected) in [
        ("0.1 + 0.2", "0.3"),
        (
            "CAST('99999999999999.9999' AS DECIMAL(18,4)) + CAST('0.0001' AS DECIMAL(18,4))",
            "100000000000000.0000",
        ),
        ("CAST('1210.0000' AS DECIMAL(18,4)) * CAST('1.100000000' AS DECIMAL(18,9))", "1331.0000000000000"),
        ("CAST(1 AS DECIMAL(18,4)) / CAST(3 AS DECIMAL(18,4))", "0.33333333333333333333"),
        ("1 / 0", "[DIVIDE_BY_ZERO]"),
        ("2147483647 + 1", "[ARITHMETIC_OVERFLOW]"),
        ("-5 % 3", "-2"),
        ("1 = 1.0", "true"),
        ("'2' = 2", "true"),
        ("round(2.345, 2)", "2.35"),
        ("sum(x) FROM VALUES (1.10), (2.2), (NULL) AS v(x)", "3.30"),
        ("avg(x) FROM VALUES (1.10), (2.25) AS v(x)", "1.675000"),
        ("count(*), count(x), count(DISTINCT x) FROM VALUES (1), (1), (NULL) AS v(x)", "3|2|1"),
        ("sum(x) FROM VALUES (1) AS v(x) WHERE x > 1", "NULL"),
    ] {
        check(expression, expected);
    }
}

#[test]
fn from_json_is_as_measured() {
    // Section 4.5 of the vendor sheet.
    let bad = "[MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION]";
    for (json, ty, permissive, failfast) in [
        (r#"{"a":12.345}"#, "DECIMAL(18,2)", "12.35", "12.35"),
        (r#"{"a":"12.345"}"#, "DECIMAL(18,2)", "12.35", "12.35"),
        (r#"{"a":"12345678901234567.0"}"#, "DECIMAL(18,2)", "NULL", bad),
        (r#"{"a":"x"}"#, "DECIMAL(18,2)", "NULL", bad),
        (r#"{"a":"1,234.50"}"#, "DECIMAL(18,2)", "1234.50", "1234.50"),
        (r#"{"a":1e3}"#, "DECIMAL(18,2)", "1000.00", "1000.00"),
        (r#"{"a":"NaN"}"#, "DECIMAL(18,2)", "NULL", bad),
        (r#"{"a":"5"}"#, "BIGINT", "NULL", bad),
        (r#"{"a":5.0}"#, "BIGINT", "NULL", bad),
        (r#"{"a":9223372036854775808}"#, "BIGINT", "NULL", bad),
        (r#"{"a":"true"}"#, "BOOLEAN", "NULL", bad),
        (r#"{"a":""}"#, "DATE", "NULL", bad),
        (r#"{"a":"2026-13-45T00:00:00Z"}"#, "TIMESTAMP", "NULL", bad),
        (r#"{"a":"/Date(1)/"}"#, "TIMESTAMP", "NULL", bad),
        (r#"{"a":10}"#, "TIMESTAMP", "1970-01-01T00:00:10.000Z", "1970-01-01T00:00:10.000Z"),
        (r#"{"a":1.10}"#, "STRING", "1.1", "1.1"),
        (r#"{"a":{"k": 1}}"#, "STRING", r#"{"k":1}"#, r#"{"k":1}"#),
        (r#"{"A":1}"#, "INT", "NULL", "NULL"),
        (r#"{"b":1,"a":2}"#, "INT", "2", "2"),
        (r#"{"a":"\ud83d\ude00\u2028\\ \""}"#, "STRING", "😀\u{2028}\\ \"", "😀\u{2028}\\ \""),
        (r#"{"a":[1,null]}"#, "ARRAY<INT>", "[1,null]", "[1,null]"),
        (r#"{"a":{"x":"1.50"}}"#, "MAP<STRING, DECIMAL(9,2)>", r#"{"x":1.50}"#, r#"{"x":1.50}"#),
        (r#"{"a":1"#, "INT", "NULL", bad),
        ("{\"a\":\"line\nbreak\"}", "STRING", "NULL", bad),
        ("", "INT", "NULL", "NULL"),
    ] {
        for (mode, expected) in [("PERMISSIVE", permissive), ("FAILFAST", failfast)] {
            let mut bench = bench();
            bench.set("json", "STRING", Some(json));
            let sql = format!("SELECT from_json(:json, 'STRUCT<a: {ty}>', map('mode', '{mode}')).a");
            let outcome = match bench.run(&sql) {
                Ok(rows) => rows[0][0].clone(),
                Err(error) => error.split(']').next().unwrap().to_owned() + "]",
            };
            assert_eq!(outcome, expected, "{json} as {ty} in {mode}");
        }
    }
}

#[test]
fn a_broken_batch_explodes_into_nothing_or_fails() {
    let mut bench = bench();
    let explode = |mode: &str| {
        format!(
            "SELECT r.a FROM (SELECT explode(from_json(:b, 'ARRAY<STRUCT<a: INT>>', map('mode', '{mode}'))) AS r)"
        )
    };
    bench.set("b", "STRING", Some(r#"[{"a":1},{"a":2"#));
    assert_eq!(bench.ok(&explode("PERMISSIVE")), "");
    assert!(bench.run(&explode("FAILFAST")).unwrap_err().contains("SQLSTATE: 22023"));
    bench.set("b", "STRING", Some(r#"{"a":7}"#));
    assert_eq!(bench.ok(&explode("FAILFAST")), "7");
    bench.set("b", "STRING", Some(r#"[{"a":1},null]"#));
    assert_eq!(bench.ok(&explode("FAILFAST")), "1\nNULL");
    bench.set("b", "STRING", None);
    assert_eq!(bench.ok(&explode("FAILFAST")), "");
}

#[test]
fn a_variant_keeps_numbers_by_value_and_refuses_a_key_twice() {
    check(
        r#"parse_json('{"b": 0.10, "a": 1e3, "c": 12345678901234567890.12}')"#,
        r#"{"a":1000.0,"b":0.1,"c":12345678901234567890.12}"#,
    );
    check(r#"parse_json('{"a":1,"a":2}')"#, "[MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION]");
}

const CREATE: &str = "CREATE TABLE IF NOT EXISTS `main`.`fin`.`inv` (
  id STRING NOT NULL COMMENT 'the key', v BIGINT NOT NULL, total DECIMAL(18,4), gone BOOLEAN NOT NULL,
  lines ARRAY<STRUCT<pos: INT, amount: DECIMAL(18,4)>>
) USING DELTA CLUSTER BY (id) COMMENT 'It\\'s one' TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')";

const MERGE: &str = "MERGE INTO inv AS t
USING (SELECT r.id, r.v, r.total, r.gone, r.lines
       FROM (SELECT explode(from_json(:b, 'ARRAY<STRUCT<id: STRING, v: BIGINT, total: DECIMAL(18,4), gone: BOOLEAN,
                    lines: ARRAY<STRUCT<pos: INT, amount: DECIMAL(18,4)>>>>', map('mode', 'FAILFAST'))) AS r)
       QUALIFY row_number() OVER (PARTITION BY r.id ORDER BY r.v DESC) = 1) AS s
ON t.id = s.id
WHEN MATCHED AND s.v > t.v AND s.gone THEN UPDATE SET v = s.v, gone = true
WHEN MATCHED AND s.v > t.v THEN UPDATE SET t.v = s.v, total = s.total, gone = s.gone, lines = s.lines
WHEN NOT MATCHED THEN INSERT (id, v, total, gone, lines) VALUES (s.id, s.v, s.total, s.gone, s.lines)";

fn merged(bench: &mut Bench, batch: &str) -> String {
    bench.set("b", "STRING", Some(batch));
    bench.ok(MERGE)
}

#[test]
fn a_guarded_merge_may_run_twice_and_in_any_order() {
    let mut bench = bench();
    bench.ok(CREATE);
    bench.ok(CREATE);
    let first = r#"[{"id":"1","v":5,"total":"10.5","gone":false,"lines":[{"pos":1,"amount":"10.5"}]},
                    {"id":"2","v":1,"total":"99999999999999.9999","gone":false}]"#;
    assert_eq!(merged(&mut bench, first), "2|0|0|2");
    assert_eq!(merged(&mut bench, first), "0|0|0|0", "a replay changes nothing");
    assert_eq!(merged(&mut bench, r#"[{"id":"1","v":4,"total":"1","gone":false}]"#), "0|0|0|0", "older");
    // The newest of a batch wins, wherever it stands.
    let twice = r#"[{"id":"3","v":2,"total":"2","gone":false},{"id":"3","v":1,"total":"1","gone":false}]"#;
    assert_eq!(merged(&mut bench, twice), "1|0|0|1");
    assert_eq!(merged(&mut bench, r#"[{"id":"1","v":6,"gone":true}]"#), "1|1|0|0");
    assert_eq!(
        bench.ok("SELECT * FROM inv ORDER BY id"),
        "1|6|10.5000|true|[{\"pos\":1,\"amount\":10.5000}]\n2|1|99999999999999.9999|false|NULL\n3|2|2.0000|false|NULL"
    );
}

#[test]
fn a_merge_fails_whole_or_doubles_where_the_vendor_does() {
    let mut bench = bench();
    bench.ok(CREATE);
    bench.ok("INSERT INTO inv (id, v, gone) VALUES ('1', 1, false), ('9', 1, false)");
    let source = "USING (SELECT * FROM (VALUES ('1', 2), ('1', 3), ('7', 1), ('7', 2)) AS v(id, v)) AS s ON t.id = s.id";
    let update = format!("MERGE INTO inv t {source} WHEN MATCHED THEN UPDATE SET v = s.v");
    assert!(bench.run(&update).unwrap_err().starts_with(
        "[DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE] Cannot perform Merge as multiple source rows matched"
    ));
    let insert = format!(
        "MERGE INTO inv t {source} WHEN NOT MATCHED THEN INSERT (id, v, gone) VALUES (s.id, s.v, false)"
    );
    assert_eq!(bench.ok(&insert), "2|0|0|2", "two rows with one new key are both inserted");
    let null = "MERGE INTO inv t USING (SELECT CAST(NULL AS STRING) AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (v, gone) VALUES (1, false)";
    assert!(bench.run(null).unwrap_err().starts_with(
        "[DELTA_NOT_NULL_CONSTRAINT_VIOLATED] NOT NULL constraint violated for column: id. SQLSTATE: 23502"
    ));
    let aliases = "MERGE INTO inv t USING (VALUES ('1')) AS s(id) ON t.id = s.id WHEN MATCHED THEN DELETE";
    assert!(bench.run(aliases).unwrap_err().starts_with("[COLUMN_ALIASES_NOT_ALLOWED]"));
    for (set, class) in [
        ("v = s.id", "[INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST]"),
        ("total = 12345678901234567.5", "[CAST_OVERFLOW_IN_TABLE_INSERT]"),
        ("totl = s.id", "[UNRESOLVED_COLUMN.WITH_SUGGESTION]"),
        ("v = s.nope", "[UNRESOLVED_COLUMN.WITH_SUGGESTION]"),
        ("v = 1, V = 2", "[DELTA_CONFLICT_SET_COLUMN]"),
    ] {
        let sql = format!(
            "MERGE INTO inv t USING (SELECT '9' AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET {set}"
        );
        let error = bench.run(&sql).unwrap_err();
        assert!(error.starts_with(class), "{set}: {error}");
    }
    let by_source = "MERGE INTO inv t USING (SELECT '1' AS id) s ON t.id = s.id
        WHEN NOT MATCHED BY SOURCE AND t.id = '9' THEN UPDATE SET gone = true
        WHEN NOT MATCHED BY SOURCE THEN DELETE";
    assert_eq!(bench.ok(by_source), "3|1|2|0");
    assert_eq!(bench.ok("SELECT id, v, gone FROM inv ORDER BY 1"), "1|1|false\n9|1|true");
}

#[test]
fn a_poison_row_stops_its_statement_and_nothing_of_it_is_written() {
    let mut bench = bench();
    bench.ok(CREATE);
    bench.set(
        "b",
        "STRING",
        Some(r#"[{"id":"1","v":1,"gone":false},{"id":"2","v":1,"gone":false,"total":"x"}]"#),
    );
    assert!(bench.run(MERGE).unwrap_err().starts_with("[MALFORMED_RECORD_IN_PARSING"));
    bench.set("b", "STRING", Some(r#"[{"id":"1","v":1,"gone":false},{"ID":"2","v":1,"gone":false}]"#));
    assert!(bench.run(MERGE).unwrap_err().starts_with("[DELTA_NOT_NULL_CONSTRAINT_VIOLATED]"));
    bench.ok("ALTER TABLE inv ADD CONSTRAINT positive CHECK (total >= 0)");
    bench.set("b", "STRING", Some(r#"[{"id":"1","v":1,"gone":false,"total":"-1"}]"#));
    let error = bench.run(MERGE).unwrap_err();
    assert!(
        error.starts_with("[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint positive (total >= 0)"),
        "{error}"
    );
    assert_eq!(bench.ok("SELECT count(*) FROM inv"), "0");
}

#[test]
fn a_row_filter_hides_rows_from_merge_so_that_they_are_doubled() {
    let mut bench = bench();
    bench.ok(CREATE);
    bench.ok("INSERT INTO inv (id, v, gone) VALUES ('eu-1', 1, false)");
    let policy = catalog::Policy {
        function: "main.sec.mine".to_owned(),
        columns: vec!["id".to_owned()],
        expr: expression("id NOT LIKE 'eu-%'").unwrap(),
    };
    let name = ["main", "fin", "inv"].map(str::to_owned);
    bench.database.table_mut(&name, Default::default()).unwrap().row_filter = Some(policy);
    assert_eq!(bench.ok("SELECT count(*) FROM inv"), "0");
    assert_eq!(merged(&mut bench, r#"[{"id":"eu-1","v":2,"gone":false}]"#), "1|0|0|1");
    assert_eq!(bench.database.table(&name, Default::default()).unwrap().rows.len(), 2);
    bench.session.policies_refuse_merge = true;
    assert!(bench.run(MERGE).unwrap_err().starts_with("[ROW_COLUMN_ACCESS.MERGE_UNSUPPORTED_TARGET]"));
}

#[test]
fn missing_privileges_are_named() {
    let mut bench = bench();
    bench.ok(CREATE);
    bench.database.grants.revoke("MODIFY", "main.fin.inv");
    bench.set("b", "STRING", Some("[]"));
    assert!(bench.run(MERGE).unwrap_err().starts_with(
        "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have MODIFY on Table 'main.fin.inv'. SQLSTATE: 42501"
    ));
    bench.ok("SELECT * FROM inv");
    bench.database.grants.revoke("CREATE TABLE", "main.fin");
    assert!(
        bench.run("CREATE TABLE other (a INT)").unwrap_err().contains("CREATE TABLE on Schema 'main.fin'")
    );
    bench.ok(CREATE);
}

#[test]
fn columns_evolve_and_types_widen_only_where_it_is_switched_on() {
    let mut bench = bench();
    bench.ok(CREATE);
    bench.ok("INSERT INTO inv (id, v, gone, total) VALUES ('1', 1, false, 1.5)");
    bench.ok("ALTER TABLE inv ADD COLUMNS (`odd``name` STRING COMMENT 'x', due DATE)");
    assert!(
        bench
            .run("ALTER TABLE inv ADD COLUMNS (DUE DATE)")
            .unwrap_err()
            .starts_with("[COLUMN_ALREADY_EXISTS]")
    );
    assert!(
        bench
            .run("ALTER TABLE inv ADD COLUMN (`a b` DATE)")
            .unwrap_err()
            .starts_with("[DELTA_INVALID_CHARACTERS")
    );
    let widen = "ALTER TABLE inv ALTER COLUMN total TYPE DECIMAL(22,6)";
    assert!(bench.run(widen).unwrap_err().starts_with("[DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP]"));
    bench.ok("ALTER TABLE inv SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')");
    bench.ok(widen);
    assert!(
        bench
            .run("ALTER TABLE inv ALTER COLUMN total TYPE DECIMAL(22,2)")
            .unwrap_err()
            .starts_with("[DELTA_UNSUPPORTED")
    );
    assert_eq!(bench.ok("SELECT total, `odd``name`, DUE FROM inv"), "1.500000|NULL|NULL");
    assert!(
        bench
            .run("ALTER TABLE inv DROP COLUMN due")
            .unwrap_err()
            .starts_with("[DELTA_UNSUPPORTED_DROP_COLUMN]")
    );
    assert_eq!(
        bench.ok("SELECT column_name, full_data_type, is_nullable FROM main.information_schema.columns
                  WHERE table_schema = 'fin' AND table_name = 'inv' ORDER BY ordinal_position LIMIT 3"),
        "id|string|NO\nv|bigint|NO\ntotal|decimal(22,6)|YES"
    );
    assert!(bench.ok("DESCRIBE TABLE inv").starts_with("id|string|the key\nv|bigint|\n"));
    assert_eq!(bench.ok("SHOW TABLES IN main.fin"), "fin|inv|false");
}

#[test]
fn queries_group_join_and_explode() {
    let mut bench = bench();
    bench.ok(CREATE);
    bench.ok("INSERT INTO inv VALUES ('a', 1, 10.00, false, array(named_struct('pos', 1, 'amount', CAST(4 AS DECIMAL(18,4))), named_struct('pos', 2, 'amount', CAST(6 AS DECIMAL(18,4))))), ('b', 2, -2.5, true, NULL)");
    for (sql, expected) in [
        (
            "SELECT gone, sum(total) AS t, count(*) FROM inv GROUP BY gone HAVING count(*) > 0 ORDER BY t DESC",
            "false|10.0000|1\ntrue|-2.5000|1",
        ),
        (
            "SELECT i.id, l.pos, l.amount FROM inv i LATERAL VIEW explode(lines) x AS l ORDER BY l.pos DESC",
            "a|2|6.0000\na|1|4.0000",
        ),
        (
            "SELECT id, l.amount FROM (SELECT id, explode_outer(lines) AS l FROM inv) ORDER BY id, l.amount",
            "a|4.0000\na|6.0000\nb|NULL",
        ),
        (
            "WITH x AS (SELECT id AS k FROM inv WHERE NOT gone) SELECT inv.id, x.k FROM inv LEFT JOIN x ON inv.id = x.k ORDER BY inv.id",
            "a|a\nb|NULL",
        ),
        ("SELECT id FROM inv UNION ALL SELECT 'c' ORDER BY 1 DESC LIMIT 2", "c\nb"),
        ("SELECT DISTINCT gone IS NULL FROM inv", "false"),
        ("SELECT upper(id) || '-' || v AS k FROM inv ORDER BY k", "A-1\nB-2"),
        ("SELECT id FROM inv WHERE lines[0].amount > 3", "a"),
        ("SELECT current_user(), current_catalog(), current_timezone()", "robot|main|UTC"),
        ("SELECT max(total) FROM IDENTIFIER('`main`.`fin`.`inv`')", "10.0000"),
    ] {
        assert_eq!(bench.ok(sql), expected, "{sql}");
    }
    assert!(
        bench
            .run("SELECT id, count(*) FROM inv GROUP BY gone")
            .unwrap_err()
            .starts_with("[MISSING_AGGREGATION]")
    );
    assert!(
        bench
            .run("SELECT a.id FROM inv a JOIN inv b ON id = b.id")
            .unwrap_err()
            .starts_with("[AMBIGUOUS_REFERENCE]")
    );
    assert_eq!(bench.ok("UPDATE inv SET gone = true WHERE NOT gone"), "1");
    assert_eq!(bench.ok("DELETE FROM inv WHERE id = 'b'"), "1");
    bench.ok("CREATE OR REPLACE VIEW live AS SELECT id FROM inv WHERE gone");
    assert_eq!(bench.ok("SELECT * FROM live"), "a");
}

#[test]
fn staged_files_are_read_line_by_line() {
    let mut bench = bench();
    bench.ok("CREATE VOLUME IF NOT EXISTS main.fin.landing");
    let volume = bench.database.volume_mut("main", "fin", "landing").unwrap();
    for (name, content) in [
        ("b/1.json", "{\"id\":\"1\",\"total\":\"1.50\"}\n\n{\"id\":\"2\",\"total\":2}\n"),
        ("b/_hidden.json", "{\"id\":\"3\"}"),
        ("bad.json", "{\"id\":\"1\",\"total\":\"x\"}\n"),
    ] {
        volume.files.insert(name.to_owned(), catalog::File { bytes: content.into(), modified: 0 });
    }
    let read = |path: &str, mode: &str| {
        format!(
            "SELECT r.id, r.total FROM read_files('/Volumes/main/fin/landing{path}', format => 'json', schema => 'id STRING, total DECIMAL(18,4)', mode => '{mode}') AS r ORDER BY r.id"
        )
    };
    assert_eq!(bench.ok(&read("/b/1.json", "FAILFAST")), "1|1.5000\n2|2.0000");
    assert_eq!(bench.ok(&read("/b", "FAILFAST")), "1|1.5000\n2|2.0000");
    assert!(
        bench.run(&read("/bad.json", "FAILFAST")).unwrap_err().starts_with("[MALFORMED_RECORD_IN_PARSING")
    );
    assert_eq!(bench.ok(&read("/bad.json", "PERMISSIVE")), "1|NULL");
    assert!(bench.run(&read("/nope.json", "FAILFAST")).unwrap_err().starts_with("[PATH_NOT_FOUND]"));
    bench.database.grants.revoke("READ VOLUME", "main.fin.landing");
    assert!(
        bench
            .run(&read("/bad.json", "FAILFAST"))
            .unwrap_err()
            .contains("READ VOLUME on Volume 'main.fin.landing'")
    );
}

#[test]
fn parameters_are_cast_from_text() {
    for (ty, value, expected) in [
        ("DECIMAL", Some("12.34"), "12"),
        ("DECIMAL(18,2)", Some("12.345"), "12.35"),
        ("STRING", Some(""), ""),
        ("STRING", None, "NULL"),
        ("DATE", Some("2026-03-01"), "2026-03-01"),
        ("TIMESTAMP", Some("2026-03-02T09:15:27.104000Z"), "2026-03-02T09:15:27.104Z"),
        ("BOOLEAN", Some("false"), "false"),
    ] {
        let mut bench = bench();
        bench.set("p", ty, value);
        assert_eq!(bench.ok("SELECT :p"), expected, "{ty}");
    }
    let mut bench = bench();
    bench.set("p", "INT", Some("x"));
    assert!(bench.run("SELECT :p").unwrap_err().starts_with("[CAST_INVALID_INPUT]"));
    bench.session.zone = SessionZone::named("America/Los_Angeles").unwrap();
    bench.set("p", "TIMESTAMP", Some("2021-01-01T10:00:00"));
    assert_eq!(bench.ok("SELECT :p"), "2021-01-01T10:00:00.000-08:00");
}
