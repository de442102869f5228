/* The texts of the page, in the visitor's language. words_es.js and words_en.js have the same keys. */

import { setLocale } from "./numbers.js";
import { recall, remember } from "./visitor.js";
import en from "./words_en.js";
import es from "./words_es.js";

const WORDS = { es, en };

/** Languages whose speakers read Spanish more easily than English. */
const NEAR = { ca: "es", gl: "es", eu: "es", pt: "es" };

let lang = choose([recall("lang"), ...(navigator.languages ?? [])]);
setLocale(lang);

function choose(wanted) {
  for (const each of wanted) {
    const base = String(each ?? "").slice(0, 2).toLowerCase();
    if (WORDS[base] || NEAR[base]) return NEAR[base] ?? base;
  }
  return "en";
}

/** The text with this key. Some texts take values: numbers are numbers, not text. */
export function t(key, ...values) {
  const text = WORDS[lang][key];
  return typeof text === "function" ? text(...values) : (text ?? key);
}

/** Whether there is a text with this key. */
export const has = (key) => key in WORDS[lang];

export const language = () => lang;

/** Change the language, and the texts of index.html. */
export function speak(wanted = lang) {
  if (wanted !== lang) remember("lang", wanted);
  lang = wanted;
  setLocale(lang);
  document.documentElement.lang = lang;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of document.querySelectorAll("[data-t-placeholder]")) node.setAttribute("placeholder", t(node.dataset.tPlaceholder));
  for (const button of document.querySelectorAll("[data-lang]")) button.setAttribute("aria-pressed", String(button.dataset.lang === lang));
}
