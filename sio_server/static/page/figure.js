/* Draws a piece to scale, from its data alone, as an <svg> whose unit is the centimetre.

   All drawings of a page share one scale. The tile of a low piece shows less of the wall, and a wide
   piece gets a tile of two columns, so that no piece stands in much air. */

import { isBusy, svg } from "./dom.js";
import { patternFor } from "./grain.js";
import { formOf } from "./kinds.js";
import { box, clamp, forms, round } from "./shapes.js";

/** The heights of walls, in centimetres. */
const WALLS = [120, 160, 230, 260, 320, 420];
/** Above this, a piece does not decide the wall: a tenth of the pieces may be larger. */
const ORDINARY_CM = 260;
/** The least air beside and above a piece; beside it, with the numbers of its size, a share of the wall. */
const AIR_CM = 8, AIR_NUMBERS = 0.16;
/** The part of a tile below the floor, as a share of the wall; with the numbers of a size, more. */
const BELOW = 0.07, BELOW_NUMBERS = 0.19;
/** A tile of two columns is at least this much wider than the wall is high; so is the tile of one of a few pieces. */
const WIDE = 1.4;
/** The highest tile is so many steps high, the lowest one half of them. The style sheet says the size of a step. */
const STEPS = 4;

/**
 * Choose the lowest wall on which all ordinary pieces can stand.
 * @param tile the least size of a tile of one column, in pixels; `wide` is the share of its height that a wide tile has
 */
export function wallFor(pieces, { width, height, numbers = false, wide = WIDE } = { width: 152, height: 208 }) {
  const across = (ancho) => (numbers ? ancho / (wide - 2 * AIR_NUMBERS) : (ancho + 2 * AIR_CM) / wide);
  const need = pieces.map(({ altura, ancho }) => Math.max(Number(altura) + AIR_CM || 0, across(Number(ancho)) || 0)).sort((a, b) => a - b);
  const most = Math.max(need.findLast((one) => one <= ORDINARY_CM) || 0, need[Math.floor((need.length - 1) * 0.9)] || 0);
  const wall = WALLS.find((step) => step >= most) ?? WALLS.at(-1);
  const shown = wall * (1 + (numbers ? BELOW_NUMBERS : BELOW)), side = numbers ? wall * AIR_NUMBERS : AIR_CM;
  return { height: wall, below: shown - wall, side, narrow: (width / height) * shown, wide: wall * wide, scale: height / shown, band: wall < (numbers ? 160 : 220) ? 50 : 100, numbers };
}

/** How a piece stands at a wall: its drawn size, the steps of its tile and the centimetres of wall there, whether it needs two columns, and whether it had to be made smaller. */
export function measure({ ancho, altura }, wall) {
  const width = Number(ancho) || 0, height = Number(altura) || 0;
  const room = { width: wall.wide - 2 * wall.side, height: wall.height - AIR_CM };
  const factor = Math.min(1, room.width / Math.max(width, 1e-9), room.height / Math.max(height, 1e-9));
  const w = clamp(width * factor, 1.5, room.width), h = clamp(height * factor, 1.5, room.height), step = (wall.height + wall.below) / STEPS;
  const steps = wall.numbers ? STEPS : clamp(Math.ceil((h + AIR_CM + wall.below) / step), STEPS / 2, STEPS);
  return { w, h, steps, top: steps * step - wall.below, isWide: w > wall.narrow - 2 * wall.side, isScaled: factor < 1 || width < 1.5 || height < 1.5 };
}

function shapes(piece, w, h) {
  if (!(Number(piece.ancho) > 0) && !(Number(piece.altura) > 0)) return [svg("path", { class: "part unsized", d: "M-16 0V-32H16V0Z" })];
  const form = w < 8 || h < 8 ? null : formOf(piece.nombre);
  const key = piece.material ? patternFor(piece.material) : null;
  const parts = form ? forms[form](w, h) : [box(-w / 2, -h, w, h, 0)];
  return parts.map(([tag, attributes, role]) => {
    const isFilled = role === "body" || role === "body-v";
    const isUpright = role === "body-v" || (tag === "rect" && attributes.height > attributes.width);
    if (!key) return svg(tag, { ...attributes, class: `part ${isFilled ? "linen" : role}` });
    const recess = role === "recess" ? ` recess-${key.startsWith("x") ? "x" : key}` : "";
    return svg(tag, { ...attributes, class: `part ${isFilled ? "body" : role}${recess}`, fill: isFilled ? `url(#grain-${key}${isUpright ? "-v" : ""})` : null });
  });
}

function dimensionLines(w, h, wall, piece, number) {
  const size = wall.height * 0.052, tick = size * 0.32, x = w / 2 + size * 0.8, y = wall.numbers || number ? size * 0.95 : wall.below * 0.5;
  const lines = [`M${round(-w / 2)} ${round(y)}H${round(w / 2)}`, `M${round(x)} ${round(-h)}V0`,
    ...[-1, 1].map((side) => `M${round((side * w) / 2)} ${round(y - tick)}v${round(tick * 2)}`), ...[-h, 0].map((at) => `M${round(x - tick)} ${round(at)}h${round(tick * 2)}`)];
  const group = svg("g", { class: "dims" }, svg("path", { d: lines.join("") }));
  if (!number) return group;
  const text = (value, attributes) => svg("text", { "font-size": size, ...attributes }, value);
  group.append(text(`${number(piece.ancho, "ancho")} cm`, { x: 0, y: y + size * 1.25, "text-anchor": "middle" }), text(number(piece.altura, "altura"), { x: x + size * 0.45, y: -h / 2 + size * 0.35 }));
  return group;
}

function breakLine(w, h) {
  const y = round(-h * 0.5), step = clamp(w / 6, 2, 7), wide = round(w / 2 + 4), across = round(step * 0.6);
  return svg("path", { class: "break", d: `M${-wide} ${y}L${round(-step)} ${y}l${across} ${round(-step)}l${round(step * 0.8)} ${round(step * 2)}l${across} ${round(-step)}L${wide} ${y}` });
}

/** The floor, the ground below it and the band of one metre: as wide as the tile that cuts them off. */
export const room = (wall) => [
  svg("rect", { class: "ground", x: -4000, y: 0, width: 8000, height: 400 }),
  svg("rect", { class: "band", x: -4000, y: -wall.band, width: 8000, height: wall.band }),
  svg("path", { class: "floor", d: "M-4000 0H4000" }),
];

/**
 * Draw a piece at its wall.
 * @param number writes the sizes beside their lines; null: lines only
 * @param was the piece before a change: its outline and its old drawing, which fades
 */
export function figure(piece, { wall, number = null, was = null }) {
  const { w, h, isScaled, ...size } = measure(piece, wall), old = was && measure(was, wall), top = Math.max(size.top, old?.top ?? 0), [ground, band, floor] = room(wall);
  const shade = svg("ellipse", { class: "shade", cx: 0, cy: wall.below * 0.2, rx: w * 0.52, ry: Math.min(wall.height * 0.018, w * 0.2) });
  const root = svg("svg", { class: "figure", viewBox: `-0.5 ${round(-top)} 1 ${round(top + wall.below)}`, "aria-hidden": "true", focusable: "false" },
    ground, band, shade, floor, svg("g", { class: "piece" }, shapes(piece, w, h)));
  if (isScaled && (w > 8 || h > 8)) root.append(breakLine(w, h));
  if (was) {
    if (Math.abs(old.w - w) > 0.1 || Math.abs(old.h - h) > 0.1) root.append(svg("rect", { class: "was-outline", x: -old.w / 2, y: -old.h, width: old.w, height: old.h }));
    if (!isBusy()) root.append(svg("g", { class: "was-piece" }, shapes(was, old.w, old.h)));
  }
  root.append(dimensionLines(w, h, wall, piece, number));
  return root;
}

/** The dashed outline of a piece that is not there. */
export const emptyRoom = (d) => svg("svg", { class: "empty-room", viewBox: "-250 -150 500 164", preserveAspectRatio: "xMidYMax slice", "aria-hidden": "true", focusable: "false" }, room({ band: 100 }), svg("path", { class: "was-outline", d }));
