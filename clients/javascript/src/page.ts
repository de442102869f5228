/** Tells when the browser puts the page to sleep, and when the page is awake again. */

export interface PageEvents {
  /** The page leaves the screen, perhaps for the back/forward cache. */
  sleep(): void;
  /** @param wasFrozen whether the page was stopped, so that it may have missed anything */
  wake(wasFrozen: boolean): void;
}

/** Follow the page. Returns a function that ends this. Outside a browser, it does nothing. */
export function followPage(on: PageEvents): () => void {
  if (typeof document === "undefined") return () => {};
  const end = new AbortController();
  let isFrozen = false;

  function listen(target: EventTarget, name: string, listener: (event: Event) => void): void {
    target.addEventListener(name, listener, { signal: end.signal });
  }
  function wake(): void {
    const wasFrozen = isFrozen;
    isFrozen = false;
    on.wake(wasFrozen);
  }

  listen(document, "freeze", () => {
    isFrozen = true;
  });
  listen(document, "resume", wake);
  listen(document, "visibilitychange", () => {
    if (document.visibilityState === "visible") wake();
  });
  listen(window, "online", wake);
  // With an open WebSocket, the page would stay out of the back/forward cache, or the socket would
  // die there, and the server would not notice.
  listen(window, "pagehide", () => {
    isFrozen = true;
    on.sleep();
  });
  listen(window, "pageshow", (event) => {
    if ((event as PageTransitionEvent).persisted) wake();
  });
  return () => end.abort();
}
