// A browser, and how to wait for what its pages show.

import assert from "node:assert/strict";
import path from "node:path";
import puppeteer from "puppeteer-core";

const LONG_MS = 20_000;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export function ok(what) {
  console.log(`ok: page, ${what}`);
}

export async function launch(chromium, screenshots) {
  const browser = await puppeteer.launch({
    executablePath: chromium,
    headless: true,
    args: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"],
  });
  /** The page of this emulator, what goes wrong on it, and the statuses of its polls. `answers` stand in
      for paths. */
  const open = async (origin, answers = {}) => {
    const page = await browser.newPage();
    const [complaints, polls] = [[], []];
    listen(page, origin, complaints, polls);
    await page.evaluateOnNewDocument(helpers);
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
    return new Watched(page, complaints, polls, screenshots);
  };
  return { open, close: () => browser.close() };
}

function listen(page, origin, complaints, polls) {
  page.on("console", (said) => ["error", "warn"].includes(said.type()) && complaints.push(said.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  // The browser's own players draw their buttons from data: addresses.
  page.on("request", (one) => new URL(one.url()).origin === origin || one.url().startsWith("data:") || complaints.push(`asked for ${one.url()}`));
  page.on("response", (one) => {
    if (new URL(one.url()).pathname === "/_emulator/overview") polls.push(one.status());
    else if (one.status() >= 400) complaints.push(`${one.status()} for ${one.url()}`);
  });
}

/** Runs in the page, before its own scripts. */
function helpers() {
  addEventListener("securitypolicyviolation", (event) => console.error(`against the policy: ${event.violatedDirective} ${event.blockedURI}`));
  window.row = (id) => [...document.querySelectorAll("#request-list > li")].find((one) => one.querySelector(".id").textContent === id);
  window.figure = (name) => {
    const found = [...document.querySelectorAll("#figures dt")].find((one) => one.textContent === name);
    return Number((found?.nextElementSibling.textContent ?? "NaN").replace("−", "-").replace(/[$,]| in all| an hour/g, ""));
  };
  window.calls = () => [...document.querySelectorAll("#call-list tr")].map((row) => {
    const [name, fault, about] = [".mono", ".badge", ".about"].map((part) => row.cells[1].querySelector(part)?.innerText);
    return { call: [name, fault, row.cells[2].innerText].filter(Boolean).join(" "), about };
  });
}

class Watched {
  constructor(page, complaints, polls, screenshots) {
    Object.assign(this, { page, complaints, polls, screenshots });
  }

  async until(what, condition, ...values) {
    try {
      const handle = await this.page.waitForFunction(condition, { timeout: LONG_MS, polling: 100 }, ...values);
      return await handle.jsonValue();
    } catch (error) {
      await this.page.screenshot({ path: path.join(this.screenshots, "failed.png"), fullPage: true });
      throw new Error(`never saw ${what} (see ${this.screenshots}/failed.png)`, { cause: error });
    }
  }

  status(id, ...any) {
    return this.until(`${id} ${any.join(" or ")}`, (id, any) => any.includes(row(id)?.querySelector(".badge").innerText), id, any);
  }

  shows(words, within = "main") {
    const shown = (words, within) => document.querySelector(within)?.checkVisibility() && document.querySelector(within).innerText.includes(words);
    return this.until(`${within} with "${words}"`, shown, words, within);
  }

  lacks(words, within) {
    return this.until(`${within} without "${words}"`, (words, within) => !document.querySelector(within).innerText.includes(words), words, within);
  }

  /** A call in the list, such as "get_deployment 404", about this request. */
  call(wanted, request) {
    return this.until(`${wanted} of ${request}`, (wanted, request) => calls().some(({ call, about }) => call === wanted && about === request), wanted, request);
  }

  figure(name) {
    return this.page.evaluate((name) => figure(name), name);
  }

  async polled(times) {
    const wanted = this.polls.length + times;
    const end = Date.now() + LONG_MS;
    while (this.polls.length < wanted) {
      assert.ok(Date.now() < end, `the page asks no more: ${this.polls.length} of ${wanted}`);
      await pause(50);
    }
  }
}
