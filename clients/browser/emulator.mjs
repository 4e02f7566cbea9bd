// An emulator to look at, and somebody who calls it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

/** Starts the program, and gives where it is once it listens. */
export async function start(program, ...options) {
  const child = spawn(program, options, { stdio: ["ignore", "inherit", "pipe"] });
  children.add(child);
  const gone = once(child, "exit").then(([code]) => {
    children.delete(child);
    return code;
  });
  // All that it says is read, so that it need never wait.
  const said = [];
  const url = new Promise((found) =>
    createInterface(child.stderr).on("line", (line) => {
      said.push(line);
      const named = line.match(/http:\/\/\S+/);
      if (named) found(new URL(named[0]).origin);
    }),
  );
  const origin = await Promise.race([url, gone.then(() => null)]);
  assert.ok(origin, `the emulator did not start: ${said.join("\n")}`);
  const kill = async () => {
    child.kill("SIGKILL");
    await gone;
  };
  return { origin, kill };
}

/** Somebody who calls the API with this token. */
export function client(origin, token) {
  const call = (method, path, body, fault) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    if (fault) headers["x-emulator-fault"] = fault;
    return fetch(origin + path, { method, headers, body: body && JSON.stringify(body) });
  };
  const get = (path, fault) => call("GET", path, undefined, fault);
  const post = async (path, body = {}) => {
    const reply = await call("POST", path, body);
    assert.ok(reply.ok, `${path}: ${reply.status}`);
    return reply.json();
  };
  const remove = (path) => call("DELETE", path);
  const change = (path, body) => call("PATCH", path, body);
  const listed = async () => (await get("/prod/v2/deployments")).json();
  const of = async (name) => (await listed()).find((one) => one.name === name).id;
  const inference = (deployment) => `/prod/v1/deployments/${deployment}/inference`;
  const submit = async (deployment, body = {}) => (await post(inference(deployment), body)).request_id;
  /** A submit of which a fault makes something else. */
  const submitBadly = (deployment, fault) => call("POST", inference(deployment), {}, fault);
  const cancel = (deployment, request) => post(`/prod/v1/deployments/${deployment}/requests/${request}/cancel`);
  const look = (deployment, request, fault) => get(`/prod/v1/deployments/${deployment}/requests/${request}/status`, fault);
  return { call, get, post, remove, change, of, submit, submitBadly, cancel, look };
}
