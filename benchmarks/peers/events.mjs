// What a peer does: emits each published event to everyone, with an offset, and acknowledges it.
export const pingInterval = Number(process.env.PING_INTERVAL) * 1000;

// Recovery is off by default, and here where it is not what is measured.
export const recovery = process.env.RECOVERY ? { connectionStateRecovery: {} } : {};

// As rooms are, and here where consumers ask for some: all events go to "catalog", and to a material's.
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
