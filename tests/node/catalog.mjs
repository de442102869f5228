// A catalogue of our JavaScript client. Follows the commands on its input, and prints all that happens, one JSON line
// each. Its list is what the log says: the fold of the history.
import readline from "node:readline";
import { connectCatalog, createCatalogStore } from "../../clients/javascript/dist/index.js";

const { url, options = {}, listUrl = url, fetchesTokens = false } = JSON.parse(process.argv[2]);
const tell = (on, fields = {}) => process.stdout.write(JSON.stringify({ on, ...fields }) + "\n");
process.on("unhandledRejection", (error) => tell("unhandled", { message: String(error) }));

async function load({ signal }) {
  tell("load");
  const rows = new Map();
  for (let since = "", more = true; more; ) {
    const answer = await fetch(`${listUrl}/api/events?limit=1000${since && `&since=${since}`}`, { signal });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const page = await answer.json();
    for (const { type, furniture } of page.events)
      if (type === "furniture_deleted") rows.delete(furniture.furniture_id);
      else rows.set(furniture.furniture_id, furniture);
    since = page.position;
    more = page.more;
    if (!more) return { items: [...rows.values()], since };
  }
}

let giveToken = () => {};
const getToken = () => new Promise((resolve) => { giveToken = resolve; tell("needs token"); });

const catalog = connectCatalog({ url, load, ...(fetchesTokens ? { getToken } : {}), ...options });
const store = createCatalogStore(catalog);
catalog.state.subscribe(({ name, reason }) => tell("state", { name, code: reason?.code ?? null, message: reason?.message }));
catalog.listen(({ items, events }) => {
  if (items) tell("list", { ids: items.map((item) => item.furniture_id) });
  for (const { id, type } of events) tell("event", { id, type });
});

const commands = {
  token: ({ token }) => giveToken(token),
  publish: async ({ type, furniture, id }) => {
    const published = store.publish(type, furniture, { id });
    tell("shown", { items: store.getSnapshot().items });
    try {
      tell("published", await published);
    } catch ({ code, maybeAppended }) {
      tell("refused", { code, maybeAppended });
    }
  },
  subscribe: async ({ rooms }) => tell("rooms", { rooms: await catalog.subscribe(rooms) }),
  items: () => tell("items", store.getSnapshot()),
  reload: () => catalog.reload(),
  connect: () => catalog.connect(),
};
readline.createInterface({ input: process.stdin })
  .on("line", (line) => { const command = JSON.parse(line); commands[command.do](command); })
  .on("close", () => { catalog.close(); setTimeout(() => process.exit(), 200).unref(); });
