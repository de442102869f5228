/* The activity: one line for each event, the newest first. Scrolling back shows older ones, and reads
   them if the page does not have them. */

import { $, bdi, el, icon, ICONS, inFrame, isBusy, said } from "./dom.js";
import { MAX_ACTIVITY_EVENTS } from "./log.js";
import { clock, minute, ms, N, span } from "./numbers.js";
import { t } from "./words.js";

const FIELDS = ["nombre", "descripcion", "altura", "ancho", "material", "autor_username"];
/** The lines at first: as many as a high screen shows; and with each scrolling back. Fast events push the oldest lines out. */
const LINES = 40, MORE_LINES = 100;
/** A longer name is cut, so that the change beside it is seen. */
const NAME_CHARS = 22;
const GROUP_MS = 300_000;
/** The median is that of so many measured events. */
const MEASURED = 200;

function whatChanged({ event: { type, furniture: piece }, was }) {
  if (type === "furniture_created") return el("span", { class: "what" }, `${N(piece.ancho)} × ${N(piece.altura)} cm`);
  if (type === "furniture_deleted" || !was) return el("span", { class: "what" });
  const fields = FIELDS.filter((field) => was[field] !== piece[field]), [field] = fields;
  if (!field) return el("span", { class: "what" }, t("unchanged"));
  if (field === "descripcion" && fields.length === 1) return el("span", { class: "what" }, t("f_descripcion"));
  const show = (value) => (typeof value === "number" ? N(value) : bdi(String(value).slice(0, 60)));
  const label = field === "material" || field === "autor_username" ? "" : `${t(`f_${field}`)} `;
  return el("span", { class: "what" }, label, show(was[field]), " → ", el("b", {}, show(piece[field])), fields.length > 1 && ` +${fields.length - 1}`);
}

/** The measured milliseconds; for a recovered event its delay; for one from before, nothing. */
function timeOf(entry) {
  const at = clock(entry.at);
  if (entry.isLate) return { text: span(entry.delay), title: t("late_title", span(entry.delay), at) };
  if (entry.ms !== undefined) return { text: ms(entry.ms), title: t("ms_title", ms(entry.ms), at) };
  return { text: "", title: t("past_title", at) };
}

function line(entry, isFresh) {
  const { event, isLate } = entry, { text, title } = timeOf(entry), name = String(event.furniture.nombre);
  return el("li", { class: `event ${event.type} ${isFresh ? "is-fresh" : ""} ${isLate ? "is-late" : ""}`, title: `${name.slice(0, 80)} · ${title}` },
    el("span", { class: "verb" }, icon(ICONS[event.type]), el("span", { class: "word" }, t(event.type))),
    el("span", { class: "subject" }, bdi(name, { class: `subject-name ${name.length > NAME_CHARS ? "is-long" : ""}` }), " ", whatChanged(entry)),
    el("span", { class: "ms tabular" }, isLate && said(`${t("late")} `), text));
}

const groupOf = (entry) => Math.floor(entry.at / GROUP_MS);
const groupLine = (group) => el("li", { class: "minute", "data-group": group }, el("span", {}, minute(new Date(group * GROUP_MS))));

/**
 * Make the activity.
 * @param source {entries(): all known events, the oldest first; position(): the position of the log;
 *   hasOlder(): the log has older ones; older(): read some of them, and return whether that worked}
 */
export function makeActivity(source) {
  const list = $("events"), select = $("f-event"), body = $("feed-body"), end = $("feed-end");
  let limit = LINES, measured = [], pending = [], isReading = false, isGoingBack = false;

  const wanted = () => source.entries().filter(({ event }) => !select.value || event.type === select.value);

  function render() {
    const types = [["", t("all_events")], ["furniture_created", t("ev_created")], ["furniture_updated", t("ev_updated")], ["furniture_deleted", t("ev_deleted")]];
    const { value } = select;
    select.replaceChildren(...types.map(([key, label]) => el("option", { value: key }, label)));
    select.value = value;
    const entries = wanted(), lines = [];
    let group;
    pending = [];
    for (const entry of entries.slice(-limit).reverse()) {
      if (groupOf(entry) !== group) lines.push(groupLine((group = groupOf(entry))));
      lines.push(line(entry, false));
    }
    list.replaceChildren(...lines);
    list.classList.toggle("is-deep", limit > LINES);
    foot(entries);
  }

  function foot(entries) {
    $("feed-none").hidden = entries.length > 0;
    showEnd(entries);
    const position = source.position(), sorted = [...measured].sort((one, other) => one - other);
    $("feed-foot").hidden = !position;
    $("feed-foot").replaceChildren(el("span", { class: "mono" }, position ?? ""), el("span", { class: "tabular" }, sorted.length > 0 && t("foot", ms(sorted[Math.floor(sorted.length / 2)]))));
    const last = source.entries().at(-1);
    $("feed-last").replaceChildren(...(last ? [el("span", { class: `verb ${last.event.type}` }, t(last.event.type)), " ", bdi(String(last.event.furniture.nombre).slice(0, 80))] : [t("nothing_changed")]));
  }

  /** Below the last line: how to go on, or that there is nothing more. */
  function showEnd(entries) {
    const isMore = entries.length > limit, now = isMore ? "more" : !source.hasOlder() ? "feed_start" : source.entries().length < MAX_ACTIVITY_EVENTS ? "feed_back" : "feed_enough";
    end.hidden = entries.length === 0 && now !== "feed_back";
    if (end.dataset.now === now + t("feed_back")) return;
    end.dataset.now = now + t("feed_back");
    end.replaceChildren(isMore ? "" : now === "feed_back" ? el("button", { type: "button", class: "button plain", on: { click: goBack } }, t(now)) : t(now));
  }

  /** The visitor is near the last line: show further lines. */
  async function goBack() {
    if (isGoingBack) return;
    isGoingBack = true;
    if (wanted().length > limit || (await source.older())) {
      limit += MORE_LINES;
      render();
    }
    isGoingBack = false;
  }

  /** Take new events. If many come, the cards change in one frame, and the activity in the next one. */
  function update(entries) {
    measured = [...measured, ...entries.filter((entry) => entry.ms !== undefined).map((entry) => entry.ms)].slice(-MEASURED);
    pending.push(...entries.filter(({ event }) => !select.value || event.type === select.value));
    if (isBusy()) inFrame(put);
    else put();
  }

  /** Put new events on top. While the visitor reads older ones, nothing moves below their eyes. */
  function put() {
    const fresh = pending.splice(0);
    if (!fresh.length) return foot(wanted());
    const from = isReading ? body.scrollHeight : 0;
    for (const entry of isReading ? fresh : fresh.slice(-limit)) {
      const head = list.firstElementChild, group = groupOf(entry);
      if (Number(head?.dataset.group) === group) head.after(line(entry, fresh.length < 4));
      else list.prepend(groupLine(group), line(entry, fresh.length < 4));
    }
    if (!isReading) while (list.children.length > limit * 1.2) list.lastElementChild.remove();
    else body.scrollTop += body.scrollHeight - from;
    foot(wanted());
  }

  body.addEventListener("scroll", () => { isReading = body.scrollTop > 8; }, { passive: true });
  select.addEventListener("change", () => {
    limit = LINES;
    render();
  });
  new IntersectionObserver(([seen]) => seen.isIntersecting && goBack(), { root: body, rootMargin: "400px" }).observe(end);
  $("feed-toggle").addEventListener("click", () => {
    const opens = $("feed-toggle").getAttribute("aria-expanded") !== "true";
    $("feed-toggle").setAttribute("aria-expanded", String(opens));
    $("feed").classList.toggle("is-open", opens);
  });
  return { render, update };
}
