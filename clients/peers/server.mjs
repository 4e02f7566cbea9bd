// A stand-in on the official MCP SDK for TypeScript, 1.x, and fetch: the measured tools, and nothing else.
//
//     server.mjs --port PORT --upstream URL
//     server.mjs --stdio --upstream URL
//
// Nobody's product: it shows what this stack costs at the least.

import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

const { values } = parseArgs({
  options: { port: { type: "string" }, upstream: { type: "string" }, stdio: { type: "boolean" } },
});

async function send(extra, method, path) {
  const authorization = extra.requestInfo?.headers.authorization ?? `Bearer ${process.env.RUNCOMFY_API_KEY}`;
  const body = method === "POST" ? "{}" : undefined;
  const answer = await fetch(values.upstream + path, { method, headers: { authorization }, body });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

function result(content) {
  return { content: [{ type: "text", text: JSON.stringify(content) }], structuredContent: content };
}

// Without sessions, each request has a server of its own.
function server() {
  const server = new McpServer({ name: "stand-in", version: "0" });
  const place = (deployment, request, what) => `/prod/v1/deployments/${deployment}/requests/${request}/${what}`;
  server.registerTool(
    "list_deployments",
    { description: "List the account's deployments.", inputSchema: { include_payload: z.boolean().default(false) } },
    async ({ include_payload }, extra) => {
      const query = include_payload ? "?includes=payload" : "";
      return result({ ok: true, deployments: await send(extra, "GET", `/prod/v2/deployments${query}`) });
    },
  );
  server.registerTool(
    "get_request_status",
    { description: "See where a request is.", inputSchema: { deployment_id: z.string(), request_id: z.string() } },
    async ({ deployment_id, request_id }, extra) =>
      result({ ok: true, status: await send(extra, "GET", place(deployment_id, request_id, "status")) }),
  );
  server.registerTool(
    "submit_request",
    {
      description: "Run a deployment's workflow.",
      inputSchema: {
        deployment_id: z.string(),
        wait_for_completion: z.boolean().default(false),
        timeout_seconds: z.number().default(300),
      },
    },
    async ({ deployment_id, wait_for_completion, timeout_seconds }, extra) => {
      const submission = await send(extra, "POST", `/prod/v1/deployments/${deployment_id}/inference`);
      if (!wait_for_completion) return result({ ok: true, submission });
      const { request_id } = submission;
      const end = performance.now() + timeout_seconds * 1000;
      while ((await send(extra, "GET", place(deployment_id, request_id, "status"))).status !== "completed") {
        if (performance.now() >= end) throw new Error(`${request_id} is not over`);
        await sleep(3000);
      }
      const made = await send(extra, "GET", place(deployment_id, request_id, "result"));
      return result({ ok: true, submission, result: made });
    },
  );
  return server;
}

if (values.stdio) {
  await server().connect(new StdioServerTransport());
} else {
  createServer(async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    const one = server();
    response.on("close", () => {
      transport.close();
      one.close();
    });
    await one.connect(transport);
    await transport.handleRequest(request, response);
  }).listen(Number(values.port), "127.0.0.1");
}
