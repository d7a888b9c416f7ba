"""Makes the files of this folder and expected.json, what nibabel 5.4.2 reads in them."""
import hashlib, json, os
import nibabel as nib, numpy as np

os.chdir(os.path.dirname(os.path.abspath(__file__)))
for f in os.listdir("."):
    if ".hdr" in f or ".img" in f or f.endswith(".mat"):
        os.remove(f)
x, y, z = np.meshgrid(range(4), range(3), range(2), indexing="ij")
ramp = x + 10 * y + 100 * z
affine = np.diag([-0.9, 1.1, 2.5, 1])
for t in ["uint8", "int16", "int32", "float32", "float64"]:
    a = (ramp / (7 if t[0] == "f" else 1)).astype(t)
    for order in ["<", ">"] if t == "int16" else ["<"]:
        h = nib.AnalyzeHeader(endianness=order)
        h.set_data_dtype(t)
        nib.AnalyzeImage(a, affine, h).to_filename(f"{t}{'_big' if order == '>' else ''}.img")
nib.AnalyzeImage((ramp - 50).astype("int16"), affine).to_filename("zipped.img.gz")
nib.AnalyzeImage(np.stack([ramp, ramp + 1], -1).astype("int16"), affine).to_filename("4d.img")
h = nib.Spm99AnalyzeHeader()
h.set_data_dtype("int16")
im = nib.Spm99AnalyzeImage((ramp / 7).astype("float32"), affine, h)
im.to_filename("spm.img")
h = nib.AnalyzeHeader()
b = bytearray(open("spm.hdr", "rb").read())
b[253:259] = np.array([2, 1, 2], "<i2").tobytes()
open("origin.hdr", "wb").write(b)
open("origin.img", "wb").write(open("spm.img", "rb").read())
b = bytearray(open("int16.hdr", "rb").read())
b[124:132] = np.array([0.8, 0.2], "<f4").tobytes()
b[140:148] = np.array([110, 10], "<i4").tobytes()
open("range.hdr", "wb").write(b)
open("range.img", "wb").write(open("int16.img", "rb").read())
for f in os.listdir("."):
    if f.endswith(".mat"):
        os.remove(f)
out = {}
for f in sorted(f for f in os.listdir(".") if ".hdr" in f):
    im = nib.load(f)
    v = np.asarray(im.dataobj).astype("<f8")
    out[f] = {"shape": list(im.shape[:3]), "channels": int(np.prod(im.shape[3:])), "affine": im.affine.tolist(), "values": v.ravel(order="F").tolist()}
json.dump(out, open("expected.json", "w"), default=lambda v: v.item())
