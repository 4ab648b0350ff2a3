// The `ws` package: subscribers on ws://…/sub/{channel}, a publish is POST /pub/{channel}.
// A broadcast is the loop that the package's own documentation shows.

import { createServer } from "node:http";
import WebSocket, { WebSocketServer } from "ws";

const port = Number(process.argv[2]);
const channels = new Map();

const server = createServer((request, response) => {
  if (request.method !== "POST" || !request.url.startsWith("/pub/")) {
    response.writeHead(404).end();
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    publish(request.url.slice(5), parts.length === 1 ? parts[0] : Buffer.concat(parts));
    response.writeHead(204).end();
  });
});
// The publisher keeps one connection for the whole run, and may not use it for minutes.
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.requestTimeout = 0;

// Compression costs each connection hundreds of kilobytes; the package's documentation advises against it, and framing is
// what is compared. Tracking clients is ours to do, by channel.
const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false });

sockets.on("connection", (socket, request) => {
  const channel = request.url.replace(/^\/sub\//, "");
  const readers = channels.get(channel) ?? new Set();
  channels.set(channel, readers.add(socket));
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    readers.delete(socket);
    if (readers.size === 0) channels.delete(channel);
  });
});

function publish(channel, data) {
  for (const socket of channels.get(channel) ?? []) {
    if (socket.readyState === WebSocket.OPEN) socket.send(data, { binary: false });
  }
}

server.listen({ port, host: "127.0.0.1", backlog: 4096 });
