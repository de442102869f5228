// A real socket.io-client that prints each event as a JSON line, until its input is closed.
import { io } from "socket.io-client";
import { EVENT_TYPES } from "./contract.mjs";

const { url, options } = JSON.parse(process.argv[2]);
const socket = io(url, options);

const print = (...values) => process.stdout.write(JSON.stringify(values) + "\n");

socket.on("ready", (message) => print("ready", message));
for (const type of EVENT_TYPES)
  socket.on(type, (...values) => print(type, ...values));
socket.on("connect_error", (error) => {
  console.error(error.message, error.data);
  process.exit(1);
});

process.stdin.on("close", () => socket.disconnect()).resume();
