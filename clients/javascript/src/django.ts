/**
 * The script of the Django tag `furniture_events_live`. Keeps the page's lists current, and tells
 * other scripts of events and states.
 *
 * A list is loaded again as a part of the page's own URL, so that only the site's templates make
 * HTML. The catalogue decides when a list is current: a list has no `since` here, so events that
 * arrive while it is loaded make it be loaded once more.
 */

import type { FurnitureEvent } from "./events.js";
import { connectCatalog } from "./index.js";
import { rememberRows, showRows } from "./rows.js";
import type { CatalogState } from "./state.js";
import { makeStatus } from "./status.js";
import { makeTimer } from "./timing.js";

/** Events within this time are one batch, with one request. */
const BATCH_MS = 100;
/** How long a row is marked as new or changed. */
const MARK_MS = 2_000;

interface Htmx {
  htmx?: { process(row: Element): void };
}

function start({ url, since, token, refresh }: DOMStringMap): void {
  /** The page that was loaded last, and is not shown yet. */
  let page: Document | undefined;
  /** The load that runs has only the reason that events arrived. */
  let isRoutine = false;
  /** Events arrived while nobody could see the page. */
  let isStale = false;
  /** How long to wait before a load: as long as the last one took, so that a slow site gets rest. */
  let pause = BATCH_MS;
  const next = makeTimer();
  const status = makeStatus((recovery) => tell("recovered", recovery));

  for (const list of lists(document)) rememberRows(list);

  const catalog = connectCatalog({
    url: url!,
    token: token ?? null,
    ...(refresh === undefined ? {} : { getToken: fetchToken }),
    initial: { items: [], since },
    load,
  });

  async function load({ signal }: { signal: AbortSignal }): Promise<{ items: [] }> {
    next.stop();
    isStale = false;
    if (!isRoutine) tell("gap", {});
    const begin = performance.now();
    page = lists(document).length ? await fetchPage(signal) : undefined;
    pause = Math.max(BATCH_MS, performance.now() - begin);
    return { items: [] };
  }

  async function fetchToken({ signal }: { signal: AbortSignal }): Promise<string | null> {
    const answer = await get(refresh!, { signal });
    return ((await answer.json()) as { token: string | null }).token;
  }

  function loadSoon(): void {
    if (document.hidden) isStale = true;
    else if (!next.runs())
      next.start(pause, () => {
        isRoutine = true;
        catalog.reload();
      });
  }

  function toldState({ name, reason }: CatalogState): void {
    if (reason?.code === "gap") isRoutine = false;
    status.state({ name, reason });
    tell("state", { state: name, reason });
  }

  catalog.listen(({ items, events }) => {
    if (items) {
      isRoutine = false;
      if (page) show(page);
      page = undefined;
    }
    status.came(events.length);
    for (const event of events) tell(event.type.replace("furniture_", ""), event);
    if (events.length && lists(document).length) loadSoon();
  });
  catalog.state.subscribe(toldState);
  toldState(catalog.state.get());
  document.addEventListener("visibilitychange", () => {
    if (isStale && !document.hidden) loadSoon();
  });
}

function lists(page: Document): Element[] {
  return [...page.querySelectorAll("[data-furniture-list]")];
}

/** Find the same list in another page: the one with the same value of `data-furniture-list`. */
function sameList(page: Document, list: Element): Element | undefined {
  const name = nameOf(list);
  return lists(page).find((other) => nameOf(other) === name);
}

function nameOf(list: Element): string | null {
  return list.getAttribute("data-furniture-list");
}

/** Load the page again, from its own URL. Another page, such as a sign-in, has no such list. */
async function fetchPage(signal: AbortSignal): Promise<Document> {
  const answer = await get(location.href, { signal, headers: { "X-Furniture-Fragment": "1" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const list of lists(document))
    if (!sameList(page, list)) throw new Error(`no data-furniture-list="${nameOf(list)}" in it`);
  return page;
}

async function get(url: string, options: RequestInit): Promise<Response> {
  const answer = await fetch(url, { cache: "no-store", ...options });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer;
}

function show(page: Document): void {
  for (const list of lists(document)) {
    const newer = sameList(page, list);
    if (!newer) continue; // another script has added the list meanwhile
    const changes = showRows(list, newer);
    for (const [row, change] of changes) {
      row.setAttribute("data-furniture-change", change);
      (window as Htmx).htmx?.process(row); // Alpine sees new rows by itself
    }
    setTimeout(() => {
      for (const [row, change] of changes)
        if (row.getAttribute("data-furniture-change") === change)
          row.removeAttribute("data-furniture-change");
    }, MARK_MS);
    tell("list", { rows: [...changes.keys()] }, list);
  }
}

function tell(name: string, detail: object | FurnitureEvent, target: EventTarget = document): void {
  target.dispatchEvent(new CustomEvent(`furniture:${name}`, { detail, bubbles: true }));
}

const script = document.currentScript;
if (script) start(script.dataset);
