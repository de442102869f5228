/** Vue composables. They follow the catalogue until the component, or the effect scope, ends. */

import { onScopeDispose, type ShallowRef, shallowRef } from "vue";
import type { Catalog } from "./catalog.js";
import type { Furniture } from "./events.js";
import type { CatalogState } from "./state.js";
import type { CatalogSnapshot, CatalogStore } from "./store.js";

/** Return the present list. */
export function useCatalog<F extends Furniture>(
  store: CatalogStore<F>,
): Readonly<ShallowRef<CatalogSnapshot<F>>> {
  return follow(store.subscribe, store.getSnapshot);
}

/** Return the state of the connection. */
export function useCatalogState({
  state,
}: Pick<Catalog, "state">): Readonly<ShallowRef<CatalogState>> {
  return follow(state.subscribe, state.get);
}

function follow<T>(
  subscribe: (listener: () => void) => () => void,
  get: () => T,
): Readonly<ShallowRef<T>> {
  const value = shallowRef(get()) as ShallowRef<T>;
  onScopeDispose(
    subscribe(() => {
      value.value = get();
    }),
  );
  return value;
}
