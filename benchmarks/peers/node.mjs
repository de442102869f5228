// socket.io on Node.js with default options.
import { Server } from "socket.io";
import { listening, pingInterval, recovery, serve } from "./events.mjs";

const io = new Server({ pingInterval, ...recovery });
serve(io);
io.listen(0);
io.httpServer.on("listening", () => listening(io.httpServer.address().port));
