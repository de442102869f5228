// socket.io on Node.js with connection state recovery, as its documentation shows it. Follows the commands on its
// input, and prints all that happens, one JSON line each.
// Options: port; pingInterval in ms; valkey, a URL: with the adapter for Redis Streams; ownClock: the time passes only
// with the command "pass", so that three minutes take no time.
import { mock } from "node:test";
import readline from "node:readline";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { EVENT_TYPES } from "./contract.mjs";

const { port = 0, pingInterval, valkey, ownClock } = JSON.parse(process.argv[2]);
const tell = (on, fields = {}) => process.stdout.write(JSON.stringify({ on, ...fields }) + "\n");

if (ownClock) mock.timers.enable({ apis: ["Date", "setInterval"], now: Date.now() });
const io = new Server({
  connectionStateRecovery: {},
  ...(pingInterval ? { pingInterval } : {}),
  ...(valkey ? { adapter: createAdapter(await createClient({ url: valkey }).connect()) } : {}),
});
io.on("connection", (socket) => {
  socket.on("disconnect", (reason) => tell("lost", { reason }));
  socket.on("ping", (argument, acknowledge) => acknowledge({}));
  for (const type of EVENT_TYPES)
    socket.on(type, (event, acknowledge) => {
      io.emit(type, event);
      acknowledge({ ok: true });
    });
});
io.listen(port);
io.httpServer.on("listening", () => tell("listening", { port: io.httpServer.address().port }));

const commands = {
  publish: ({ id }) => { io.emit("furniture_updated", { id }); tell("published", { id }); },
  pass: ({ seconds }) => { mock.timers.tick(seconds * 1000); tell("passed"); },
};
readline.createInterface({ input: process.stdin })
  .on("line", (line) => { const command = JSON.parse(line); commands[command.do](command); })
  .on("close", () => process.exit());
