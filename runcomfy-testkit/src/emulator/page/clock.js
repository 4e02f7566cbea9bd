// The simulated time, which may run faster than real time.

let anchor = null;

/** Sets the simulated time from a response; afterwards it is computed locally. */
export function setClock(overview) {
  anchor = { at: Date.parse(overview.now), mine: performance.now(), scale: overview.time_scale ?? 1 };
}

const now = () => anchor.at + (performance.now() - anchor.mine) * anchor.scale;

/** Updates the elements that change with time. */
export function tick() {
  if (!anchor || Number.isNaN(anchor.at)) return;
  const chip = document.querySelector("#settings .clock");
  const fast = anchor.scale === 1 ? "" : ` · time ×${anchor.scale}`;
  if (chip) chip.textContent = `${clock(new Date(now()).toISOString())} UTC${fast}`;
  for (const node of document.querySelectorAll("[data-since]")) {
    const since = Date.parse(node.dataset.since);
    const words = Number.isNaN(since) ? node.dataset.words : `${node.dataset.words} ${span(now() - since)}`;
    if (node.textContent !== words) node.textContent = words;
  }
}

/** Formats an ISO 8601 time as 10:00:04. */
export function clock(instant) {
  const time = new Date(instant);
  return Number.isNaN(time.getTime()) ? "–" : time.toISOString().slice(11, 19);
}

export const between = (from, to) => span(Date.parse(to) - Date.parse(from));

function span(ms) {
  if (Number.isNaN(ms)) return "?";
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
