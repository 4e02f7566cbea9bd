// The emulator's page in a real browser.
//
//     node page.mjs PROGRAM CHROMIUM FOLDER SAMPLE
//
// PROGRAM is the emulator's, started here, killed, and started again. Pictures of the page go to FOLDER.
// SAMPLE is an overview with every state in it.

import assert from "node:assert/strict";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { launch, ok, pause } from "./browser.mjs";
import { client, start } from "./emulator.mjs";
import { looks } from "./looks.mjs";
import { theSample } from "./sample.mjs";

const MARKUP = `<img src=x onerror="window.pwned=true">`;
const SAY = (text) => ({ overrides: { 6: { inputs: { text } } } });

const [program, chromium, screenshots, sample] = process.argv.slice(2);

async function anEmulator(browser) {
  const state = path.join(screenshots, "state");
  await rm(state, { force: true });
  const startAt = (listen, runTime) =>
    start(program, "--listen", listen, "--state", state, "--cold-start", "0.5", "--run-time", runTime, "--keep-warm", "0.2");
  const emulator = await startAt("127.0.0.1:0", "1.5");
  const { origin } = emulator;
  const address = new URL(origin).host;
  const watched = await browser.open(origin);
  const { page, complaints } = watched;

  const me = await firstCall(watched, origin);
  await runs(watched, me);
  await media(watched, me);
  await faults(watched, me);
  await markup(watched, me);
  await accounts(watched, origin);
  await idle(watched);
  await hidden(watched);
  const again = await killed(watched, me, emulator, () => startAt(address, "1.5"));
  assert.equal(await page.evaluate(() => window.neverReloaded), undefined, "the choice of account was proved by a reload");
  const last = await scene(watched, me, again, () => startAt(address, "15"));
  assert.deepEqual(complaints, []);
  ok("no errors, no breach of the policy, nothing asked of others");
  await last.kill();
}

async function firstCall(watched, origin) {
  const { page } = watched;
  const line = await watched.until("the line to try", () => document.querySelector("#welcome-line")?.checkVisibility() && document.querySelector("#welcome-line").textContent);
  const [, token, address] = line.match(/^curl -H 'Authorization: Bearer (\w+)' (\S+)$/);
  assert.equal(new URL(address).origin, origin);
  ok("an emulator that nobody called shows a line to try, with its own address");

  await page.evaluate(() => (window.neverReloaded = true));
  const deployments = await (await fetch(address, { headers: { authorization: `Bearer ${token}` } })).json();
  for (const { name, id } of deployments) {
    await watched.shows(name, "#deployment-list");
    await watched.shows(id, "#deployment-list");
  }
  ok("that line makes an account, whose deployments show");
  return client(origin, token);
}

async function runs(watched, me) {
  const { page } = watched;
  const before = await watched.figure("Balance");
  const first = await me.submit(await me.of("text-to-image"), SAY("a lighthouse at dawn"));
  await watched.status(first, "in queue", "in progress");
  await watched.until("what is spent now", () => figure("Spending now") > 0);
  await watched.status(first, "succeeded");
  await watched.until("the picture", (id) => row(id).querySelector(".sight img")?.naturalWidth > 0, first);
  ok("a request appears, succeeds and shows its picture");
  await watched.until("news", () => /^text-to-image \w{8} succeeded$/.test(document.querySelector("#news[aria-live=polite]").textContent));
  ok("what moved is said to those who listen");

  await watched.until("nothing spent any more", () => figure("Spending now") === 0);
  const [balance, spent] = [await watched.figure("Balance"), await watched.figure("Spent")];
  assert.ok(balance < before && spent > 0, `${balance} of ${before}, ${spent} spent`);
  assert.ok(Math.abs(balance + spent - before) < 0.0002, "what is spent is what is missing");
  const told = await (await me.get("/prod/v2/balance")).json();
  assert.ok(Math.abs(told.balance_microdollars / 1e6 - balance) < 0.0001, "the service tells the same");
  ok("the balance falls by what is spent, and stands where the service says");

  const failing = await me.submit(await me.of("broken-input"));
  await watched.status(failing, "failed");
  assert.ok((await page.evaluate((id) => row(id).querySelector(".error")?.innerText ?? "", failing)).length > 10);
  ok("a failed request says what failed");

  const blend = await me.of("image-blend");
  const [kept, cancelled] = [await me.submit(blend), await me.submit(blend)];
  await me.cancel(blend, cancelled);
  await watched.status(cancelled, "cancelled");
  await watched.status(kept, "succeeded");
  assert.ok((await page.evaluate((id) => row(id).querySelectorAll(".made img").length, kept)) >= 2);
  ok("a cancelled request shows as such, and several pictures side by side");
  assert.equal(await watched.figure("Runs"), 4);
}

async function media(watched, me) {
  const made = await Promise.all(["video-formats", "audio-formats"].map(async (name) => me.submit(await me.of(name))));
  const [film, sound] = made;
  await watched.status(film, "succeeded");
  await watched.until("a video's size", (id) => row(id).querySelector("video")?.videoWidth > 0, film);
  await watched.status(sound, "succeeded");
  await watched.until("a sound's length", (id) => row(id).querySelector("audio")?.duration > 0, sound);
  ok("videos and sounds play in place");
}

async function faults(watched, me) {
  const deployment = await me.of("text-to-image");
  const request = await me.submit(deployment, SAY("a lighthouse in the fog"));
  await watched.call("submit_request 200", request);
  await me.look(deployment, request);
  await me.look(deployment, request, "rate_limited(retry_after=1)");
  await watched.call("get_request_status rate_limited 429", request);
  await watched.call("get_request_status 200", request);
  await me.get(`/prod/v2/deployments/${"0".repeat(8)}`);
  await watched.until("the last call first", () => calls()[0].call === "get_deployment 404");
  ok("the last calls are listed, newest first, each with what it was about and what it met");

  const count = () => watched.page.$$eval("#request-list > li", (all) => all.length);
  const before = await count();
  await assert.rejects(me.submitBadly(deployment, "answer_lost"));
  await watched.until("a call without an answer", () => calls()[0].call === "submit_request answer_lost –");
  const lost = await watched.page.evaluate(() => calls()[0].about);
  await watched.status(lost, "in queue", "in progress", "succeeded");
  assert.equal(await count(), before + 1);
  ok("a request whose answer was lost shows, and which call it came from");

  await me.post("/_emulator/faults", { fault: "unavailable", operation: "get_deployment" });
  await me.get(`/prod/v2/deployments/${deployment}`);
  await watched.until("a call that met a rule", () => calls()[0].call === "get_deployment unavailable 503");
  await watched.until("as many faults as there were", () => figure("Faults") === 3);
  await me.post("/_emulator/scenarios", { scenario: "rate-limited" });
  await watched.shows("scenario rate-limited", "#settings");
  await me.remove("/_emulator/faults");
  await watched.lacks("scenario", "#settings");
  ok("faults and scenarios show while they are there");
}

async function markup(watched, me) {
  const words = await me.submit(await me.of("prompt-builder"), { overrides: { 1: { inputs: { value: MARKUP } } } });
  await watched.status(words, "succeeded");
  await watched.until("the text", (id, markup) => row(id).querySelector(".made .text")?.innerText.includes(markup), words, MARKUP);
  const odd = await me.post("/prod/v2/deployments", {
    name: MARKUP, workflow_id: "w", workflow_version: "v1", hardware: ["AMPERE_48"],
    min_instances: 0, max_instances: 1, queue_size: 1, keep_warm_duration_in_seconds: 60,
  });
  await watched.shows(MARKUP, "#deployment-list");
  assert.equal(await watched.page.evaluate(() => window.pwned), undefined);
  await me.remove(`/prod/v2/deployments/${odd.id}`);
  await watched.lacks(MARKUP, "#deployment-list");
  ok("what looks like HTML is text");
}

async function accounts(watched, origin) {
  const { page } = watched;
  assert.equal(await page.evaluate(() => window.neverReloaded), true);
  assert.ok(await page.$eval("#accounts", (one) => one.hidden));
  const first = await page.evaluate(() => document.querySelector("#request-list").childElementCount);
  await client(origin, "another").get("/prod/v2/deployments");
  await watched.until("two accounts", () => document.querySelectorAll("#accounts a").length === 2);
  // What one looked at stays, and the other is one key away.
  assert.equal(await page.evaluate(() => document.querySelector("#request-list").childElementCount), first);
  await page.focus("#accounts a:not([aria-current])");
  await page.keyboard.press("Enter");
  const empty = () => document.querySelector("#requests-empty").checkVisibility() && document.querySelector("#submit-line").textContent;
  const line = await watched.until("an account without requests", empty);
  assert.match(line, new RegExp(`${origin}/prod/v1/deployments/[^/]+/inference$`));
  assert.match(page.url(), /#account=\w+$/);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-current")), "page", "the focus stays");
  assert.deepEqual([await watched.figure("Balance"), await watched.figure("Runs")], [100, 0]);
  await page.reload();
  await watched.until("the same account", empty);
  await page.focus(".skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "requests");
  await watched.polled(1);
  assert.ok(await page.evaluate(empty), "skipping to the requests keeps the account");
  assert.match(page.url(), /#account=\w+$/, "also in the address");
  await page.focus("#accounts a:not([aria-current])");
  await page.keyboard.press("Enter");
  await watched.until("the first account", (first) => document.querySelector("#request-list").childElementCount === first, first);
  ok("accounts are chosen by key or pointer, and remembered in the address");
}

async function idle(watched) {
  const { page, polls } = watched;
  await watched.until("quiet", () => document.querySelector("#deployments-note").innerText === "0 instances up");
  await watched.polled(3);
  await page.evaluate(() => {
    window.changes = 0;
    new MutationObserver((all) => (window.changes += all.length)).observe(document.querySelector("main"), { subtree: true, childList: true, attributes: true, characterData: true });
  });
  const from = polls.length;
  await watched.polled(3);
  assert.deepEqual(new Set(polls.slice(from)), new Set([304]));
  assert.equal(await page.evaluate(() => window.changes), 0);
  ok("where nothing happens, answers are empty and nothing is drawn");
}

async function hidden(watched) {
  const { page, polls } = watched;
  const pretend = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await pretend(true);
  await pause(300); // One may be under way.
  const from = polls.length;
  await pause(2500);
  assert.equal(polls.length, from);
  await pretend(false);
  await watched.polled(1);
  ok("a page that nobody sees asks nothing");
}

/** Kills the emulator in the middle of a run, and gives the one that `restart` starts in its place. */
async function killed(watched, me, emulator, restart) {
  const { complaints } = watched;
  const ids = () => watched.page.$$eval("#request-list .id", (all) => all.map((one) => one.textContent));
  const deployment = await me.of("text-to-image");
  const running = await me.submit(deployment, SAY("a lighthouse in a storm"));
  await watched.status(running, "in progress");
  const [before, runs, spent] = [await ids(), await watched.figure("Runs"), await watched.figure("Spent")];
  const known = complaints.length;
  await emulator.kill();
  await watched.until("the bad news", () => document.querySelector("#gone[role=alert]").checkVisibility() && /gone, retrying/.test(document.querySelector("#gone").innerText));
  assert.deepEqual(await ids(), before, "what was last seen stays");
  const again = await restart();
  await watched.until("the good news", () => !document.querySelector("#gone").checkVisibility() && document.querySelector("#connection").innerText === "live");
  ok("the page says that the emulator was killed, and finds the next by itself");

  await watched.status(running, "succeeded");
  assert.deepEqual(await ids(), before);
  assert.equal(await watched.figure("Runs"), runs);
  assert.ok((await watched.figure("Spent")) >= spent);
  const news = await me.submit(deployment, SAY("a lighthouse, far away"));
  await watched.status(news, "succeeded");
  ok("what was kept is there again, the run in the middle went on, and there is more to come");
  const since = complaints.splice(known);
  assert.deepEqual(since.filter((one) => !/ERR_(CONNECTION|EMPTY_RESPONSE|INCOMPLETE)/.test(one)), []);
  return again;
}

/** Something of all there is, to look at. What runs in the end does so for as long as it takes to look. */
async function scene(watched, me, emulator, restart) {
  const { page, complaints } = watched;
  const [pictures, broken, edit] = await Promise.all(["text-to-image", "broken-input", "image-to-image"].map(me.of));
  const finished = ["a harbour in fog", "a red fox in snow", "a city at night"].map((text) => me.submit(pictures, SAY(text)));
  for (const id of await Promise.all(finished)) await watched.status(id, "succeeded");
  await watched.status(await me.submit(broken), "failed");
  const unwanted = await me.submit(edit);
  await me.cancel(edit, unwanted);
  await watched.status(unwanted, "cancelled");

  const known = complaints.length;
  await emulator.kill();
  const last = await restart();
  const busy = [];
  for (let left = 3; left > 0; left--) busy.push(await me.submit(pictures));
  await watched.status(busy[1], "in progress");
  complaints.splice(known);
  await me.look(pictures, busy[0], "rate_limited(retry_after=1)");
  for (let left = 24; left > 0; left--) await me.look(pictures, busy[0]);
  await me.post("/_emulator/scenarios", { scenario: "slow" });
  await watched.shows("scenario slow", "#settings");
  await watched.shows("×24", "#call-list");
  await page.evaluate(() => document.activeElement.blur());
  await looks(watched, "page");
  return last;
}

/** One where money is scarce, and accounts are many. */
async function aPoorEmulator(browser) {
  const emulator = await start(program, "--listen", "127.0.0.1:0", "--cold-start", "0.3", "--run-time", "1", "--keep-warm", "0.2", "--balance", "0.0005");
  const me = client(emulator.origin, "poor");
  const deployment = await me.of("text-to-image");
  const watched = await browser.open(emulator.origin);
  const last = await me.submit(deployment);
  await watched.status(last, "succeeded");
  await watched.shows("out of funds", "#deployment-list");
  await watched.until("nothing left", () => figure("Balance") <= 0 && document.querySelector("#figures .low"));
  const refused = await (await me.submitBadly(deployment)).json();
  assert.equal(refused.error_code, 10001);
  await watched.until("what it was refused by", () => calls()[0].call === "submit_request error 10001 200");
  await looks(watched, "poor");
  await me.post("/_emulator/pay-in", { amount_usd: 5 });
  await watched.until("money", () => figure("Balance") > 4.9 && !document.querySelector("#figures .low"));
  await watched.lacks("out of funds", "#deployment-list");
  await watched.shows("disabled", "#deployment-list");
  assert.ok((await me.change(`/prod/v2/deployments/${deployment}`, { name: "text-to-image", is_enabled: true })).ok);
  await watched.status(await me.submit(deployment), "succeeded");
  ok("who has no money is shown as such, until there is some");

  const { page } = watched;
  const kept = await page.$eval("#request-list", (list) => list.innerText);
  for (let number = 0; number < 8; number++) await client(emulator.origin, `one-of-many-${number}`).get("/prod/v2/deployments");
  await watched.until("a list of accounts", () => document.querySelectorAll("#accounts select option").length === 9);
  await watched.polled(1);
  assert.equal(await page.$eval("#request-list", (list) => list.innerText), kept, "what one looked at stays");
  const other = await page.$eval("#accounts select", (list) => [...list.options].find((one) => !one.selected).value);
  await page.select("#accounts select", other);
  await watched.until("another's deployments", () => document.querySelector("#requests-empty").checkVisibility() && document.querySelectorAll("#deployment-list > li").length > 3);
  await watched.until("another's calls", () => calls()[0]?.call === "list_deployments 200");
  assert.deepEqual(watched.complaints, []);
  ok("of many accounts, the one that is chosen shows in full");
  await emulator.kill();
}

async function others(browser) {
  const emulator = await start(program, "--listen", "127.0.0.1:0");
  await theSample(browser, emulator.origin, sample);
  await emulator.kill();
  await aPoorEmulator(browser);
}

await mkdir(screenshots, { recursive: true });
// Most of the time is spent in waiting for runs. A browser each, as only one tab of a browser is seen.
const browsers = await Promise.all([launch(chromium, screenshots), launch(chromium, screenshots)]);
try {
  await Promise.all([anEmulator(browsers[0]), others(browsers[1])]);
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
}
