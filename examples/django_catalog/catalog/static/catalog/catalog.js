// Keeps the list live. Django has rendered it; from there on the broker says what changes.

const { url, since: rendered, token } = JSON.parse(
  document.getElementById("furniture-events").textContent,
);
const list = document.getElementById("muebles");
const blank = document.getElementById("blank").content.querySelector("tr");
const state = document.getElementById("state");

let since = rendered; // up to where the list knows everything; null: nobody could tell
let held = null; // the events that come while the list is being loaded anew
let loads = 0;

function find(id) {
  return [...list.rows].find((row) => row.dataset.id === id);
}

// An event may tell what the list shows already: then this changes nothing.
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

// Loads the list anew. What comes meanwhile is shown afterwards: it may be newer.
async function reload() {
  const mine = ++loads;
  held ??= [];
  const rows = await persist(fetchRows);
  if (mine !== loads) return; // another gap came meanwhile, and its load tells more
  list.replaceChildren(...rows);
  const events = held;
  held = null;
  events.forEach(show);
}

async function fetchRows() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.getElementById("muebles").rows;
}

// The client comes from the broker, which may not be there yet.
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

await persist(loadClient);

// A function: at each connection `since` is what it is then.
const socket = io(url, { auth: (answer) => answer({ since, token }) });

for (const type of ["furniture_created", "furniture_updated", "furniture_deleted"])
  socket.on(type, (event, offset) => {
    since = offset;
    if (held) held.push(event);
    else show(event);
  });

socket.on("ready", ({ position, gap }) => {
  if (gap || since === null) reload();
  since = position;
  say("en directo", true);
});
socket.on("disconnect", () => say("sin conexión, reconectando…"));
socket.on("connect_error", ({ message }) => {
  if (!socket.active) say(`sin conexión: ${message}`); // refused, for good
});
