// Keeps the list live. Django renders the list, and the broker sends every later change.

const { url, since: rendered, token: first } = JSON.parse(
  document.getElementById("furniture-events").textContent,
);
const list = document.getElementById("muebles");
const blank = document.getElementById("blank").content.querySelector("tr");
const state = document.getElementById("state");

let since = rendered; // the list shows every event up to this position; null: unknown
let waiting = null; // the events that arrive while the list is being loaded again
let loads = 0;
let token = first; // null: nobody is signed in, or the broker takes no tokens
let isFresh = true;

function find(id) {
  return [...list.rows].find((row) => row.dataset.id === id);
}

// The list may show the event already. Then this changes nothing.
function show({ type, furniture }) {
  const id = furniture.furniture_id;
  if (type === "furniture_deleted") {
    find(id)?.remove();
    return;
  }
  const row = find(id) ?? insert(id);
  for (const cell of row.querySelectorAll("[data-field]"))
    cell.textContent = furniture[cell.dataset.field];
  row.animate([{ background: "#fdf0cf" }, {}], 1500);
}

function insert(id) {
  const row = document.importNode(blank, true);
  row.dataset.id = id;
  for (const link of row.querySelectorAll("a"))
    link.pathname = link.pathname.replace("/0/", `/${id}/`);
  const older = [...list.rows].find((other) => Number(other.dataset.id) < Number(id));
  list.insertBefore(row, older ?? null);
  return row;
}

// Loads the list again. Events that arrive meanwhile are shown afterwards: they may be newer.
async function reload() {
  const load = ++loads;
  waiting ??= [];
  const rows = await persist(fetchRows);
  if (load !== loads) return; // another gap came meanwhile, and its load is newer
  list.replaceChildren(...rows);
  const events = waiting;
  waiting = null;
  events.forEach(show);
}

async function fetchRows() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.getElementById("muebles").rows;
}

// The broker serves the client library, and may not run yet.
function loadClient() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${url}/socket.io/socket.io.js`;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
}

async function persist(action) {
  for (;;) {
    try {
      return await action();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

function say(text, live = false) {
  state.textContent = text;
  state.classList.toggle("live", live);
}

// A token is valid for minutes, and only as long as its user is signed in. So each later connection
// has a token of its own.
async function freshToken() {
  if (!isFresh && first !== null) {
    const answer = await fetch(state.dataset.fresh);
    ({ token } = await answer.json());
  }
  isFresh = false;
  return token;
}

await persist(loadClient);

// A function, so that each connection sends the current `since`.
const socket = io(url, {
  auth: async (answer) => answer({ token: await persist(freshToken), since }),
});

for (const type of ["furniture_created", "furniture_updated", "furniture_deleted"])
  socket.on(type, (event, offset) => {
    since = offset;
    if (waiting) waiting.push(event);
    else show(event);
  });

socket.on("ready", ({ position, gap }) => {
  if (gap || since === null) reload();
  since = position;
  say("en directo", true);
});
socket.on("disconnect", () => say("sin conexión, reconectando…"));
socket.on("connect_error", ({ message, data }) => {
  if (socket.active) return; // the client tries again
  const needsUser = data?.code === "unauthorized" && token === null;
  say(needsUser ? "entre para ver los cambios en directo" : `sin conexión: ${message}`);
});
