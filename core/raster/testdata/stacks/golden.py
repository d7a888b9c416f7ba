"""Makes the files of this folder and expected.json: shape, type and a hash of the values (float32, little-endian) that tifffile 2026.3 reads in them."""
import hashlib, json, os
import numpy as np, tifffile
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
for f in os.listdir("."):
    if f.endswith((".tif", ".json")):
        os.remove(f)
z, y, x = np.mgrid[:4, :20, :37]
u8 = ((7 * z + 3 * y + x) % 251).astype("u1")
u16 = (9000 * z + 400 * y + 11 * x).astype("u2")
f32 = (u16 / 7 - 1000).astype("f4")
labels = ((x // 9 + y // 7 + z) % 3).astype("u1")
out = {}


def save(name, a, **k):
    k = {"photometric": "minisblack", **k}
    tifffile.imwrite(name, a, **k)
    note(name)


def note(name):
    v = tifffile.imread(name)
    out[name] = {"shape": list(v.shape), "type": str(v.dtype), "sha256": hashlib.sha256(v.astype("<f4").tobytes()).hexdigest()}


save("u8.tif", u8)
save("i16_big_endian.tif", (u16.astype("i4") - 20000).astype("i2"), byteorder=">")
save("u16_zlib.tif", u16, compression="zlib", rowsperstrip=6)
save("u16_zlib_predictor.tif", u16, compression="zlib", predictor=2)
save("i32_lzw_predictor_big_endian.tif", u16.astype("i4") * -70001, byteorder=">", compression="lzw", predictor=2)
save("f32.tif", f32)
save("f32_zlib_predictor.tif", f32, compression="zlib", predictor=3, rowsperstrip=7)
save("f64_big_endian_predictor.tif", f32.astype("f8") / 3, byteorder=">", compression="zlib", predictor=3)
save("i64.tif", u16.astype("i8") - 5)
save("u32_tiles.tif", u16.astype("u4") * 60000, tile=(16, 16), compression="zlib", predictor=2)
save("u8_tiles_wide.tif", u8, tile=(16, 48))
save("bigtiff.tif", u16, bigtiff=True, compression="zlib")
save("bigtiff_big_endian.tif", f32, bigtiff=True, byteorder=">")
save("bigtiff_one_page.tif", u16[0], bigtiff=True)
save("packbits.tif", labels, compression="packbits")
save("imagej.tif", u16, imagej=True, metadata={"axes": "ZYX", "spacing": 2.0})
save("ome.tif", u16, ome=True, metadata={"axes": "ZYX"})
save("truncated.tif", u8, metadata={}, **{"truncate": True})
save("one_float.tif", f32[0])
save("palette.tif", labels, photometric="palette", colormap=np.arange(768, dtype="u2").reshape(3, 256))
Image.fromarray(u8[0] > 60).save("one_bit.tif", compression=None)
note("one_bit.tif")
first, *more = [Image.fromarray(p > 60) for p in u8]
first.save("bits.tif", save_all=True, append_images=more)
note("bits.tif")
# As ImageJ writes more than 4 GB: one directory, and all slices behind each other.
tifffile.imwrite("imagej_one_directory.tif", u16.astype(">u2"), imagej=True, photometric="minisblack", metadata={"axes": "ZYX"})
b = bytearray(open("imagej_one_directory.tif", "rb").read())
with tifffile.TiffFile("imagej_one_directory.tif") as t:
    p = t.pages[0]
    end = p.offset + 2 + 12 * len(p.tags)  # of the entries: no other directory
b[end : end + 4] = b"\0\0\0\0"
open("imagej_one_directory.tif", "wb").write(b)
note("imagej_one_directory.tif")
# Refused.
for name, a, k in [
    ("bad_channels.tif", np.stack([u8, u8], 1), {"imagej": True, "metadata": {"axes": "ZCYX"}}),
    ("bad_ome_channels.tif", np.stack([u8, u8]), {"ome": True, "metadata": {"axes": "CZYX"}}),
    ("bad_four_axes.tif", np.stack([u8, u8]), {}),
    ("bad_colours.tif", np.stack([u8, u8, u8], -1), {"photometric": "rgb", "metadata": None}),
    ("bad_planar.tif", np.stack([u8[0], u8[0], u8[0]]), {"photometric": "rgb", "planarconfig": "separate"}),
    ("bad_volumetric.tif", np.zeros((16, 16, 16), "u1"), {"tile": (16, 16, 16), "volumetric": True}),
    ("bad_half.tif", f32.astype("f2"), {}),
    ("bad_zstd.tif", u8, {"compression": "zstd"}),
]:
    tifffile.imwrite(name, a, **{"photometric": "minisblack", **k})
with tifffile.TiffWriter("bad_pages.tif") as w:
    w.write(u8[0], photometric="minisblack", metadata=None)
    w.write(u8[0, ::2, ::2], photometric="minisblack", metadata=None, subfiletype=1)
json.dump(out, open("expected.json", "w"), indent=0)
