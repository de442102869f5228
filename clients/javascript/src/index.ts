/** The client of the furniture events for browsers and Node.js. */

import { io } from "socket.io-client";
import { type Catalog, type CatalogOptions, makeCatalog } from "./catalog.js";
import type { Furniture } from "./events.js";

/** Connect to the server: load the list, and keep it current. */
export function connectCatalog<F extends Furniture = Furniture>(
  options: CatalogOptions<F>,
): Catalog<F> {
  return makeCatalog(io, options);
}

export type { Catalog, CatalogOptions, LoadOptions, PublishOptions } from "./catalog.js";
export * from "./events.js";
export type { Change, Loaded } from "./feed.js";
export type { Observable } from "./observable.js";
export {
  CatalogError,
  type CatalogState,
  type Reason,
  type ReasonCode,
  type StateName,
} from "./state.js";
export {
  type CatalogSnapshot,
  type CatalogStore,
  type CatalogStoreOptions,
  createCatalogStore,
} from "./store.js";
export type { GetToken } from "./tokens.js";
