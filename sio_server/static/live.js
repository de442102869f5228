"use strict";

const SHOWN = 100;
const VERBS = {
  furniture_created: "created",
  furniture_updated: "updated",
  furniture_deleted: "deleted",
};

// A proxy may serve this page below a prefix.
const base = new URL(".", location.href);
const path = `${base.pathname}socket.io/`;
const texts = {
  base: base.href,
  io: `"${base.origin}"` + (base.pathname === "/" ? "" : `, { path: "${path}" }`),
  socket: base.href.replace(/^http/, "ws"),
};
for (const [name, text] of Object.entries(texts))
  for (const place of document.querySelectorAll(`.${name}`)) place.textContent = text;

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

let position; // of the last event

function open() {
  const since = position ? `?since=${encodeURIComponent(position)}` : "";
  const stream = new EventSource(`api/stream${since}`);
  stream.addEventListener("ready", (event) => {
    position = event.lastEventId;
    state.textContent = JSON.parse(event.data).gap ? "live; events were missed, reload" : "live";
  });
  stream.onmessage = (event) => {
    position = event.lastEventId;
    show(JSON.parse(event.data));
  };
  stream.onerror = (event) => {
    if (event.data) state.textContent = `${JSON.parse(event.data).message}; connecting…`;
    else if (stream.readyState === EventSource.CLOSED) explain();
    else state.textContent = "connecting…";
  };
}

// The stream has ended permanently. A browser does not tell a page why, but the API does.
async function explain() {
  const answer = await fetch("api/events?limit=0").catch(() => undefined);
  const isPermanent = answer && [400, 401, 403].includes(answer.status);
  if (isPermanent) {
    state.textContent = `refused: ${(await answer.json()).message}`;
  } else {
    state.textContent = "connecting…";
    setTimeout(open, 1000 + 2000 * Math.random());
  }
}

open();
