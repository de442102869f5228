/**
 * Says in words how the connection is, for the script of the Django tag: the state, since when it is
 * lost, and what came back. In Spanish if the page's language is near to it, otherwise in English.
 */

import type { CatalogState, StateName } from "./state.js";

type Words = Record<StateName, string> & {
  away: (time: string) => string;
  back: (time: string, events: number) => string;
  gap: (time: string) => string;
};

const SPANISH: Words = {
  connecting: "conectando…",
  live: "en directo",
  recovering: "reconectando…",
  offline: "sin conexión",
  refused: "sin acceso",
  away: (time) => `desde hace ${time}`,
  back: (time, events) =>
    `De vuelta tras ${time}: ` +
    (events === 1
      ? "1 evento recuperado, ninguno perdido."
      : `${events} eventos recuperados, ninguno perdido.`),
  gap: (time) => `De vuelta tras ${time}: la lista se ha vuelto a cargar.`,
};

const ENGLISH: Words = {
  connecting: "connecting…",
  live: "live",
  recovering: "reconnecting…",
  offline: "offline",
  refused: "not connected",
  away: (time) => `for ${time}`,
  back: (time, events) =>
    `Back after ${time}: ${events} missed event${events === 1 ? "" : "s"} shown, none lost.`,
  gap: (time) => `Back after ${time}: the list was loaded again.`,
};

/** Languages whose speakers read Spanish more easily than English. */
const SPANISH_READERS = /^(es|ca|gl|eu|pt)\b/;

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
] as const;

/** What a page missed. */
export interface Recovery {
  /** How long it was not live. */
  readonly seconds: number;
  /** How many events came afterwards. */
  readonly events: number;
  /** Whether further events may have been missed, so that the list was loaded again. */
  readonly gap: boolean;
}

export interface Status {
  /** Show a state. */
  state(state: CatalogState): void;
  /** Events have come. */
  came(events: number): void;
}

/** Follow the states; `recovered` is called each time that the page is live again. */
export function makeStatus(recovered: (recovery: Recovery) => void): Status {
  const { lang } = document.documentElement;
  const words = SPANISH_READERS.test(lang) ? SPANISH : ENGLISH;
  let wasLive = false;
  /** When the page stopped being live; 0 if it is live, or was not yet. */
  let awaySince = 0;
  let missed = 0;
  let isGap = false;
  let ticks: ReturnType<typeof setInterval> | undefined;

  function state({ name, reason }: CatalogState): void {
    for (const { dataset } of elements("state")) dataset["furnitureState"] = name;
    fill("state", (own) => own[`furniture${name[0]!.toUpperCase()}${name.slice(1)}`] ?? words[name]);
    if (reason?.code === "gap") isGap = wasLive;
    if (name !== "live") {
      if (wasLive) awaySince ||= Date.now();
    } else {
      if (awaySince) back({ seconds: seconds(), events: missed, gap: isGap });
      wasLive = true;
      awaySince = missed = 0;
      isGap = false;
    }
    clearInterval(ticks);
    if (awaySince) ticks = setInterval(away, 1_000);
    away();
  }

  function back(recovery: Recovery): void {
    const { events, gap } = recovery;
    const text = gap ? words.gap(span()) : events ? words.back(span(), events) : "";
    fill("recovered", () => text);
    recovered(recovery);
  }

  /** How long the page is not live. A screen reader should not hear it: it changes each second. */
  function away(): void {
    if (awaySince) fill("recovered", () => "");
    fill("away", () => (awaySince ? words.away(span()) : ""));
  }

  function seconds(): number {
    return Math.max(1, Math.round((Date.now() - awaySince) / 1_000));
  }

  function span(): string {
    const whole = seconds();
    const [unit, size] = UNITS.find(([, size]) => whole >= size)!;
    const format = { style: "unit", unit, unitDisplay: "short" } as const;
    return new Intl.NumberFormat(lang || undefined, format).format(Math.floor(whole / size));
  }

  return {
    state,
    came(events) {
      if (awaySince) missed += events;
    },
  };
}

function elements(name: string): Iterable<HTMLElement> {
  return document.querySelectorAll<HTMLElement>(`[data-furniture-${name}]`);
}

/** Put a text into the elements without children, if it is another one. */
function fill(name: string, text: (own: DOMStringMap) => string): void {
  for (const element of elements(name)) {
    const words = text(element.dataset);
    if (!element.childElementCount && element.textContent !== words) element.textContent = words;
  }
}
