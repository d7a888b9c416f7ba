"""Makes the files of this folder and expected.json, what nibabel 5.4.2 reads in them."""
import hashlib, json, os
import nibabel as nib, numpy as np

os.chdir(os.path.dirname(os.path.abspath(__file__)))
x, y, z = np.meshgrid(range(4), range(3), range(2), indexing="ij")
ramp = x + 10 * y + 100 * z
c, s = np.cos(0.3), np.sin(0.3)
affine = np.array([[-0.9 * c, 1.1 * s * 0.8, 2.5 * s * 0.6, 4], [0.9 * s, 1.1 * c * 0.8, 2.5 * c * 0.6, -5.5], [0, -1.1 * 0.6, 2.5 * 0.8, 60.25], [0, 0, 0, 1]])
out = {}


def save(name, a, m=affine):
    nib.save(nib.MGHImage(a, m), name)


for t in ["uint8", "int16", "int32", "float32", "uint16"]:
    try:
        save(f"{t}.mgh", (ramp / (7 if t[0] == "f" else 1)).astype(t))
    except Exception as e:  # nibabel writes no uint16
        print(t, e)
save("zipped.mgz", ramp.astype("int16") - 50)
save("frames.mgz", np.stack([ramp, ramp + 1, ramp + 2], -1).astype("float32"))
b = bytearray(open("int16.mgh", "rb").read())
b[28:30] = b"\0\0"
open("unplaced.mgh", "wb").write(b)
for f in sorted(f for f in os.listdir(".") if ".mg" in f):
    im = nib.load(f)
    v = np.asarray(im.dataobj).astype("<f8")
    out[f] = {"shape": list(im.shape[:3]), "channels": int(np.prod(im.shape[3:])), "affine": im.affine.tolist(),
              "sha256_f64le": hashlib.sha256(v.tobytes(order="F")).hexdigest(), "sum": v.sum()}
json.dump(out, open("expected.json", "w"), indent=1, default=lambda v: v.item())
