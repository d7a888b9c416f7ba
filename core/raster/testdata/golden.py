"""Makes the files of this folder and expected.json, what Pillow 13 and tifffile read in them."""
import json, os
import numpy as np, tifffile
from PIL import Image

os.chdir(os.path.dirname(os.path.abspath(__file__)))
for f in os.listdir("."):
    if f.endswith((".png", ".tif")):
        os.remove(f)
y, x = np.mgrid[:5, :7]
grey8 = (30 * y + x).astype("uint8")
grey16 = (3000 * y + 1001 * x).astype("uint16")
rgb = np.stack([grey8, grey8[::-1], 255 - grey8], -1)
rgba = np.concatenate([rgb, (10 * x + y).astype("uint8")[..., None]], -1)
out = {}


def save(name, a, **k):
    if name.endswith(".tif"):
        tifffile.imwrite(name, a, **k)
        v = tifffile.imread(name)
    else:
        Image.fromarray(a).save(name)
        v = np.array(Image.open(name))
    out[name] = {"shape": list(v.shape[:2]), "channels": v.shape[2] if v.ndim == 3 else 1, "values": v.ravel().tolist()}


save("grey8.png", grey8)
save("grey16.png", grey16)
save("rgb.png", rgb)
save("rgba.png", rgba)
save("grey8.tif", grey8, photometric="minisblack")
save("grey16.tif", grey16, photometric="minisblack")
save("grey16_big.tif", grey16.astype(">u2"), byteorder=">", photometric="minisblack")
save("rgb.tif", rgb, photometric="rgb")
save("rgb_zlib.tif", rgb, photometric="rgb", compression="zlib")
for c in ["tiff_lzw", "packbits"]:
    for name, a in [("rgb", rgb), ("grey8", grey8)]:
        f = f"{name}_{c}.tif"
        Image.fromarray(a).save(f, compression=c)
        out[f] = {"shape": list(a.shape[:2]), "channels": a.shape[2] if a.ndim == 3 else 1, "values": np.array(Image.open(f)).ravel().tolist()}
p = Image.fromarray((x % 4).astype("uint8"), "P")
p.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
p.save("palette.png")
out["palette.png"] = {"shape": [5, 7], "channels": 3, "values": np.array(p.convert("RGB")).ravel().tolist(), "labels": np.array(p).ravel().tolist()}
tifffile.imwrite("pages.tif", np.stack([grey8, grey8]), photometric="minisblack")
tifffile.imwrite("float.tif", grey8.astype("float32"), photometric="minisblack")
json.dump(out, open("expected.json", "w"))
