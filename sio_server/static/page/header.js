/* The header: the state in words, the strip of the last events, the light on the floor; and the one
   notice above the catalogue. */

import { $, calm, el, icon, ICONS, svg } from "./dom.js";
import { span } from "./numbers.js";
import { why } from "./nothing.js";
import { t } from "./words.js";

/** A tick drifts to the left for so long. */
const STRIP_MS = 30_000, STRIP_PX = 50;
/** More ticks than this say no more. */
const MAX_TICKS = 40;
/** The light on the floor runs at most this often. */
const RUN_MS = 900;
/** A state that ends sooner is not worth a notice. */
const NOTICE_DELAY_MS = 700;

let link = { name: "connecting", since: Date.now(), reason: null };
let said = "", runsUntil = 0, delayed = 0, drifting = 0, act = {};

/** Show the state of the connection. `actions` is {retry}. */
export function showLink(next, actions) {
  const isOther = next.name !== link.name;
  link = next;
  act = actions;
  document.documentElement.dataset.link = link.name;
  words();
  // The live region speaks for transitions only, never for the seconds.
  if (isOther || !said) {
    said = t(`said_${link.name}`);
    $("link-status").textContent = said;
  }
  notice(isOther);
}

/** The words beside the strip, in the present language. */
export function words() {
  const away = span((Date.now() - link.since) / 1000);
  const text = link.name === "offline" ? t("offline", away) : link.name === "catching" ? t("catching", link.missed, link.all) : t(link.name);
  if ($("link-words").textContent !== text) $("link-words").textContent = text;
}

function notice(isOther) {
  clearTimeout(delayed);
  const { name, reason, isGap, missed, away } = link;
  if (name === "live") {
    if (isGap) put("gap", t("gap", span(away)), { closes: true });
    else if (missed) put("back", t("back", span(away), missed), { closes: true });
    else if (isOther) put();
  } else if (name === "denied") put();
  else if (name === "still") put("gap", t("no_client"));
  else if (name === "offline") put("stale", `${reason ? `${why(reason)} ` : ""}${$("pieces").children.length ? t("stale") : ""}`, { code: reason?.code, retries: true });
  else {
    put();
    if (reason) delayed = setTimeout(() => put("stale", why(reason), { code: detail(reason) }), NOTICE_DELAY_MS);
  }
}

/** A code for developers; the status of an answer that was not the server's, for example of a proxy. */
const detail = ({ code, message }) => (/^HTTP \d+$/.test(message) ? message : code);

function put(kind, text, { closes = false, retries = false, code = null } = {}) {
  const place = $("notice"), shapes = { back: ICONS.check, gap: ICONS.gap, stale: ICONS.clock };
  place.hidden = !kind;
  if (!kind) return place.replaceChildren();
  place.className = `notice is-${kind}`;
  return place.replaceChildren(icon(shapes[kind]), el("p", {}, text, code && el("code", {}, code)),
    ...(retries ? [el("button", { type: "button", class: "button plain", on: { click: act.retry } }, t("retry"))] : []),
    ...(closes ? [el("button", { type: "button", class: "icon", "aria-label": t("dismiss"), on: { click: () => put() } }, icon(ICONS.close))] : []));
}

/** Where a tick of this moment is on the moving part of the strip. */
const at = (moment) => Math.round((moment / STRIP_MS) * STRIP_PX);

/** Move all ticks together, a pixel at a time, while there are any. Offline they stand still. */
function drift() {
  const place = $("ticks"), now = performance.now();
  if (link.name !== "offline") place.style.transform = `translateX(${-at(now)}px)`;
  while (place.firstElementChild && Number.parseFloat(place.firstElementChild.style.left) < at(now - STRIP_MS)) place.firstElementChild.remove();
  drifting = place.firstElementChild ? setTimeout(drift, STRIP_MS / STRIP_PX) : 0;
}

/** Show that events have come: a tick each, and one light for all. */
export function pulse(types) {
  const place = $("ticks");
  for (const type of types.slice(-8)) {
    const tick = el("i", { class: `tick ${type}` });
    tick.style.left = `${at(performance.now())}px`;
    place.append(tick);
  }
  while (place.children.length > MAX_TICKS) place.firstElementChild.remove();
  if (!drifting) drift();
  const now = performance.now(), runner = $("runner");
  if (calm.matches || document.hidden || now < runsUntil || !types.length) return;
  runsUntil = now + RUN_MS;
  runner.className = types.at(-1);
  runner.animate([{ transform: "translateX(0) scaleX(.4)", opacity: 0 }, { opacity: 1, offset: 0.15 }, { opacity: 1, offset: 0.7 }, { transform: `translateX(${innerWidth}px) scaleX(1)`, opacity: 0 }], { duration: RUN_MS, easing: "cubic-bezier(.3,.1,.3,1)" });
}

/** The pieces, the scale and the rooms, beside the title. */
export function headline({ count, found, isPartial, band, rooms }) {
  const pieces = count === 0 ? "" : found === count ? t(isPartial ? "pieces_newest" : "pieces", count) : t("pieces_of", found, count);
  if ($("count").textContent !== pieces) $("count").textContent = pieces;
  const narrow = rooms ? t("in_room", rooms.join(", ")) : "";
  if ($("room").textContent !== narrow) $("room").textContent = narrow;
  const scale = count ? t("scale", band) : "";
  $("scale").hidden = !count;
  if ($("scale").textContent === scale) return;
  const key = svg("svg", { class: "band-key", viewBox: "0 0 18 18", "aria-hidden": "true", focusable: "false" }, svg("rect", { class: "band-wall", width: 18, height: 18 }), svg("rect", { class: "band", y: 9, width: 18, height: 8 }), svg("path", { class: "floor", d: "M0 17H18" }));
  $("scale").replaceChildren(key, scale);
}

setInterval(() => {
  if (link.name === "offline") words();
}, 1_000);
