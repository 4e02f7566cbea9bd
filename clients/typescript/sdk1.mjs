// The official TypeScript SDK, 1.x: sdk1.mjs stdio BINARY | sdk1.mjs http URL

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { Person, SERVER, play, target } from "./scenario.mjs";
import { version } from "./version.mjs";

const { transport, place } = target();
const person = new Person();
const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, (question) => person.answer(question));
const way = transport === "stdio" ? new StdioClientTransport({ command: place, args: SERVER }) : new StreamableHTTPClientTransport(new URL(place));
let revision = "2025-11-25";
const tell = way.setProtocolVersion?.bind(way);
way.setProtocolVersion = (negotiated) => {
  revision = negotiated;
  tell?.(negotiated);
};
await client.connect(way);
const call = (request, options) => client.callTool(request, undefined, options);
await play({ client, call, name: `TypeScript SDK ${version("@modelcontextprotocol/sdk")}`, revision, person });
await client.close();
