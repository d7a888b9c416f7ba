// The labels over a scan: here, a byte a voxel, and as a texture of NiiVue, which would
// make copies to undo, and look through and send all voxels with every change.
export class Layer {
  constructor(nv) {
    this.nv = nv;
    this.bytes = null; // x fastest
  }

  // set replaces all labels; null: there are none.
  set(bytes) {
    if (bytes) {
      this.begin();
      this.bytes.set(bytes);
      this.send([0, 0, 0], this.shape, this.bytes);
      return;
    }
    if (this.bytes) this.nv.closeDrawing();
    this.bytes = null;
  }

  // part replaces labels from an offset on.
  part(offset, bytes) {
    if (!this.bytes) return;
    this.bytes.set(bytes, offset);
    const [w, h] = this.shape, plane = w * h;
    const first = Math.floor(offset / plane), end = Math.ceil((offset + bytes.length) / plane);
    this.send([0, 0, first], [w, h, end - first], this.bytes.subarray(first * plane, end * plane));
  }

  // box replaces labels of a box by dense ones.
  box([x, y, z], [w, h, d], bytes) {
    this.begin();
    for (let k = 0; k < d; k++) {
      for (let j = 0; j < h; j++) {
        const row = (k * h + j) * w;
        this.bytes.set(bytes.subarray(row, row + w), ((z + k) * this.shape[1] + y + j) * this.shape[0] + x);
      }
    }
    this.send([x, y, z], [w, h, d], bytes);
  }

  // begin makes labels of background, unless there are some.
  begin() {
    if (this.bytes) return;
    const { nv } = this;
    this.shape = nv.back.dims.slice(1, 4);
    this.bytes = nv.drawBitmap = new Uint8Array(this.shape[0] * this.shape[1] * this.shape[2]);
    nv.drawTexture = nv.r8Tex(nv.drawTexture, nv.gl.TEXTURE7, nv.back.dims);
  }

  send([x, y, z], [w, h, d], bytes) {
    const { gl, drawTexture } = this.nv;
    gl.activeTexture(gl.TEXTURE7);
    gl.bindTexture(gl.TEXTURE_3D, drawTexture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, x, y, z, w, h, d, gl.RED, gl.UNSIGNED_BYTE, bytes);
  }
}
