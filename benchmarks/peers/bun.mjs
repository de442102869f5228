// socket.io on Bun with its own engine and default options.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { listening, pingInterval, recovery, serve } from "./events.mjs";

const engine = new Engine({ path: "/socket.io/", pingInterval });
const io = new Server(recovery);
io.bind(engine);
serve(io);
listening(Bun.serve({ port: 0, ...engine.handler() }).port);
