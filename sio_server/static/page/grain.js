/* The grain of the materials: SVG patterns, in centimetres, made when a material first appears. */

import { svg } from "./dom.js";
import { materialOf } from "./kinds.js";

// [width, height, the lines of the grain, the finer lines], in centimetres.
const GRAINS = {
  roble: [64, 24, "M0 3C14 1 30 6 64 3M0 9C20 12 40 6 64 9M0 15.5C16 13 36 19 64 15.5M0 21C24 22.5 44 19 64 21", "M6 6h7M30 12.5h9M50 18h6M14 18.6h5M40 5.6h5"],
  pino: [72, 28, "M0 4C20 3 50 5 72 4M0 12C14 12 20 9 27 9S40 12 72 12M0 17C14 17 20 20 27 20S40 17 72 17M0 25C30 26 50 24 72 25", "M24 14.5a3.4 2 0 1 0 6.8 0a3.4 2 0 1 0-6.8 0"],
  nogal: [60, 22, "M0 2C12 5 22 0 34 2S52 5 60 2M0 6.5C14 9 26 4 40 7S54 8 60 6.5M0 11C10 13 28 9 60 11M0 15.5C18 12 30 19 44 15S56 15 60 15.5M0 19.5C24 21 40 18 60 19.5", "M8 9h9M36 13.2h11M22 17.4h7"],
  haya: [30, 16, "M0 5C10 4.4 20 5.6 30 5M0 13C10 13.6 20 12.4 30 13", "M3 2.4h3M14 3h4M24 2h3M8 8h3.5M20 9h4M1 10.6h3M13 11h3M25 14.8h3"],
  plastico: [40, 40, "", ""],
  metal: [40, 5, "M0 1.2H40", "M0 3.4H26M31 3.4H40"],
  cristal: [52, 52, "M-4 30L30 -4M8 38L46 0", "M26 56L56 26"],
  marmol: [90, 64, "M0 18C14 12 20 30 38 26S60 6 90 18M20 64C26 50 44 56 52 42S74 38 90 46", "M0 46C10 50 14 40 24 44M38 26C44 34 40 38 52 42M60 12C66 2 70 4 74 0"],
  tela: [5, 5, "M0 1.250H5M1.250 0V5", "M0 3.750H5M3.750 0V5"],
  x: [9, 9, "M-1 10L10 -1", ""],
};

let defs;
const made = new Set();

function patterns() {
  if (defs) return defs;
  defs = svg("defs");
  document.body.append(svg("svg", { class: "defs", width: 0, height: 0, "aria-hidden": "true", focusable: "false" }, defs));
  return defs;
}

/** Make the patterns of a material, once; return the key in their ids. */
export function patternFor(material) {
  const key = materialOf(material);
  if (!made.has(key)) {
    made.add(key);
    const unknown = key.startsWith("x");
    const [width, height, coarse, fine] = GRAINS[unknown ? "x" : key];
    const base = svg("rect", { class: `base base-${unknown ? "x" : key}`, width, height });
    if (unknown) base.style.setProperty("--hue", key.slice(1));
    const pattern = svg("pattern", { id: `grain-${key}`, width, height, patternUnits: "userSpaceOnUse" }, base);
    if (coarse) pattern.append(svg("path", { class: `grain grain-${unknown ? "x" : key}`, d: coarse }));
    if (fine) pattern.append(svg("path", { class: `grain fine grain-${unknown ? "x" : key}`, d: fine }));
    patterns().append(pattern, svg("pattern", { id: `grain-${key}-v`, href: `#grain-${key}`, patternTransform: "rotate(90)" }));
  }
  return key;
}

/** A square of the material, beside its name. */
export function swatch(material) {
  const fill = `url(#grain-${patternFor(material)})`;
  return svg("svg", { class: "swatch", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, svg("rect", { width: 24, height: 24, rx: 3.6, fill }));
}
