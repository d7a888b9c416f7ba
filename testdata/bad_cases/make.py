#!/usr/bin/env python3
"""Makes the damaged data set of this folder from testdata/hippocampus.

Each case is a 16 x 16 x 16 cut out of hippocampus_003 with one thing wrong,
named by the file. Only the standard library is used:

    python3 testdata/bad_cases/make.py
"""
import gzip
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
GOOD = os.path.join(HERE, "..", "hippocampus")
CASE = "hippocampus_003.nii.gz"
SIDE = 16


def read(path):
    """Returns the header (352 bytes) and the cut as a list of floats, x fastest."""
    raw = gzip.open(path).read()
    nx, ny, nz = struct.unpack("<3h", raw[42:48])
    start = int(struct.unpack("<f", raw[108:112])[0])
    code = struct.unpack("<h", raw[70:72])[0]
    letter = {2: "B", 16: "f"}[code]
    size = struct.calcsize(letter)
    lo = [(n - SIDE) // 2 for n in (nx, ny, nz)]
    out = []
    for z in range(lo[2], lo[2] + SIDE):
        for y in range(lo[1], lo[1] + SIDE):
            at = start + size * ((z * ny + y) * nx + lo[0])
            out += struct.unpack(f"<{SIDE}{letter}", raw[at:at + size * SIDE])
    return bytearray(raw[:348] + b"\0\0\0\0"), out


def write(folder, name, header, values, code, shape=(SIDE, SIDE, SIDE), cut=None):
    """Writes values under header as datatype code (2 uint8, 16 float32)."""
    header = bytearray(header)
    letter, bits = {2: ("B", 8), 16: ("f", 32)}[code]
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, code, bits)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    body = struct.pack(f"<{len(values)}{letter}", *(int(v) if letter == "B" else v for v in values))
    packed = gzip.compress(bytes(header) + body, 9, mtime=0)
    path = os.path.join(HERE, folder, name + ".nii.gz")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(packed[:cut])


def main():
    head, image = read(os.path.join(GOOD, "imagesTr", CASE))
    _, label = read(os.path.join(GOOD, "labelsTr", CASE))
    listed = []

    def case(name, image=image, label=label, image_head=head, label_head=head, **cut):
        listed.append(name)
        if image is not None:
            write("imagesTr", name, image_head, image, 16, cut=cut.get("image_cut"))
        if label is not None:
            shape = cut.get("label_shape", (SIDE, SIDE, SIDE))
            write("labelsTr", name, label_head, label, 2, shape=shape, cut=cut.get("label_cut"))

    case("good_1")
    case("good_2")
    case("image_without_label", label=None)
    case("label_without_image", image=None)
    case("label_shape_differs", label=label[:SIDE * SIDE * 12], label_shape=(SIDE, SIDE, 12))

    moved = bytearray(head)  # 3 mm along x in both forms
    for at in (268, 292):
        struct.pack_into("<f", moved, at, struct.unpack_from("<f", head, at)[0] + 3)
    case("label_affine_differs", label_head=moved)
    case("image_has_nan", image=[float("nan")] * 5 + image[5:])
    case("label_unknown_7", label=[7.0] * 9 + label[9:])
    case("image_truncated", image_cut=1500)
    case("label_truncated", label_cut=60)
    flat = bytearray(head)  # pixdim[1..3] and srow_*: no extent at all
    struct.pack_into("<3f", flat, 80, 0, 0, 0)
    struct.pack_into("<12f", flat, 280, *([0.0] * 12))
    case("image_spacing_zero", image_head=flat)

    with open(os.path.join(GOOD, "dataset.json")) as file:
        dataset = json.load(file)
    dataset["numTraining"] = len(listed)
    dataset["training"] = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in listed]
    with open(os.path.join(HERE, "dataset.json"), "w") as file:
        json.dump(dataset, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
