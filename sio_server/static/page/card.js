/* One piece as a card: its drawing, its name, its sizes, its material and its author. */

import { bdi, el, icon, ICONS, said } from "./dom.js";
import { figure, measure } from "./figure.js";
import { swatch } from "./grain.js";
import { N } from "./numbers.js";
import { rights } from "./visitor.js";
import { t } from "./words.js";

/** Longer names, and longer words below them, are cut off. Short ones need no clip, which costs time with each frame. */
const NAME_CHARS = 24, WORD_CHARS = 12;
const TAGS = { "is-new": "tag_new", "is-changed": "tag_changed", "is-gone": "gone" };

/** A value; if it has changed, the old one, an arrow and the new one. */
function value(field, piece, was, show = bdi) {
  if (!was || was[field] === piece[field]) return el("span", {}, show(piece[field]));
  return el("span", { class: "change" }, el("del", {}, said(`${t("was")} `), show(was[field])), icon(ICONS.arrow), el("ins", {}, said(`${t("now")} `), show(piece[field])));
}

/**
 * Make a card.
 * @param look {wall, material}: the wall of the page, and the material by which it is filtered
 * @param was the piece before a change
 * @param state "", is-new, is-changed or is-gone
 */
export function cardFor(piece, look, { was = null, state = "" } = {}) {
  const { wall } = look, { w, isScaled, isWide, ...size } = measure(piece, wall), steps = Math.max(size.steps, was ? measure(was, wall).steps : 0), isFew = wall.numbers;
  const cm = (size) => document.createTextNode(N(size));
  const material = String(piece.material), name = String(piece.nombre);
  const cut = (field, most) => (String(piece[field]).length + String((was ?? piece)[field] === piece[field] ? "" : was[field]).length > most ? "is-long" : "");
  const sizes = el("p", { class: "sizes" }, value("ancho", piece, was, cm), " × ", value("altura", piece, was, cm), " cm", isScaled && el("span", { class: "off-scale" }, t("off_scale")));
  const chip = el("button", { type: "button", class: "chip", "data-material": material, "aria-pressed": String(look.material === material), title: material.length > 20 && material },
    swatch(material), el("span", { class: cut("material", WORD_CHARS) }, value("material", piece, was)));
  const edit = rights.publish && state !== "is-gone" && el("button", { type: "button", class: "edit icon", "data-edit": piece.furniture_id, "aria-label": t("edit", name.slice(0, 80)) }, icon(ICONS.pencil));
  const hasNewText = was && was.descripcion !== piece.descripcion;
  const described = (hasNewText || (isFew && piece.descripcion)) && el("p", { class: "described" }, value("descripcion", piece, was, (text) => bdi(String(text).slice(0, 160) || "–")));
  const card = el("li", { class: `piece-card steps-${steps} ${state} ${isWide ? "is-wide" : ""}`, "data-id": piece.furniture_id },
    el("div", { class: "tile" }, figure(piece, { wall, was, number: isFew ? N : null }), state && el("span", { class: "tag" }, t(TAGS[state])), edit),
    el("h2", { class: `name ${cut("nombre", NAME_CHARS)}`, title: name.length > 48 && name }, value("nombre", piece, was)),
    described, sizes, el("div", { class: "made" }, chip, el("p", { class: `who ${cut("autor_username", WORD_CHARS)}` }, t("by"), " ", value("autor_username", piece, was))));
  // A few pieces share the room: each takes the width that it needs.
  if (isFew) card.style.flex = `${w + wall.side} 1 ${Math.round((w + 2 * wall.side) * wall.scale)}px`;
  return card;
}
