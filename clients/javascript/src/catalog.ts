/** The catalogue of a page: its list, live events, and publishing. Puts the parts together. */

import type { Socket, io as socketIo } from "socket.io-client";
import { makeCommands } from "./commands.js";
import type { Furniture, FurnitureEventType, Receipt } from "./events.js";
import { type Change, type Loaded, makeFeed } from "./feed.js";
import { newId } from "./ids.js";
import { type Address, type LinkEvents, makeLink } from "./link.js";
import { makeListeners, makeValue, type Observable } from "./observable.js";
import { followPage } from "./page.js";
import type { CatalogState, Reason, StateName } from "./state.js";
import { type GetToken, makeTokens } from "./tokens.js";

export interface CatalogOptions<F extends Furniture = Furniture> {
  /** The server's URL; the default is the page's own origin. A path is the prefix of a proxy. */
  url?: string;
  /** Several URLs of servers that share one log. They are tried in turn. */
  urls?: readonly string[];
  /** The first token, for example from the page's HTML; or the only one, without `getToken`. */
  token?: string | null;
  /** Fetches a token, or null if the user has none. It is called before the last one expires. */
  getToken?: GetToken;
  /** The rooms to be in; by default, those that the token allows. */
  rooms?: readonly string[];
  /** Loads the list. It is called first, and again at every gap. */
  load: (options: LoadOptions) => Loaded<F> | Promise<Loaded<F>>;
  /** The list that the page shows already. Then `load` is called at a gap only. */
  initial?: Loaded<F>;
}

export interface LoadOptions {
  /** Aborted after 20 s. Then `load` has failed, and is called again. */
  readonly signal: AbortSignal;
  /** The rooms whose pieces the list shows; undefined if the page named none. */
  readonly rooms: readonly string[] | undefined;
}

export interface PublishOptions {
  /** The idempotency key; by default, a new one. */
  id?: string;
  /** Milliseconds after which the promise is rejected; by default 30,000. */
  timeout?: number;
}

export interface Catalog<F extends Furniture = Furniture> {
  readonly state: Observable<CatalogState>;
  /**
   * Follow the list: call a function for each change. Returns a function that ends this. If the
   * list was there before, it is loaded again, because the function has to know it.
   */
  listen(listener: (change: Change<F>) => void): () => void;
  /** Publish an event. It is sent again until it is acknowledged, in the order of its piece. */
  publish(type: FurnitureEventType, furniture: F, options?: PublishOptions): Promise<Receipt>;
  /** Enter rooms, and load the list again. Resolves to all rooms. */
  subscribe(rooms: string | readonly string[]): Promise<readonly string[]>;
  /** Leave rooms, and load the list again. Resolves to all rooms. */
  unsubscribe(rooms: string | readonly string[]): Promise<readonly string[]>;
  /** Load the list again. */
  reload(): void;
  /** Try again now, for example after a sign-in in the state `refused`. */
  connect(): void;
  /** End the connection permanently. */
  close(): void;
}

const TIMEOUT_MS = 30_000;

/** Make a catalogue and connect it, with the `io` of socket.io-client. */
export function makeCatalog<F extends Furniture>(
  io: typeof socketIo,
  options: CatalogOptions<F>,
): Catalog<F> {
  const { url = "/", urls = [url], token = null, getToken, load } = options;
  let { rooms, initial } = options;
  let wasLive = false;
  let isOver = false; // refused or closed
  let isClosed = false;
  const state = makeValue<CatalogState>({ name: "connecting", reason: null });
  const changes = makeListeners<Change<F>>();
  const commands = makeCommands();

  const feed = makeFeed<F>(
    (signal) => {
      const given = initial;
      initial = undefined;
      return given ?? load({ signal, rooms });
    },
    {
      change: changes.call,
      current() {
        wasLive = true;
        become("live", null);
      },
      loadFailed(reason) {
        if (state.get().name !== "offline") become(away(), reason);
      },
      reopen: () => link.reopen(),
    },
  );

  const link = makeLink(
    {
      io,
      addresses: urls.map(addressOf),
      tokens: makeTokens(token, getToken),
      wants: () => ({ rooms, since: feed.since() }),
    },
    {
      connected(socket) {
        const untyped = socket as unknown as Socket;
        commands.connected((event, argument, ack) => untyped.emit(event, argument, ack));
        if (state.get().name === "offline") become(away(), null);
      },
      event: feed.event as LinkEvents["event"],
      ready({ position, gap }) {
        if (gap) become(away(), { code: "gap", message: "events may have been missed" });
        feed.ready(position, gap);
      },
      rooms(now) {
        if (rooms && rooms.length !== now.length) enter(now); // the token bounds the rooms
      },
      tooLarge: commands.tooLarge,
      lost(reason) {
        commands.lost();
        feed.lost();
        become(away(), reason);
      },
      failed: (reason) => become("offline", reason),
      refused: end,
    },
  );

  const leavePage = followPage({
    sleep: () => link.sleep(),
    wake(wasFrozen) {
      link.wake(wasFrozen);
      feed.wake(wasFrozen);
    },
  });

  function away(): StateName {
    return wasLive ? "recovering" : "connecting";
  }

  function become(name: StateName, reason: Reason | null): void {
    if (!isOver) state.set({ name, reason });
  }

  function end(reason: Reason): void {
    become("refused", reason);
    isOver = true;
    feed.stop();
    feed.lost();
    commands.refuse(reason);
  }

  function enter(now: readonly string[]): readonly string[] {
    rooms = now;
    feed.reloadForRooms();
    return now;
  }

  function changeRooms(event: string, names: string | readonly string[]) {
    const change = commands
      .request<{ rooms: string[] }>(event, names, "rooms", TIMEOUT_MS)
      .then((answer) => enter(answer.rooms));
    change.catch(() => {}); // a page that ignores the result gets no unhandled rejection
    return change;
  }

  // Not at once: `load` may use the catalogue that is returned here.
  queueMicrotask(() => {
    if (!isOver) feed.reload();
  });
  return {
    state,
    listen(listener) {
      if (!feed.needsList() && !isOver) feed.reload();
      return changes.add(listener);
    },
    publish(type, furniture, { id = newId(), timeout = TIMEOUT_MS } = {}) {
      return commands.request(type, { furniture, id }, furniture.furniture_id, timeout);
    },
    subscribe: (names) => changeRooms("subscribe", names),
    unsubscribe: (names) => changeRooms("unsubscribe", names),
    reload() {
      if (!isOver) feed.reload();
    },
    connect() {
      if (isClosed) return;
      isOver = false;
      become(away(), null);
      commands.accept();
      if (feed.since()) link.connect();
      if (feed.needsList()) feed.reload();
    },
    close() {
      isClosed = true;
      link.close();
      leavePage();
      end({ code: "closed", message: "closed" });
    },
  };
}

function addressOf(url: string): Address {
  const { origin, pathname } = new URL(url, globalThis.location?.href);
  return { origin, path: `${pathname.replace(/\/+$/, "")}/socket.io` };
}
