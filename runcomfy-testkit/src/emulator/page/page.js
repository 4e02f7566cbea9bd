// Polls the overview once a second and draws it if it changed.

import { setClock, tick } from "/_emulator/clock.js";
import { byId } from "/_emulator/dom.js";
import { announce, draw } from "/_emulator/draw.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;

let timer;
let asking;
/** The ETag of the drawn overview. Without one, the response is complete. */
let tag = null;
let seen = null;
/** The shown account. It stays if the URL names none, also when accounts are added. */
let shown = null;

const wanted = () => new URLSearchParams(location.hash.slice(1)).get("account") ?? shown;

async function poll() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  const account = wanted();
  // The response may omit the lists of the other accounts.
  const address = "/_emulator/overview" + (account ? `?${new URLSearchParams({ account })}` : "");
  try {
    const reply = await fetch(address, {
      cache: "no-store",
      headers: tag ? { "If-None-Match": tag } : {},
      signal: AbortSignal.any([mine.signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
    if (reply.status === 200) {
      const overview = await reply.json();
      tag = reply.headers.get("ETag");
      seen = overview;
      setClock(overview);
      redraw();
    } else if (reply.status !== 304) {
      throw new Error(`it answered ${reply.status}`);
    }
    connected();
  } catch (error) {
    if (mine.signal.aborted) return;
    lost(error);
  }
  if (asking !== mine) return;
  asking = null;
  tick();
  if (!document.hidden) timer = setTimeout(poll, EVERY_MS);
}

function redraw() {
  const accounts = seen.accounts ?? [];
  const account = accounts.find((one) => one.account === wanted()) ?? accounts[0];
  shown = account?.account ?? shown;
  draw(seen, account);
  announce(account);
}

function connected() {
  if (byId("connection").dataset.state === "live") return;
  byId("connection").dataset.state = "live";
  byId("connection").textContent = "live";
  byId("gone").hidden = true;
  byId("gone").textContent = "";
  byId("main").removeAttribute("aria-busy");
}

function lost(error) {
  // The next response may come from a new emulator with new counters.
  tag = null;
  const why =
    error instanceof TypeError || error.name === "TimeoutError"
      ? "The emulator is gone, retrying."
      : `The emulator is not well, retrying: ${error.message}.`;
  const since = seen ? " Below is what was last seen." : "";
  if (byId("gone").textContent !== why + since) byId("gone").textContent = why + since;
  byId("gone").hidden = false;
  byId("connection").dataset.state = "gone";
  byId("connection").textContent = "retrying";
}

addEventListener("hashchange", () => {
  tag = null;
  if (seen) redraw();
  poll();
});

// Scrolls here, because the URL fragment holds the account.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("requests").focus();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else poll();
});

for (const button of document.querySelectorAll("button.copy")) {
  // Browsers offer no clipboard to insecure pages of other hosts.
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId(button.dataset.copies).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

poll();
