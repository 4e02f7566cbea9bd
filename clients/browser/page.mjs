// The emulator's page in a real browser.
//
//     node page.mjs EMULATOR CHROMIUM SCREENSHOTS SAMPLE [--stand-in]
//
// EMULATOR is the address of one that nobody has called yet, whose runs take a second or two and whose
// instances stop soon after. SAMPLE is an overview with every state in it. With --stand-in the overview is made here, for an emulator that has none.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import puppeteer from "puppeteer-core";
import { standIn } from "./stand_in.mjs";

const [emulator, chromium, screenshots, sampleFile, ...options] = process.argv.slice(2);
const MARKUP = `<img src=x onerror="window.pwned=true">`;
const LONG_MS = 20_000;

const stand = options.includes("--stand-in") ? await standIn(emulator) : null;
const origin = new URL(stand?.url ?? emulator).origin;
await mkdir(screenshots, { recursive: true });
const browser = await puppeteer.launch({
  executablePath: chromium,
  headless: true,
  args: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"],
});
/* What is asked of a live emulator. */

async function theEmulator() {
  const { page, complaints, polls } = await open();
  const shows = (words, within = "main") =>
    until(page, `${within} shows "${words}"`, (words, within) => document.querySelector(within)?.checkVisibility() && document.querySelector(within).innerText.includes(words), words, within);

  const line = await until(page, "the line to try", () => document.querySelector("#welcome-line")?.checkVisibility() && document.querySelector("#welcome-line").textContent);
  const [, token, address] = line.match(/^curl -H 'Authorization: Bearer (\w+)' (\S+)$/);
  assert.equal(new URL(address).origin, origin);
  ok("an emulator that nobody called shows a line to try, with its own address");

  await page.evaluate(() => (window.neverReloaded = true));
  const deployments = await (await fetch(address, { headers: { authorization: `Bearer ${token}` } })).json();
  const me = client(token);
  const idOf = (name) => deployments.find((one) => one.name === name).id;
  for (const { name, id } of deployments) {
    await shows(name, "#deployment-list");
    await shows(id, "#deployment-list");
  }
  ok("that line makes an account, whose deployments show");

  const before = await figure(page, "Balance");
  const first = await me.submit(idOf("text-to-image"), { overrides: { 6: { inputs: { text: "a lighthouse at dawn" } } } });
  await status(page, first, ["in queue", "in progress"]);
  await status(page, first, ["succeeded"]);
  await until(page, "the picture", (id) => row(id).querySelector(".sight img")?.naturalWidth > 0, first);
  ok("a request appears, succeeds and shows its picture");
  await until(page, "a balance that fell", (before) => figure("Balance") < before, before);
  ok("the balance falls");
  await until(page, "news", () => /^text-to-image \w{8} succeeded$/.test(document.querySelector("#news[aria-live=polite]").textContent));
  ok("what moved is said to those who listen");

  const failing = await me.submit(idOf("broken-input"), {});
  await status(page, failing, ["failed"]);
  assert.ok((await page.evaluate((id) => row(id).querySelector(".error")?.innerText ?? "", failing)).length > 10);
  ok("a failed request says what failed");

  const [kept, cancelled] = [await me.submit(idOf("image-blend"), {}), await me.submit(idOf("image-blend"), {})];
  await me.post(`/prod/v1/deployments/${idOf("image-blend")}/requests/${cancelled}/cancel`);
  await status(page, cancelled, ["cancelled"]);
  await status(page, kept, ["succeeded"]);
  assert.ok((await page.evaluate((id) => row(id).querySelectorAll(".made img").length, kept)) >= 2);
  ok("a cancelled request shows as such, and several pictures side by side");

  await me.get(`/prod/v2/deployments/${"0".repeat(8)}`);
  const calls = () => page.$$eval("#call-list tr", (rows) => rows.map((row) => `${row.cells[1].firstChild.innerText} ${row.cells[2].innerText}`));
  for (const wanted of ["list_deployments 200", "submit_request 200", "cancel_request 202", "get_deployment 404"]) {
    await until(page, wanted, (wanted) => [...document.querySelectorAll("#call-list tr")].some((row) => wanted === `${row.cells[1].firstChild.innerText} ${row.cells[2].innerText}`), wanted);
  }
  assert.equal((await calls())[0], "get_deployment 404", "the last call comes first");
  ok("the last calls are listed");

  const words = await me.submit(idOf("prompt-builder"), { overrides: { 1: { inputs: { value: MARKUP } } } });
  await status(page, words, ["succeeded"]);
  await until(page, "the text", (id, markup) => row(id).querySelector(".made .text")?.innerText.includes(markup), words, MARKUP);
  const odd = await me.post("/prod/v2/deployments", {
    name: MARKUP, workflow_id: "w", workflow_version: "v1", hardware: ["AMPERE_48"],
    min_instances: 0, max_instances: 1, queue_size: 1, keep_warm_duration_in_seconds: 60,
  });
  await shows(MARKUP, "#deployment-list");
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  await me.remove(`/prod/v2/deployments/${odd.id}`);
  await until(page, "one deployment less", (markup) => !document.querySelector("#deployment-list").innerText.includes(markup), MARKUP);
  ok("what looks like HTML is text");

  const [film, sound] = [await me.submit(idOf("video-formats"), {}), await me.submit(idOf("audio-formats"), {})];
  await status(page, film, ["succeeded"]);
  await until(page, "a video's size", (id) => row(id).querySelector("video")?.videoWidth > 0, film);
  await status(page, sound, ["succeeded"]);
  await until(page, "a sound's length", (id) => row(id).querySelector("audio")?.duration > 0, sound);
  ok("videos and sounds play in place");

  await twoAccounts(page, polls);
  await idle(page, polls);
  await hidden(page, polls);
  await gone(page, complaints, me, idOf("text-to-image"));
  assert.equal(await page.evaluate(() => window.neverReloaded), undefined, "the choice of account was proved by a reload");

  // A scene to look at.
  for (const text of ["a harbour in fog", "a red fox in snow", "a city at night"]) {
    await status(page, await me.submit(idOf("text-to-image"), { overrides: { 6: { inputs: { text } } } }), ["succeeded"]);
  }
  await status(page, await me.submit(idOf("broken-input"), {}), ["failed"]);
  const unwanted = await me.submit(idOf("image-to-image"), {});
  await me.post(`/prod/v1/deployments/${idOf("image-to-image")}/requests/${unwanted}/cancel`);
  await status(page, unwanted, ["cancelled"]);
  const busy = [];
  for (let left = 3; left > 0; left--) busy.push(await me.submit(idOf("text-to-image"), {}));
  await status(page, busy[0], ["in progress"]);
  await page.evaluate(() => document.activeElement.blur());
  await looks(page, "page");
  assert.deepEqual(complaints, []);
  ok("no errors, no breach of the policy, nothing asked of others");
}

async function twoAccounts(page, polls) {
  const own = await until(page, "an account", () => document.querySelector("#accounts")?.hidden && document.querySelector("#request-list").childElementCount > 3);
  assert.ok(own);
  assert.equal(await page.evaluate(() => window.neverReloaded), true);
  const first = await page.evaluate(() => document.querySelector("#request-list").childElementCount);
  await client("another").get("/prod/v2/deployments");
  await until(page, "two accounts", () => document.querySelectorAll("#accounts a").length === 2);
  // What one looked at stays, and the other is one key away.
  assert.equal(await page.evaluate(() => document.querySelector("#request-list").childElementCount), first);
  await page.focus("#accounts a:not([aria-current])");
  await page.keyboard.press("Enter");
  const empty = () => document.querySelector("#requests-empty").checkVisibility() && document.querySelector("#submit-line").textContent;
  const line = await until(page, "an account without requests", empty);
  assert.match(line, new RegExp(`${origin}/prod/v1/deployments/[^/]+/inference$`));
  assert.match(page.url(), /#account=\w+$/);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-current")), "page", "the focus stays");
  await page.reload();
  await until(page, "the same account", empty);
  await page.focus(".skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "requests");
  await polled(polls, 1);
  assert.ok(await page.evaluate(empty), "skipping to the requests keeps the account");
  assert.match(page.url(), /#account=\w+$/, "also in the address");
  await page.focus("#accounts a:not([aria-current])");
  await page.keyboard.press("Enter");
  await until(page, "the first account", (first) => document.querySelector("#request-list").childElementCount === first, first);
  ok("accounts are chosen by key or pointer, and remembered in the address");
}

async function idle(page, polls) {
  await until(page, "quiet", () => document.querySelector("#deployments-note").innerText === "0 instances up");
  await polled(polls, 3);
  await page.evaluate(() => {
    window.changes = 0;
    new MutationObserver((all) => (window.changes += all.length)).observe(document.querySelector("main"), { subtree: true, childList: true, attributes: true, characterData: true });
  });
  const from = polls.length;
  await polled(polls, 3);
  assert.deepEqual(new Set(polls.slice(from)), new Set([304]));
  assert.equal(await page.evaluate(() => window.changes), 0);
  ok("where nothing happens, answers are empty and nothing is drawn");
}

async function hidden(page, polls) {
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
  await polled(polls, 1);
  ok("a page that nobody sees asks nothing");
}

async function gone(page, complaints, me, deployment) {
  const known = complaints.length;
  await page.setOfflineMode(true);
  await until(page, "the bad news", () => document.querySelector("#gone[role=alert]").checkVisibility() && /gone, retrying/.test(document.querySelector("#gone").innerText));
  const meanwhile = await me.submit(deployment, {});
  await page.setOfflineMode(false);
  await until(page, "the good news", () => !document.querySelector("#gone").checkVisibility() && document.querySelector("#connection").innerText === "live");
  await status(page, meanwhile, ["succeeded"]);
  const since = complaints.splice(known);
  assert.deepEqual(since.filter((one) => !/ERR_INTERNET_DISCONNECTED/.test(one)), []);
  ok("the page says that the emulator is gone, and is back by itself");
}

/* What is asked of any overview: every state, and fields that are not there. */

async function anySample() {
  const picture = await (await fetch(`${origin}/_emulator/page.svg`)).text();
  const sample = (await readFile(sampleFile, "utf8")).replaceAll("http://127.0.0.1:9000", origin);
  const answers = {
    "/_emulator/overview": { contentType: "application/json", body: sample },
    "/deployment_requests/": { contentType: "image/svg+xml", body: picture },
  };
  const { page, complaints } = await open(answers);
  await until(page, "rows", () => document.querySelectorAll("#request-list > li").length === 6);
  const badges = await page.$$eval("#request-list .badge", (all) => all.map((one) => one.innerText));
  assert.deepEqual(badges, ["in queue", "in progress", "succeeded", "failed", "cancelled", "a-status-of-tomorrow"]);
  const chips = await page.$$eval("#settings li", (all) => all.map((one) => one.innerText));
  assert.deepEqual(chips.slice(0, 3), ["scenario flaky", "ComfyUI 127.0.0.1:8188 running", "ComfyUI gpu-box.example:8188 unreachable"]);
  assert.match(chips[3], /^10:0[56]:\d\d UTC · time ×60$/);
  assert.equal(await page.$eval("progress", (bar) => bar.value), 0.4);
  const links = await page.$$eval("#request-list .made a", (all) => all.map((one) => [one.innerText, one.href, one.rel]));
  assert.deepEqual(links.filter(([words]) => words).map(([words]) => words), ["far.png", "mesh.glb"]);
  assert.ok(links.every(([, href, rel]) => href.startsWith("http") && rel === "noopener noreferrer"));
  assert.equal(await page.$$eval(".request img", (all) => all.length), 2, "pictures of others are links");
  const calls = await page.$$eval("#call-list tr", (all) => all.map((one) => one.innerText.replace(/\s+/g, " ")));
  assert.equal(calls.length, 4);
  assert.match(calls[0], /^10:04:59 get_request_status ×2 .* 200$/);
  assert.match(calls[1], /rate_limited .* 429$/);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  ok("every state of the sample shows, and what is missing is no error");
  await looks(page, "sample");
  assert.deepEqual(complaints, []);

  const many = JSON.parse(sample);
  many.accounts.push(...["a", "b", "c", "d", "e", "f"].map((account) => ({ account, balance_usd: 1 })));
  answers["/_emulator/overview"].body = JSON.stringify(many);
  await until(page, "a list of accounts", () => document.querySelectorAll("#accounts select option").length === 8);
  await page.select("#accounts select", "#account=f");
  await until(page, "the last of many accounts", () => document.querySelector("#figures dd").innerText === "$1.0000" && document.querySelector("#accounts select").value === "#account=f");
  assert.deepEqual(complaints, []);
  ok("many accounts are chosen from a list");

  const bad = (words) => until(page, words, (words) => document.querySelector("#gone").checkVisibility() && document.querySelector("#gone").innerText.includes(words), words);
  answers["/_emulator/overview"] = { status: 500, body: "out of order" };
  await bad("not well, retrying: it answered 500");
  answers["/_emulator/overview"] = { contentType: "application/json", body: '{"accounts": [' };
  await bad("not well, retrying: ");
  answers["/_emulator/overview"] = { contentType: "application/json", body: sample };
  await until(page, "the good news", () => !document.querySelector("#gone").checkVisibility());
  ok("an emulator that answers nonsense is asked again");
}

/* What it looks like. */

async function looks(page, name) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    for (const [device, width, height] of [["desktop", 1280, 1100], ["tablet", 768, 1024], ["phone", 360, 800]]) {
      await page.setViewport({ width, height, deviceScaleFactor: device === "phone" ? 2 : 1 });
      await page.evaluate(() => scrollTo(0, 0));
      await until(page, "the pictures in view", () => [...document.images].every((one) => one.getBoundingClientRect().top > innerHeight || one.naturalWidth > 0));
      const wide = await page.evaluate(tooWide);
      assert.deepEqual(wide, [], `wider than ${width} px`);
      const pale = await page.evaluate(tooPale);
      assert.deepEqual(pale, [], `hard to read in ${scheme}`);
      await page.screenshot({ path: path.join(screenshots, `${name}-${device}-${scheme}.png`) });
    }
  }
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll(".request img, button, select, video, audio, nav, section, progress")]
      .filter((one) => !(one.alt || one.ariaLabel || one.getAttribute("aria-labelledby") || one.labels?.length || one.innerText) && one.checkVisibility())
      .map((one) => one.outerHTML),
  );
  assert.deepEqual(nameless, []);
  ok(`${name}: fits 1280, 768 and 360 px, and can be read in the light and in the dark`);
}

/** What sticks out to the right, or is cut off there. */
function tooWide() {
  const root = document.scrollingElement;
  const found = root.scrollWidth > innerWidth ? [`the page scrolls: ${root.scrollWidth}`] : [];
  for (const one of document.querySelectorAll("body *")) {
    if (!one.checkVisibility() || one.matches(".unseen, .skip, .accounts *")) continue;
    const { right, width } = one.getBoundingClientRect();
    if (width > 1 && right > innerWidth + 0.5) found.push(`${one.tagName}.${one.className} to ${right}`);
    if (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === "hidden") found.push(`${one.tagName}.${one.className} is cut off`);
  }
  // Where a column is too narrow, words break between any two letters.
  for (const one of document.querySelectorAll(".calls th, #call-list td:not(:nth-child(2)), .badge, dt")) {
    const text = document.createRange();
    text.selectNodeContents(one);
    if (new Set([...text.getClientRects()].map((line) => line.top)).size > 1) found.push(`"${one.innerText}" is broken`);
  }
  return found;
}

/** Text whose contrast to what is behind it is below 4.5. */
function tooPale() {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("white");
  };
  const found = new Set();
  for (const one of document.querySelectorAll("body *")) {
    const words = [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!words || !one.checkVisibility() || one.matches(".unseen, .skip")) continue;
    const [a, b] = [light(rgba(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.add(`${one.tagName}.${one.className} ${contrast.toFixed(2)}`);
  }
  return [...found];
}

/* Tools. */

function ok(what) {
  console.log(`ok: page, ${what}`);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** A fresh page, what went wrong on it, and the statuses of its polls. `answers` stand in for paths. */
async function open(answers = {}) {
  const page = await browser.newPage();
  const [complaints, polls] = [[], []];
  page.on("console", (said) => ["error", "warn"].includes(said.type()) && complaints.push(said.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  // The browser's own players draw their buttons from data: addresses.
  page.on("request", (one) => new URL(one.url()).origin === origin || one.url().startsWith("data:") || complaints.push(`asked for ${one.url()}`));
  page.on("response", (one) => {
    if (new URL(one.url()).pathname === "/_emulator/overview") polls.push(one.status());
    else if (one.status() >= 400) complaints.push(`${one.status()} for ${one.url()}`);
  });
  await page.evaluateOnNewDocument(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI}`));
    window.row = (id) => [...document.querySelectorAll("#request-list > li")].find((one) => one.querySelector(".id").textContent === id);
    window.figure = (name) => {
      const found = [...document.querySelectorAll("#figures dt")].find((one) => one.textContent === name);
      return Number(found?.nextElementSibling.textContent.replace(/[$,]/g, "") ?? NaN);
    };
  });
  if (Object.keys(answers).length) {
    await page.setRequestInterception(true);
    page.on("request", (one) => {
      const path = Object.keys(answers).find((path) => new URL(one.url()).pathname.startsWith(path));
      return path ? one.respond(answers[path]) : one.continue();
    });
  }
  const reply = await page.goto(origin);
  const policy = reply.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  return { page, complaints, polls };
}

async function until(page, what, condition, ...values) {
  try {
    const handle = await page.waitForFunction(condition, { timeout: LONG_MS, polling: 100 }, ...values);
    return await handle.jsonValue();
  } catch (error) {
    await page.screenshot({ path: path.join(screenshots, "failed.png"), fullPage: true });
    throw new Error(`never saw ${what} (see ${screenshots}/failed.png)`, { cause: error });
  }
}

const status = (page, id, any) =>
  until(page, `${id} ${any.join(" or ")}`, (id, any) => any.includes(row(id)?.querySelector(".badge").innerText), id, any);

const figure = (page, name) => page.evaluate((name) => figure(name), name);

async function polled(polls, times) {
  const wanted = polls.length + times;
  const end = Date.now() + LONG_MS;
  while (polls.length < wanted) {
    assert.ok(Date.now() < end, `the page asks no more: ${polls.length} of ${wanted}`);
    await pause(50);
  }
}

/** Somebody who calls the emulator's API with this token. */
function client(token) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const get = (path) => fetch(origin + path, { headers });
  const post = async (path, body = {}) => {
    const reply = await fetch(origin + path, { method: "POST", headers, body: JSON.stringify(body) });
    assert.ok(reply.ok, `${path}: ${reply.status}`);
    return reply.json();
  };
  const submit = async (deployment, body) => (await post(`/prod/v1/deployments/${deployment}/inference`, body)).request_id;
  const remove = (path) => fetch(origin + path, { method: "DELETE", headers });
  return { get, post, remove, submit };
}

try {
  await theEmulator();
  await anySample();
} finally {
  await browser.close();
  stand?.close();
}
