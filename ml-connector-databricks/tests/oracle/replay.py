"""Runs the statements that the connector sent on DuckDB, and compares the tables with those of the simulator.

    ML_CONNECTOR_ORACLE=/tmp/oracle.json cargo test -p ml-connector-databricks --test it oracle
    python3 replay.py /tmp/oracle.json

sqlglot reads Databricks' SQL and writes DuckDB's. What it cannot write is replaced here, and nothing else:

- `from_json(text, type, …)` becomes a cast of JSON text;
- `read_files(path, …)` becomes a cast of the lines that were staged, with the schema that the statement names;
- table properties, clustering and comments are left out: DuckDB has none of these.
"""

import decimal
import json
import re
import sys

import duckdb
import sqlglot
from sqlglot import exp


def literal(text):
    return exp.Literal.string(text)


def rows_type(schema):
    """A schema of read_files, `a STRING, b ARRAY<STRUCT<…>>`, as one type."""
    columns = sqlglot.parse_one(f"CREATE TABLE t ({schema})", read="databricks").find_all(exp.ColumnDef)
    fields = [c for c in columns if isinstance(c.parent, exp.Schema)]
    text = ", ".join(f"{c.this.sql('databricks', identify=True)}: {c.kind.sql('databricks')}" for c in fields)
    return f"ARRAY<STRUCT<{text}>>"


def duck_type(databricks):
    return sqlglot.parse_one(f"CAST(x AS {databricks})", read="databricks").to.sql("duckdb")


def decode(text, databricks):
    """DuckDB casts JSON to nested types, and fails where a value does not fit: as FAILFAST does."""
    return sqlglot.parse_one(f"CAST(CAST({literal(text).sql('duckdb')} AS JSON) AS {duck_type(databricks)})", read="duckdb")


def translate(sent, files):
    parameters = {p["name"]: p.get("value") for p in sent["parameters"]}
    tree = sqlglot.parse_one(sent["statement"], read="databricks")
    if isinstance(tree, exp.Create):
        columns = [c for c in tree.find_all(exp.ColumnDef) if isinstance(c.parent, exp.Schema)]
        for column in columns:
            kept = [k for k in column.args.get("constraints", []) if isinstance(k.kind, exp.NotNullColumnConstraint)]
            column.set("constraints", kept)
        tree.set("properties", None)
    for call in list(tree.find_all(exp.Anonymous, exp.Func)):
        name = call.this if isinstance(call, exp.Anonymous) else call.key
        name = str(name).lower()
        if name in ("from_json", "fromjson"):
            arguments = call.expressions or [call.this, call.args.get("schema")]
            call.replace(decode(parameters["batch"], arguments[1].this))
        elif name == "read_files":
            options = {o.this.name.lower(): o.expression.this for o in call.expressions[1:]}
            assert options["format"] == "json" and options["mode"] == "FAILFAST", options
            lines = files[call.expressions[0].this].splitlines()
            values = decode("[" + ",".join(lines) + "]", rows_type(options["schema"]))
            inner = exp.select("*").from_(exp.select(exp.alias_(exp.Explode(this=values), "r")).subquery("x"))
            call.set("oracle", inner)
            call.replace(exp.Anonymous(this="oracle_rows", expressions=[values]))
    for marker in list(tree.find_all(exp.Placeholder)):
        marker.replace(literal(parameters[marker.name]))
    return tree


def run(connection, sent, files):
    tree = translate(sent, files)
    sql = tree.sql("duckdb")
    # A table function of rows: each row is a struct named r.
    start = sql.lower().find("oracle_rows(")
    if start >= 0:
        depth, end = 0, start + len("oracle_rows")
        quoted = False
        for at in range(end, len(sql)):
            c = sql[at]
            if c == "'":
                quoted = not quoted
            depth += (c == "(") - (c == ")") if not quoted else 0
            if depth == 0 and not quoted:
                end = at + 1
                break
        values = sql[start + len("oracle_rows(") : end - 1]
        rest = re.sub(r"^\s+AS\s+r\b", "", sql[end:], count=1)
        sql = sql[:start] + f"(SELECT UNNEST({values}) AS r)" + rest
    try:
        connection.execute(sql)
    except Exception as error:
        raise SystemExit(f"{error}\n--- was\n{sent['statement'][:3000]}\n--- became\n{sql[:3000]}")


def cell(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def same(ours, theirs):
    if ours == theirs:
        return True
    try:
        return decimal.Decimal(ours) == decimal.Decimal(theirs)
    except decimal.InvalidOperation:
        return False


def main(path):
    exported = json.load(open(path, encoding="utf-8"))
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'America/Los_Angeles'")
    connection.execute("ATTACH ':memory:' AS main_catalog")
    connection.execute("CREATE SCHEMA IF NOT EXISTS ml_finance")
    files, statements = {}, 0
    for sent in exported["sent"]:
        if "file" in sent:
            files[sent["file"]] = sent["lines"]
            continue
        # DuckDB's own catalog is called memory.
        sent = {**sent, "statement": sent["statement"].replace("`main`.", "`memory`.")}
        run(connection, sent, files)
        statements += 1
    wrong = 0
    for name, table in exported["tables"].items():
        columns = ", ".join(f'"{c}"' for c in table["columns"])
        name = name.replace("main.", "memory.", 1)
        theirs = connection.execute(f'SELECT {columns} FROM {name} ORDER BY "{table["order"]}", "_epoch"').fetchall()
        theirs = [[cell(value) for value in row] for row in theirs]
        if len(theirs) != len(table["rows"]):
            wrong += 1
            print(f"{name}: {len(table['rows'])} rows here, {len(theirs)} there")
        for ours, row in zip(table["rows"], theirs):
            for column, a, b in zip(table["columns"], ours, row):
                if not same(a, b):
                    wrong += 1
                    print(f"{name} {ours[1]} {column}: {a!r} here, {b!r} there")
        print(f"{name}: {len(theirs)} rows compared")
    print(f"{statements} statements, {wrong} differences")
    return 1 if wrong or statements < 10 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
