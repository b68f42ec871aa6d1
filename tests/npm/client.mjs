// A client of a TypeScript SDK, which a test drives by lines of JSON.
//
//     node client.mjs '{"client": MODULE, "stdio": MODULE, "options": {…}, "command": PATH, "args": [ARGUMENT, …]}'
//
// It lists the tools first, as every host does, and prints the answer. Each line {"tool", "arguments"} is answered by
// one line: what the call returned, or {"thrown": MESSAGE}.
import { createInterface } from "node:readline";

const { client, stdio, options, ...server } = JSON.parse(process.argv[2]);
const { Client } = await import(client);
const { StdioClientTransport } = await import(stdio);

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

const window = new Client({ name: "remit-tests", version: "1" }, options);
await window.connect(new StdioClientTransport({ ...server, env: process.env }));
say(await window.listTools());
for await (const line of createInterface({ input: process.stdin })) {
  const { tool, arguments: args } = JSON.parse(line);
  say(await window.callTool({ name: tool, arguments: args }).catch((error) => ({ thrown: error.message })));
}
await window.close();
