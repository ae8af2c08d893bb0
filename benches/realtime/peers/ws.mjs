// Rooms with ws: what one member says goes to all.
import { WebSocketServer } from "ws";

const rooms = new Map();
const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1", perMessageDeflate: false });
server.on("connection", (socket, request) => {
  const name = request.url.split("room=")[1];
  if (!rooms.has(name)) rooms.set(name, new Set());
  const room = rooms.get(name);
  room.add(socket);
  socket.on("message", (words) => {
    for (const member of room) member.send(words, { binary: false });
  });
  socket.on("close", () => room.delete(socket));
  socket.on("error", () => {});
});
