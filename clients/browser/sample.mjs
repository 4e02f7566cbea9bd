// The page over a sample: every state there is, fields that are not there, and nonsense.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { ok } from "./browser.mjs";
import { looks } from "./looks.mjs";

/** Looks at the sample in the file in place of what the emulator at `origin` would tell. */
export async function theSample(browser, origin, file) {
  const picture = await (await fetch(`${origin}/_emulator/page.svg`)).text();
  const sample = (await readFile(file, "utf8")).replaceAll("http://127.0.0.1:9000", origin);
  const answers = {
    "/_emulator/overview": { contentType: "application/json", body: sample },
    "/deployment_requests/": { contentType: "image/svg+xml", body: picture },
  };
  const watched = await browser.open(origin, answers);
  const { page, complaints } = watched;
  await watched.until("rows", () => document.querySelectorAll("#request-list > li").length === 6);
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
  assert.equal(calls.length, 5);
  assert.match(calls[0], /^10:04:59 get_request_status ×2 .* 200$/);
  assert.match(calls[1], /rate_limited .* 429$/);
  assert.match(calls[3], /^10:04:52 submit_request error 10001 200$/);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  ok("every state of the sample shows, and what is missing is no error");
  await looks(watched, "sample");
  assert.deepEqual(complaints, []);

  const many = JSON.parse(sample);
  many.accounts.push(...["a", "b", "c", "d", "e", "f"].map((account) => ({ account, balance_usd: 1 })));
  answers["/_emulator/overview"].body = JSON.stringify(many);
  await watched.until("a list of accounts", () => document.querySelectorAll("#accounts select option").length === 8);
  await page.select("#accounts select", "#account=f");
  await watched.until("the last of many accounts", () => document.querySelector("#figures dd").innerText === "$1.0000" && document.querySelector("#accounts select").value === "#account=f");
  assert.deepEqual(complaints, []);
  ok("many accounts are chosen from a list");

  const bad = (words) => watched.until(words, (words) => document.querySelector("#gone").checkVisibility() && document.querySelector("#gone").innerText.includes(words), words);
  answers["/_emulator/overview"] = { status: 500, body: "out of order" };
  await bad("not well, retrying: it answered 500");
  answers["/_emulator/overview"] = { contentType: "application/json", body: '{"accounts": [' };
  await bad("not well, retrying: ");
  answers["/_emulator/overview"] = { contentType: "application/json", body: sample };
  await watched.until("the good news", () => !document.querySelector("#gone").checkVisibility());
  ok("an emulator that answers nonsense is asked again");
}
