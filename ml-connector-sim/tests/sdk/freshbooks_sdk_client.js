// FreshBooks' Node SDK as a client of the simulator: the calls that a connector makes, by somebody else's code.
//
//     cargo build -p ml-connector-sim
//     npm ci                                       # in the folder of package.json
//     node freshbooks_sdk_client.js target/debug/ml-connector-sim
//
// Starts the simulator on a free port. Ends with `good` and 0, or with what is wrong and 1.

const { spawn } = require("node:child_process");
const http = require("node:http");
const readline = require("node:readline");
const assert = require("node:assert/strict");
const { createRequire } = require("node:module");
const path = require("node:path");

// The packages are beside package.json, wherever that was copied to.
const packages = createRequire(path.join(process.cwd(), "package.json"));

async function simulator(program) {
  const child = spawn(program, ["freshbooks", "--freshbooks-port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  process.on("exit", () => child.kill());
  const printed = {};
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const words = line.trim().split(/\s+/);
    printed[words[0]] = words[1];
    if (printed.refresh_token) break;
  }
  assert.ok(printed.refresh_token, "the simulator ended");
  child.stdout.resume();
  return printed;
}

// What came, or what is wrong. The SDK says so in its answer, or throws.
function got(what, result) {
  assert.ok(result.ok, `${what}: ${JSON.stringify(result.error)}`);
  return result.data;
}

async function refused(what, status, call) {
  const error = await call().then((result) => result.error, (thrown) => thrown);
  assert.equal(String(error?.statusCode), String(status), `${what}: ${JSON.stringify(error)}`);
}

async function main() {
  const printed = await simulator(path.resolve(process.argv[2]));
  const { account_id: account, FreshBooks: url } = printed;
  process.env.FRESHBOOKS_AUTH_URL = url;
  const { Client } = packages("@freshbooks/api");
  const builders = packages("@freshbooks/api/dist/models/builders");
  const { IncludesQueryBuilder, PaginationQueryBuilder, SearchQueryBuilder } = builders;
  const quiet = { info() {}, error() {}, warn() {}, debug() {}, log() {} };
  const connect = () =>
    new Client(printed.client_id, {
      clientSecret: printed.client_secret, redirectUri: printed.redirect_uri, apiUrl: url,
    }, quiet);

  // A person consents, and each refresh token works once.
  const client = connect();
  const page = new URL(client.getAuthRequestUrl());
  const consented = await fetch(`${url}/oauth/authorize${page.search}`, { redirect: "manual" });
  const code = new URL(consented.headers.get("location")).searchParams.get("code");
  const first = (await client.getAccessToken(code)).refreshToken;
  await client.refreshAccessToken();
  assert.notEqual(client.refreshToken, first, "a refresh token is used once");
  await assert.rejects(connect().refreshAccessToken(first), "a spent refresh token");

  const me = got("the person", await client.users.me());
  assert.equal(me.businessMemberships[0].business.accountId, account);

  // Lists, page by page, with what has to be asked for.
  const lines = new IncludesQueryBuilder().includes("lines");
  const one = got("invoices", await client.invoices.list(account, [new PaginationQueryBuilder().page(1).perPage(1), lines]));
  assert.deepEqual(one.pages, { page: 1, pages: 2, size: 1, total: 2 });
  assert.equal(one.invoices[0].lines.length, 1);
  const all = got("invoices", await client.invoices.list(account)).invoices.map((invoice) => invoice.id);
  assert.equal(all.length, 2);
  const search = new SearchQueryBuilder().in("invoiceids", [all[0]]);
  const found = got("a filter for ids", await client.invoices.list(account, [search])).invoices;
  assert.deepEqual(found.map((invoice) => invoice.id), [all[0]]);
  for (const [name, key, count] of [
    ["payments", "payments", 1], ["bills", "bills", 1], ["billVendors", "billVendors", 1],
    ["billPayments", "billPayments", 0], ["expenses", "expenses", 1], ["clients", "clients", 1],
  ]) {
    const listed = got(name, await client[name].list(account));
    assert.equal((listed[key] ?? Object.values(listed)[0]).length, count, name);
  }
  for (const name of ["items", "expenseCategories"]) got(name, await client[name].list(account));
  const invoice = got("an invoice", await client.invoices.single(account, all[0]));
  assert.equal(invoice.id, all[0]);
  assert.ok(invoice.amount.code, "money has a currency");
  for (const name of ["payments", "expenses", "clients"]) {
    const row = got(name, await client[name].list(account))[name][0];
    assert.equal(got(name, await client[name].single(account, row.id)).id, row.id, name);
  }
  await refused("a record that is not there", 404, () => client.invoices.single(account, "1"));

  // A callback: made, proven with what was handed over, and deleted.
  const handed = {};
  handed.promise = new Promise((resolve) => (handed.resolve = resolve));
  const receiver = http.createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      response.end();
      handed.resolve(new URLSearchParams(body));
    });
  });
  await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));
  const uri = `http://127.0.0.1:${receiver.address().port}/hooks/invoice`;
  const callback = got("a callback", await client.callbacks.create({ event: "invoice", uri }, account));
  const id = callback.callbackId;
  const form = await handed.promise;
  assert.equal(form.get("name"), "callback.verify");
  assert.equal(form.get("object_id"), String(id));
  await refused("a wrong verifier", 422, () => client.callbacks.verify(account, id, "wrong"));
  const proven = got("the handshake", await client.callbacks.verify(account, id, form.get("verifier")));
  assert.equal(proven.verified, true);
  assert.equal(got("callbacks", await client.callbacks.list(account)).callbacks.length, 1);
  got("a repetition", await client.callbacks.resendVerification(account, id));
  got("the end", await client.callbacks.delete(account, id));
  assert.equal(got("callbacks", await client.callbacks.list(account)).callbacks.length, 0);
  console.log("good");
  process.exit(0);
}

main().catch((wrong) => {
  console.error(wrong);
  process.exit(1);
});
