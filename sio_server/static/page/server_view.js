/* The view "Server": the figures of this server, for a visitor who may see them. A figure that the
   server does not give is left out. */

import { $, el, svg } from "./dom.js";
import { chart } from "./chart.js";
import { ms, N, span } from "./numbers.js";
import { getJson } from "./visitor.js";
import { t } from "./words.js";

const EVERY_MS = 5_000;
const DOORS = [["socketio", "Socket.IO"], ["websocket", "WebSocket"], ["sse", "SSE"]];

let stats = null, isFailing = false, timer = 0;

const block = (title, note, ...content) => el("section", { class: "block" }, el("h2", {}, title, note && el("span", { class: "note" }, note)), content);
const pair = (name, value) => el("div", {}, el("dt", {}, name), el("dd", { class: "tabular" }, value));

/** Follow the figures while the view is open and the page is visible. */
export async function followServer(isOpen) {
  clearTimeout(timer);
  if (!isOpen) return;
  if (!document.hidden) {
    try {
      stats = await getJson("api/stats");
      isFailing = false;
    } catch {
      isFailing = true;
    }
    renderServer();
  }
  clearTimeout(timer);
  timer = setTimeout(() => followServer(true), EVERY_MS);
}

function shares(consumers, total) {
  let x = 0;
  const parts = DOORS.map(([door], i) => {
    const share = total ? (consumers[door] / total) * 100 : 0, part = svg("rect", { class: `share-${i}`, x, y: 0, width: share ? Math.max(share - 0.4, 0.6) : 0, height: 10 });
    x += share;
    return part;
  });
  return svg("svg", { class: "shares", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, parts);
}

function connections({ consumers }, total) {
  const key = (i) => svg("svg", { class: "key", viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: `share-${i}`, width: 10, height: 10 }));
  return block(t("connections"), N(total), shares(consumers, total), el("dl", { class: "legend" }, DOORS.map(([door, name], i) => el("div", {}, el("dt", {}, key(i), name), el("dd", { class: "tabular" }, N(consumers[door]))))));
}

function logBlock({ log }) {
  const age = log.oldest_timestamp && span((Date.parse(stats.timestamp) - Date.parse(log.oldest_timestamp)) / 1000);
  return block(t("log"), t("retention", span(log.retention_seconds), log.retention_events), el("dl", { class: "ends" }, age && pair(t("oldest"), t("ago", age)), log.events !== undefined && pair(t("log_kept"), t("events_kept", log.events)), pair(t("kind"), log.kind), pair(t("uptime"), span(stats.uptime_seconds)),
    el("div", {}, el("dt", {}, t("position")), el("dd", { class: "mono" }, log.position))));
}

function rooms({ rooms: { count, largest } }) {
  const rows = largest.slice(0, 12).map(({ room, consumers }) => el("tr", {}, el("th", { scope: "row" }, el("bdi", { class: "mono" }, room)), el("td", { class: "tabular" }, N(consumers))));
  const head = el("tr", {}, el("th", { scope: "col" }, t("room")), el("th", { scope: "col" }, t("consumers")));
  return block(t("rooms"), null, el("table", {}, el("caption", { class: "sr" }, t("rooms")), el("thead", {}, head), el("tbody", {}, rows)), count > rows.length && el("p", { class: "help" }, t("others", count - rows.length)));
}

/** Show the last figures, in the present language. */
export function renderServer() {
  const place = $("view-server");
  if (!stats) return place.replaceChildren(el("div", { class: "ops" }, el("h1", { id: "h-server", class: "statement" }, isFailing ? t("server_failed") : t("view_server"))));
  const { consumers, deliveries, publish_ms: stored } = stats, total = DOORS.reduce((sum, [door]) => sum + consumers[door], 0);
  const rates = deliveries.counts.map((count) => count / deliveries.seconds), isCalm = rates.every((rate) => rate === 0);
  const state = isFailing ? [el("span", { class: "not-ok" }, t("server_failed"))] : [el("span", { class: consumers.parked ? "not-ok" : "ok" }, consumers.parked ? t("parked_sentence", consumers.parked) : t("all_well")), " ", t("sentence", total, Math.round((rates.at(-1) ?? 0) * 10) / 10)];
  return place.replaceChildren(el("div", { class: "ops" },
    el("h1", { id: "h-server", class: "statement" }, state),
    block(t("deliveries"), t("last5"), isCalm || rates.length < 2 ? el("p", { class: "help" }, t("no_deliveries")) : chart(rates, deliveries.seconds, deliveries.samples)),
    el("div", { class: "ops-row" }, connections(stats, total),
      block(t("parked"), null, el("p", { class: "figure-line" }, el("strong", { class: "tabular" }, consumers.parked ? N(consumers.parked) : t("parked_none"))), el("p", { class: "help" }, t("parked_help"))),
      stored && block(t("stored"), t("stored_note", stored.count), el("dl", { class: "pair" }, pair(t("p50"), ms(stored.p50)), pair(t("p99"), ms(stored.p99))))),
    logBlock(stats), rooms(stats)));
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && timer && !$("view-server").hidden) followServer(true);
});
