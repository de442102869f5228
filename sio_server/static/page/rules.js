/* The rules of a piece that the form checks before it publishes. The broker checks them again. */

import { parseNumber } from "./numbers.js";
import { t } from "./words.js";

export const FIELDS = ["nombre", "ancho", "altura", "material", "autor_username", "descripcion"];
export const NUMBERS = ["altura", "ancho"];
const MAX_CHARACTERS = { nombre: 255, descripcion: 10_000, material: 255, autor_username: 255 };

/** The faults of a form's texts: {field: sentence}. */
export function faults(values) {
  const found = {};
  for (const [field, max] of Object.entries(MAX_CHARACTERS)) {
    const { length } = [...values[field]];
    if (!length && field !== "descripcion") found[field] = t("e_required");
    else if (length > max) found[field] = t("e_long", length, max);
  }
  for (const field of NUMBERS) {
    const number = parseNumber(values[field]);
    if (!values[field].trim()) found[field] = t("e_required");
    else if (!Number.isFinite(number)) found[field] = t("e_number");
    else if (number < 0) found[field] = t("e_negative");
  }
  return found;
}

/** The broker's faults, by field: `furniture.altura` is the field `altura`. Its own words. */
export const brokerFaults = (details) =>
  Object.fromEntries(details.map(({ field, message }) => [field.replace(/^furniture\./, ""), message]).filter(([field]) => FIELDS.includes(field)));

/** Turn the texts of a form into the piece's fields. */
export const fieldsOf = (values) => Object.fromEntries(FIELDS.map((field) => [field, NUMBERS.includes(field) ? parseNumber(values[field]) : values[field]]));

/** A new id, also on a page without https, where crypto.randomUUID does not exist. */
export const newId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
