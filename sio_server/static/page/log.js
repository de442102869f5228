/* Reads what the server has: the pieces as they are now, and the latest events. Older events come when
   the visitor scrolls back. So a long log costs no more than a short one.

   The list and the activity are of one position of the log. Events after it are applied to both. */

import { AnswerError, getJson } from "./visitor.js";

/** The list has at most so many pages of pieces, of 1,000 pieces or 256 KiB each. */
const MAX_PAGES = 4;
/** The events at first, and with each scrolling back. */
const FIRST_EVENTS = 100, OLDER_EVENTS = 500;
/** The activity holds so many of the latest events. */
export const MAX_ACTIVITY_EVENTS = 5_000;

/** Whether a piece is one of these rooms' pieces. `type:` rooms have no pieces. */
export const isIn = (piece, rooms) =>
  rooms.some((room) => room === "catalog" || room === `material:${piece.material}` || room === `author:${piece.autor_username}` || room === `furniture:${piece.furniture_id}`);

/** The pieces as of a position of the log, and the events up to it. */
export class Fold {
  /** The pieces that the visitor may see, by id; the latest is last. */
  pieces = new Map();
  /** If the page is in narrower rooms: these rooms, and their pieces. */
  narrow = null;
  narrowRooms = null;
  /** The server has more pieces than the page has read. */
  isPartial = false;
  /** The latest events, the oldest first: {event, was, isGone, at, offset, ms, delay, isLate}. */
  activity = [];
  /** The log has older events, up to this offset; null: it has none. */
  older = null;
  /** The offset up to which `pieces` are current; undefined before the first read. */
  position = undefined;
  /** The number of the read that counts: a later read replaces an earlier one. */
  turn = 0;
  /** The entries of the activity by the ids of their events, and the oldest one of each piece. */
  #entries = new Map();
  #oldest = new Map();

  get shown() {
    return this.narrow ?? this.pieces;
  }

  /** Replace the list and the activity. Events that stay keep their measured times. */
  replace({ pieces, rooms, isPartial, position }, { events, older }) {
    this.narrow = rooms && pieces;
    this.narrowRooms = rooms;
    if (!rooms) this.pieces = pieces;
    this.isPartial = isPartial;
    this.position = position;
    const former = this.#entries;
    this.#entries = new Map();
    this.#oldest = new Map();
    this.activity = [];
    this.prepend(events, older, former);
  }

  /** Put older events before the others, which learn from them how their pieces were before. */
  prepend(events, older, known = this.#entries) {
    this.older = older;
    const fresh = [];
    for (const { offset, ...event } of events.toReversed()) {
      if (this.#entries.has(event.id)) continue;
      const { furniture_id: id } = event.furniture, isDeleted = event.type === "furniture_deleted", next = this.#oldest.get(id);
      if (next && !isDeleted) next.was ??= event.furniture;
      const entry = { event, was: null, isGone: isDeleted, at: new Date(event.timestamp), ...known.get(event.id), offset };
      this.#entries.set(event.id, entry);
      this.#oldest.set(id, entry);
      fresh.push(entry);
    }
    this.activity.unshift(...fresh.reverse());
  }

  /** Apply an event, and return it with the piece before it; null if it is known already. */
  apply(event, about = {}) {
    const { furniture, type } = event, { furniture_id: id } = furniture, pieces = this.shown;
    const was = pieces.get(id) ?? null;
    const isGone = type === "furniture_deleted" || (this.narrow && !isIn(furniture, this.narrowRooms));
    if (isGone) pieces.delete(id);
    else pieces.set(id, furniture);
    return this.note(event, { was, isGone, ...about });
  }

  /** Take an event into the activity; null if it is there. */
  note(event, about) {
    if (this.#entries.has(event.id)) return null;
    const entry = { event, at: new Date(event.timestamp), ...about };
    this.#entries.set(event.id, entry);
    const { furniture_id: id } = event.furniture;
    if (!this.#oldest.has(id)) this.#oldest.set(id, entry);
    this.activity.push(entry);
    if (this.activity.length > MAX_ACTIVITY_EVENTS * 1.2) this.#forget();
    return entry;
  }

  /** Forget the oldest events. They can be read again up to one whose offset is known. */
  #forget() {
    const excess = this.activity.length - MAX_ACTIVITY_EVENTS, last = this.activity.slice(0, excess).findLastIndex(({ offset }) => offset);
    for (const entry of this.activity.splice(0, last + 1)) {
      this.#entries.delete(entry.event.id);
      if (this.#oldest.get(entry.event.furniture.furniture_id) === entry) this.#oldest.delete(entry.event.furniture.furniture_id);
      this.older = entry.offset ?? this.older;
    }
  }
}

const inRooms = (path, rooms, values) => {
  const query = new URLSearchParams(values);
  for (const room of rooms ?? []) query.append("room", room);
  return `${path}?${query}`;
};

async function readEvents(rooms, until, limit, signal) {
  const page = await getJson(inRooms("api/events", rooms, { until, limit }), signal);
  return { events: page.events, older: page.more ? page.position : null };
}

/**
 * Read the list and the latest events: the `load` of the catalogue.
 * @param rooms the rooms of the connection; undefined: those that the visitor is in by default
 * @param base the visitor's default rooms
 */
export async function load(fold, { signal, rooms, base }) {
  const turn = ++fold.turn;
  const narrow = !rooms || base.every((room) => rooms.includes(room)) ? null : rooms;
  const items = [];
  let since, next = null;
  for (let pages = 0; pages === 0 || (next && pages < MAX_PAGES); pages += 1) {
    const page = await getJson(inRooms("api/furniture", narrow, next ? { before: next } : {}), signal);
    since ??= page.since;
    next = page.next;
    items.push(...page.items);
  }
  const events = await readEvents(narrow, since, FIRST_EVENTS, signal);
  signal.throwIfAborted();
  if (turn !== fold.turn) throw new AnswerError(0, "load_failed", "a later read replaces this one");
  const pieces = new Map(items.reverse().map((piece) => [piece.furniture_id, piece]));
  fold.replace({ pieces, rooms: narrow, isPartial: next !== null, position: since }, events);
  return { items: [...pieces.values()], since };
}

/** Read events that are older than the activity. Returns false if there are none, or no answer. */
export async function loadOlder(fold) {
  const { turn, older } = fold;
  if (!older || fold.activity.length >= MAX_ACTIVITY_EVENTS) return false;
  const page = await readEvents(fold.narrowRooms, older, OLDER_EVENTS).catch(() => null);
  if (!page || turn !== fold.turn || older !== fold.older) return false;
  fold.prepend(page.events, page.older);
  return true;
}

/** How many events the log has after an offset; null if the server does not say. */
export async function countAfter(since) {
  const page = await getJson(inRooms("api/events", null, { since, limit: 1 })).catch(() => null);
  return page && !page.gap ? page.events.length + page.remaining : null;
}
