// What a peer does: emits each published event to everyone, with an offset, and acknowledges it.
export const pingInterval = Number(process.env.PING_INTERVAL) * 1000;

// Recovery is off by default, and here where it is not what is measured.
export const recovery = process.env.RECOVERY ? { connectionStateRecovery: {} } : {};

export const serve = (io) => {
  let published = 0;
  io.on("connection", (socket) => {
    socket.on("furniture_created", (event, acknowledge) => {
      const offset = String(++published);
      const timestamp = new Date().toISOString();
      io.emit("furniture_created", { type: "furniture_created", ...event, id: offset, timestamp }, offset);
      acknowledge({ ok: true, id: offset, offset, timestamp, duplicate: false });
    });
  });
};

export const listening = (port) => console.error(JSON.stringify({ event: "listening", port }));
