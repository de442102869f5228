/* The catalogue: the grid of cards, and how a change enters it. */

import { $, calm, el, inFrame, isBusy } from "./dom.js";
import { cardFor } from "./card.js";
import { wallFor } from "./figure.js";
import { t } from "./words.js";

/** The widest wall of one piece alone, as a share of its height. */
const MAX_WIDE = 2;
/** How long a change stays shown, in milliseconds. */
const HOLD_MS = 6_000;
/** If many events come, so many new cards enter in one step, and the steps have this distance. If more cards wait than a screen shows, the list is drawn again. */
const BUSY_MOVE_MS = 350, BUSY_CARDS = 2, MAX_WAITING_CARDS = 20;
const LEAVE_MS = 1_700, LEAVE_CALM_MS = 2_400;
/** The cards at first, and with each "more". */
const FIRST_CARDS = 60, MORE_CARDS = 120;
/** So many cards are made in one frame. */
const CARDS_A_FRAME = 6;
/** Above this many cards, or changes in a frame, the neighbours do not slide. */
const MAX_SLIDING = 40, MAX_SLIDING_CHANGES = 3;

/**
 * Make the grid.
 * @param source {pieces(): the present pieces, by id; matches(piece); material(): the filter's}
 */
export function makeCatalogue(source) {
  const list = $("pieces");
  const cards = new Map();
  let wall = wallFor([]);
  /** The changes that are shown for a while, by piece, and the cards that are about to leave. */
  const held = new Map(), leaving = new Set();
  /** In busy times: changes of the grid's order, by piece, and cards that leave it. */
  const moves = new Set(), leavers = new Set();
  /** The pieces whose changes are shown now. */
  const settling = new Set();
  let limit = FIRST_CARDS, drawing = 0, sizes = {}, moving = 0, settler = 0, focused = null;

  const look = () => ({ wall, material: source.material() });

  /** Make the card of a piece, with its change if that is recent. */
  function make(piece) {
    const change = held.get(piece.furniture_id);
    if (change && change.until > performance.now()) return cardFor(piece, look(), change);
    held.delete(piece.furniture_id);
    return cardFor(piece, look());
  }

  /** The newest pieces first. */
  const found = () => [...source.pieces().values()].filter(source.matches).reverse();

  const isStill = (id) => source.pieces().has(id) && source.matches(source.pieces().get(id));

  /** Read the sizes of tiles from the style sheet, which has others for wide screens. */
  function readSizes() {
    const style = getComputedStyle(list), pixels = (name, other) => Number.parseFloat(style.getPropertyValue(name)) || other;
    sizes = { width: pixels("--col", 154), height: pixels("--tile-height", 240), numbers: document.body.classList.contains("is-few") };
    // One piece has the whole width, so it may be larger.
    if (source.pieces().size === 1) sizes.wide = Math.min(list.clientWidth / sizes.height, MAX_WIDE);
  }

  /** Choose the wall; return whether it is another one, so that all cards must be drawn again. */
  function layOut() {
    const count = source.pieces().size, body = document.body.classList, look = count > FIRST_CARDS ? "is-compact" : count === 1 ? "is-one" : count > 0 && count < 4 ? "is-few" : "";
    if (sizes.look !== look) {
      body.toggle("is-compact", look === "is-compact");
      body.toggle("is-one", look === "is-one");
      body.toggle("is-few", count > 0 && count < 4);
      readSizes();
      sizes.look = look;
    }
    const next = wallFor([...source.pieces().values()], sizes), isOther = JSON.stringify(next) !== JSON.stringify(wall);
    wall = next;
    return isOther;
  }

  /** The button that has the focus: its kind, and the piece of its card. Null: it is elsewhere. */
  function focus() {
    const { activeElement } = document, card = list.contains(activeElement) && activeElement.closest("[data-id]");
    return card ? { id: card.dataset.id, kind: activeElement.matches(".chip") ? ".chip" : "button" } : null;
  }

  /** Give the focus to the card after this one, to the one before it, or to the button for new pieces. */
  function focusBeside(card) {
    const all = [...list.children], at = all.indexOf(card);
    const next = [...all.slice(at + 1), ...all.slice(0, Math.max(at, 0)).reverse()].find((other) => other.matches("[data-id]:not(.is-gone)"));
    (next?.querySelector("button") ?? $("new")).focus();
  }

  /** Draw all cards again, a few in each frame. Cards of the same pieces keep the focus. */
  function render(wanted = focus()) {
    layOut();
    focused = wanted ?? focused;
    const pieces = found(), turn = ++drawing;
    cards.clear();
    moves.clear();
    let at = 0;
    const some = () => {
      if (turn !== drawing) return;
      const made = pieces.slice(at, Math.min(at + CARDS_A_FRAME, limit)).filter((piece) => !cards.has(piece.furniture_id)).map((piece) => {
        const card = make(source.pieces().get(piece.furniture_id) ?? piece);
        cards.set(piece.furniture_id, card);
        return card;
      });
      if (at === 0) list.replaceChildren(...made);
      else list.append(...made);
      at += CARDS_A_FRAME;
      if (at < Math.min(pieces.length, limit)) inFrame(some);
      else {
        rest(pieces.length);
        if (focused && document.activeElement === document.body) cards.get(focused.id)?.querySelector(focused.kind)?.focus();
        focused = null;
      }
    };
    some();
  }

  function rest(count = found().length) {
    const button = list.querySelector(".rest"), text = t("more_pieces", count - limit);
    if (button && count > limit && button === list.lastElementChild && button.textContent === text) return;
    button?.remove();
    if (count <= limit) return;
    const show = () => {
      const [first] = found().slice(limit);
      limit += MORE_CARDS;
      render({ id: first?.furniture_id, kind: "button" });
    };
    list.append(el("li", { class: "rest" }, el("button", { type: "button", class: "button plain", on: { click: show } }, text)));
  }

  /** Let the neighbours of a change slide to their new places, if that is quiet to look at. */
  function slide(mutate, isQuiet) {
    if (calm.matches || document.hidden || !isQuiet || list.children.length > MAX_SLIDING) return mutate();
    const before = new Map([...list.children].map((card) => [card, card.getBoundingClientRect()]));
    mutate();
    for (const [card, from] of before) {
      if (!card.isConnected) continue;
      const to = card.getBoundingClientRect(), x = from.left - to.left, y = from.top - to.top;
      if (to.top > innerHeight + 200 || to.bottom < -200) continue;
      // Along a row or a column a card slides. To another place it does not fly across the others: it fades in.
      if (Math.abs(x) > 4 && Math.abs(y) > 4) card.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 280, easing: "ease-out" });
      else if (x || y) card.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], { duration: 320, easing: "cubic-bezier(.2,.7,.2,1)" });
    }
  }

  /** Show something else in a card. The element stays, so the browser need not find out again whether it is in sight. */
  function become(card, fresh) {
    const held = card.contains(document.activeElement) && focus();
    card.className = fresh.className;
    card.style.flex = fresh.style.flex;
    card.replaceChildren(...fresh.childNodes);
    if (held && fresh.matches(".is-gone")) focusBeside(card);
    else if (held) card.querySelector(held.kind)?.focus();
  }

  function settle(id) {
    settling.add(id);
    settler ||= setTimeout(inFrame, HOLD_MS + 50, settleAll);
  }

  /** Changes that were shown long enough are shown no more; those of about the same time together, in one frame. */
  function settleAll() {
    const now = performance.now();
    settler = 0;
    for (const id of settling) {
      const piece = source.pieces().get(id), until = held.get(id)?.until;
      if (until > now) continue;
      settling.delete(id);
      if (until && piece && cards.has(id)) become(cards.get(id), make(piece));
    }
    if (settling.size) settler = setTimeout(inFrame, BUSY_MOVE_MS, settleAll);
  }

  function leave(id, piece, was) {
    const gone = cards.get(id);
    become(gone, cardFor(was ?? piece, look(), { state: "is-gone" }));
    cards.delete(id);
    held.delete(id);
    leaving.add(gone);
    setTimeout(() => {
      leaving.delete(gone);
      if (isBusy()) moveLater(() => leavers.add(gone));
      else if (!leaving.size && layOut()) render();
      else slide(() => gone.remove(), true);
    }, calm.matches ? LEAVE_CALM_MS : LEAVE_MS);
  }

  /** In busy times the order of the grid changes at a steady pace: each change moves all cards. */
  function moveLater(note) {
    note();
    moving ||= setTimeout(inFrame, BUSY_MOVE_MS, move);
  }

  function move() {
    moving = 0;
    for (const card of leavers) card.remove();
    leavers.clear();
    if (moves.size > MAX_WAITING_CARDS) return render();
    for (const id of [...moves].slice(0, BUSY_CARDS)) {
      const piece = source.pieces().get(id);
      moves.delete(id);
      if (piece && !cards.has(id) && source.matches(piece)) enter(id, make(piece), false);
    }
    if (moves.size) return moveLater(() => {});
    return rest();
  }

  function enter(id, fresh, isQuiet) {
    slide(() => list.prepend(fresh), isQuiet);
    cards.set(id, fresh);
    settle(id);
    if (cards.size <= limit) return;
    let last = list.lastElementChild;
    while (last && !cards.has(last.dataset.id)) last = last.previousElementSibling;
    cards.delete(last?.dataset.id);
    last?.remove();
  }

  /** Show changes: {event, was, isGone} each. Several of one piece are shown as one. */
  function update(entries) {
    if (!entries.length) return;
    const last = new Map();
    for (const entry of entries) {
      const id = entry.event.furniture.furniture_id;
      last.set(id, { ...entry, was: last.has(id) ? last.get(id).was : entry.was });
    }
    for (const [id, { event, was }] of last)
      if (event.type !== "furniture_deleted") held.set(id, { was, state: was ? "is-changed" : "is-new", until: performance.now() + HOLD_MS });
    // Another scale draws all cards again; but first, a card that leaves is seen to leave.
    const leaves = [...last].some(([id, { event }]) => event.type === "furniture_deleted" && cards.has(id));
    if ((isBusy() || !(leaves || leaving.size)) && layOut()) {
      for (const id of last.keys()) settle(id);
      return render();
    }
    const isQuiet = last.size <= MAX_SLIDING_CHANGES && !isBusy();
    for (const [id, { event, was, isGone }] of last) {
      const piece = event.furniture, isShown = !isGone && source.matches(piece), card = cards.get(id);
      if (event.type === "furniture_deleted") {
        if (card) leave(id, piece, was);
        continue;
      }
      if (!card && isShown && (!was || cards.size < limit)) {
        if (isBusy()) moveLater(() => moves.add(id));
        else enter(id, make(piece), isQuiet);
      } else if (card) {
        become(card, make(piece));
        if (isShown) settle(id);
        // It no longer matches: first show why, then let it go.
        else setTimeout(() => cards.get(id) === card && !isStill(id) && leave(id, piece), HOLD_MS / 2);
      }
    }
    rest();
  }

  addEventListener("resize", () => {
    sizes = {};
    if (layOut()) render();
  });
  /** Give the focus to the neighbour of a piece that was deleted. */
  const leaveFocus = (id) => focusBeside([...list.children].find((card) => card.dataset.id === id));
  return { render, update, leaveFocus, found: () => found().length, band: () => wall.band };
}
