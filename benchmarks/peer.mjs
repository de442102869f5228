// The peer of the benchmarks: Node.js socket.io, which emits each published event to everyone.
import { createRequire } from "node:module";

const require = createRequire(new URL("../tests/node/package.json", import.meta.url));
const { Server } = require("socket.io");

const io = new Server(0, { serveClient: false, transports: ["websocket"] });
let published = 0;

io.on("connection", (socket) => {
  socket.on("furniture_created", (event, acknowledge) => {
    const offset = String(++published);
    const timestamp = new Date().toISOString();
    io.emit("furniture_created", { type: "furniture_created", ...event, id: offset, timestamp }, offset);
    acknowledge({ ok: true, id: offset, offset, timestamp, duplicate: false });
  });
});

console.error(JSON.stringify({ event: "listening", port: io.httpServer.address().port }));
