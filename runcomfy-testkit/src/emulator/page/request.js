// Draws one request: its state, outputs and error.

import { between, clock } from "/_emulator/clock.js";
import { el, list, set } from "/_emulator/dom.js";

export const LOOKS = {
  __proto__: null,
  in_queue: ["wait", "in queue"],
  in_progress: ["busy", "in progress"],
  succeeded: ["good", "succeeded"],
  completed: ["good", "completed"],
  failed: ["bad", "failed"],
  cancelled: ["", "cancelled"],
};

function badge(status) {
  const [look, words] = LOOKS[status] ?? ["", String(status ?? "unknown")];
  return el("span", `badge ${look}`, words);
}

export const isRunning = (request) => request.status === "in_progress";
export const isWaiting = (request) => request.status === "in_queue";

export function request(one) {
  const files = list(one.files).map((file) => ({ ...file, ...placed(file.url) }));
  const picture = files.find((file) => file.own && isOf(file, "image"));
  const made = files.filter((file) => file !== picture).map(output);
  made.push(...list(one.texts).map((words) => set(el("p", "text", String(words)), { tabIndex: 0 })));
  return el("li", one.status === "failed" ? "request failed" : "request",
    el("div", "sight", picture ? thumbnail(picture) : el("span", "glyph", glyph(one, files))),
    el("div", "",
      el("div", "line", el("span", "name", one.deployment || one.deployment_id || "?"), badge(one.status), when(one)),
      el("p", "facts", el("span", "id mono", one.request_id ?? ""), one.instance_id && place(one.instance_id)),
      one.error && el("p", "error", String(one.error)),
      el("div", "made", made),
      isRunning(one) && one.progress != null && bar(one.progress),
    ),
  );
}

/** A short form of the instance id. */
function place(instance) {
  const short = instance.length > 12 ? `${instance.slice(0, 8)}…` : instance;
  return set(el("span", "", ` on ${short}`), { title: instance });
}

function bar(progress) {
  const node = set(el("progress"), { max: 1, value: progress });
  node.setAttribute("aria-label", "Progress");
  return node;
}

function glyph(one, files) {
  if (isWaiting(one)) return ahead(one.queue_position);
  if (isRunning(one)) return one.progress == null ? "running" : `${Math.round(one.progress * 100)} %`;
  if (one.status === "failed" && !files.length) return "×";
  const kind = files.length ? String(files[0].media_type ?? "file").split("/")[0] : "";
  return kind || (list(one.texts).length ? "text" : "—");
}

/** A queue position: the number of requests ahead. */
const ahead = (position) => (position == null ? "queue" : position > 0 ? `${position} ahead` : "next");

function when(one) {
  const node = el("span", "when");
  if (one.finished_at) {
    const parts = [clock(one.finished_at)];
    if (one.started_at) parts.push(`waited ${between(one.created_at, one.started_at)}`, `ran ${between(one.started_at, one.finished_at)}`);
    node.textContent = parts.join(" · ");
    node.title = `${one.created_at} to ${one.finished_at}`;
  } else if (!isRunning(one) && !isWaiting(one)) {
    node.textContent = one.created_at ? clock(one.created_at) : "";
  } else {
    // Updated by tick().
    node.dataset.since = (isRunning(one) && one.started_at) || one.created_at || "";
    node.dataset.words = isRunning(one) ? "running" : "waiting";
  }
  return node;
}

/** The URL of a file, and whether the emulator serves it. localhost and 127.0.0.1 are the same. */
function placed(address) {
  if (typeof address !== "string") return { href: null, own: false };
  try {
    const url = new URL(address, location.href);
    const loopback = (host) => ["localhost", "127.0.0.1", "[::1]"].includes(host);
    if (url.port === location.port && loopback(url.hostname) && loopback(location.hostname)) url.host = location.host;
    if (!["http:", "https:"].includes(url.protocol)) return { href: null, own: false };
    return { href: url.href, own: url.origin === location.origin };
  } catch {
    return { href: null, own: false };
  }
}

const isOf = (file, kind) => String(file.media_type ?? "").startsWith(`${kind}/`);

function opened(href, classes, ...children) {
  return set(el("a", classes, ...children), { href, target: "_blank", rel: "noopener noreferrer" });
}

function thumbnail(file) {
  const name = file.filename || "output";
  return opened(file.href, "", set(el("img"), { src: file.href, alt: name, title: name, loading: "lazy", decoding: "async" }));
}

function output(file) {
  const name = file.filename || "file";
  if (!file.href) return el("span", "", name);
  if (file.own && isOf(file, "image")) return thumbnail(file);
  for (const kind of ["video", "audio"]) {
    if (file.own && isOf(file, kind)) {
      const player = set(el(kind), { src: file.href, controls: true, preload: "metadata", title: name });
      player.setAttribute("aria-label", name);
      return player;
    }
  }
  return opened(file.href, "", name);
}
