"""Makes the files of this folder and expected.json, what SimpleITK 2.5.7 reads in them."""
import glob, gzip, hashlib, json, os, zlib
import numpy as np, SimpleITK as sitk

HERE = os.path.dirname(os.path.abspath(__file__))
os.chdir(HERE)
for f in glob.glob("*.m?[ad]") + glob.glob("*raw"):
    os.remove(f)
x, y, z = np.meshgrid(range(4), range(3), range(2), indexing="ij")
ramp = x + 10 * y + 100 * z
c, s = np.cos(0.3), np.sin(0.3)


def place(im):
    im.SetSpacing((0.9, 1.1, 2.5)); im.SetOrigin((1, -2, 30.5)); im.SetDirection((c, -s, 0, s * 0.8, c * 0.8, -0.6, s * 0.6, c * 0.6, 0.8))
    return im


for t in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]:
    a = (ramp * (1 if t[0] == "u" else -1)).astype(t)
    if t[0] == "f":
        a = (a / 7).astype(t)
    im = place(sitk.GetImageFromArray(a.T))
    sitk.WriteImage(im, f"{t}.mha")
    if t in ["int16", "float32"]:
        sitk.WriteImage(im, f"{t}_zlib.mha", useCompression=True)
        sitk.WriteImage(im, f"{t}_pair.mhd")
        sitk.WriteImage(im, f"{t}_zpair.mhd", useCompression=True)
        sitk.WriteImage(sitk.Compose(im, im * 2, im - 7), f"{t}_vector.mha")
        sitk.WriteImage(im[:, :, 1], f"{t}_2d.mha")
a = ramp.astype("<i2") - 50
head = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\n"
big = a.astype(">i2").tobytes(order="F")
little = a.tobytes(order="F")
open("big.mha", "wb").write((head + "BinaryDataByteOrderMSB = True\nElementSpacing = 0.5 1 2\nElementDataFile = LOCAL\n").encode() + big)
open("big_element.mha", "wb").write((head + "ElementByteOrderMSB = True\nElementSize = 0.5 1 2\nPosition = 3 2 1\nElementDataFile = LOCAL\n").encode() + big)
open("crlf.mha", "wb").write((head + "BinaryData = True\nCenterOfRotation = 1 2 3\nAnatomicalOrientation = LPI\nElementDataFile = LOCAL\n").replace("\n", "\r\n").encode() + little)
open("text.mha", "wb").write((head + "BinaryData = False\nElementDataFile = LOCAL\n").encode() + " ".join(map(str, a.ravel(order="F"))).encode() + b"\n")
open("gzip.mha", "wb").write((head + "CompressedData = True\nCompressedDataSize = %d\nElementDataFile = LOCAL\n" % len(gzip.compress(little, mtime=0))).encode() + gzip.compress(little, mtime=0))
for k in range(2):
    open(f"slice{k + 1}.raw", "wb").write(b"head" + a[:, :, k].tobytes(order="F"))
open("list.mhd", "w").write(head + "HeaderSize = 4\nElementDataFile = LIST\nslice1.raw\nslice2.raw\n")
open("numbered.mhd", "w").write(head + "HeaderSize = -1\nElementDataFile = slice%d.raw 1 2 1\n")
open("skip_end.mhd", "w").write(head + "HeaderSize = -1\nElementDataFile = skip_end.raw\n")
open("skip_end.raw", "wb").write(b"some bytes" + little)
open("long.mha", "wb").write(head.replace("SHORT", "LONG").encode() + b"ElementDataFile = LOCAL\n" + a.astype("<i4").tobytes(order="F"))
open("4d.mha", "wb").write(b"ObjectType = Image\nNDims = 4\nDimSize = 4 3 1 2\nElementSpacing = 1 2 3 4\nOffset = 5 6 7 8\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + little)


def facts(f):
    """Shape, channels, affine (RAS+) and values as SimpleITK reads them."""
    im = sitk.ReadImage(f)
    n = im.GetDimension()
    v = sitk.GetArrayFromImage(im).astype("<f8")
    d = np.array(im.GetDirection()).reshape(n, n) * np.array(im.GetSpacing())
    m = np.eye(4)
    k = min(n, 3)
    m[:k, :k] = d[:k, :k]
    m[:k, 3] = im.GetOrigin()[:k]
    m[:2] *= -1
    size = list(im.GetSize())
    return {"shape": (size + [1])[:3], "channels": im.GetNumberOfComponentsPerPixel() * int(np.prod(size[3:])),
            "affine": m.tolist(), "sha256_f64le": hashlib.sha256(v.tobytes()).hexdigest(), "sum": v.sum()}


out = {}
for f in sorted(glob.glob("*.mh[ad]")):
    try:
        out[f] = facts(f)
    except RuntimeError as e:
        print(f, "not read:", str(e).splitlines()[-2:])
json.dump(out, open("expected.json", "w"), indent=1)
