// Many real socket.io-clients in one process. Follows the commands on its input, and prints all that
// happens to the clients, one JSON line each.
import readline from "node:readline";
import { io } from "socket.io-client";
import { EVENT_TYPES } from "./contract.mjs";

const clients = new Map();
const now = () => Number(process.hrtime.bigint()) / 1e9; // the same monotonic clock that Python reads

function open({ name, url, transports, mode, rooms, since }) {
  const tell = (on, fields = {}) =>
    process.stdout.write(JSON.stringify({ name, on, at: now(), ...fields }) + "\n");
  const client = { ready: false, changing: false, started: now() };
  // For recovery, socket.io-client adds pid and offset itself. With since they must not be sent.
  const auth = (callback) => {
    const given = mode === "since" ? { rooms, since, pid: undefined, offset: undefined } : { rooms };
    tell("connecting", { at: client.started, rooms, since: given.since ?? null, resumes: mode !== "since" && !!socket._pid });
    callback(given);
  };
  const socket = io(url, {
    transports, auth, forceNew: true, reconnectionDelay: 30, reconnectionDelayMax: 150, timeout: 3000,
  });
  client.socket = socket;
  socket.io.on("reconnect_attempt", () => { client.started = now(); });
  socket.on("connect", () => tell("connected", { sid: socket.id, recovered: !!socket.recovered }));
  socket.on("disconnect", (reason) => {
    client.ready = client.changing = false;
    socket.sendBuffer.length = 0;
    tell("disconnected", { reason });
    // The server has ended the session, which it never should: report it and reconnect.
    if (!socket.active && reason !== "io client disconnect") reconnect("disconnect");
  });
  socket.on("connect_error", (error) => {
    if (!socket.active) reconnect(error.data?.code ?? error.message);
  });
  function reconnect(reason) {
    tell("stuck", { reason });
    setTimeout(() => { client.started = now(); socket.connect(); }, 100);
  }
  socket.on("ready", (ready) => {
    client.ready = true;
    since = ready.position;
    tell("ready", ready);
  });
  for (const type of EVENT_TYPES)
    socket.on(type, (event, offset) => {
      since = offset;
      tell("delivered", { offset, event });
    });
  client.change = (kind, room) => {
    if (!client.ready || client.changing || !socket.connected) return;
    client.changing = true;
    tell("changing", { kind, rooms: [room] });
    socket.emit(kind, [room], (answer) => {
      client.changing = false;
      if (answer.ok) rooms = answer.rooms;
      tell("changed", { rooms: answer.ok ? answer.rooms : null });
    });
  };
  // Ends the session and connects again, which begins another session.
  client.leave = () => {
    if (!client.ready) return;
    socket.disconnect();
    client.started = now();
    socket.connect();
  };
  clients.set(name, client);
}

const commands = {
  open,
  change: ({ name, kind, room }) => clients.get(name).change(kind, room),
  leave: ({ name }) => clients.get(name).leave(),
};
readline.createInterface({ input: process.stdin })
  .on("line", (line) => { const command = JSON.parse(line); commands[command.do](command); })
  .on("close", () => {
    for (const { socket } of clients.values()) socket.disconnect();
    setTimeout(() => process.exit(), 200); // a half-open connection would never close
  });
