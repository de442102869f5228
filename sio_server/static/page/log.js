/* Reads the event log, and folds it into the list of pieces and the activity.

   The page has no other list: the state of a piece is its last event that the log keeps. The reader
   remembers its position, so a second read takes only the events since the first one. Applying an
   event again changes nothing, so a read may start before events that the page has already. */

import { AnswerError, getJson } from "./visitor.js";

const PAGE_EVENTS = 1_000;
/** The activity holds so many of the latest events. */
export const MAX_ACTIVITY_EVENTS = 5_000;

/** Whether a piece is one of these rooms' pieces. `type:` rooms have no pieces. */
export const isIn = (piece, rooms) =>
  rooms.some((room) => room === "catalog" || room === `material:${piece.material}` || room === `author:${piece.autor_username}` || room === `furniture:${piece.furniture_id}`);

/** The pieces as of a position of the log, and the events up to it. */
export class Fold {
  /** All pieces that the visitor may see, by id; a created one is last. */
  pieces = new Map();
  /** If the page is in narrower rooms: their pieces. */
  narrow = null;
  narrowRooms = null;
  /** The latest events, the oldest first: {event, was, at, delay, isLate}. */
  activity = [];
  /** The offset up to which `pieces` are current; undefined before the first read. */
  position = undefined;
  /** The number of the read that counts: a later read replaces an earlier one. */
  turn = 0;
  #ids = new Set();

  get shown() {
    return this.narrow ?? this.pieces;
  }

  /** Empty it: the log no longer has the events after its position. */
  restart() {
    this.pieces = new Map();
    this.position = undefined;
  }

  /** Apply an event, and return it with the piece before it; null if it is known already. */
  apply(event, about = {}) {
    const { furniture, type } = event, { furniture_id: id } = furniture, pieces = this.shown;
    const was = pieces.get(id) ?? null;
    const isGone = type === "furniture_deleted" || (this.narrow && !isIn(furniture, this.narrowRooms));
    if (isGone) pieces.delete(id);
    else pieces.set(id, furniture);
    if (this.#ids.has(event.id)) return null;
    const entry = { event, was, isGone, at: new Date(event.timestamp), ...about };
    this.#ids.add(event.id);
    this.activity.push(entry);
    if (this.activity.length > MAX_ACTIVITY_EVENTS * 1.2)
      for (const old of this.activity.splice(0, this.activity.length - MAX_ACTIVITY_EVENTS)) this.#ids.delete(old.event.id);
    return entry;
  }
}

/**
 * Read the log up to its end: the `load` of the catalogue.
 * @param rooms the rooms of the connection; undefined: those that the visitor is in by default
 * @param base the visitor's default rooms
 * @param progress called with the number of events that were read
 */
export async function readLog(fold, { signal, rooms, base, progress }) {
  const turn = ++fold.turn;
  const isWhole = !rooms || base.every((room) => rooms.includes(room));
  if (isWhole) fold.narrow = fold.narrowRooms = null;
  else {
    fold.narrowRooms = rooms;
    fold.narrow = new Map([...fold.pieces].filter(([, piece]) => isIn(piece, rooms)));
  }
  const query = new URLSearchParams({ limit: PAGE_EVENTS });
  if (!isWhole) for (const room of rooms) query.append("room", room);
  const isFirst = fold.position === undefined;
  let since = fold.position, count = 0;
  for (;;) {
    if (since) query.set("since", since);
    else query.delete("since");
    const page = await getJson(`api/events?${query}`, signal);
    signal.throwIfAborted();
    if (turn !== fold.turn) throw new AnswerError(0, "load_failed", "a later read replaces this one");
    if (page.gap) {
      if (!since) throw new AnswerError(200, "load_failed", "the log has a gap at its start");
      fold.restart();
      if (!isWhole) fold.narrow = new Map();
      since = undefined;
      continue;
    }
    for (const { offset, ...event } of page.events) fold.apply(event, { isPast: true });
    count += page.events.length;
    since = page.position;
    if (isWhole) fold.position = since;
    if (isFirst) progress(count);
    if (!page.more) return { items: [...fold.shown.values()], since };
  }
}
