/** A clock that moves only when a test moves it. */

import { mock } from "node:test";

const STEP_MS = 50;

export function stopTime(): void {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_700_000_000_000 });
}

export function restoreTime(): void {
  mock.timers.reset();
}

/** Let all promises run that wait for nothing else. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve));
}

export async function pass(milliseconds: number): Promise<void> {
  await settle();
  for (let left = milliseconds; left > 0; left -= STEP_MS) {
    mock.timers.tick(Math.min(STEP_MS, left));
    await settle();
  }
}

/** Let time pass until a condition is true; fail after a minute. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  await settle();
  for (let passed = 0; !condition(); passed += STEP_MS) {
    if (passed > 60_000) throw new Error(`not within a minute: ${what}`);
    await pass(STEP_MS);
  }
}
