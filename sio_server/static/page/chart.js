/* A line chart of the deliveries of the last five minutes. */

import { el, svg } from "./dom.js";
import { N } from "./numbers.js";
import { t } from "./words.js";

const WIDE = 720, TALL = 200, FOOT = 24, HEAD = 16;

/** The least round number that is not below a value: 1, 2, 5, 10, 20, 50, … times three lines. */
function roundStep(most) {
  const rough = Math.max(1, most / 3), power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((one) => one * power).find((step) => step >= rough);
}

/**
 * Make the chart.
 * @param rates deliveries a second, the oldest first
 * @param seconds between two values
 * @param count the values of five minutes; a server that runs for a shorter time has fewer
 */
export function chart(rates, seconds, count) {
  const highest = Math.max(...rates), step = roundStep(highest), lines = [3, 2, 1].map((one) => one * step), most = step * 3.1;
  const from = count - rates.length, share = (i) => ((from + i) / (count - 1)) * 100;
  const x = (i) => (WIDE * share(i)) / 100, y = (value) => TALL - FOOT - ((TALL - FOOT - HEAD) * value) / most;
  const place = (node, left, top) => {
    if (left !== null) node.style.insetInlineStart = `${left}%`;
    if (top !== null) node.style.top = `${top}px`;
    return node;
  };
  const curve = rates.map((value, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const cross = svg("path", { class: "cross", d: "" });
  const label = `${t("deliveries")}, ${t("last5")}: ${t("now_label")} ${N(rates.at(-1))}, ${t("peak")} ${N(highest)}`;
  const root = svg("svg", { class: "chart", viewBox: `0 0 ${WIDE} ${TALL}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("path", { class: "grid", d: lines.map((value) => `M0 ${y(value)}H${WIDE}`).join("") }), svg("path", { class: "area", d: `${curve}L${WIDE} ${y(0)}L${x(0)} ${y(0)}Z` }),
    svg("path", { class: "curve", d: curve }), svg("path", { class: "floor", d: `M0 ${y(0)}H${WIDE}` }), cross);
  const at = rates.indexOf(highest);
  const peak = highest > 0 && place(el("span", { class: `peak tabular ${share(at) > 70 ? "is-last" : share(at) < 30 ? "is-first" : ""}`, "aria-hidden": "true" }, `${t("peak")} ${N(highest)}`), share(at), y(highest));
  const readout = el("output", { class: "readout tabular", "aria-hidden": "true", hidden: true });
  const minutes = Math.round((count * seconds) / 60);
  const ticks = Array.from({ length: minutes }, (_, i) => (i ? `−${minutes - i}` : `−${minutes} min`));
  const show = (i) => {
    cross.setAttribute("d", i === null ? "" : `M${x(i)} 8V${y(0)}`);
    readout.hidden = i === null;
    if (i !== null) place(readout, share(i), null).textContent = `${N(rates[i])} /s`;
  };
  root.addEventListener("pointermove", (event) => {
    const { left, width } = root.getBoundingClientRect();
    show(Math.min(rates.length - 1, Math.max(0, Math.round(((event.clientX - left) / width) * (count - 1)) - from)));
  });
  root.addEventListener("pointerleave", () => show(null));
  return el("div", { class: "chart-frame" }, root,
    el("div", { class: "y-labels tabular", "aria-hidden": "true" }, lines.map((value) => place(el("span", {}, N(value)), null, y(value)))),
    el("div", { class: "x-labels tabular", "aria-hidden": "true" }, [...ticks, t("now_label")].map((text) => el("span", {}, text))), peak, readout);
}
