"""FreshBooks' Python SDK as a client of the simulator: the calls that a connector makes, by somebody else's code.

    cargo build -p ml-connector-sim
    pip install -r requirements.txt
    python3 freshbooks_sdk_client.py target/debug/ml-connector-sim

Starts the simulator on a free port. Ends with `good` and 0, or with what is wrong and 1.
"""

import atexit
import http.server
import os
import subprocess
import sys
import threading
import urllib.parse
from decimal import Decimal

simulator = subprocess.Popen([sys.argv[1], "freshbooks", "--freshbooks-port", "0"], stdout=subprocess.PIPE, text=True)
atexit.register(simulator.kill)
printed = {}
while "refresh_token" not in printed:
    words = simulator.stdout.readline().split() or sys.exit("the simulator ended")
    printed[words[0]] = words[1] if len(words) > 1 else ""
# It says what it delivers: somebody has to read that.
threading.Thread(target=simulator.stdout.read, daemon=True).start()
# The SDK reads both when it is made.
os.environ["FRESHBOOKS_API_URL"] = os.environ["FRESHBOOKS_AUTH_URL"] = printed["FreshBooks"]
from freshbooks import Client, FilterBuilder, FreshBooksError, IncludesBuilder, PaginateBuilder, VisState  # noqa: E402
import requests  # noqa: E402

account, redirect_uri = printed["account_id"], printed["redirect_uri"]


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: expected {wanted!r}, found {found!r}")


def refused(what, status, call):
    try:
        call()
    except FreshBooksError as error:
        expect(what, error.status_code, status)
        return error
    sys.exit(f"{what}: it was not refused")


def connect():
    return Client(printed["client_id"], printed["client_secret"], redirect_uri)


# A person consents, and each refresh token works once.
client = connect()
consented = requests.get(client.get_auth_request_url(), allow_redirects=False, timeout=30)
query = urllib.parse.parse_qs(urllib.parse.urlsplit(consented.headers["location"]).query)
first = client.get_access_token(query["code"][0]).refresh_token
client.refresh_access_token()
assert client.refresh_token != first, "a refresh token is used once"
refused("a spent refresh token", 400, lambda: connect().refresh_access_token(first))

me = client.current_user()
expect("the business", me.business_memberships[0].business.account_id, account)

# Lists, page by page, with what has to be asked for.
page = client.invoices.list(account, [PaginateBuilder(1, 1), IncludesBuilder().include("lines")])
expect("pages", (page.pages.page, page.pages.per_page, page.pages.pages, page.pages.total), (1, 1, 2, 2))
expect("lines of the list", len(page[0].lines), 1)
invoices = [invoice.invoiceid for invoice in client.invoices.list(account)]
expect("past the end", len(client.invoices.list(account, [PaginateBuilder(9, 100)])), 0)
found = client.invoices.list(account, [FilterBuilder().in_list("invoiceids", [invoices[0]])])
expect("a filter for ids", [invoice.invoiceid for invoice in found], [invoices[0]])
expect("what was deleted", len(client.invoices.list(account, [FilterBuilder().equals("vis_state", VisState.DELETED)])), 0)
lists = {
    "payments": client.payments,
    "bills": client.bills,
    "bill_vendors": client.bill_vendors,
    "bill_payments": client.bill_payments,
    "expenses": client.expenses,
    "clients": client.clients,
    "items": client.items,
    "categories": client.expenses_categories,
}
counts = {name: len(resource.list(account)) for name, resource in lists.items()}
wanted = {"payments": 1, "bills": 1, "bill_vendors": 1, "bill_payments": 0, "expenses": 1, "clients": 1}
expect("how many there are", {name: counts[name] for name in wanted}, wanted)
for name in ("payments", "bills", "bill_vendors", "expenses", "clients"):
    row = lists[name].list(account)[0]
    identity = row.vendorid if name == "bill_vendors" else row.id
    detail = lists[name].get(account, identity)
    expect(f"one of the {name}", detail.vendorid if name == "bill_vendors" else detail.id, identity)
invoice = client.invoices.get(account, invoices[0])
assert isinstance(Decimal(str(invoice.amount.amount)), Decimal) and invoice.amount.code, "money has a currency"
refused("a record that is not there", 404, lambda: client.invoices.get(account, 1))
refused("an account of somebody else", 404, lambda: client.invoices.get("Nobody", invoices[0]))

# A callback: made, proven with what was handed over, and deleted.
handed = threading.Event()
form = {}


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form.update(urllib.parse.parse_qsl(body))
        self.send_response(200)
        self.end_headers()
        handed.set()

    def log_message(self, *_):
        pass


receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{receiver.server_port}/hooks/invoice"
callback = client.callbacks.create(account, {"event": "invoice", "uri": address})
expect("a new callback", callback.verified, False)
assert handed.wait(30), "no handshake came"
expect("the handshake", (form["name"], form["object_id"]), ("callback.verify", str(callback.callbackid)))
refused("a wrong verifier", 422, lambda: client.callbacks.verify(account, callback.callbackid, "wrong"))
proven = client.callbacks.verify(account, callback.callbackid, form["verifier"])
expect("a proven callback", proven.verified, True)
expect("all callbacks", [one.callbackid for one in client.callbacks.list(account)], [callback.callbackid])
client.callbacks.resend_verification(account, callback.callbackid)
client.callbacks.delete(account, callback.callbackid)
expect("no callback", len(client.callbacks.list(account)), 0)
print("good")
