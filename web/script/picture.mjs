// A picture of the views with what is written on it, which Go says: page.Picture. It is
// black in both themes, as the views are, and its letters grow with it.
//
// Lengths are in pixels of the picture.

const grown = 0.01; // of its longer side is a letter high, at least
const least = 0.8125; // of the page's own size, too

// writer draws text of one height, in a dark casing, as on the page.
const writer = (g, font, size) => {
  const set = (bold) => { g.font = `${bold ? 600 : 400} ${size}px ${font}`; };
  return {
    size,
    width: (text, bold) => (set(bold), g.measureText(text).width),
    // put writes into a width, and cuts what does not fit; align: start, center, end.
    put(text, x, y, { bold = false, dim = false, align = "start", base = "top", within = Infinity } = {}) {
      set(bold);
      if (g.measureText(text).width > within) {
        while (text && g.measureText(text + "…").width > within) text = text.slice(0, -1);
        text += "…";
      }
      g.textAlign = align;
      g.textBaseline = base;
      g.lineJoin = "round";
      g.lineWidth = size / 4;
      g.strokeStyle = "#000";
      g.strokeText(text, x, y);
      g.fillStyle = dim ? "#cdcdcd" : "#f2f2f2";
      g.fillText(text, x, y);
    },
  };
};

// lined draws a line in a dark casing.
const lined = (g, width, points) => {
  for (const [color, w] of [["#000", 3 * width], ["#f2f2f2", width]]) {
    g.strokeStyle = color;
    g.lineWidth = w;
    g.lineCap = color === "#000" ? "round" : "butt";
    g.beginPath();
    points.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
    g.stroke();
  }
};

// over writes on a view.
const over = (g, t, note, { x, y, w, h }, scale) => {
  const gap = t.size * 0.6, row = t.size * 1.4, right = x + w - gap, bottom = y + h - gap;
  const [l, r, top, down] = note.edges, half = w / 2 - gap;
  const letter = (text, ...at) => text && t.put(text, ...at);
  const name = t.width(note.name), middle = name + 2 * gap < half;
  t.put(note.name, x + gap, y + gap, { within: w - 2 * gap - (top ? 2 * gap : 0) });
  letter(l, x + gap, y + h / 2, { bold: true, base: "middle" });
  letter(r, right, y + h / 2, { bold: true, base: "middle", align: "end" });
  letter(top, middle ? x + w / 2 : right, y + gap, { bold: true, align: middle ? "center" : "end" });
  letter(down, x + w / 2, bottom, { bold: true, align: "center", base: "bottom" });
  if (h < 9 * row) return; // there is room for letters and a name
  if (note.place) t.put(note.place, x + gap, y + gap + row, { dim: true, within: half });
  if (note.depth && middle && t.width(note.depth) + 2 * gap < half) t.put(note.depth, right, y + gap, { dim: true, align: "end" });
  const window = note.window && [`${note.window}  ${note.preset}`, note.window].find((s) => t.width(s) < half - gap);
  if (window) t.put(window, x + gap, bottom, { dim: true, base: "bottom" });
  if (!note.scale) return;
  const long = note.pixels * scale, foot = t.size / 2;
  lined(g, Math.max(scale, t.size / 12), [[right - long, bottom - foot], [right - long, bottom], [right, bottom], [right, bottom - foot]]);
  t.put(note.scale, right, bottom - foot, { align: "end", base: "bottom" });
};

// swatch draws what a label is drawn in: stripes as in the views.
const swatch = (g, { ground, stripe, pattern, line }, x, y, size) => {
  g.save();
  g.beginPath();
  g.rect(x, y, size, size);
  g.clip();
  if (line) {
    g.strokeStyle = ground;
    g.lineWidth = size / 4;
    g.strokeRect(x, y, size, size);
  } else {
    g.fillStyle = ground;
    g.fillRect(x, y, size, size);
  }
  g.strokeStyle = stripe;
  g.lineWidth = size / 6;
  for (let k = -size; pattern && k < size; k += size / 2.5) {
    g.beginPath();
    if (pattern & 1) g.moveTo(x + k, y), g.lineTo(x + k + size, y + size);
    if (pattern & 2) g.moveTo(x + k, y + size), g.lineTo(x + k + size, y);
    g.stroke();
  }
  g.restore();
};

// foot is what stands below the views: how high it is, and how it is drawn.
const foot = (g, t, { title, legend }, w) => {
  const gap = t.size * 0.9, row = t.size * 1.6, mark = t.size * 0.9, room = w - 2 * gap;
  const cell = Math.min(Math.max(0, ...legend.map((l) => t.width(l.text))) + mark + 3 * gap, room);
  const columns = Math.max(Math.floor((room + gap) / cell), 1), rows = Math.ceil(legend.length / columns), head = title ? row : 0;
  if (!title && !rows) return { height: 0, draw() {} };
  return {
    height: Math.ceil(1.5 * gap + head + rows * row),
    draw(y) {
      if (title) t.put(title, gap, y + gap, { bold: true, within: room });
      legend.forEach((l, i) => {
        const x = gap + (i % columns) * cell, at = y + gap + head + Math.floor(i / columns) * row;
        swatch(g, l, x, at, mark);
        t.put(l.text, x + 1.5 * mark, at, { within: cell - 2.5 * mark });
      });
    },
  };
};

// picture puts views {view, x, y, w, h}, in pixels of the page, on a canvas. draw draws a
// part of what is seen at a place of it.
export const picture = (views, scale, notes, draw) => {
  const left = Math.min(...views.map((v) => v.x)), top = Math.min(...views.map((v) => v.y));
  const at = (v) => Math.round(v * scale);
  const w = at(Math.max(...views.map((v) => v.x + v.w)) - left), h = at(Math.max(...views.map((v) => v.y + v.h)) - top);
  const canvas = document.createElement("canvas"), g = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const size = Math.ceil(Math.max(least * parseFloat(style.fontSize) * scale, grown * Math.max(w, h)));
  const t = writer(g, style.getPropertyValue("--font"), size);
  const below = notes ? foot(g, t, notes, w) : { height: 0 };
  canvas.width = w;
  canvas.height = h + below.height;
  g.fillStyle = "#000";
  g.fillRect(0, 0, canvas.width, canvas.height);
  draw(g, left, top);
  if (!notes) return canvas;
  for (const v of views) {
    const box = { x: at(v.x - left), y: at(v.y - top), w: at(v.w), h: at(v.h) };
    g.save();
    g.beginPath();
    g.rect(box.x, box.y, box.w, box.h);
    g.clip();
    over(g, t, notes.views[v.view], box, scale);
    g.restore();
    g.strokeStyle = "#3a3a3a";
    g.lineWidth = Math.max(scale, 1);
    g.strokeRect(box.x, box.y, box.w, box.h);
  }
  if (notes.ruler) {
    const { from, to, text } = notes.ruler, on = ([x, y]) => [at(x - left), at(y - top)], [a, b] = [on(from), on(to)];
    lined(g, Math.max(scale, size / 10), [a, b]);
    t.put(text, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2 + size / 2);
  }
  below.draw(h);
  return canvas;
};
