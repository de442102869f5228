// The work of a peer: emit each published event to all clients, with an offset, and acknowledge it.
export const pingInterval = Number(process.env.PING_INTERVAL) * 1000;

// As by default, recovery is off, except for the measurement of recovery.
export const recovery = process.env.RECOVERY ? { connectionStateRecovery: {} } : {};

// If the measurement uses rooms, each event goes to "catalog" and to its material's room; else to all.
const to = process.env.ROOMS
  ? (io, event) => io.to(["catalog", `material:${event.furniture.material}`])
  : (io) => io;

let published = 0;

const publish = (io, event) => {
  const offset = String(++published);
  const timestamp = new Date().toISOString();
  to(io, event).emit("furniture_created", { type: "furniture_created", ...event, id: offset, timestamp }, offset);
  return { ok: true, id: offset, offset, timestamp, duplicate: false };
};

export const serve = (io) => {
  io.on("connection", (socket) => {
    socket.join(socket.handshake.auth.rooms ?? []);
    socket.on("furniture_created", (event, acknowledge) => acknowledge(publish(io, event)));
  });
};

// A request listener that publishes the event in the body of a POST.
export const publishing = (io) => async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  response.writeHead(201, { "Content-Type": "application/json" }).end(JSON.stringify(publish(io, JSON.parse(body))));
};

export const listening = (port) => console.error(JSON.stringify({ event: "listening", port }));
