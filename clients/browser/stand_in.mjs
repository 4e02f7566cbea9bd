// Stands before an emulator that has no overview yet: passes every call on, and makes one of what passed.

import { createHash } from "node:crypto";
import http from "node:http";

const USD_PER_HOUR = 2.5;

/** Gives its address. */
export async function standIn(emulator) {
  const accounts = new Map();
  const counters = { calls: 0, runs_started: 0, faults_injected: 0, webhooks_delivered: 0 };

  async function pass(method, path, headers, body) {
    return fetch(new URL(path, emulator), { method, headers, body: body?.length ? body : undefined });
  }
  const json = async (account, path) => (await pass("GET", path, { authorization: account.authorization })).json();

  function accountOf(authorization) {
    if (!accounts.has(authorization)) {
      const account = createHash("sha256").update(authorization).digest("hex").slice(0, 12);
      accounts.set(authorization, { account, authorization, spent: 0, at: Date.now(), deployments: [], requests: [], calls: [] });
    }
    return accounts.get(authorization);
  }

  function note(account, method, path, status, body) {
    const [, deployment, request] = path.match(/deployments\/([^/?]+)(?:\/requests\/([^/?]+))?/) ?? [];
    const last = path.split("?")[0].split("/").at(-1);
    const named = { inference: "submit_request", status: "get_request_status", result: "get_request_result", cancel: "cancel_request" }[last];
    const plain = { GET: deployment ? "get_deployment" : "list_deployments", POST: "create_deployment", PATCH: "update_deployment", DELETE: "delete_deployment" }[method];
    let id = request ?? null;
    if (named === "submit_request" && status === 200) {
      id = JSON.parse(body).request_id;
      counters.runs_started += 1;
      account.requests.unshift({ request_id: id, deployment_id: deployment, deployment: "", status: "in_queue", queue_position: 0, created_at: new Date().toISOString(), files: [], texts: [] });
    }
    counters.calls += 1;
    account.calls.unshift({ at: new Date().toISOString(), operation: named ?? plain, status, fault: null, request_id: id });
    account.calls.length = Math.min(account.calls.length, 50);
  }

  async function look(account) {
    account.deployments = await json(account, "/prod/v2/deployments");
    for (const one of account.requests.filter((one) => !one.finished_at)) {
      one.deployment = account.deployments.find((deployment) => deployment.id === one.deployment_id)?.name;
      const at = `/prod/v1/deployments/${one.deployment_id}/requests/${one.request_id}`;
      const { status, queue_position, instance_id } = await json(account, `${at}/status`);
      Object.assign(one, { queue_position, instance_id });
      one.status = { completed: "succeeded", canceled: "cancelled" }[status] ?? status;
      if (one.status === "in_queue") continue;
      if (one.status !== "cancelled") one.started_at ??= new Date().toISOString();
      if (one.status === "in_progress") {
        one.progress = Math.min(0.9, Math.round((Date.now() - Date.parse(one.started_at)) / 200) / 10);
        continue;
      }
      const result = await json(account, `${at}/result`);
      one.status = { completed: "succeeded", canceled: "cancelled" }[result.status] ?? result.status;
      one.finished_at = new Date().toISOString();
      one.error = result.error ? (result.error.message ?? JSON.stringify(result.error)) : null;
      for (const made of Object.values(result.outputs ?? {}).flatMap(Object.values).flat()) {
        if (typeof made === "string") one.texts.push(made);
        else if (made?.url) one.files.push({ url: made.url.replace(emulator, "/"), filename: made.filename, type: made.type, media_type: mediaType(made.filename) });
      }
    }
    const running = account.requests.filter((one) => one.status === "in_progress").length;
    account.spent += (running * USD_PER_HOUR * (Date.now() - account.at)) / 3_600_000;
    account.at = Date.now();
  }

  function mediaType(name) {
    const end = name.split(".").at(-1);
    return { png: "image/png", webp: "image/webp", mp4: "video/mp4", webm: "video/webm", flac: "audio/flac", mp3: "audio/mpeg" }[end] ?? "application/octet-stream";
  }

  function written(account) {
    const of = (id, status) => account.requests.filter((one) => one.deployment_id === id && one.status === status);
    const deployments = account.deployments.map((one) => ({
      ...one,
      hardware: one.hardware[0],
      usd_per_hour: USD_PER_HOUR,
      in_queue: of(one.id, "in_queue").length,
      in_progress: of(one.id, "in_progress").length,
      instances: of(one.id, "in_progress").map((run) => ({ instance_id: run.instance_id, state: "busy", since: run.started_at })),
    }));
    return {
      account: account.account,
      balance_usd: 100 - account.spent,
      spent_usd: account.spent,
      usd_per_hour: USD_PER_HOUR * account.requests.filter((one) => one.status === "in_progress").length,
      deployments,
      requests: account.requests.slice(0, 50),
      calls: account.calls,
    };
  }

  let looking = null;
  async function overview(tag) {
    looking ??= Promise.all([...accounts.values()].map(look)).finally(() => (looking = null));
    await looking;
    const body = { time_scale: 1, scenarios: [], comfyui: [], counters, accounts: [...accounts.values()].map(written) };
    const etag = `"${createHash("sha256").update(JSON.stringify(body)).digest("hex").slice(0, 16)}"`;
    if (tag === etag) return [304, { etag }, ""];
    return [200, { etag, "content-type": "application/json" }, JSON.stringify({ version: 1, now: new Date().toISOString(), ...body })];
  }

  const server = http.createServer(async (call, answer) => {
    const chunks = [];
    for await (const chunk of call) chunks.push(chunk);
    if (call.url.startsWith("/_emulator/overview")) {
      const [status, headers, body] = await overview(call.headers["if-none-match"]);
      return answer.writeHead(status, headers).end(body);
    }
    const { authorization } = call.headers;
    const reply = await pass(call.method, call.url, authorization ? { authorization } : {}, Buffer.concat(chunks));
    const body = Buffer.from(await reply.arrayBuffer());
    if (authorization) note(accountOf(authorization), call.method, call.url, reply.status, body.toString());
    const kept = [...reply.headers].filter(([name]) => !["content-length", "transfer-encoding", "connection"].includes(name));
    answer.writeHead(reply.status, Object.fromEntries(kept)).end(body);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => (server.closeAllConnections(), server.close()) };
}
