/* The connection to the broker: the JavaScript client, and what the page makes of its states.

   It hands over what the page shows: the state of the link with its reason, and the changes, gathered
   for each frame, because a page cannot show more often than that. */

import { inFrame } from "./dom.js";
import { countAfter, Fold, load as readLists, loadOlder } from "./log.js";
import { BASE, currentToken, forgetToken, meet, rights, serverNow } from "./visitor.js";

/** A publish that has no answer after this time tells so; it may still arrive. */
const PUBLISH_MS = 12_000;
/** A hidden page has no frames. It keeps its list current at this pace. */
const HIDDEN_MS = 500;
/** With more events than this in a second, the page shows them together, a few times a second. */
const BUSY_EVENTS = 12, BUSY_MS = 200;
/** One frame shows so many of them, or half of those that wait: no step blocks the page for long. */
const ENTRIES_A_FRAME = 12, MAX_WAITING_ENTRIES = 400;

const DENIED = new Set([401, 403]);
const NAMES = { connecting: "connecting", live: "live", recovering: "catching", offline: "offline", refused: "denied" };

/**
 * Connect the page.
 * @param on {link(link), change(items, entries), rooms(rooms)}: `link` is {name, since, reason, missed,
 *   all, away, isGap}; `items` says that the whole list is another; `rooms` is null without narrower rooms
 */
export async function connect(on) {
  const fold = new Fold();
  let catalog = null;
  let link = { name: "connecting", since: Date.now(), reason: null };
  let wasLive = false, missed = 0, isGap = false, awaySince = 0;
  let base = ["catalog"], current = base, wanted = null, switching = Promise.resolve();
  let isDenied = false;
  let waiting = { items: false, entries: [] }, isPlanned = false, recent = [];

  function become(name, about = {}) {
    if (name !== link.name) link = { name, since: Date.now(), reason: null };
    link = { ...link, missed: 0, all: 0, isGap: false, ...about };
    on.link(link);
  }

  function deny(reason) {
    isDenied = true;
    catalog?.close();
    become("denied", { reason });
  }

  async function load({ signal, rooms }) {
    try {
      return await readLists(fold, { signal, rooms, base });
    } catch (error) {
      if (DENIED.has(error.status)) deny({ code: error.code, message: error.message });
      else if (error.code && !signal.aborted && link.name !== "live") become(link.name, { reason: { code: error.code, message: error.message } });
      throw error;
    }
  }

  function followState({ name, reason }) {
    if (isDenied) return;
    const isLive = name === "live";
    if (reason?.code === "gap") isGap = true;
    if (isLive) {
      const away = (Date.now() - awaySince) / 1000;
      become("live", wasLive && awaySince ? { missed, away, isGap } : {});
      wasLive = true;
      missed = awaySince = 0;
      isGap = false;
      meet().then(() => on.link(link));
      return;
    }
    if (wasLive) awaySince ||= Date.now();
    // `load` has told the exact reason.
    const isKnown = reason?.code === "load_failed" && link.reason;
    become(NAMES[name], isKnown ? {} : { reason });
    if (name === "recovering" && !reason && fold.position) countMissed(fold.position); // it is connected again
  }

  function followChange({ items, events, shown, position }) {
    const isLate = wasLive && link.name !== "live";
    const about = (event) => (isLate ? { isLate, delay: (serverNow() - Date.parse(event.timestamp)) / 1000 } : wasLive ? { ms: serverNow() - Date.parse(event.timestamp) } : {});
    for (const event of shown) fold.note(event, about(event)); // the list shows them already
    for (const event of events) {
      const entry = fold.apply(event, { ...about(event), offset: event === events.at(-1) ? position : undefined });
      if (entry) waiting.entries.push(entry);
      if (entry && isLate) missed += 1;
    }
    if (events.length && isLate) tellProgress(position);
    recent.push(...events.map(() => performance.now()));
    if (!fold.narrow && position) fold.position = position;
    waiting.items ||= items !== undefined;
    plan();
  }

  /** Say how far the page is, if so many events were missed that they do not come at once. */
  function tellProgress(position) {
    if (link.name !== "catching" || fold.narrow) return; // of narrower rooms, nobody knows how many come
    become("catching", { missed, all: link.all });
    if (!link.all) countMissed(position);
  }

  async function countMissed(position) {
    const { since } = link, read = missed, rest = await countAfter(position);
    if (rest && link.name === "catching" && link.since === since) become("catching", { missed, all: read + rest });
  }

  function plan() {
    if (isPlanned) return;
    isPlanned = true;
    const now = performance.now();
    recent = recent.filter((at) => at > now - 1_000);
    const isBusy = recent.length > BUSY_EVENTS;
    document.body.classList.toggle("is-busy", isBusy);
    if (document.hidden || isBusy) setTimeout(inFrame, document.hidden ? HIDDEN_MS : BUSY_MS, show);
    else requestAnimationFrame(show);
  }

  function show() {
    if (!isPlanned) return;
    const { items } = waiting, isFlood = waiting.entries.length > MAX_WAITING_ENTRIES;
    const entries = waiting.entries.splice(0, document.hidden || items || isFlood ? Infinity : Math.max(ENTRIES_A_FRAME, waiting.entries.length / 2));
    waiting.items = false;
    isPlanned = false;
    // The screen shows them now, not when they arrived.
    if (!document.hidden) for (const entry of entries) if (entry.ms !== undefined) entry.ms = serverNow() - entry.at;
    on.change(items || isFlood, entries);
    if (!waiting.entries.length) return;
    isPlanned = true;
    inFrame(show);
  }

  /** Be in these rooms; null: in the default ones. The last call counts. */
  function enter(rooms) {
    wanted = rooms;
    switching = switching.then(changeRooms).catch(() => {}).then(() => on.rooms(base.every((room) => current.includes(room)) ? null : current));
  }

  async function changeRooms() {
    const target = wanted ?? base;
    const more = target.filter((room) => !current.includes(room)), fewer = current.filter((room) => !target.includes(room));
    // First the new rooms, then the old ones: there is no moment without both.
    if (more.length) current = await catalog.subscribe(more);
    if (fewer.length) current = await catalog.unsubscribe(fewer);
  }

  function publish(type, furniture, id) {
    return catalog.publish(type, furniture, { id, timeout: PUBLISH_MS });
  }

  addEventListener("visibilitychange", () => {
    if (!document.hidden && isPlanned) show();
  });
  on.link(link);
  const [client] = await Promise.all([import("../client/furniture-events.js").catch(() => null), meet()]);
  if (rights.rooms?.length) base = current = rights.rooms;
  if (client) {
    catalog = client.connectCatalog({ url: BASE, token: currentToken(), load });
    catalog.listen(followChange);
    catalog.state.subscribe(followState);
  } else {
    await load({ signal: AbortSignal.timeout(20_000) }).then(() => become("still"), () => {});
    rights.publish = false; // publishing goes through the client
    waiting.items = true;
    plan();
  }

  return {
    fold, enter, publish,
    /** Read older events into the activity; returns whether there were any. */
    older: () => loadOlder(fold),
    link: () => link,
    /** Try again now. After a refusal the client begins from the start, as after a reload. */
    retry: () => (isDenied || link.name === "denied" ? location.reload() : catalog?.connect()),
    forgetToken() {
      forgetToken();
      location.reload();
    },
  };
}
