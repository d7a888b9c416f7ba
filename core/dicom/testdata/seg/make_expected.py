#!/usr/bin/env python3
"""Makes expected.json: what others read of the segmentations and structure sets in the
data folder (dicom/seg_rtstruct of GOUNET_DATA).

    GOUNET_DATA=FOLDER make_expected.py > expected.json

Segmentations are unpacked by pydicom and put together here with numpy: slices along the
normal, the larger segment number on top. Structure sets are converted by
dcmrtstruct2nii. Ran with pydicom 2.4.5, numpy 1.26.4, dcmrtstruct2nii 5.
"""
import hashlib
import json
import os
import pathlib
import sys
import tempfile

import numpy as np
import pydicom

DATA = pathlib.Path(os.environ["GOUNET_DATA"]) / "dicom" / "seg_rtstruct"


def summary(volume, overlap):
    return {
        "shape": list(volume.shape), "overlap": int(overlap), "sha256": hashlib.sha256(volume.astype(np.uint8).tobytes()).hexdigest(),
        "voxels": {str(v): int((volume == v).sum()) for v in np.unique(volume) if v},
    }


def segmentation(path):
    ds = pydicom.dcmread(path)
    pixels = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    if ds.SegmentationType == "FRACTIONAL":
        pixels = pixels.astype(int) * 2 >= ds.MaximumFractionalValue
    shared = ds.SharedFunctionalGroupsSequence[0]
    normal = [0, 0, 1]
    if "PlaneOrientationSequence" in shared:
        o = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        normal = np.cross(o[:3], o[3:])
    place, number = [], []
    for item in ds.PerFrameFunctionalGroupsSequence:
        position = item.PlanePositionSequence[0].ImagePositionPatient if "PlanePositionSequence" in item else (0, 0, 0)
        place.append(round(float(np.dot(normal, position)), 3))
        number.append(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    places = sorted(set(place))
    step = min(np.diff(places), default=1)
    depth = round((places[-1] - places[0]) / step) + 1
    count = np.zeros((depth, ds.Rows, ds.Columns), int)
    top = np.zeros_like(count)
    for frame, p, n in zip(pixels, place, number):
        k = round((p - places[0]) / step)
        count[k] += frame > 0
        top[k] = np.maximum(top[k], n * (frame > 0))
    return {"kind": ds.SegmentationType, "names": [str(s.SegmentLabel) for s in ds.SegmentSequence], **summary(top, (count > 1).sum())}


def structures(path, series):
    import SimpleITK as sitk
    from dcmrtstruct2nii import dcmrtstruct2nii

    ds = pydicom.dcmread(path)
    names = [str(r.ROIName) for r in ds.StructureSetROISequence]
    with tempfile.TemporaryDirectory() as out:
        dcmrtstruct2nii(str(path), str(series), out, gzip=False, convert_original_dicom=False)
        masks = [sitk.GetArrayFromImage(sitk.ReadImage(f"{out}/mask_{n}.nii")) > 0 for n in names]
    top = np.zeros(masks[0].shape, int)
    for i, m in enumerate(masks):
        top[m] = i + 1
    return {"kind": "RTSTRUCT", "names": names, **summary(top, (np.sum(masks, 0) > 1).sum())}


def main():
    stdout, sys.stdout = sys.stdout, sys.stderr
    out = {f"highdicom/{f.name}": segmentation(f) for f in sorted((DATA / "highdicom").glob("seg_*.dcm"))}
    out["rt-utils/mock_data/rt.dcm"] = structures(DATA / "rt-utils/mock_data/rt.dcm", DATA / "rt-utils/mock_data")
    json.dump(out, stdout, indent=1)
    print(file=stdout)


if __name__ == "__main__":
    main()
