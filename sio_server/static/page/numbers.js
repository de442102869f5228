/* Numbers, sizes, spans and times, as the visitor's language writes them. */

const FORMATS = {};
let formats;

/** Write numbers and times in this language from now on. */
export function setLocale(lang) {
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  formats = FORMATS[lang] ??= {
    number: new Intl.NumberFormat(lang, { useGrouping: "always", maximumFractionDigits: 2 }),
    tiny: new Intl.NumberFormat(lang, { notation: "scientific", maximumFractionDigits: 1 }),
    clock: new Intl.DateTimeFormat(lang, { ...time, second: "2-digit" }),
    minute: new Intl.DateTimeFormat(lang, time),
    day: new Intl.DateTimeFormat(lang, { day: "numeric", month: "short", ...time }),
    unit: (unit) => new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 }),
    compare: new Intl.Collator(lang).compare,
  };
}

/** Any finite number in about eight characters: 75, 90,5, 1E21. */
export function N(value) {
  const number = Number(value);
  if (!Number.isFinite(number)) return "–";
  return (number !== 0 && (Math.abs(number) >= 1e7 || Math.abs(number) < 0.01) ? formats.tiny : formats.number).format(number);
}

/** The text of a number as a form shows it: without groups, with the language's decimal sign. */
export const plainNumber = (value) => String(value).replace(".", formats.number.format(0.5)[1]);

/** The number in a form's text; NaN if it is none. A comma and a point are both decimal signs. */
export const parseNumber = (text) => (text.trim() === "" ? NaN : Number(text.trim().replace(",", ".")));

/** Milliseconds, at least 1: below that, clocks are not exact. */
export const ms = (value) => `${N(Math.max(1, Math.round(value)))} ms`;

/** A span of seconds, in at most two units: 12 s, 4 min, 23 h 41 min, 3 d 4 h. */
export function span(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const at = units.findIndex(([, size]) => whole >= size);
  const write = ([unit, size], amount) => formats.unit(unit).format(Math.floor(amount / size));
  const rest = whole % units[at][1], next = units[at + 1];
  return at < 2 && rest >= next[1] ? `${write(units[at], whole)} ${write(next, rest)}` : write(units[at], whole);
}

export const clock = (date) => formats.clock.format(date);
export const compare = (one, other) => formats.compare(one, other);

/** The time of a group of events; with its day, if that is not today. */
export const minute = (date) => (date.toDateString() === new Date().toDateString() ? formats.minute : formats.day).format(date);
