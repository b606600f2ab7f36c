"""The official SDK as a client of the simulator: what it can do there, every connector may rely on.

    cargo run -p ml-connector-sim -- databricks &
    pip install databricks-sdk==0.162.0
    python3 databricks_sdk_client.py http://127.0.0.1:7803 CLIENT_ID CLIENT_SECRET WAREHOUSE_ID

The four values are what the simulator prints. Ends with `good` and 0, or with what is wrong and 1.
"""

import io
import sys

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, PermissionDenied, Unauthenticated
from databricks.sdk.service.sql import StatementParameterListItem, StatementState

host, client_id, client_secret, warehouse = sys.argv[1:5]
client = WorkspaceClient(host=host, client_id=client_id, client_secret=client_secret, auth_type="oauth-m2m")


def run(sql, **parameters):
    items = [StatementParameterListItem(name=name, value=value, type="STRING") for name, value in parameters.items()]
    answer = client.statement_execution.execute_statement(
        statement=sql, warehouse_id=warehouse, catalog="main", schema="ml_finance", parameters=items, wait_timeout="30s"
    )
    assert answer.status.state == StatementState.SUCCEEDED, answer.status
    return answer.result.data_array if answer.result and answer.result.data_array else []


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: expected {wanted!r}, found {found!r}")


run("CREATE TABLE IF NOT EXISTS main.ml_finance.sdk (id STRING NOT NULL, total DECIMAL(38,4)) USING DELTA")
merge = (
    "MERGE INTO main.ml_finance.sdk AS t USING (SELECT r.id, r.total FROM (SELECT explode(from_json(:batch, "
    "'ARRAY<STRUCT<id: STRING, total: DECIMAL(38,4)>>', map('mode', 'FAILFAST'))) AS r)) AS s ON t.id = s.id "
    "WHEN MATCHED THEN UPDATE SET total = s.total WHEN NOT MATCHED THEN INSERT (id, total) VALUES (s.id, s.total)"
)
for _ in range(2):
    run(merge, batch='[{"id":"1","total":12.5},{"id":"2","total":"99999999999999999999999999999999.0001"}]')
rows = run("SELECT id, total FROM main.ml_finance.sdk ORDER BY id")
expect("rows", rows, [["1", "12.5000"], ["2", "99999999999999999999999999999999.0001"]])

failed = client.statement_execution.execute_statement(
    statement="SELECT * FROM main.ml_finance.nowhere", warehouse_id=warehouse, wait_timeout="30s"
)
expect("a missing table", failed.status.state, StatementState.FAILED)
assert "TABLE_OR_VIEW_NOT_FOUND" in failed.status.error.message, failed.status.error

expect("the table", client.tables.get("main.ml_finance.sdk").name, "sdk")
expect("whether it exists", client.tables.exists("main.ml_finance.sdk").table_exists, True)
expect("the schema", client.schemas.get("main.ml_finance").full_name, "main.ml_finance")
expect("the warehouse", client.warehouses.get(warehouse).id, warehouse)
try:
    client.tables.get("main.ml_finance.nowhere")
    sys.exit("a table that is not there was found")
except NotFound:
    pass

run("CREATE VOLUME IF NOT EXISTS main.ml_finance.sdk_files")
path = "/Volumes/main/ml_finance/sdk_files/a/b.json"
client.files.create_directory("/Volumes/main/ml_finance/sdk_files/a")
client.files.upload(path, io.BytesIO(b'{"id":"3","total":1}\n'), overwrite=True)
expect("the file", client.files.download(path).contents.read(), b'{"id":"3","total":1}\n')
names = [entry.name for entry in client.files.list_directory_contents("/Volumes/main/ml_finance/sdk_files/a")]
expect("the directory", names, ["b.json"])
read = f"SELECT r.id FROM read_files('{path}', format => 'json', schema => 'id STRING', mode => 'FAILFAST') AS r"
expect("the file as rows", run(read), [["3"]])
client.files.delete(path)
try:
    client.files.get_metadata(path)
    sys.exit("a deleted file is still there")
except NotFound:
    pass

try:
    stranger = WorkspaceClient(host=host, client_id=client_id, client_secret="dose0", auth_type="oauth-m2m")
    stranger.warehouses.get(warehouse)
    sys.exit("a wrong secret was accepted")
except (Unauthenticated, PermissionDenied, ValueError) as refused:
    assert "invalid_client" in str(refused), refused
print("good")
