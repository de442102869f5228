/* Search and filters. Material and author are rooms of the server: with one of them chosen, the page
   receives only that room's events. Search and form are of this page only. */

import { $, bdi, el, inFrame } from "./dom.js";
import { swatch } from "./grain.js";
import { formOf } from "./kinds.js";
import { compare, N } from "./numbers.js";
import { t } from "./words.js";

const MAX_CHIPS = 12;
/** The width that "n more" needs. */
const MORE_PX = 100;
/** While events come fast, the counts follow at this pace. */
const PACE_MS = 1_000;
const SEARCHED = ["nombre", "descripcion", "material", "autor_username"];

/** Count pieces by a value: [value, count], the most frequent first. */
function countBy(pieces, read) {
  const counts = new Map();
  for (const piece of pieces) counts.set(read(piece), (counts.get(read(piece)) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1] || compare(String(one[0]), String(other[0])));
}

function options(select, entries, current) {
  const now = JSON.stringify(entries);
  if (select.dataset.now !== now) {
    select.dataset.now = now;
    select.replaceChildren(...entries.map(([key, label]) => el("option", { value: key }, String(label).slice(0, 60))));
  }
  select.value = current;
}

/**
 * Make the filters.
 * @param on {changed(): the filter is another; rooms(rooms): the rooms that it needs, or null}
 * @param source {all(): every known piece; isNarrow(): the page is in narrower rooms}
 */
export function makeFilters(source, on) {
  const filter = { q: "", form: "", author: "", material: "" };
  const select = { form: $("f-form"), author: $("f-author") };
  let isOpen = false, nextAt = 0, timer = 0, chipsNow = "";

  function matches(piece) {
    const { q, form, author, material } = filter;
    return (!material || piece.material === material) && (!author || piece.autor_username === author) && (!form || formOf(piece.nombre) === form)
      && (!q || SEARCHED.map((field) => piece[field]).join("\n").toLowerCase().includes(q.toLowerCase()));
  }

  /** An event goes to each of its rooms, so the page is in one room only, and filters the rest itself. */
  function neededRooms() {
    if (filter.material) return [`material:${filter.material}`];
    return filter.author ? [`author:${filter.author}`] : null;
  }

  function changed(rooms = true) {
    if (rooms) on.rooms(neededRooms());
    on.changed();
  }

  function render() {
    clearTimeout(timer);
    timer = 0;
    nextAt = performance.now() + PACE_MS;
    const all = source.all();
    $("filters").hidden = all.length < 2 && !neededRooms() && !filter.q && !filter.form;
    // A chosen value stays in the list, even without pieces.
    const keep = (entries, value) => (value && !entries.some(([key]) => key === value) ? [...entries, [value, 0]] : entries);
    const forms = keep(countBy(all, (piece) => formOf(piece.nombre)), filter.form).map(([key]) => [key, t(`x_${key}`)]).sort((one, other) => compare(one[1], other[1]));
    options(select.form, [["", t("all_types")], ...forms], filter.form);
    options(select.author, [["", t("all_authors")], ...keep(countBy(all, (piece) => piece.autor_username), filter.author).map(([key]) => [key, key])], filter.author);
    renderChips(keep(countBy(all, (piece) => piece.material), filter.material), all.length);
  }

  function renderChips(list, count) {
    const place = $("materials"), names = list.map(([key]) => key), { isNarrow } = source;
    // Only the counts are other ones: the chips stay in their places.
    const now = JSON.stringify([[...names].sort(), filter.material, isOpen, isNarrow(), innerWidth, t("more", 1)]);
    if (now === chipsNow) {
      const counts = new Map(list).set("", count);
      for (const chip of place.querySelectorAll(".chip-count")) chip.textContent = N(counts.get(chip.parentElement.dataset.material));
      return;
    }
    chipsNow = now;
    const held = place.contains(document.activeElement) ? document.activeElement.dataset.material : undefined;
    const most = isOpen ? list : list.slice(0, MAX_CHIPS);
    // In narrower rooms the page does not hear of the other pieces: their counts would be old.
    const chip = (key, label, number) => el("button", { type: "button", class: "chip", "data-material": key, "aria-pressed": String(filter.material === key) }, key && swatch(key), bdi(label), !isNarrow() && el("span", { class: "chip-count" }, N(number)));
    const toggle = () => {
      isOpen = !isOpen;
      render();
      place.querySelector(".more").focus();
    };
    const more = el("button", { type: "button", class: "chip more", "aria-expanded": String(isOpen), on: { click: toggle } });
    place.replaceChildren(chip("", t("all_materials"), count), ...most.map(([key, number]) => chip(key, key, number)), more);
    let hidden = list.length - most.length;
    const name = () => {
      more.textContent = isOpen ? t("less") : t("more", hidden);
      more.hidden = !hidden && !isOpen;
    };
    name();
    // On wide screens the chips keep to one row: those that do not fit go behind "n more".
    if (getComputedStyle(place).flexWrap === "wrap" && !isOpen) {
      const chips = [...place.children].slice(0, -1), top = chips[0].offsetTop, tops = chips.map((each) => each.offsetTop), right = place.getBoundingClientRect().right;
      const ends = chips.map((each) => each.getBoundingClientRect().right), isFull = tops.at(-1) > top + 8 || (hidden > 0 && ends.at(-1) + MORE_PX > right);
      if (isFull) chips.slice(2).forEach((each, i) => {
        if (tops[i + 2] <= top + 8 && ends[i + 2] + MORE_PX <= right) return;
        each.remove();
        hidden += 1;
      });
      name();
    }
    if (isOpen && list.length <= 4) more.hidden = true;
    if (held !== undefined) [...place.querySelectorAll(".chip")].find((other) => other.dataset.material === held)?.focus();
  }

  function chooseMaterial(material) {
    filter.material = filter.material === material ? "" : material;
    changed();
  }

  function clear() {
    Object.assign(filter, { q: "", form: "", author: "", material: "" });
    $("q").value = "";
    changed();
    $("q").focus();
  }

  $("q").addEventListener("input", () => {
    filter.q = $("q").value.trim();
    changed(false);
  });
  for (const [name, place] of Object.entries(select))
    place.addEventListener("change", () => {
      filter[name] = place.value;
      changed(name === "author");
    });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filter-toggle").addEventListener("click", () => {
    const opens = $("filter-toggle").getAttribute("aria-expanded") !== "true";
    $("filter-toggle").setAttribute("aria-expanded", String(opens));
    $("filters").classList.toggle("is-open", opens);
  });
  $("view-catalog").addEventListener("click", (event) => {
    const chip = event.target.closest("[data-material]");
    if (chip) chooseMaterial(chip.dataset.material);
  });
  addEventListener("resize", () => renderSoon());

  /** Render now, or soon if that was done a moment ago. */
  function renderSoon() {
    const wait = nextAt - performance.now();
    if (wait <= 0) inFrame(render);
    else timer ||= setTimeout(inFrame, wait, render);
  }

  /** What the visitor has asked for, in words. */
  const asked = () => [filter.q && `“${filter.q}”`, filter.material, filter.author, filter.form && t(`x_${filter.form}`).toLowerCase()].filter(Boolean).join(" + ");

  return { matches, render, renderSoon, clear, asked, material: () => filter.material };
}
