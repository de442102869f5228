/* The forms of the furniture: front elevations, as parts. Pure: knows no page and no material.

   Units are centimetres; x runs from -w/2 to w/2, y from -h (the top) to 0 (the floor). A part is
   [tag, attributes, role]; the role says how it is painted. Thicknesses are shares of the size with
   a least and a greatest value, so that 20 cm and 400 cm both look right. */

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
export const round = (value) => Math.round(value * 100) / 100;

export const box = (x, y, width, height, rx = 0, role = "body") => ["rect", { x, y, width: Math.max(width, 0.01), height: Math.max(height, 0.01), rx: Math.min(rx, width / 2, height / 2) }, role];
const path = (d, role = "line") => ["path", { d: d.map((part) => (typeof part === "number" ? round(part) : part)).join(" ") }, role];
const dot = (cx, cy, r) => ["circle", { cx, cy, r }, "dot"];
const legs = (w, h, width, inset) => [-1, 1].map((side) => {
  const x = side * (w / 2 - inset), in1 = -side * width, in2 = -side * width * 0.66;
  return path(["M", x, -h, "h", in1, "L", x + in2, 0, "H", x, "Z"], "body-v");
});
const spread = (count, from, to) => Array.from({ length: count }, (_, i) => from + ((to - from) * (i + 0.5)) / count);

export const forms = {
  table(w, h) {
    const top = clamp(h * 0.055, 2, 5), leg = clamp(w * 0.05, 2.5, 7), apron = clamp(h * 0.1, 2, 9), inset = clamp(w * 0.045, 1, 8);
    return [...legs(w, h - top, leg, inset), box(-w / 2 + inset + leg, -h + top, w - 2 * (inset + leg), apron), box(-w / 2, -h, w, top, 1)];
  },
  desk(w, h) {
    const top = clamp(h * 0.05, 2, 4), leg = clamp(w * 0.035, 2, 5), block = clamp(w * 0.32, 12, 48), tall = (h - top) * 0.62;
    const x = w / 2 - block - 2;
    return [...legs(w, h - top, leg, 2), box(-w / 2 + 2 + leg, -h + top, w - block - leg - 4, clamp(h * 0.09, 2, 7)),
      box(x, -h + top, block, tall), ...[1, 2].map((i) => path(["M", x, -h + top + (tall * i) / 3, "h", block])),
      ...spread(3, -h + top, -h + top + tall).map((y) => path(["M", x + block / 2 - 4, y, "h", 8], "pull")), box(-w / 2, -h, w, top, 1)];
  },
  chair(w, h) {
    const seat = h * 0.49, post = clamp(w * 0.085, 2, 4.5), slab = clamp(h * 0.045, 2, 5), rail = clamp(h * 0.075, 3, 8), lean = w * 0.06;
    const slats = spread(clamp(Math.round(w / 11), 2, 5), -w / 2 + post + lean, w / 2 - post - lean);
    return [...slats.map((x) => box(x - post * 0.3, -h + rail, post * 0.6, h - seat - rail, 0)),
      path(["M", -w / 2 + lean, -h, "h", post, "L", -w / 2 + post, -seat, "h", -post, "Z"], "body-v"),
      path(["M", w / 2 - lean, -h, "h", -post, "L", w / 2 - post, -seat, "h", post, "Z"], "body-v"),
      box(-w / 2 + lean - 1, -h, w - 2 * lean + 2, rail, 2), ...legs(w, seat - slab, post, 1),
      box(-w / 2 + post + 1, -seat * 0.42, w - 2 * post - 2, slab * 0.5), box(-w / 2, -seat, w, slab, 1.5)];
  },
  stool(w, h) {
    const slab = clamp(h * 0.09, 2.5, 6), leg = clamp(w * 0.09, 2, 4), inset = w * 0.16;
    return [path(["M", -w / 2 + inset, -h + slab, "h", leg, "L", -w / 2 + leg, 0, "h", -leg, "Z"], "body-v"),
      path(["M", w / 2 - inset, -h + slab, "h", -leg, "L", w / 2 - leg, 0, "h", leg, "Z"], "body-v"),
      box(-w / 2 + inset * 0.45 + leg, -h * 0.36, w - inset * 0.9 - 2 * leg, leg * 0.7), box(-w / 2, -h, w, slab, slab / 2)];
  },
  sofa(w, h) { return upholstered(w, h, clamp(Math.round(w / 75), 2, 5)); },
  armchair(w, h) { return upholstered(w, h, 1); },
  bench(w, h) {
    const slab = clamp(h * 0.13, 2.5, 7), leg = clamp(w * 0.04, 2.5, 7);
    return [...legs(w, h - slab, leg, w * 0.08), box(-w / 2 + w * 0.08 + leg, -h * 0.34, w * 0.84 - 2 * leg, clamp(h * 0.07, 1.5, 4)), box(-w / 2, -h, w, slab, 1.5)];
  },
  shelf(w, h) {
    const side = clamp(w * 0.035, 2, 4), count = clamp(Math.round(h / 36), 1, 8), columns = w > 110 ? Math.round(w / 80) : 1, parts = [box(-w / 2, -h, w, h, 0.5), box(-w / 2 + side, -h + side, w - 2 * side, h - 2 * side - 2, 0, "recess")];
    for (let i = 1; i < count; i += 1) parts.push(box(-w / 2 + side, -h + ((h - side) * i) / count, w - 2 * side, side * 0.9));
    for (let i = 1; i < columns; i += 1) parts.push(box(-w / 2 + (w * i) / columns - side / 2, -h + side, side, h - 2 * side - 2, 0));
    return parts;
  },
  wardrobe(w, h) { return doored(w, h, "body"); },
  glazed(w, h) { return doored(w, h, "glass"); },
  drawers(w, h) { return chest(w, h, clamp(Math.round(h / 24), 2, 6), w > 105 ? 2 : 1); },
  bedside(w, h) {
    const leg = h * 0.2, body = h - leg, drawer = body * 0.42;
    return [...legs(w, leg, clamp(w * 0.08, 2, 4), 1.5), box(-w / 2, -h, w, body, 1), box(-w / 2 + 2.5, -h + drawer + 2, w - 5, body - drawer - 4.5, 0, "recess"),
      path(["M", -w / 2, -h + drawer, "H", w / 2]), path(["M", -4, -h + drawer / 2, "h", 8], "pull")];
  },
  sideboard(w, h) {
    const leg = clamp(h * 0.2, 3, 18), doors = clamp(Math.round(w / 50), 2, 6), body = h - leg;
    return [...legs(w, leg, clamp(w * 0.025, 2, 4), w * 0.06), box(-w / 2, -h, w, body, 1), box(-w / 2 + 2, -h + 2.5, w - 4, body - 5, 0, "line"),
      ...Array.from({ length: doors - 1 }, (_, i) => path(["M", -w / 2 + (w * (i + 1)) / doors, -h + 2.5, "V", -leg - 2.5])),
      ...spread(doors, -w / 2, w / 2).map((x, i) => dot(x + (i % 2 ? -1 : 1) * (w / doors) * 0.36, -leg - body / 2, 1.2))];
  },
  bed(w, h) {
    const leg = clamp(h * 0.09, 2, 10), rail = clamp(h * 0.2, 4, 22), mattress = clamp(h * 0.2, 5, 24), top = leg + rail + mattress, pillows = w > 120 ? 2 : 1;
    const pillow = Math.min((w * 0.84) / pillows - 4, 70), tall = clamp(h * 0.13, 3, 14);
    return [box(-w / 2, -h, w, h - leg, 2), path(["M", -w / 2 + 4, -h + 4, "H", w / 2 - 4]), ...legs(w, leg, clamp(w * 0.04, 2, 6), 2),
      ...spread(pillows, -w * 0.44, w * 0.44).map((x) => box(x - pillow / 2, -top - tall + 2, pillow, tall + 4, tall / 2, "linen")),
      box(-w / 2 + 2, -top, w - 4, mattress + 3, 4, "linen"), path(["M", -w / 2 + 3, -top + mattress * 0.52, "H", w / 2 - 3]), box(-w / 2, -leg - rail, w, rail, 1)];
  },
  lamp(w, h) {
    const shade = clamp(h * 0.24, 6, 50), foot = clamp(w * 0.62, 6, 40), stem = clamp(w * 0.05, 1.2, 3);
    return [box(-stem / 2, -h + shade * 0.8, stem, h - shade * 0.8 - 1.5), box(-foot / 2, -2.5, foot, 2.5, 1.2),
      path(["M", -w * 0.32, -h, "H", w * 0.32, "L", w / 2, -h + shade, "H", -w / 2, "Z"], "linen"), path(["M", w * 0.22, -h + shade, "v", shade * 0.45])];
  },
  mirror(w, h) {
    const frame = clamp(Math.min(w, h) * 0.06, 2, 6);
    return [box(-w / 2, -h, w, h, 2), box(-w / 2 + frame, -h + frame, w - 2 * frame, h - 2 * frame, 1, "glass"),
      path(["M", -w * 0.2, -h * 0.56, "L", w * 0.06, -h * 0.56 - w * 0.26, "M", -w * 0.08, -h * 0.5, "L", w * 0.2, -h * 0.5 - w * 0.28])];
  },
  rack(w, h) {
    const pole = clamp(w * 0.07, 2, 4);
    return [box(-pole / 2, -h, pole, h - 3), path(["M", -w / 2, 0, "L", 0, -h * 0.12, "L", w / 2, 0], "stroke"),
      ...[0.06, 0.2].flatMap((at) => [-1, 1].map((side) => path(["M", 0, -h + h * (at + 0.05), "Q", side * w * 0.3, -h + h * (at + 0.05), side * w * 0.46, -h + h * at], "stroke"))), dot(0, -h, pole * 0.6)];
  },
  cabinet(w, h) {
    if (w > h * 1.25) return forms.sideboard(w, h);
    const leg = clamp(h * 0.06, 1, 8);
    return [box(-w / 2 + 2, -leg, w - 4, leg, 0, "recess"), box(-w / 2, -h, w, h - leg, 1), box(-w / 2 + 2.5, -h + 2.5, w - 5, (h - leg) * 0.72, 0, "line"),
      box(-w / 2 + 2.5, -h + (h - leg) * 0.72 + 4.5, w - 5, (h - leg) * 0.28 - 7, 0, "line"), dot(w / 2 - 7, -h + (h - leg) * 0.42, 1.2), path(["M", -4, -leg - (h - leg) * 0.13, "h", 8], "pull")];
  },
};

function upholstered(w, h, seats) {
  const leg = clamp(h * 0.14, 2, 14), arm = clamp(w * (seats > 1 ? 0.085 : 0.16), 4, 20), armTop = h * 0.68, seat = h * 0.5, cushion = h * 0.2, inner = w - 2 * arm, each = inner / seats;
  return [...legs(w, leg, clamp(w * 0.05, 2, 5), w * 0.05), box(-w / 2 + arm * 0.5, -h, w - arm, h - leg, clamp(h * 0.12, 3, 11)),
    ...Array.from({ length: seats - 1 }, (_, i) => path(["M", -inner / 2 + each * (i + 1), -h + 2, "V", -seat])),
    box(-w / 2 + arm * 0.5, -seat + cushion * 0.5, w - arm, seat - cushion * 0.5 - leg, 1.5),
    ...Array.from({ length: seats }, (_, i) => box(-inner / 2 + each * i - (seats > 1 ? 0 : 2), -seat, each + (seats > 1 ? 0 : 4), cushion, clamp(cushion * 0.4, 2, 7))),
    ...[-1, 1].map((side) => box(side < 0 ? -w / 2 : w / 2 - arm, -armTop, arm, armTop - leg, clamp(arm * 0.5, 2, 9)))];
}

function doored(w, h, fill) {
  const plinth = clamp(h * 0.035, 1.5, 8), doors = clamp(Math.round(w / 50), 2, 6), low = h > 150 && fill === "body" ? h * 0.2 : 0, edge = 2.5;
  const parts = [box(-w / 2 + 2, -plinth, w - 4, plinth, 0, "recess"), box(-w / 2, -h, w, h - plinth, 0.5)], each = (w - 2 * edge) / doors, tall = h - plinth - low - 2 * edge;
  for (let i = 0; i < doors; i += 1) {
    parts.push(box(-w / 2 + edge + each * i, -h + edge, each, tall, 0, fill === "glass" ? "glass" : "line"));
    const x = -w / 2 + edge + each * (i + (i % 2 ? 0.12 : 0.88));
    parts.push(path(["M", x, -h + edge + tall * 0.46, "v", clamp(tall * 0.12, 3, 16)], "pull"));
    if (low) parts.push(box(-w / 2 + edge + each * i, -plinth - low, each, low - edge, 0, "line"), path(["M", -w / 2 + edge + each * (i + 0.5) - 5, -plinth - low / 2, "h", 10], "pull"));
  }
  return parts;
}

function chest(w, h, rows, columns) {
  const leg = clamp(h * 0.12, 2, 12), body = h - leg, parts = [...legs(w, leg, clamp(w * 0.05, 2, 5), 3), box(-w / 2, -h, w, body, 1)], tall = (body - 5) / rows, wide = (w - 5) / columns;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1) {
      const x = -w / 2 + 2.5 + wide * column, y = -h + 2.5 + tall * row;
      parts.push(box(x, y, wide, tall, 0, "line"), path(["M", x + wide / 2 - 5, y + tall / 2, "h", 10], "pull"));
    }
  return parts;
}
