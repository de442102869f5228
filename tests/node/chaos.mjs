// Many real socket.io-clients in one process: does what its input says, tells all that happens to them.
import readline from "node:readline";
import { io } from "socket.io-client";

const TYPES = ["furniture_created", "furniture_updated", "furniture_deleted"];
const clients = new Map();
const now = () => Number(process.hrtime.bigint()) / 1e9; // the monotonic clock that Python reads too

function open({ name, url, transports, mode, rooms, since }) {
  const tell = (on, fields = {}) =>
    process.stdout.write(JSON.stringify({ name, on, at: now(), ...fields }) + "\n");
  const client = { ready: false, changing: false, started: now() };
  // In recovery the client says pid and offset by itself; with since it must not.
  const auth = (callback) => {
    const given = mode === "since" ? { rooms, since, pid: undefined, offset: undefined } : { rooms };
    tell("opening", { at: client.started, rooms, since: given.since ?? null, resumes: mode !== "since" && !!socket._pid });
    callback(given);
  };
  const socket = io(url, {
    transports, auth, forceNew: true, reconnectionDelay: 30, reconnectionDelayMax: 150, timeout: 3000,
  });
  client.socket = socket;
  socket.io.on("reconnect_attempt", () => { client.started = now(); });
  socket.on("connect", () => tell("connected", { sid: socket.id, recovered: socket.recovered }));
  socket.on("disconnect", (reason) => {
    client.ready = client.changing = false;
    socket.sendBuffer.length = 0;
    tell("dropped", { reason });
    // The server has ended the session, which it never should: told, and come back.
    if (!socket.active && reason !== "io client disconnect") again("disconnect");
  });
  socket.on("connect_error", (error) => {
    if (!socket.active) again(error.data?.code ?? error.message);
  });
  function again(why) {
    tell("stuck", { why });
    setTimeout(() => { client.started = now(); socket.connect(); }, 100);
  }
  socket.on("ready", (ready) => {
    client.ready = true;
    since = ready.position;
    tell("ready", ready);
  });
  for (const type of TYPES)
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
  // Leaves for good and comes back: another session.
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
    setTimeout(() => process.exit(), 200); // a half-open connection would never drain
  });
