/**
 * Puts lists and events together: each event after the list's `since` is applied once, in order.
 *
 * The first list, a list after a gap and a list that the page asks for take the same way. Events
 * that arrive while a list is loaded are held. Offsets are opaque: they are compared for equality,
 * never by order. If the list's `since` is not where the held events begin, or one of them, only
 * the server knows which events are missing. Then the connection is opened again after `since`.
 */

import type { Furniture, FurnitureEvent } from "./events.js";
import type { Reason } from "./state.js";
import { backoff, makeTimer, patiently, STABLE_MS } from "./timing.js";

export interface Loaded<F extends Furniture = Furniture> {
  readonly items: readonly F[];
  /**
   * A position of the log, read before the items. Without it, the list is loaded once more after
   * the first connection.
   */
  readonly since?: string | null | undefined;
}

/** What a page applies at once: a whole list or none, and then events. */
export interface Change<F extends Furniture = Furniture> {
  readonly items: readonly F[] | undefined;
  readonly events: readonly FurnitureEvent<F>[];
  /** Events that arrived while the list was loaded, and that the list shows already. */
  readonly shown: readonly FurnitureEvent<F>[];
  /** The offset up to which the page is now; undefined if the list came without one. */
  readonly position: string | undefined;
}

export interface FeedEvents<F extends Furniture> {
  change(change: Change<F>): void;
  /** The list is current, and the connection is live. */
  current(): void;
  loadFailed(reason: Reason): void;
  /** The connection must be opened again, after `since`. */
  reopen(): void;
}

interface Held<F extends Furniture> {
  readonly event: FurnitureEvent<F>;
  readonly offset: string;
}

/** Beyond this number, events are applied early, or dropped and asked for again. */
export const MAX_HELD_EVENTS = 1_000;

type Load<F extends Furniture> = (signal: AbortSignal) => Loaded<F> | Promise<Loaded<F>>;

export interface Feed<F extends Furniture> {
  /**
   * Every event of the consumer up to this offset was applied, is held, or is in a list to come.
   * Undefined before the first list or connection.
   */
  since(): string | undefined;
  /** Whether the list must be loaded, first or again. */
  needsList(): boolean;
  /** Load the list now. A load that runs is given up. */
  reload(): void;
  /** As `reload`, after a change of rooms: the events up to now are not those of the new rooms. */
  reloadForRooms(): void;
  /** The page is awake: do not wait with a load. */
  wake(wasFrozen: boolean): void;
  event(event: FurnitureEvent<F>, offset: string): void;
  ready(position: string, gap: boolean): void;
  /** The connection ended. The next one continues after `since`, or says that there is a gap. */
  lost(): void;
  stop(): void;
}

export function makeFeed<F extends Furniture>(load: Load<F>, on: FeedEvents<F>): Feed<F> {
  let since: string | undefined;
  let needsList = true;
  let held: Held<F>[] = [];
  /** The offset before the held events; undefined if there is none with this meaning. */
  let heldAfter: string | undefined;
  let isReady = false;
  /** The number of the load that runs; 0 if none runs. */
  let running = 0;
  let loads = 0;
  /** All events after the start of the load are held. Then a list without `since` is enough. */
  let isWhole = false;
  let failures = 0;
  /** When the list became current; Infinity if it must be loaded again. */
  let currentAt = Infinity;
  const next = makeTimer();

  function reload(): void {
    flush();
    needsList = true;
    void run();
  }

  function reloadForRooms(): void {
    reload();
    heldAfter = undefined;
  }

  function wake(wasFrozen: boolean): void {
    if (next.runs() || (running && wasFrozen)) void run();
  }

  function event(event: FurnitureEvent<F>, offset: string): void {
    since = offset;
    held.push({ event, offset });
    const isFull = held.length >= MAX_HELD_EVENTS;
    if (needsList) {
      if (isFull) restart(offset);
    } else if (isReady || isFull) {
      flush();
    }
  }

  function ready(position: string, gap: boolean): void {
    isReady = true;
    since = position;
    if (gap) {
      needsList = true;
      restart(position);
    }
    if (!needsList) {
      flush();
      becomeCurrent();
    } else if (!running && !next.runs()) {
      loadLater();
    }
  }

  function lost(): void {
    isReady = false;
    flush();
  }

  function stop(): void {
    running = 0;
    next.stop();
  }

  /** Drop the held events: a list that does not show them is of no use. */
  function restart(after: string): void {
    held = [];
    heldAfter = after;
    isWhole = false;
  }

  /** Take the held events: the first ones, and the rest. */
  function take(count: number): [FurnitureEvent<F>[], FurnitureEvent<F>[]] {
    const all = held.map(({ event }) => event);
    held = [];
    return [all.slice(0, count), all.slice(count)];
  }

  function flush(): void {
    if (needsList) return;
    const position = held.at(-1)?.offset;
    const [, events] = take(0);
    if (events.length) on.change({ items: undefined, events, shown: [], position });
  }

  function becomeCurrent(): void {
    currentAt = Date.now();
    on.current();
  }

  /** The first load after a while comes soon. A list that never fits is no tight loop. */
  function loadLater(): void {
    if (Date.now() - currentAt > STABLE_MS) failures = 0;
    currentAt = Infinity;
    next.start(backoff(failures++), () => void run());
  }

  async function run(): Promise<void> {
    next.stop();
    const own = (running = ++loads);
    if (!held.length) heldAfter = since;
    isWhole = isReady;
    let loaded: Loaded<F>;
    try {
      loaded = await patiently(load);
      if (!Array.isArray(loaded.items)) throw new TypeError("load must return {items, since}");
    } catch (error) {
      if (own !== running) return;
      running = 0;
      loadLater();
      on.loadFailed({ code: "load_failed", message: String(error) });
      return;
    }
    if (own !== running) return;
    running = 0;
    apply(loaded);
  }

  function apply({ items, since: loaded }: Loaded<F>): void {
    const position = loaded ?? undefined;
    const count = shownBy(position);
    const last = held.at(-1)?.offset ?? position;
    const [shown, events] = take(count);
    if (count >= 0) {
      needsList = false;
      on.change({ items, events, shown, position: last });
      if (isReady) becomeCurrent();
      return;
    }
    on.change({ items, events: [], shown: [], position });
    if (position) {
      needsList = false;
      since = position;
      on.reopen();
    } else if (!since) {
      on.reopen(); // for the first time; `ready` then asks for another list
    } else if (isReady) {
      loadLater();
    }
  }

  /** Return how many held events a list shows; -1 if the held events are not what it lacks. */
  function shownBy(position: string | undefined): number {
    if (!position) return isWhole ? 0 : -1;
    if (position === heldAfter) return 0;
    return held.findIndex(({ offset }) => offset === position) + 1 || -1;
  }

  return {
    since: () => since,
    needsList: () => needsList,
    reload,
    reloadForRooms,
    wake,
    event,
    ready,
    lost,
    stop,
  };
}
