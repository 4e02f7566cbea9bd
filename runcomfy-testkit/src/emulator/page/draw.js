// Draws an overview. Names, texts and errors are not trusted: they become text nodes only.

import { clock, tick } from "/_emulator/clock.js";
import { byId, el, keep, list, set, text } from "/_emulator/dom.js";
import { LOOKS, isRunning, isWaiting, request } from "/_emulator/request.js";

const TABS = 6;

export function draw(overview, account) {
  settings(overview);
  accounts(list(overview.accounts), account);
  byId("welcome").hidden = Boolean(account);
  byId("account").hidden = !account;
  text("welcome-line", `curl -H 'Authorization: Bearer me' ${location.origin}/prod/v2/deployments`);
  if (!account) return;
  figures(overview, account);
  const servers = list(overview.comfyui).length;
  requests(account, servers);
  deployments(account, servers);
  calls(account);
}

/* The header. */

function settings(overview) {
  const chips = list(overview.scenarios).map((name) => ["wait", `scenario ${name}`]);
  for (const server of list(overview.comfyui)) {
    const look = { running: "busy", unreachable: "bad", not_comfyui: "bad" }[server.state] ?? "";
    const words = server.state === "not_comfyui" ? "is no ComfyUI" : (server.state ?? "");
    chips.push([look, `ComfyUI ${hostOf(server.url)} ${words}`]);
  }
  chips.push(["clock", ""]);
  keep(byId("settings"), chips, ([look, words]) => `${look} ${words}`, ([look, words]) => el("li", look, words));
  tick();
}

const hostOf = (url) => {
  try {
    return new URL(url).host;
  } catch {
    return String(url);
  }
};

function accounts(all, current) {
  const nav = byId("accounts");
  nav.hidden = all.length < 2;
  if (nav.hidden) return nav.replaceChildren();
  const to = (one) => `#${new URLSearchParams({ account: one.account })}`;
  if (all.length <= TABS) {
    const items = all.map((one) => ({ account: one.account, usd: money(one.balance_usd, 2), here: one === current }));
    keep(nav, items, (one) => one.account, ({ account, usd, here }) => {
      const link = set(el("a", "mono", account, el("span", "usd", ` · ${usd}`)), { href: to({ account }) });
      if (here) link.setAttribute("aria-current", "page");
      return link;
    });
    return;
  }
  let select = nav.querySelector("select");
  if (!select) {
    select = el("select", "mono");
    select.addEventListener("change", () => (location.hash = select.value));
    nav.replaceChildren(el("label", "", "Account ", select));
  }
  // Without amounts, because an open list must not change.
  const items = all.map(({ account }) => ({ account }));
  keep(select, items, (one) => one.account, (one) => set(el("option", "", one.account), { value: to(one) }));
  select.value = to(current);
}

/* Money and counters. */

/** Dollars to the hundredth of a cent, because a run costs less than a cent; the last digits are small. */
function dollars(value) {
  const whole = money(value, 4);
  return value == null ? [whole] : [whole.slice(0, -2), el("span", "fraction", whole.slice(-2))];
}

function money(value, places) {
  if (value == null) return "–";
  return `${value < 0 ? "−" : ""}$${Math.abs(value).toFixed(places)}`;
}

const count = (value) => (value == null ? "–" : value.toLocaleString("en-US"));

function figures(overview, account) {
  const counters = overview.counters ?? {};
  const unit = list(overview.accounts).length > 1 ? " in all" : "";
  const items = [
    { name: "Balance", usd: account.balance_usd, low: account.balance_usd <= 0 },
    { name: "Spent", usd: account.spent_usd },
    { name: "Spending now", hourly: account.usd_per_hour },
    { name: "Runs", number: account.runs_started },
    { name: "Calls", number: counters.calls, unit },
    { name: "Faults", number: counters.faults_injected, unit },
    { name: "Webhooks", number: counters.webhooks_delivered, unit },
  ];
  keep(byId("figures"), items, (item) => item.name, (item) => {
    const value = el("dd");
    if ("usd" in item) value.append(...dollars(item.usd));
    else if ("hourly" in item) value.append(money(item.hourly, 2), el("span", "unit", " an hour"));
    else value.append(count(item.number), el("span", "unit", item.unit));
    return el("div", item.low ? "low" : "", el("dt", "", item.name), value);
  });
}

/* Requests. */

/** Deployments count those before a request each for itself. Where they share servers, as many are next as
    there are servers, in the order in which they came. */
function inLine(all, servers) {
  if (!servers) return all;
  const first = all.filter(isWaiting).sort((one, other) => (one.created_at < other.created_at ? -1 : 1));
  const next = new Set(first.slice(0, servers));
  const ahead = (one) => isWaiting(one) && one.queue_position === 0 && !next.has(one);
  return all.map((one) => (ahead(one) ? { ...one, queue_position: null } : one));
}

function requests(account, servers) {
  const all = inLine(list(account.requests), servers);
  const [running, waiting] = [all.filter(isRunning).length, all.filter(isWaiting).length];
  const notes = [running && `${running} running`, waiting && `${waiting} waiting`, all.length >= 50 && "newest 50"];
  text("requests-note", notes.filter(Boolean).join(" · "));
  document.title = (running + waiting ? `(${running + waiting}) ` : "") + "RunComfy emulator";
  keep(byId("request-list"), all, (one) => `${account.account} ${one.request_id}`, request);
  byId("requests-empty").hidden = all.length > 0;
  const deployments = list(account.deployments);
  const target = deployments.find((one) => one.is_enabled !== false)?.id ?? "DEPLOYMENT_ID";
  text(
    "submit-line",
    `curl -X POST -H 'Authorization: Bearer YOUR_TOKEN' -H 'Content-Type: application/json' ` +
      `-d '{}' ${location.origin}/prod/v1/deployments/${target}/inference`,
  );
}

/* Deployments. */

function deployments(account, servers) {
  // ComfyUI servers are always running, so settings for starting and stopping instances do not apply.
  const shared = servers > 0;
  const all = list(account.deployments).map((one) => ({ ...one, shared }));
  const up = all.reduce((sum, one) => sum + list(one.instances).length, 0);
  text("deployments-note", `${up} ${up === 1 ? "instance" : "instances"} up`);
  keep(byId("deployment-list"), all, (one) => `${account.account} ${one.id}`, deployment);
  byId("deployments-empty").hidden = all.length > 0;
}

function deployment(one) {
  const badges = [];
  if (one.out_of_funds) badges.push(el("span", "badge bad", "out of funds"));
  else if (one.is_enabled === false) badges.push(el("span", "badge", "disabled"));
  if (one.in_progress) badges.push(el("span", "badge busy", `${one.in_progress} running`));
  if (one.in_queue) badges.push(el("span", "badge wait", `${one.in_queue} waiting`));
  const price = [one.hardware, one.usd_per_hour != null && `${money(one.usd_per_hour, 2)}/h`];
  const warm = one.keep_warm_duration_in_seconds;
  const size = [instances(one), warm != null && !one.shared && `warm ${warm} s`];
  const facts = (all) => el("span", "facts", all.filter(Boolean).join(" · "));
  return el("li", one.is_enabled === false ? "deployment off" : "deployment",
    el("div", "line", el("span", "name", one.name || "unnamed"), el("span", "badges", badges), facts(price)),
    el("div", "line", el("span", "id mono", one.id ?? ""), facts(size)),
  );
}

/** "1 busy of 0–2", or "0–2 instances" if none is running. */
function instances(one) {
  const states = {};
  for (const { state } of list(one.instances)) states[state] = (states[state] ?? 0) + 1;
  const up = Object.entries(states).map(([state, number]) => `${number} ${state}`).join(", ");
  if (one.max_instances == null) return up;
  if (one.shared) return up ? `${up} of ${one.max_instances}` : `at most ${one.max_instances} at once`;
  const range = `${one.min_instances ?? 0}–${one.max_instances}`;
  return up ? `${up} of ${range}` : `${range} instances`;
}

/* Calls. */

/** Repeated equal calls, such as polls, are one row. */
function grouped(all) {
  const groups = [];
  for (const call of all) {
    const last = groups.at(-1);
    const same = (name) => (last.call[name] ?? null) === (call[name] ?? null);
    if (last && ["operation", "status", "error_code", "fault", "request_id"].every(same)) {
      last.times += 1;
      last.first = call.at;
    } else {
      groups.push({ call, times: 1, first: call.at });
    }
  }
  return groups;
}

function calls(account) {
  const all = list(account.calls);
  text("calls-note", all.length >= 50 ? "newest 50" : "");
  const key = ({ call, first }) => `${account.account} ${first} ${call.operation} ${call.status} ${call.error_code} ${call.request_id}`;
  keep(byId("call-list"), grouped(all), key, ({ call, times }) => {
    // The service refuses some calls with status 200 and an error code.
    const refused = call.error_code != null && call.status === 200;
    const answer = el("td", refused || isBad(call.status) ? "mono bad" : "mono", String(call.status ?? "–"));
    return el("tr", "",
      el("td", "mono", clock(call.at)),
      el("td", "",
        el("span", "mono", call.operation ?? "?"),
        times > 1 && el("span", "times", ` ×${times}`),
        call.fault && [" ", el("span", "badge wait", String(call.fault))],
        refused && [" ", el("span", "badge bad", `error ${call.error_code}`)],
        call.request_id && el("span", "about mono", call.request_id),
      ),
      answer,
    );
  });
  byId("calls-empty").hidden = all.length > 0;
}

const isBad = (status) => !(status >= 200 && status < 400);

/* Announcements for screen readers. */

let statuses = null;
let announced = null;

/** Announces the requests of the account whose state changed. */
export function announce(account) {
  const before = statuses;
  const same = announced === account?.account;
  statuses = new Map(list(account?.requests).map((one) => [one.request_id, one.status]));
  announced = account?.account;
  // The first overview is not announced.
  if (!before || !same) return;
  const news = list(account?.requests).filter((one) => before.get(one.request_id) !== one.status);
  if (!news.length) return;
  const words = news.slice(0, 3).map((one) => `${one.deployment ?? "request"} ${String(one.request_id).slice(0, 8)} ${LOOKS[one.status]?.[1] ?? one.status}`);
  if (news.length > 3) words.push(`${news.length - 3} more changed`);
  text("news", words.join(", "));
}
