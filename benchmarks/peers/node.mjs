// socket.io on Node.js with default options. It also takes events over HTTP.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { listening, pingInterval, publishing, recovery, serve } from "./events.mjs";

const http = createServer((request, response) => publish(request, response));
const io = new Server(http, { pingInterval, ...recovery });
const publish = publishing(io);
serve(io);
http.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => listening(http.address().port));
process.on("SIGTERM", () => io.close(() => process.exit()));
