// A page's own code: it shows the list and the state. Its list is the fold of the broker's history.
async function load({ signal }) {
  document.body.dataset.loads = Number(document.body.dataset.loads ?? 0) + 1;
  const rows = new Map();
  const answer = await fetch(`${BROKER}/api/events?limit=1000`, { signal });
  const { events, position } = await answer.json();
  for (const { type, furniture } of events)
    if (type === "furniture_deleted") rows.delete(furniture.furniture_id);
    else rows.set(furniture.furniture_id, furniture);
  return { items: [...rows.values()], since: position };
}

const catalog = connectCatalog({ url: BROKER, load });
const store = createCatalogStore(catalog);

function show() {
  const items = store.getSnapshot().items.map(({ nombre }) => {
    const item = document.createElement("li");
    item.textContent = nombre;
    return item;
  });
  document.getElementById("list").replaceChildren(...items);
}

function say({ name, reason }) {
  document.getElementById("state").textContent = reason ? `${name}: ${reason.code}` : name;
  (window.states ??= []).push(name);
}

store.subscribe(show);
catalog.state.subscribe(say);
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) document.body.dataset.persisted = "yes";
});
