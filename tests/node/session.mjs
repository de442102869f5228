// The work of a frontend with an unmodified socket.io-client, and the results that it must get.
import assert from "node:assert/strict";
import { io } from "socket.io-client";

const { url, options, upgrades, id } = JSON.parse(process.argv[2]);
const furniture = {
  furniture_id: "js-1", nombre: "Silla", descripcion: "", altura: 90.5, ancho: 45,
  material: "haya", autor_username: "Eva",
};
const once = (socket, event) => new Promise((resolve) => socket.once(event, (...values) => resolve(values)));
const timeout = setTimeout(() => { console.error("timeout"); process.exit(1); }, 20_000);

const socket = io(url, { ...options, auth: { rooms: ["material:haya"] } });
const [ready] = await once(socket, "ready");
assert.deepEqual(ready.rooms, ["material:haya"]);
assert.deepEqual([ready.recovered, ready.gap, ready.replayed], [false, false, 0]);

if (upgrades) {
  if (socket.io.engine.transport.name !== "websocket") await once(socket.io.engine, "upgrade");
  assert.equal(socket.io.engine.transport.name, "websocket");
}

// Publish with an acknowledgement. The publisher is also a consumer.
const delivered = once(socket, "furniture_created");
const ack = await socket.emitWithAck("furniture_created", { furniture, id });
assert.equal(ack.ok, true, JSON.stringify(ack));
assert.deepEqual([ack.id, ack.duplicate], [id, false]);
const [event, offset] = await delivered;
assert.deepEqual(event, { type: "furniture_created", furniture, id, timestamp: ack.timestamp });
assert.equal(offset, ack.offset);
assert.equal((await socket.emitWithAck("furniture_created", { furniture, id })).duplicate, true);

// send(): a plain message as an object and as its JSON text.
for (const message of [{ type: "ping" }, JSON.stringify({ type: "ping" })])
  assert.equal((await socket.emitWithAck("message", message)).type, "pong");

// ping is answered twice: by the acknowledgement and by the event pong.
const ponged = once(socket, "pong");
const pong = await socket.emitWithAck("ping");
assert.match(pong.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
assert.deepEqual((await ponged)[0], pong);

// Rooms.
assert.deepEqual(await socket.emitWithAck("subscribe", "author:Ana"), { ok: true, rooms: ["author:Ana", "material:haya"] });
assert.deepEqual(await socket.emitWithAck("unsubscribe", ["material:haya"]), { ok: true, rooms: ["author:Ana"] });
const moved = once(socket, "furniture_updated");
await socket.emitWithAck("furniture_updated", { furniture });
await socket.emitWithAck("furniture_updated", { furniture: { ...furniture, autor_username: "Ana" } });
assert.equal((await moved)[0].furniture.autor_username, "Ana");

// Errors come in the acknowledgement, or as the event error.
const refused = await socket.emitWithAck("furniture_deleted", { furniture: { ...furniture, altura: -1 } });
assert.deepEqual([refused.ok, refused.error.code, refused.error.details[0].field], [false, "invalid_furniture", "furniture.altura"]);
const failed = once(socket, "error");
socket.emit("subscribe", "nowhere");
assert.deepEqual([(await failed)[0].code, (await failed)[0].event], ["unknown_room", "subscribe"]);

// A namespace that does not exist.
const other = io(`${url}/other`, { ...options, forceNew: true });
const [error] = await once(other, "connect_error");
assert.equal(error.message, "Invalid namespace");
other.close();

// Binary data is refused with an error.
const binary = await socket.emitWithAck("furniture_created", { furniture: { ...furniture, foto: Buffer.from([1, 2]) } });
assert.equal(binary.error.code, "invalid_message");

socket.close();
clearTimeout(timeout);
