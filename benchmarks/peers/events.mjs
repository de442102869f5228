// The work of a peer: emit each published event to all clients, with an offset, and acknowledge it.
export const pingInterval = Number(process.env.PING_INTERVAL) * 1000;

// As by default, recovery is off, except for the measurement of recovery.
export const recovery = process.env.RECOVERY ? { connectionStateRecovery: {} } : {};

// If the measurement uses rooms, each event goes to "catalog" and to its material's room; else to all.
const to = process.env.ROOMS
  ? (io, event) => io.to(["catalog", `material:${event.furniture.material}`])
  : (io) => io;

export const serve = (io) => {
  let published = 0;
  io.on("connection", (socket) => {
    socket.join(socket.handshake.auth.rooms ?? []);
    socket.on("furniture_created", (event, acknowledge) => {
      const offset = String(++published);
      const timestamp = new Date().toISOString();
      to(io, event).emit("furniture_created", { type: "furniture_created", ...event, id: offset, timestamp }, offset);
      acknowledge({ ok: true, id: offset, offset, timestamp, duplicate: false });
    });
  });
};

export const listening = (port) => console.error(JSON.stringify({ event: "listening", port }));
