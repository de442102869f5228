/** A value that a page can read, and whose changes it can follow. */

export interface Observable<T> {
  get(): T;
  /** Call a function at each change. Returns a function that ends this. */
  subscribe(listener: (value: T) => void): () => void;
}

export interface Listeners<T> {
  add(listener: (value: T) => void): () => void;
  call(value: T): void;
}

/** Make a set of functions that are called together. One that throws does not stop the others. */
export function makeListeners<T>(): Listeners<T> {
  const all = new Set<(value: T) => void>();
  return {
    add(listener) {
      all.add(listener);
      return () => all.delete(listener);
    },
    call(value) {
      for (const listener of [...all]) {
        try {
          listener(value);
        } catch (error) {
          console.error(error);
        }
      }
    },
  };
}

export function makeValue<T>(value: T): Observable<T> & { set(value: T): void } {
  const listeners = makeListeners<T>();
  return {
    subscribe: listeners.add,
    get: () => value,
    set(next) {
      value = next;
      listeners.call(next);
    },
  };
}
