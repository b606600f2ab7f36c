"""Runs the statements that the connector sent on DuckDB, and compares the tables with those of the simulator.

    ML_CONNECTOR_ORACLE=/tmp/oracle.json cargo test -p ml-connector-databricks --test it oracle
    python3 replay.py /tmp/oracle.json

sqlglot reads Databricks' SQL and writes DuckDB's. What it cannot write is replaced here, and nothing else:

- `from_json(text, type, …)` becomes a cast of JSON text;
- `read_files(path, …)` becomes a cast of the lines that were staged, with the schema that the statement names;
- table properties, clustering and comments are left out: DuckDB has none of these.
"""

import datetime
import decimal
import json
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


def fit(value, kind):
    if value is None:
        return None
    if kind.this == exp.DType.ARRAY:
        return [fit(element, kind.expressions[0]) for element in value]
    if kind.this == exp.DType.STRUCT:
        return {field.this.name: fit(value.get(field.this.name), field.kind) for field in kind.expressions}
    return value


def refuse(text):
    raise ValueError(f"a binary fraction in a row: {text}")


def decode(text, databricks):
    """DuckDB casts JSON to nested types, and fails where a value does not fit: as FAILFAST does.

    It also fails at members that the type lacks, which Spark passes over, and at members that a row lacks, which Spark
    reads as null: both are evened out here. Rows hold whole numbers, texts and nothing else that another reader of JSON
    might change.
    """
    kind = sqlglot.parse_one(f"CAST(x AS {databricks})", read="databricks").to
    text = json.dumps(fit(json.loads(text, parse_float=refuse), kind), ensure_ascii=False)
    return f"CAST(CAST({literal(text).sql('duckdb')} AS JSON) AS {duck_type(databricks)})"


def parsed(duckdb_sql):
    return sqlglot.parse_one(duckdb_sql, read="duckdb")


def without_comments(node):
    for column in list(node.find_all(exp.ColumnDef)):
        constraints = column.args.get("constraints") or []
        kept = [c for c in constraints if isinstance(c.kind, exp.NotNullColumnConstraint)]
        column.set("constraints", kept)
    return node


def translate(sent, files):
    """DuckDB's statements for one of Databricks."""
    parameters = {p["name"]: p.get("value") for p in sent["parameters"]}
    tree = without_comments(sqlglot.parse_one(sent["statement"], read="databricks"))
    if isinstance(tree, exp.Create):
        tree.set("properties", None)
    if isinstance(tree, exp.Alter):
        # One column at a time.
        table = tree.this.sql("duckdb")
        columns = [c for action in tree.args["actions"] for c in action.find_all(exp.ColumnDef)]
        return [f"ALTER TABLE {table} ADD COLUMN {column.sql('duckdb')}" for column in columns]
    for call in list(tree.find_all(exp.FromJson)):
        assert isinstance(call.this, exp.Placeholder), call
        call.replace(parsed(decode(parameters[call.this.name], call.expression.this)))
    for table in list(tree.find_all(exp.Table)):
        call = table.this
        if not (isinstance(call, exp.Anonymous) and call.this.lower() == "read_files"):
            continue
        path, *options = call.expressions
        options = {o.this.name.lower(): o.expression.this for o in options}
        assert options["format"] == "json" and options["mode"] == "FAILFAST", options
        array = "[" + ",".join(files[path.this].splitlines()) + "]"
        rows = f"SELECT UNNEST({decode(array, rows_type(options['schema']))}) AS r"
        table.replace(parsed(rows).subquery())
    for marker in list(tree.find_all(exp.Placeholder)):
        marker.replace(literal(parameters[marker.name]))
    return [tree.sql("duckdb")]


def run(connection, sent, files):
    for sql in translate(sent, files):
        try:
            connection.execute(sql)
        except Exception as error:
            raise SystemExit(f"{error}\n--- was\n{sent['statement'][:3000]}\n--- became\n{sql[:3000]}")


def cell(value):
    """A cell as text; a nested one as JSON."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=str)
    return str(value)


def instant(text):
    value = datetime.datetime.fromisoformat(text)
    return value if value.tzinfo else None


def same(ours, theirs):
    if ours == theirs:
        return True
    for read in (decimal.Decimal, instant, lines):
        try:
            return read(ours) == read(theirs) is not None
        except (decimal.InvalidOperation, ValueError):
            continue
    return False


def lines(text):
    """Nested values without what is null, numbers by value and to the last digit."""
    read = json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
    if not isinstance(read, (list, dict)):
        raise ValueError("no nested value")
    return plain(read)


def plain(value):
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items() if member is not None}
    try:
        return decimal.Decimal(value)
    except decimal.InvalidOperation:
        return value


def main(path):
    exported = json.load(open(path, encoding="utf-8"))
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'America/Los_Angeles'")
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
