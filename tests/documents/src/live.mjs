// A stock Yjs client with the stock provider. It does what it is told on standard input, one command a line, and answers each
// with one line: `write WORDS` adds words, `until WORDS` waits until the text is just that.
import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const [url, documentId, token, name] = process.argv.slice(2);
const doc = new Y.Doc();
const text = doc.getText("content");
const provider = new WebsocketProvider(`${url.replace("http", "ws")}/documents/${documentId}`, "sync", doc, {
  WebSocketPolyfill: WebSocket,
  protocols: ["link.y.v1", `bearer.${token}`],
  disableBc: true,
  maxBackoffTime: 500,
});
provider.awareness.setLocalStateField("user", { name });

const changed = () => new Promise((resolve) => doc.once("update", resolve));
const commands = {
  write: (words) => text.insert(text.length, words),
  until: async (words) => {
    while (text.toString() !== words) await changed();
  },
  sees: async (who) => {
    const there = () => [...provider.awareness.getStates().values()].some((state) => state.user?.name === who);
    while (!there()) await new Promise((resolve) => provider.awareness.once("change", resolve));
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const [command, rest] = JSON.parse(line);
  await commands[command](rest);
  console.log("done");
}
provider.destroy();
process.exit(0);
