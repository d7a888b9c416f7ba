"""Makes the files of this folder and expected.json, what pynrrd, SimpleITK and
slicerio read in them. Versions used: pynrrd 1.1.3, SimpleITK 2.5.7, slicerio 1.4.0.

The two .seg.nrrd of 3D Slicer come from slicerio's data (MIT, Copyright (c) 2021
Andras Lasso)."""
import glob, hashlib, json, os, shutil
import nrrd, numpy as np, SimpleITK as sitk, slicerio

HERE = os.path.dirname(os.path.abspath(__file__))
os.chdir(HERE)
for f in glob.glob("*.nrrd") + glob.glob("*.nhdr") + glob.glob("*.raw*") + glob.glob("*.txt"):
    os.remove(f)

lps = {"space": "left-posterior-superior", "space directions": np.array([[0.7, 0, 0.1], [0, 0.8, 0], [-0.2, 0, 1.5]]),
       "space origin": np.array([-10.5, 20.25, 3]), "kinds": ["domain"] * 3}
x, y, z = np.meshgrid(range(4), range(3), range(2), indexing="ij")
ramp = x + 10 * y + 100 * z  # fits int8 to 121 with the offset below

for name, code in [("int8", "i1"), ("uint8", "u1"), ("int16", "i2"), ("uint16", "u2"), ("int32", "i4"), ("uint32", "u4"),
                   ("int64", "i8"), ("uint64", "u8"), ("float", "f4"), ("double", "f8")]:
    for order in "<>":
        a = (ramp * (-1 if name[0] in "ifd" else 1)).astype(order + code)
        if name in ("float", "double"):
            a = (a / 7).astype(order + code)
        if a.dtype.itemsize > 1 or order == "<":
            nrrd.write(f"{name}_{'big' if order == '>' else 'little'}.nrrd", a, {**lps, "encoding": "raw"})
a = ramp.astype("<i2") - 50
for e in ["gzip", "bzip2", "ascii"]:
    nrrd.write(f"encoding_{e}.nrrd", a, {**lps, "encoding": e})
nrrd.write("detached_raw.nhdr", a, {**lps, "encoding": "raw"}, detached_header=True)
nrrd.write("detached_gzip.nhdr", a, {**lps, "encoding": "gzip"}, detached_header=True)
for s in ["right-anterior-superior", "left-anterior-superior", "LPS", "scanner-xyz"]:
    nrrd.write(f"space_{s}.nrrd", a, {**lps, "space": s, "encoding": "raw"})
nrrd.write("spacings.nrrd", a, {"spacings": [0.5, 0.75, 3], "encoding": "raw"})

im = sitk.GetImageFromArray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
im.SetSpacing((0.9, 1.1, 2.5)); im.SetOrigin((1, -2, 30.5))
c, s = np.cos(0.3), np.sin(0.3)
im.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
sitk.WriteImage(im, "itk.nrrd", useCompression=True)
sitk.WriteImage(sitk.Compose(im, im * 2, im - 7), "itk_vector.nrrd")
im2 = im[:, :, 1]
sitk.WriteImage(im2, "itk_2d.nrrd")

head = "NRRD0005\n# by hand\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 3 2\n" \
       "space directions: (1,0,0) (0, 1, 0) (0,0,2)\nkinds: domain domain domain\nendian: little\nspace origin: (1,2,3)\n"
for k in range(2):
    open(f"slice{k + 1:02d}.raw", "wb").write(a[:, :, k].tobytes(order="F"))
open("list.nhdr", "w").write(head + "encoding: raw\ndata file: LIST\nslice01.raw\nslice02.raw\n")
open("numbered.nhdr", "w").write(head + "encoding: raw\ndata file: slice%02d.raw 1 2 1\n")
open("skip_end.nrrd", "wb").write((head + "encoding: raw\nbyte skip: -1\n\nrubbish in between").encode() + a.tobytes(order="F"))
open("skip.raw", "wb").write(b"two\nlines\nxyz" + a.tobytes(order="F"))
open("skip.nhdr", "w").write(head + "encoding: raw\nline skip: 2\nbyte skip: 3\ndata file: skip.raw\n")
open("crlf.nrrd", "wb").write((head + "encoding: text\n\n").replace("\n", "\r\n").encode() + " ".join(map(str, a.ravel(order="F"))).encode())

data = os.path.join(os.path.dirname(slicerio.__file__), "data")
shutil.copy(os.path.join(data, "Segmentation.seg.nrrd"), "slicer.seg.nrrd")
shutil.copy(os.path.join(data, "SegmentationOverlapping.seg.nrrd"), "slicer_overlapping.seg.nrrd")


def facts(f):
    """Shape, channels, affine (RAS+) and values (channel fastest, then x) as SimpleITK reads them."""
    im = sitk.ReadImage(f)
    n = im.GetDimension()
    v = sitk.GetArrayFromImage(im).astype(np.float64)
    if n == 4:  # ITK's fourth axis of space is no axis of ours
        return None
    d = np.array(im.GetDirection()).reshape(n, n) * np.array(im.GetSpacing())
    m = np.eye(4)
    m[:n, :n] = d
    m[:n, 3] = im.GetOrigin()
    m[:2] *= -1
    if n == 2:
        m[2, 2] = 1
    return {"shape": list(im.GetSize()) + [1] * (3 - n), "channels": im.GetNumberOfComponentsPerPixel(),
            "affine": m.tolist(), "sha256_f64le": hashlib.sha256(v.astype("<f8").tobytes()).hexdigest(), "sum": v.sum()}


out = {"files": {}, "segments": {}}
for f in sorted(glob.glob("*.nrrd") + glob.glob("*.nhdr")):
    if f == "slicer_overlapping.seg.nrrd":
        v, h = nrrd.read(f)
        out["files"][f] = {"shape": list(v.shape[1:]), "channels": v.shape[0], "affine": None,
                           "sha256_f64le": hashlib.sha256(np.asfortranarray(v).astype("<f8").tobytes(order="F")).hexdigest(), "sum": float(v.sum())}
    else:  # ITK has no bzip2; pynrrd below says that the values are the same
        out["files"][f] = facts(f.replace("bzip2", "gzip"))
    try:  # pynrrd is a second judge where it can read
        v, _ = nrrd.read(f)
        assert abs(v.astype(float).sum() - out["files"][f]["sum"]) < 1e-9, f
    except (nrrd.NRRDError, ValueError, OSError) as e:
        print(f, "not read by pynrrd:", e)
for f in ["slicer.seg.nrrd", "slicer_overlapping.seg.nrrd"]:
    s = slicerio.read_segmentation(f)
    out["segments"][f] = [{k: g.get(k) for k in ["id", "name", "labelValue", "layer", "color", "extent", "nameAutoGenerated", "colorAutoGenerated"]}
                          | {"voxels": int((np.take(s["voxels"], g["layer"], 0) if s["voxels"].ndim == 4 else s["voxels"]).__eq__(g["labelValue"]).sum())}
                          for g in s["segments"]]
json.dump(out, open("expected.json", "w"), indent=1)
