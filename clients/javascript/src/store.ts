/** The list of a page as one immutable snapshot, with edits that show before they are published. */

import type { Catalog, PublishOptions } from "./catalog.js";
import type { Furniture, FurnitureEventType, Receipt } from "./events.js";
import type { Change } from "./feed.js";
import { newId } from "./ids.js";
import { makeListeners } from "./observable.js";

export interface CatalogSnapshot<F extends Furniture = Furniture> {
  /** All pieces: those of the list in its order, then new ones. A deleted piece is not in it. */
  readonly items: readonly F[];
  /** The `furniture_id` of each piece with an edit that the server has not confirmed. */
  readonly unconfirmed: ReadonlySet<string>;
}

export interface CatalogStore<F extends Furniture = Furniture> {
  /** Call a function after each change. Returns a function that ends this. */
  subscribe(listener: () => void): () => void;
  /** Return the present list. It is the same object until the next change. */
  getSnapshot(): CatalogSnapshot<F>;
  /** Return a piece of the present list. */
  find(furnitureId: string): F | undefined;
  /** Publish an event, and show its effect at once. If it fails, the effect is taken back. */
  publish(type: FurnitureEventType, furniture: F, options?: PublishOptions): Promise<Receipt>;
  /** Stop following the catalogue. */
  close(): void;
}

interface Edit<F extends Furniture> {
  readonly id: string;
  readonly type: FurnitureEventType;
  readonly furniture: F;
  isConfirmed: boolean;
}

/**
 * How long a confirmed edit shows if its event does not arrive: the event may be in none of the
 * consumer's rooms. Only events and lists change the rows, so they always end as the log says.
 */
const GRACE_MS = 2_000;

export interface CatalogStoreOptions<F extends Furniture> {
  /**
   * Whether a piece belongs to the list. A consumer of `material:roble` also gets the event by
   * which a piece leaves this room; the piece must then leave the list. By default, all belong.
   */
  belongs?: (furniture: F) => boolean;
}

/** Make a store of a catalogue. */
export function createCatalogStore<F extends Furniture>(
  catalog: Catalog<F>,
  { belongs = () => true }: CatalogStoreOptions<F> = {},
): CatalogStore<F> {
  let rows = new Map<string, F>();
  let edits: Edit<F>[] = [];
  let shown: Map<string, F> | undefined;
  let snapshot: CatalogSnapshot<F> | undefined;
  const listeners = makeListeners<void>();

  function changed(): void {
    shown = snapshot = undefined;
    listeners.call();
  }

  function show(): Map<string, F> {
    if (!shown) {
      shown = new Map(rows);
      for (const { type, furniture } of edits) apply(shown, type, furniture);
    }
    return shown;
  }

  function makeSnapshot(): CatalogSnapshot<F> {
    const open = edits.filter(({ isConfirmed }) => !isConfirmed);
    const unconfirmed = new Set(open.map(({ furniture }) => furniture.furniture_id));
    return { items: [...show().values()], unconfirmed };
  }

  function apply(to: Map<string, F>, type: FurnitureEventType, furniture: F): void {
    if (type === "furniture_deleted" || !belongs(furniture)) to.delete(furniture.furniture_id);
    else to.set(furniture.furniture_id, furniture);
  }

  function drop(ids: ReadonlySet<string>): void {
    edits = edits.filter(({ id }) => !ids.has(id));
  }

  function dropAndShow(id: string): void {
    drop(new Set([id]));
    changed();
  }

  const close = catalog.listen(({ items, events, shown: older }: Change<F>) => {
    if (items) rows = new Map(items.map((piece) => [piece.furniture_id, piece]));
    for (const { type, furniture } of events) apply(rows, type, furniture);
    drop(new Set([...older, ...events].map(({ id }) => id)));
    changed();
  });

  return {
    subscribe: listeners.add,
    getSnapshot: () => (snapshot ??= makeSnapshot()),
    find: (furnitureId) => show().get(furnitureId),
    publish(type, furniture, { id = newId(), ...options } = {}) {
      const edit = { id, type, furniture, isConfirmed: false };
      edits.push(edit);
      changed();
      const published = catalog.publish(type, furniture, { id, ...options });
      published.then(
        () => {
          edit.isConfirmed = true;
          if (!edits.includes(edit)) return; // its event came first
          changed();
          setTimeout(() => dropAndShow(id), GRACE_MS);
        },
        () => dropAndShow(id),
      );
      return published;
    },
    close,
  };
}
