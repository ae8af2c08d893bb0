// Rooms with Socket.IO: what one member says goes to all.
import { Server } from "socket.io";

const server = new Server(Number(process.argv[2]), { transports: ["websocket"], perMessageDeflate: false });
server.on("connection", (socket) => {
  let room;
  socket.on("join", (name, joined) => {
    room = name;
    socket.join(name);
    joined();
  });
  socket.on("say", (words) => server.to(room).emit("said", words));
});
