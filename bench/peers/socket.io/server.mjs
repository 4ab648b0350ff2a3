// Socket.IO: a subscriber connects with `auth: { channel }` and is put into the room of that name; a publish is
// POST /pub/{channel}, which emits to the room.

import { createServer } from "node:http";
import { Server } from "socket.io";

const port = Number(process.argv[2]);

const server = createServer((request, response) => {
  if (request.method !== "POST" || !request.url.startsWith("/pub/")) {
    response.writeHead(404).end();
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    io.to(request.url.slice(5)).emit("event", Buffer.concat(parts).toString());
    response.writeHead(204).end();
  });
});
// The publisher keeps one connection for the whole run, and may not use it for minutes.
server.keepAliveTimeout = 0;
server.headersTimeout = 0;
server.requestTimeout = 0;

const io = new Server(server, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
  // Longer than a run: the load generator only listens.
  pingInterval: 3_600_000,
});

// As the guide to performance says: do not keep the handshake's request in memory for the life of the connection.
io.engine.on("connection", (socket) => {
  socket.request = null;
});

// Not on "connection": that one comes before the client is told that it is in.
io.use((socket, next) => {
  socket.join(socket.handshake.auth.channel);
  next();
});

server.listen({ port, host: "127.0.0.1", backlog: 4096 });
