// Scan and labels on the GPU: a texture of 16-bit floats and one of bytes, of which a
// pixel is made where it is drawn. NiiVue by itself makes colours of the whole scan,
// anew for each window, and gradients that only volume rendering needs.
//
// The one idea: what is large goes to the GPU in pieces, each after the one before is
// done, so that the page answers in between.
import { NVImage } from "@niivue/niivue";

const pieceBytes = 4 << 20; // as floats; a few ms
const offset = 352; // of the voxels in a NIfTI file
const scanUnit = 0, labelUnit = 7, spare = 9; // NiiVue's units of textures, and one it uses only for its own volumes

const fragment = `#version 300 es
precision highp int;
precision highp float;
uniform highp sampler3D volume;
uniform highp sampler3D drawing;
uniform highp sampler2D colormap;
uniform float low;
uniform float high;
uniform float drawOpacity;
uniform float drawRimOpacity;
uniform float pixel; // pixels of the screen in a sixteenth of the page's own size, for patterns
uniform float line; // pixels of the screen in one of the page, for outlines; 0: for fills
in vec3 texPos;
out vec4 color;
// colourOf a label, and how it is filled: in the two low bits of its opacity.
vec4 colourOf(float label, out int pattern) {
  vec4 c = texelFetch(colormap, ivec2(int(label * 255.0 + 0.5), textureSize(colormap, 0).y - 1), 0);
  int a = int(c.a * 255.0 + 0.5);
  pattern = a & 3;
  return vec4(c.rgb, float(a >> 2) / 63.0);
}
bool unseen(float label) {
  int pattern;
  return label == 0.0 || colourOf(label, pattern).a == 0.0;
}
// patterned is a colour with stripes that stand in the screen, however large voxels are:
// 1 falling, 2 rising, 3 both. They are darker where the colour is bright, else brighter.
vec3 patterned(vec3 c, int pattern) {
  vec2 at = floor(gl_FragCoord.xy / pixel);
  bool falls = mod(at.x + at.y, 6.0) < 3.0, rises = mod(at.x - at.y, 6.0) < 3.0;
  if (pattern == 3) { // thinner, or there would be more stripes than ground
    falls = mod(at.x + at.y, 8.0) < 2.0;
    rises = mod(at.x - at.y, 8.0) < 2.0;
  }
  if (!((pattern & 1) != 0 && falls || (pattern & 2) != 0 && rises)) return c;
  return dot(c, vec3(0.299, 0.587, 0.114)) > 0.6 ? 0.4 * c : mix(c, vec3(1.0), 0.65);
}
// beside is another label some pixels away in one of eight directions that is seen, or
// any other for one that is; −1: there is none.
float beside(float label, bool seen, float pixels, vec3 dx, vec3 dy) {
  for (int i = 0; i < 8; i++) {
    float a = float(i) * 0.78539816;
    float other = texture(drawing, texPos + pixels * (cos(a) * dx + sin(a) * dy)).r;
    if (other != label && (seen || !unseen(other))) return other;
  }
  return -1.0;
}
void main() {
  color = vec4(vec3(clamp((texture(volume, texPos).r - low) / (high - low), 0.0, 1.0)), 1.0);
  vec3 dx = dFdx(texPos), dy = dFdy(texPos);
  float label = texture(drawing, texPos).r;
  int pattern = 0;
  vec4 c = label == 0.0 ? vec4(0.0) : colourOf(label, pattern);
  bool seen = c.a > 0.0;
  c.rgb = patterned(c.rgb, pattern);
  if (line > 0.0) { // two pixels of colour between one of black on either side
    if (seen && (beside(label, true, line, dx, dy) >= 0.0 || beside(label, true, 2.0 * line, dx, dy) >= 0.0)) color.rgb = c.rgb;
    else if (beside(label, seen, seen ? 3.0 * line : line, dx, dy) >= 0.0) color.rgb = vec3(0.0);
    return;
  }
  if (label == 0.0) return;
  bool rim = texture(drawing, texPos - dx).r != label || texture(drawing, texPos + dx).r != label ||
    texture(drawing, texPos - dy).r != label || texture(drawing, texPos + dy).r != label;
  color.rgb = mix(color.rgb, c.rgb, !seen ? 0.0 : rim && drawRimOpacity >= 0.0 ? drawRimOpacity : c.a * drawOpacity);
}`;

// settled waits, with the page answering, until the GPU has done what it was told.
export const settled = (gl) => new Promise((done) => {
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  const look = () => {
    if (gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) return void setTimeout(look, 2);
    gl.deleteSync(fence);
    done();
  };
  setTimeout(look);
});

// grid is how voxels lie in a texture: of an axis that is longer than textures may be,
// each n-th is taken.
const gridOf = (gl, dims) => {
  const most = gl.getParameter(gl.MAX_3D_TEXTURE_SIZE);
  const step = dims.map((n) => Math.ceil(n / most));
  return { dims, step, size: dims.map((n, a) => Math.ceil(n / step[a])) };
};

// roomFor makes a texture, without a word on whether there was memory for it.
const roomFor = (gl, format, filter, size) => {
  const t = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + spare);
  gl.bindTexture(gl.TEXTURE_3D, t);
  for (const p of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, p, filter);
  for (const p of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(gl.TEXTURE_3D, p, gl.CLAMP_TO_EDGE);
  while (gl.getError() !== gl.NO_ERROR); // those of others
  gl.texStorage3D(gl.TEXTURE_3D, 1, format, ...size);
  return t;
};

// checked is a texture for which there was memory: the GPU is asked, and waited for.
const checked = (gl, t, size) => {
  if (gl.getError() === gl.NO_ERROR) return t;
  gl.deleteTexture(t);
  throw new Error(`the graphics memory has no room for an image of ${size.join(" × ")} voxels: close other pages, or open a smaller scan`);
};

// slices are n slices of values from the z-th of the texture on.
const slices = (values, { dims: [w, h], step: [sx, sy, sz], size: [tw, th] }, z, n) => {
  if (sx * sy * sz === 1) return values.subarray(z * w * h, (z + n) * w * h);
  const out = new values.constructor(n * tw * th);
  for (let k = 0, i = 0; k < n; k++) {
    for (let y = 0; y < th; y++) {
      for (let x = 0, at = ((z + k) * sz * h + y * sy) * w; x < tw; x++, at += sx) out[i++] = values[at];
    }
  }
  return out;
};

const put = (gl, texture, grid, type, z, part) => {
  gl.activeTexture(gl.TEXTURE0 + spare);
  gl.bindTexture(gl.TEXTURE_3D, texture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  const [w, h] = grid.size;
  gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, z, w, h, part.length / (w * h), gl.RED, type, part);
};

const atOnce = ({ size: [w, h] }) => Math.max(1, Math.floor(pieceBytes / (4 * w * h)));

// unitOf is what values are divided by, for halves to hold them: 1 where they do.
const unitOf = async (values) => {
  const most = 65504; // the largest half
  if (values instanceof Int16Array) return 1;
  let largest = 0;
  for (let i = 0; i < values.length;) {
    for (const end = Math.min(i + pieceBytes / 4, values.length); i < end; i++) {
      const v = Math.abs(values[i]);
      if (v > largest && v < Infinity) largest = v;
    }
    await new Promise((done) => setTimeout(done));
  }
  return largest > 1 && largest <= most || largest === 0 ? 1 : largest / 32768;
};

// imageOf is NiiVue's image of a NIfTI file of the worker's: made of the header, and
// then given the voxels where they are.
const imageOf = async (buffer) => {
  const head = new Uint8Array(offset + 4);
  head.set(new Uint8Array(buffer, 0, offset));
  const short = new DataView(head.buffer);
  const dims = [1, 2, 3].map((i) => short.getInt16(40 + 2 * i, true));
  for (let i = 1; i <= 3; i++) short.setInt16(40 + 2 * i, 1, true);
  const image = await NVImage.loadFromUrl({ url: "scan.nii", name: "scan.nii", buffer: head.buffer, colormap: "gray" });
  dims.forEach((n, i) => { image.hdr.dims[i + 1] = n; });
  image.img = image.hdr.datatypeCode === 4 ? new Int16Array(buffer, offset) : new Float32Array(buffer, offset);
  image.nVox3D = image.img.length;
  image.calculateRAS();
  return image;
};

// boxOf is what NiiVue asks of the box of a scan where only slices are drawn.
const boxOf = (image) => {
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((c) => image.vox2mm([0, 1, 2].map((a) => (c >> a & 1 ? image.dimsRAS[a + 1] : 0) - 0.5), image.matRAS));
  const of = (f) => [0, 1, 2].map((a) => f(...corners.map((c) => c[a])));
  const extentsMin = of(Math.min), extentsMax = of(Math.max);
  return {
    extentsMin, extentsMax, furthestVertexFromOrigin: Math.hypot(...extentsMax.map((v, a) => v - extentsMin[a])) / 2,
    originNegate: extentsMin.map((v, a) => -(v + extentsMax[a]) / 2), fieldOfViewDeObliqueMM: [1, 2, 3].map((a) => image.dimsRAS[a] * image.pixDimsRAS[a]),
  };
};

// Volume draws a scan and its labels in the slices of a Niivue.
export class Volume {
  constructor(nv, changed) {
    Object.assign(this, { nv, changed, gl: nv.gl, none: nv.drawTexture, labels: null });
    nv.setCustomSliceShader(fragment);
    nv.refreshLayers = (image) => this.place(image);
  }

  // place tells NiiVue where the scan is.
  place(image) {
    const { nv } = this;
    nv.volumeObject3D = boxOf(image);
    nv.back.matRAS = image.matRAS;
    nv.back.dims = image.dimsRAS;
    nv.back.pixDims = image.pixDimsRAS;
    const { volScale, vox } = nv.sliceScale(true);
    Object.assign(nv, { volScale, vox });
    nv.volumeObject3D.scale = Array.from(volScale);
  }

  // show puts a scan on the GPU; false: another one came meanwhile.
  async show(buffer) {
    const { gl, nv } = this;
    this.clear();
    const image = this.image = await imageOf(buffer);
    const unit = await unitOf(image.img);
    const grid = gridOf(gl, image.hdr.dims.slice(1, 4)), n = atOnce(grid);
    await settled(gl); // then it has an answer at once
    if (this.image !== image) return false;
    const made = roomFor(gl, gl.R16F, gl.LINEAR, grid.size);
    await settled(gl);
    const texture = checked(gl, made, grid.size);
    for (let z = 0; z < grid.size[2]; z += n) {
      const part = new Float32Array(slices(image.img, grid, z, Math.min(n, grid.size[2] - z)));
      if (unit !== 1) part.forEach((v, i) => { part[i] = v / unit; });
      put(gl, texture, grid, gl.FLOAT, z, part);
      await settled(gl);
      if (this.image !== image) {
        gl.deleteTexture(texture);
        return false;
      }
    }
    Object.assign(this, { unit, grid, texture });
    nv.volumeTexture = texture;
    this.bind(scanUnit, texture);
    nv.addVolume(image);
    return true;
  }

  bind(unit, texture) {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit);
    this.gl.bindTexture(this.gl.TEXTURE_3D, texture);
  }

  // clear forgets scan and labels.
  clear() {
    this.label(null);
    this.image = null;
    while (this.nv.volumes.length) this.nv.removeVolume(this.nv.volumes[0]);
    this.gl.deleteTexture(this.texture ?? null);
    this.texture = null;
  }

  window(low, high) {
    const s = this.nv.customSliceShader;
    s.use(this.gl);
    this.gl.uniform1f(s.uniforms.low, low / this.unit);
    this.gl.uniform1f(s.uniforms.high, high / this.unit);
  }

  // line draws labels as outlines, of pixels of the page that have so many of the screen;
  // 0: as fills.
  line(pixels) {
    const s = this.nv.customSliceShader;
    s.use(this.gl);
    this.gl.uniform1f(s.uniforms.line, pixels);
  }

  // pixel tells how many pixels of the screen are in a sixteenth of the page's own size.
  pixel(pixels) {
    const s = this.nv.customSliceShader;
    s.use(this.gl);
    this.gl.uniform1f(s.uniforms.pixel, pixels);
  }

  // label lays bytes over the scan, which are the Volume's to keep; null: none.
  label(bytes) {
    const { gl, nv } = this;
    if (!bytes) {
      if (this.labels) gl.deleteTexture(nv.drawTexture);
      this.labels = this.stale = null;
      nv.drawTexture = this.none;
    } else {
      if (!this.labels) nv.drawTexture = checked(gl, roomFor(gl, gl.R8, gl.NEAREST, this.grid.size), this.grid.size);
      this.labels = bytes;
      this.renew(0, bytes.length);
    }
    this.bind(labelUnit, nv.drawTexture);
  }

  // part replaces labels from an offset on.
  part(at, bytes) {
    if (!this.labels) return;
    this.labels.set(bytes, at);
    this.renew(at, at + bytes.length);
  }

  // box replaces labels of a box, of which there may be none yet.
  box([x, y, z], [w, h, d], bytes) {
    const [dx, dy, dz] = this.grid.dims;
    if (!this.labels) this.label(new Uint8Array(dx * dy * dz));
    for (let k = 0; k < d; k++) {
      for (let j = 0; j < h; j++) {
        this.labels.set(bytes.subarray((k * h + j) * w, (k * h + j + 1) * w), ((z + k) * dy + y + j) * dx + x);
      }
    }
    this.renew(z * dx * dy, (z + d) * dx * dy);
  }

  // renew puts the slices of some labels on the GPU.
  async renew(from, to) {
    const { size, dims, step } = this.grid, slice = dims[0] * dims[1] * step[2];
    const running = this.stale;
    this.stale ??= new Uint8Array(size[2]);
    this.stale.fill(1, Math.floor(from / slice), Math.ceil(to / slice));
    if (running) return;
    const { stale, gl, nv } = this, most = 4 * atOnce(this.grid); // bytes, not floats
    for (let z = stale.indexOf(1); z >= 0 && this.stale === stale; z = stale.indexOf(1)) {
      let n = 1;
      while (n < most && stale[z + n]) n++;
      stale.fill(0, z, z + n);
      put(gl, nv.drawTexture, this.grid, gl.UNSIGNED_BYTE, z, slices(this.labels, this.grid, z, n));
      await settled(gl);
      this.changed();
    }
    if (this.stale === stale) this.stale = null;
  }
}
