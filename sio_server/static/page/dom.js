/* Makes elements. Text of events enters as text nodes only: nothing here reads markup. */

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    } else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an HTML element. `on` holds its listeners; null, undefined and false are left out. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** Make an SVG element. Numbers are rounded to hundredths. */
export function svg(tag, attributes = {}, ...children) {
  const rounded = Object.entries(attributes).map(([name, value]) => [name, typeof value === "number" ? Math.round(value * 100) / 100 : value]);
  return fill(document.createElementNS(SVG, tag), Object.fromEntries(rounded), children);
}

/** An icon of 16 by 16, drawn as lines. Its meaning is always in a text beside it, too. */
export const icon = (d) => svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, svg("path", { class: "i-line", d }));

export const ICONS = {
  close: "M4 4l8 8M12 4l-8 8",
  warn: "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5M8 4.5v4.5M8 10.75v1",
  clock: "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5M8 4.5v4l2.5 1.5",
  check: "M3 8.5L6.5 12L13 4.5",
  gap: "M1 8h5M10 8h5M6 4.5v7M10 4.5v7",
  pencil: "M10.5 3.5l2 2L6 12l-2.5.5L4 10z",
  arrow: "M2 8h11M9 4l4 4-4 4",
  furniture_created: "M8 3.5v9M3.5 8h9",
  furniture_updated: "M3 6h9M9.5 3.5L12 6M13 10H4M6.5 12.5L4 10",
  furniture_deleted: "M4 8h8",
};

/** Text from data, whose direction does not change the text around it. */
export const bdi = (text, attributes = {}) => el("bdi", attributes, String(text));

/** Text that only a screen reader says. */
export const said = (text) => el("span", { class: "sr" }, text);

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Many events come, so the page shows them together (connection.js). */
export const isBusy = () => document.body.classList.contains("is-busy");

const jobs = new Set();
let frame = 0;

function nextJob() {
  const [job] = jobs;
  jobs.delete(job);
  frame = jobs.size && requestAnimationFrame(nextJob);
  job();
}

/** Run a job in a frame of its own, so that no frame takes long. A job that waits already is not added again. */
export function inFrame(job) {
  if (document.hidden) return job(); // a hidden page has no frames
  jobs.add(job);
  frame ||= requestAnimationFrame(nextJob);
}
