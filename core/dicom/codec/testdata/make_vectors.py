"""Writes *.jpg, *.jls, *.j2k and vectors.json, which codec_test.go reads.

pip install imagecodecs==2026.3.6 glymur numpy; OpenJPEG 2.5 as a system library.
The pictures are drawn here, so that they are free of licences. Expected numbers of
lossless streams are the pictures; those of lossy ones are what libjpeg-turbo,
CharLS and OpenJPEG decode.
"""
import hashlib
import json

import glymur
import imagecodecs
import numpy as np

rng = np.random.default_rng(6)


def picture(bits, h=61, w=75):
    """A disc with noise on a flat ground, a ramp, and both ends of the range."""
    y, x = np.mgrid[:h, :w]
    top = (1 << bits) - 1
    a = np.zeros((h, w))
    disc = (x - 40) ** 2 + (y - 28) ** 2 < 500
    a[disc] = top * 0.6 + rng.normal(0, top * 0.01, disc.sum())
    a[:, :9] = np.linspace(0, top, h)[:, None]
    a[50:55, 60:70] = top
    a[5, 20:60] = rng.integers(0, top + 1, 40)
    return np.clip(np.round(a), 0, top).astype(np.uint8 if bits <= 8 else np.uint16)


expected = {}


def keep(name, data, pixels, bits, signed=False):
    open(name, "wb").write(bytes(data))
    p = np.ascontiguousarray(pixels, dtype="<i4")
    expected[name] = dict(
        height=p.shape[0], width=p.shape[1], components=p.shape[2] if p.ndim == 3 else 1, bits=bits, signed=signed,
        sha256_i32le=hashlib.sha256(p.tobytes()).hexdigest())


for bits in (8, 12, 16):
    p = picture(bits)
    for predictor in range(1, 8):
        if bits == 16 or predictor > 1:
            keep(f"lossless_{bits}_sv{predictor}.jpg",
                 imagecodecs.jpeg8_encode(p, lossless=True, predictor=predictor, bitspersample=bits), p, bits)
rgb = np.stack([picture(8), picture(8), picture(8)], -1)
keep("lossless_rgb.jpg", imagecodecs.jpeg8_encode(rgb, lossless=True, predictor=4, colorspace="RGB", outcolorspace="RGB"), rgb, 8)
for level in (60, 95):
    for bits in (8, 12):
        d = imagecodecs.jpeg8_encode(picture(bits), level=level, bitspersample=bits)
        keep(f"dct_{bits}_q{level}.jpg", d, imagecodecs.jpeg8_decode(d), bits)

for bits in (8, 16):
    p = picture(bits)
    for near in (0, 1, 3, 10):
        d = imagecodecs.jpegls_encode(p, level=near)
        keep(f"near{near}_{bits}.jls", d, imagecodecs.jpegls_decode(d), bits)
for near in (0, 2):
    d = imagecodecs.jpegls_encode(rgb, level=near)
    keep(f"rgb_near{near}.jls", d, imagecodecs.jpegls_decode(d), 8)

J2K = {
    "plain": {},
    "five_levels": dict(numres=6, cbsize=(16, 64)),
    "one_level": dict(numres=1),
    "tiles": dict(tilesize=(32, 40), numres=3),
    "precincts": dict(psizes=[(32, 32), (16, 16), (16, 16)], cbsize=(8, 8), numres=4, sop=True, eph=True),
    "bypass": dict(modesw=1),
    "reset": dict(modesw=2),
    "terminate": dict(modesw=4),
    "causal": dict(modesw=8),
    "segmentation": dict(modesw=32),
    "all_modes": dict(modesw=1 | 2 | 4 | 8 | 32, cbsize=(16, 16)),
    "bypass_terminate": dict(modesw=5),
    "offset": dict(grid_offset=(13, 7), numres=4),
    "layers": dict(cratios=[20, 5, 1], numres=4),
}
for prog in ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL"):
    J2K["order_" + prog.lower()] = dict(prog=prog, psizes=[(32, 32)], cbsize=(16, 16), numres=4, cratios=[10, 1], tilesize=(48, 48))
for bits in (8, 16):
    p = picture(bits)
    for name, options in J2K.items():
        if bits == 8 and name not in ("plain", "all_modes", "layers"):
            continue
        file = f"{name}_{bits}.j2k"
        glymur.Jp2k(file, data=p, **options)
        got = glymur.Jp2k(file)[:]
        assert (got == p).all(), file
        keep(file, open(file, "rb").read(), p, bits)
glymur.Jp2k("rgb_8.j2k", data=rgb, mct=True)
keep("rgb_8.j2k", open("rgb_8.j2k", "rb").read(), rgb, 8)
for name, options in {"lossy": dict(irreversible=True, cratios=[8]), "lossy_tiles": dict(irreversible=True, cratios=[4], tilesize=(32, 32))}.items():
    file = f"{name}_16.j2k"
    glymur.Jp2k(file, data=picture(16), **options)
    keep(file, open(file, "rb").read(), glymur.Jp2k(file)[:], 16)
glymur.Jp2k("cut_16.j2k", data=picture(16), cratios=[6])
keep("cut_16.j2k", open("cut_16.j2k", "rb").read(), glymur.Jp2k("cut_16.j2k")[:], 16)
signed = picture(12).astype(np.int16) - 2048
d = imagecodecs.jpeg2k_encode(signed, codecformat="j2k", reversible=True, bitspersample=12)
keep("signed_12.j2k", d, signed, 12, True)
json.dump(expected, open("vectors.json", "w"), indent=0, sort_keys=True)
