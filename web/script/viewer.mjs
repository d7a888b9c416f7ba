// The three planes and the surfaces of a scan, drawn by NiiVue. Go tells what is
// shown; here are pixels, pointers and NiiVue's names.
//
// Everything lies in the page's grid: x to the patient's right, y to the front, z to
// the head. Views are 0 axial, 1 coronal, 2 sagittal, as NiiVue numbers them, 3 the
// surfaces.
import { Niivue, NVMesh } from "@niivue/niivue";
import { picture } from "./picture.mjs";
import { Volume, settled } from "./volume.mjs";

const onlyLines = .01; // of fill
const normal = [2, 1, 0]; // axis that a view is perpendicular to
let stage, nv, nv3, tell;
let rects = []; // of visible planes: {view, x, y, w, h} in pixels of the page, on the stage
let volume; // scan and labels on the GPU
let dims = [1, 1, 1];
let pending = false;
let lines = new Map(); // of surfaces, by label

const options = {
  interactive: false, dragAndDropEnabled: false, crosshairWidth: 0, isOrientationTextVisible: false, isResizeCanvas: false,
  backColor: [0, 0, 0, 1], loadingText: "", logLevel: "error", show3Dcrosshair: false, isRadiologicalConvention: true,
  sagittalNoseLeft: true, meshThicknessOn2D: 0, isNearestInterpolation: false,
};

const canvasIn = (host) => {
  const c = document.createElement("canvas");
  c.setAttribute("aria-hidden", "true");
  host.appendChild(c);
  return c;
};

// Each tile is as large as its view: the field of view is widened to its shape.
const fillTiles = (nv) => {
  let shape = null;
  nv.calculateWidthHeight = (_type, _scale, w, h) => (shape = [w, h]);
  const own = nv.screenFieldOfViewExtendedVox.bind(nv);
  nv.screenFieldOfViewExtendedVox = (plane) => {
    const s = own(plane);
    if (!shape) return s;
    const f = shape[0] / s.fovMM[0] < shape[1] / s.fovMM[1] ? 1 : 0;
    const want = s.fovMM[1 - f] * (f === 0 ? shape[0] / shape[1] : shape[1] / shape[0]);
    const middle = (s.mnMM[f] + s.mxMM[f]) / 2;
    s.fovMM[f] = want;
    s.mnMM[f] = middle - want / 2;
    s.mxMM[f] = middle + want / 2;
    return s;
  };
};

const invalidate = () => {
  if (pending || !nv?.volumes.length) return;
  pending = true;
  requestAnimationFrame(() => {
    pending = false;
    nv.drawScene();
    geometry();
  });
};

const tileOf = (view) => nv.screenSlices.findIndex((s) => s.axCorSag === view && Number.isFinite(s.sliceFrac));
const fracAt = (tile, x, y) => nv.screenXY2TextureFrac(x, y, tile, false);
const voxel = (frac) => [0, 1, 2].map((a) => Math.min(Math.max(Math.floor(frac[a] * dims[a]), 0), dims[a] - 1));
const inside = (frac) => frac?.every((f) => f >= 0 && f <= 1);

// geometry tells where the crosshair and the edges of the scan are in each view.
const geometry = () => {
  if (!nv.volumes.length) return;
  const at = nv.scene.crosshairPos;
  const views = [];
  for (const r of rects) {
    const i = tileOf(r.view);
    if (i < 0) continue;
    const [l, t, w, h] = nv.screenSlices[i].leftTopWidthHeight;
    // From within: of a corner that rounding puts outside NiiVue knows nothing.
    const a = fracAt(i, l + w / 4, t + h / 4), b = fracAt(i, l + (3 * w) / 4, t + h / 4), c = fracAt(i, l + w / 4, t + (3 * h) / 4);
    const across = [0, 1, 2].reduce((m, k) => (Math.abs(b[k] - a[k]) > Math.abs(b[m] - a[m]) ? k : m), 0);
    const down = [0, 1, 2].reduce((m, k) => (Math.abs(c[k] - a[k]) > Math.abs(c[m] - a[m]) ? k : m), 0);
    const spacing = nv.volumes[0].pixDimsRAS;
    views.push({
      view: r.view, slice: voxel(at)[normal[r.view]], of: dims[normal[r.view]],
      x: 0.25 + (0.5 * (at[across] - a[across])) / (b[across] - a[across]), y: 0.25 + (0.5 * (at[down] - a[down])) / (c[down] - a[down]),
      width: r.w, mm: (Math.abs(b[across] - a[across]) * dims[across] * spacing[across + 1]) / (w / 2 / devicePixelRatio),
    });
  }
  tell("geometry", JSON.stringify({ voxel: voxel(at), value: valueAt(voxel(at)), views }));
};

const valueAt = ([x, y, z]) => nv.volumes[0].getValue(x, y, z);

// place reads where the views are on the page.
const place = () => {
  if (!nv) return;
  const box = stage.getBoundingClientRect(), dpr = devicePixelRatio;
  if (box.width < 2 || box.height < 2) return;
  rects = [];
  for (const e of stage.querySelectorAll(".vp[data-view]")) {
    const view = Number(e.dataset.view), b = e.getBoundingClientRect();
    if (view > 2 || b.width < 2) continue;
    rects.push({ view, x: b.left - box.left, y: b.top - box.top, w: b.width, h: b.height });
  }
  const c = nv.canvas;
  const w = Math.round(box.width * dpr), h = Math.round(box.height * dpr);
  if (c.width !== w || c.height !== h) {
    c.width = w;
    c.height = h;
    nv.uiData.dpr = dpr;
  }
  volume.pixel((dpr * parseFloat(getComputedStyle(document.documentElement).fontSize)) / 16);
  if (nv.volumes.length && rects.length) {
    nv.customLayout = rects.map((r) => ({
      sliceType: r.view, position: [r.x / box.width, r.y / box.height, r.w / box.width, r.h / box.height],
    }));
  }
  place3();
  invalidate();
};

const place3 = () => {
  if (!nv3) return;
  const b = stage.querySelector('.vp[data-view="3"]').getBoundingClientRect(), box = stage.getBoundingClientRect();
  Object.assign(nv3.canvas.style, { left: b.left - box.left + "px", top: b.top - box.top + "px", width: b.width + "px", height: b.height + "px" });
  if (b.width < 2) return;
  nv3.canvas.width = Math.round(b.width * devicePixelRatio);
  nv3.canvas.height = Math.round(b.height * devicePixelRatio);
  if (nv3.meshes.length) nv3.drawScene();
};

// Pointers.
const viewOf = (e) => {
  const v = e.target.closest?.(".vp[data-view]");
  return v && stage.contains(v) ? Number(v.dataset.view) : -1;
};
// spot is where a pointer is in a view, null outside it, for which NiiVue has −1.
const spot = (e, view) => {
  const box = stage.getBoundingClientRect(), i = tileOf(view);
  const f = i < 0 ? null : fracAt(i, (e.clientX - box.left) * devicePixelRatio, (e.clientY - box.top) * devicePixelRatio);
  return f?.every((x) => x === -1) ? null : f;
};
const ortho = (frac) => {
  const m = nv.volumes[0].frac2mmOrtho, out = [];
  for (let r = 0; r < 3; r++) out.push(m[r] * frac[0] + m[4 + r] * frac[1] + m[8 + r] * frac[2] + m[12 + r]);
  return out;
};
let tool = "cross", drag = null;
const touches = new Map();

const moveTo = (frac) => {
  nv.scene.crosshairPos = frac.map((f, a) => (Math.min(Math.max(Math.floor(f * dims[a]), 0), dims[a] - 1) + 0.5) / dims[a]);
  invalidate();
};
const step = (view, n) => {
  const p = Array.from(nv.scene.crosshairPos), a = normal[view];
  p[a] += n / dims[a];
  moveTo(p.map((f) => Math.min(Math.max(f, 0), 1 - 1e-6)));
};
const zoomAt = (frac, factor) => {
  if (!frac) return;
  const pan = nv.scene.pan2Dxyzmm, mm = ortho(frac), z = Math.min(Math.max(pan[3] * factor, 0.5), 20);
  for (let a = 0; a < 3; a++) pan[a] += mm[a] * (pan[3] - z);
  pan[3] = z;
  invalidate();
};

const action = (e, view) => {
  if (view === 3) return "turn";
  if (e.pointerType === "touch") return tool === "edit" ? "edit" : "slices";
  if (e.button === 2) return "window";
  if (e.button === 1) return "pan";
  return tool;
};

const down = (e) => {
  const view = viewOf(e);
  if (view < 0 || !nv?.volumes.length) return;
  if (e.button === 1) e.preventDefault();
  touches.set(e.pointerId, e);
  if (drag?.kind === "edit") stroke("end", e); // by a second finger
  drag = { view, kind: action(e, view), x: e.clientX, y: e.clientY, at: view < 3 ? spot(e, view) : null };
  stage.setPointerCapture?.(e.pointerId);
  if (drag.kind === "cross" && inside(drag.at)) moveTo(drag.at);
  if (drag.kind === "edit") stroke("begin", e);
  if (e.pointerType === "touch") {
    drag.long = setTimeout(() => { if (drag && drag.kind === "slices") { drag.kind = "cross"; if (inside(drag.at)) moveTo(drag.at); } }, 500);
  }
};
const stroke = (phase, e) => {
  const f = spot(e, drag.view);
  if (f || phase === "end") tell("stroke", phase, drag.view, ...[0, 1, 2].map((a) => Math.floor((f?.[a] ?? 0) * dims[a])));
};
// hover tells what is below a pointer, which may paint.
const hover = (e, view) => {
  const f = view >= 0 && view < 3 ? spot(e, view) : null;
  if (inside(f)) {
    const v = voxel(f);
    tell("hover", view, ...v, valueAt(v), ...onStage({ x: e.clientX, y: e.clientY }));
  } else if (view < 0 || view === 3) {
    tell("leave");
  }
};
const move = (e) => {
  if (!nv?.volumes.length) return;
  if (!drag) return hover(e, viewOf(e));
  const dx = e.clientX - drag.x, dy = e.clientY - drag.y;
  if (touches.size === 2 && touches.has(e.pointerId)) return pinch(e);
  switch (drag.kind) {
    case "cross": {
      const f = spot(e, drag.view);
      if (f) moveTo(f);
      return;
    }
    case "edit":
      hover(e, drag.view);
      return stroke("move", e);
    case "slices":
      if (Math.abs(dy) >= 8) {
        clearTimeout(drag.long);
        step(drag.view, Math.trunc(dy / 8));
        drag.y += Math.trunc(dy / 8) * 8;
      }
      return;
    case "window": tell("window", dx, dy); break;
    case "zoom": zoomAt(drag.at, Math.exp(-dy / 200)); break;
    case "pan": {
      const f = spot(e, drag.view);
      if (!f || !drag.at) return;
      const a = ortho(f), b = ortho(drag.at), pan = nv.scene.pan2Dxyzmm;
      for (let k = 0; k < 3; k++) pan[k] += (a[k] - b[k]) * pan[3];
      nv.drawScene();
      geometry();
      drag.at = spot(e, drag.view);
      return;
    }
    case "measure": {
      const f = spot(e, drag.view);
      if (f && drag.at) tell("measure", drag.view, ...voxelsOf(drag.at), ...voxelsOf(f), ...onStage(drag), ...onStage({ x: e.clientX, y: e.clientY }));
      return;
    }
    case "turn":
      nv3.setRenderAzimuthElevation(nv3.scene.renderAzimuth - dx / 2, nv3.scene.renderElevation + dy / 2);
      break;
  }
  drag.x = e.clientX;
  drag.y = e.clientY;
};
const onStage = (p) => {
  const box = stage.getBoundingClientRect();
  return [p.x - box.left, p.y - box.top];
};
const voxelsOf = (f) => [0, 1, 2].map((a) => f[a] * dims[a]);
const pinch = (e) => {
  const [a, b] = [...touches.values()];
  const before = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  touches.set(e.pointerId, e);
  const [c, d] = [...touches.values()];
  clearTimeout(drag.long);
  drag.kind = "pinch";
  zoomAt(spot({ clientX: (c.clientX + d.clientX) / 2, clientY: (c.clientY + d.clientY) / 2 }, drag.view), Math.hypot(c.clientX - d.clientX, c.clientY - d.clientY) / Math.max(before, 1));
};
const up = (e) => {
  touches.delete(e.pointerId);
  if (drag) {
    clearTimeout(drag.long);
    if (drag.kind === "edit") stroke("end", e);
  }
  drag = null;
};
const wheel = (e) => {
  const view = viewOf(e);
  if (view < 0 || !nv?.volumes.length) return;
  e.preventDefault();
  if (view === 3) {
    nv3.scene.volScaleMultiplier *= Math.exp(-e.deltaY / 500);
    nv3.drawScene();
  } else if (e.ctrlKey) {
    zoomAt(spot(e, view), Math.exp(-e.deltaY / 300));
  } else if (e.deltaY !== 0) {
    step(view, -Math.sign(e.deltaY));
  }
};

globalThis.viewer = {
  // mount puts canvases into the hosts and listens to the stage.
  async mount(aStage, host, host3, listener) {
    [stage, tell] = [aStage, listener];
    const made = new Niivue(options);
    fillTiles(made);
    await made.attachToCanvas(canvasIn(host));
    const made3 = new Niivue({ ...options, isRadiologicalConvention: false });
    await made3.attachToCanvas(canvasIn(host3));
    volume = new Volume(made, invalidate);
    made3.opts.sliceType = 4;
    [nv, nv3] = [made, made3];
    stage.addEventListener("pointerdown", down);
    stage.addEventListener("pointermove", move);
    stage.addEventListener("pointerup", up);
    stage.addEventListener("pointercancel", up);
    stage.addEventListener("pointerleave", () => tell("leave"));
    stage.addEventListener("wheel", wheel, { passive: false });
    stage.addEventListener("contextmenu", (e) => e.preventDefault());
    const seen = new ResizeObserver(place);
    seen.observe(stage);
    for (const e of stage.querySelectorAll(".vp")) seen.observe(e);
  },
  // show takes a NIfTI file, of which nothing is sent anywhere, and values that are black
  // and white. Its first picture takes longest, and the page would wait for it where it is
  // put together without a GPU: it is drawn unseen.
  async show(buffer, low, high) {
    this.surfaces([]);
    nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    nv.canvas.style.display = "none";
    try {
      if (!await volume.show(buffer)) return;
      dims = volume.grid.dims;
      volume.window(low, high);
      moveTo([0.5, 0.5, 0.5]);
      place();
      await new Promise(requestAnimationFrame); // after what place asks to be drawn
      await settled(nv.gl);
    } finally {
      nv.canvas.style.display = "";
    }
  },
  hide() {
    volume?.clear();
    this.surfaces([]);
  },
  window(low, high) {
    if (!nv?.volumes.length) return;
    volume.window(low, high);
    invalidate();
  },
  // labels lays a map over the scan; null: none.
  labels(bytes) {
    if (!nv?.volumes.length) return;
    volume.label(bytes);
    invalidate();
  },
  // part replaces labels from an offset on.
  part(offset, bytes) { volume?.part(offset, bytes); },
  // box replaces labels of a box, of which there may be none yet.
  box(x, y, z, w, h, d, buffer) {
    if (nv?.volumes.length) volume.box([x, y, z], [w, h, d], new Uint8Array(buffer));
  },
  // paint sets colours [256 RGBA], and how opaque fill and outline are; outline < 0: as fill.
  // Of A the six high bits are how opaque a label is beside others, the low ones its pattern.
  // Labels of hardly any fill are outlines alone.
  paint(lut, fill, outline) {
    if (!nv) return;
    nv.drawLut = { lut: new Uint8ClampedArray(lut), labels: [] };
    nv.drawOpacity = fill;
    nv.drawRimOpacity = outline;
    volume.line(fill < onlyLines ? devicePixelRatio : 0);
    nv.refreshColormaps();
    invalidate();
  },
  surfaces(list) {
    if (!nv3) return;
    while (nv3.meshes.length) nv3.removeMesh(nv3.meshes[0]);
    lines = new Map();
    for (const { value, color, buffer } of list) {
      const n = new Uint32Array(buffer, 0, 2);
      const points = new Float32Array(buffer, 8, 3 * n[0]), triangles = new Uint32Array(buffer, 8 + 12 * n[0], 3 * n[1]);
      const mesh = new NVMesh(points, triangles, String(value), new Uint8Array([...color, 255]), 1, true, nv3.gl);
      nv3.addMesh(mesh);
      lines.set(value, mesh);
    }
    place3();
  },
  surface(value, color, visible) {
    const m = lines.get(value);
    if (!m) return;
    m.visible = visible;
    m.rgba255 = new Uint8Array([...color, 255]);
    m.updateMesh(nv3.gl);
    nv3.drawScene();
  },
  redraw() { place(); },
  go(x, y, z) { moveTo([x, y, z].map((v, a) => (v + 0.5) / dims[a])); },
  step(view, n) { if (nv?.volumes.length) step(view, n); },
  zoom(factor) { if (nv?.volumes.length) zoomAt(nv.scene.crosshairPos, factor); },
  reset() {
    if (!nv?.volumes.length) return;
    nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    nv3.scene.volScaleMultiplier = 1;
    nv3.setRenderAzimuthElevation(110, 10);
    moveTo([0.5, 0.5, 0.5]);
  },
  radiological(yes) {
    if (!nv) return;
    nv.opts.isRadiologicalConvention = yes;
    invalidate();
  },
  tool(name) { tool = name; },
  // voxels copies the values of the scan.
  voxels() { return nv.volumes[0].img; },
  // picture is the planes as they are on the screen, and the surfaces, as PNG; notes, the
  // JSON of a page.Picture, are written on it.
  async picture(notes) {
    const host = stage.querySelector('.vp[data-view="3"]').getBoundingClientRect(), box = stage.getBoundingClientRect();
    const solid = { view: 3, x: host.left - box.left, y: host.top - box.top, w: host.width, h: host.height };
    const views = solid.w > 1 ? [...rects, solid] : rects;
    const out = picture(views, devicePixelRatio, notes && JSON.parse(notes), (g, left, top) => {
      const at = (v) => Math.round(v * devicePixelRatio);
      nv.drawScene();
      g.drawImage(nv.canvas, -at(left), -at(top));
      if (!nv3.meshes.length || solid.w < 2) return;
      nv3.drawScene();
      g.drawImage(nv3.canvas, at(solid.x - left), at(solid.y - top));
    });
    return new Promise((done) => out.toBlob(done, "image/png"));
  },
};

