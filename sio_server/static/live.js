"use strict";

const SHOWN = 100;
const VERBS = {
  furniture_created: "created",
  furniture_updated: "updated",
  furniture_deleted: "deleted",
};

for (const place of document.querySelectorAll(".origin")) place.textContent = location.origin;
for (const place of document.querySelectorAll(".socket"))
  place.textContent = location.origin.replace(/^http/, "ws");

const state = document.getElementById("state");
const list = document.getElementById("events");

function show({ type, furniture, timestamp }) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.dateTime = timestamp;
  time.textContent = new Date(timestamp).toLocaleTimeString();
  const { nombre, material, altura, ancho, autor_username: autor } = furniture;
  item.append(time, `${VERBS[type]}: ${nombre} (${material}, ${altura} × ${ancho}), ${autor}`);
  list.prepend(item);
  while (list.children.length > SHOWN) list.lastChild.remove();
}

const stream = new EventSource("/api/stream");
stream.addEventListener("ready", (event) => {
  state.textContent = JSON.parse(event.data).gap ? "live; events were missed, reload" : "live";
});
stream.onmessage = (event) => show(JSON.parse(event.data));
stream.onerror = () => {
  state.textContent = "connecting…";
};
