// A real socket.io-client. Follows the commands on its input, and prints all that happens, one JSON line each.
import readline from "node:readline";
import { io } from "socket.io-client";
import { EVENT_TYPES } from "./contract.mjs";

const { url, options } = JSON.parse(process.argv[2]);
const socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, randomizationFactor: 0, ...options });
const tell = (on, fields = {}) => process.stdout.write(JSON.stringify({ on, ...fields }) + "\n");

socket.on("connect", () => tell("connect", { sid: socket.id, recovered: socket.recovered }));
socket.on("disconnect", (reason) => tell("disconnect", { reason }));
socket.on("connect_error", (error) => tell("connect_error", { message: error.message, data: error.data }));
socket.on("ready", (ready) => tell("ready", ready));
for (const type of EVENT_TYPES)
  socket.on(type, (event, offset) => tell("event", { id: event.id, offset }));
socket.onAnyOutgoing((event) => tell("sent", { event }));
socket.io.on("ping", () => tell("heartbeat"));

const commands = {
  emit: async ({ event, argument }) => tell("ack", await socket.emitWithAck(event, argument)),
  disconnect: () => socket.disconnect(),
  connect: () => socket.connect(),
  // Loses the connection as by a network failure: the server gets no message.
  drop: () => { socket.io.engine.transport.close = () => {}; socket.io.engine._onClose("ping timeout"); },
};
readline.createInterface({ input: process.stdin })
  .on("line", (line) => { const command = JSON.parse(line); commands[command.do](command); })
  .on("close", () => { socket.disconnect(); setTimeout(() => process.exit(), 200).unref(); });
