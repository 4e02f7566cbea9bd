// The official TypeScript SDK, 2.x: sdk2.mjs stdio BINARY [MODE] | sdk2.mjs http URL [MODE]; MODE is auto or legacy

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Person, SERVER, play, target } from "./scenario.mjs";
import { version } from "./version.mjs";

const { transport, place, mode } = target();
const person = new Person();
const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} }, versionNegotiation: { mode } });
client.setRequestHandler("elicitation/create", (question) => person.answer(question));
const way = transport === "stdio" ? new StdioClientTransport({ command: place, args: SERVER }) : new StreamableHTTPClientTransport(new URL(place));
await client.connect(way);
const call = (request, options) => client.callTool(request, options);
const revision = client.getNegotiatedProtocolVersion();
await play({ client, call, name: `TypeScript SDK ${version("@modelcontextprotocol/client")}`, revision, person });
await client.close();
