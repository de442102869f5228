/** How long to wait: between attempts, and for functions of the page. */

export const BACKOFF_MS = 500;
export const BACKOFF_MAX_MS = 5_000;
/** A connection that lasts less counts as a failure, so that no loop of connections is tight. */
export const STABLE_MS = 5_000;
/** How long `load`, `getToken` and a handshake may take. */
export const PATIENCE_MS = 20_000;

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Return a random wait: up to `BACKOFF_MS`, and each failure doubles this bound (full jitter). */
export function backoff(failures: number): number {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** failures);
}

/** One timer. Starting it again replaces its end. */
export interface Timer {
  runs(): boolean;
  start(milliseconds: number, then: () => void): void;
  stop(): void;
}

export function makeTimer(): Timer {
  let id: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    clearTimeout(id);
    id = undefined;
  };
  return {
    runs: () => id !== undefined,
    start(milliseconds, then) {
      stop();
      const end = () => {
        stop();
        then();
      };
      id = setTimeout(end, Math.min(milliseconds, LONGEST_TIMER_MS));
    },
    stop,
  };
}

/** Call a function of the page. Reject if it takes too long; its signal then says so. */
export async function patiently<T>(call: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
  const abort = new AbortController();
  const timer = makeTimer();
  const late = new Promise<never>((_, reject) => {
    timer.start(PATIENCE_MS, () => {
      reject(new Error(`no answer within ${PATIENCE_MS / 1000} s`));
      abort.abort();
    });
  });
  try {
    return await Promise.race([call(abort.signal), late]);
  } finally {
    timer.stop();
  }
}
