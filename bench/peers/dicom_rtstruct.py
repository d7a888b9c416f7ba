#!/usr/bin/env python3
"""Holds structure sets that gounet writes against other readers, and those that
rt-utils writes against gounet's.

    GOUNET_DATA=FOLDER dicom_rtstruct.py [--reader rt-utils|dcmrtstruct2nii]

Needs pydicom, numpy and the reader of its choice from PyPI (rt-utils 1.2 runs with
pydicom 3, dcmrtstruct2nii 5 with pydicom 2), and go. The exit status says whether all
voxels were equal. Left out are scans that a reader cannot read by its own account: of
slices in mosaics or several times, and for rt-utils of pixels or pictures that are not
square, since it takes the spacing of rows for that of columns.
"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import pydicom

from dicom_seg import export, labels


def slices_of(case):
    """The images of a case, in the order of its slices."""
    images = {i.SOPInstanceUID: i for i in map(pydicom.dcmread, pathlib.Path(case["series"]).rglob("*.dcm"))}
    return [images[s["instance"]] for s in case["slices"]]


def folder_of(case, folder):
    """A folder with nothing but the files of a case."""
    out = pathlib.Path(folder) / (pathlib.Path(case["folder"]).name + "_series")
    out.mkdir(exist_ok=True)
    wanted = {s["instance"] for s in case["slices"]}
    for f in pathlib.Path(case["series"]).rglob("*.dcm"):
        if pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID in wanted:
            shutil.copy(f, out)
    return out


def by_rt_utils(case, folder):
    from rt_utils import RTStructBuilder

    first = slices_of(case)[0]
    if first.PixelSpacing[0] != first.PixelSpacing[1]:
        return
    want = labels(case)
    rows, columns = want.shape[1:]
    if rows != columns:
        return
    built = RTStructBuilder.create_from(str(folder_of(case, folder)), f"{case['folder']}/rtstruct.dcm")
    yield "names", built.get_roi_names() == [s["Name"] for s in case["segments"]]
    for s in case["segments"]:
        mask = np.moveaxis(built.get_roi_mask_by_name(s["Name"]), 2, 0)
        yield f"voxels of {s['Name']}", np.array_equal(mask, want == s["Label"])


def by_dcmrtstruct2nii(case, folder):
    import SimpleITK as sitk
    from dcmrtstruct2nii import dcmrtstruct2nii

    want = labels(case)
    out = pathlib.Path(folder) / "nii"
    dcmrtstruct2nii(f"{case['folder']}/rtstruct.dcm", str(folder_of(case, folder)), str(out), gzip=False, convert_original_dicom=False)
    for s in case["segments"]:
        name = s["Name"].replace(" ", "-")
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(out / f"mask_{name}.nii")))
        yield f"voxels of {s['Name']}", np.array_equal(image > 0, want == s["Label"])
    shutil.rmtree(out)


def write_foreign(folder):
    """Lets rt-utils write structure sets; returns the masks that they were made of."""
    from rt_utils import RTStructBuilder

    data = pathlib.Path(os.environ["GOUNET_DATA"]) / "dicom"
    out = folder / "foreign"
    out.mkdir()
    series = "seg_rtstruct/rt-utils/mock_data"
    wanted = {}
    for keyhole in (False, True):
        built = RTStructBuilder.create_new(str(data / series))
        shape = (512, 512, 2)
        y, x = np.mgrid[:512, :512]
        want = np.zeros((2, 512, 512), np.uint8)
        for label, (cx, cy, outer, inner) in enumerate([(150, 150, 90, 40), (370.5, 150.2, 101.3, 55.1), (260, 380, 33, 0)], 1):
            d = np.hypot(x - cx, y - cy)
            mask = np.zeros(shape, bool)
            mask[:, :, label % 2] = (d < outer) & (d >= inner)
            mask[7 * label, 11, 0] = True  # a single voxel
            if keyhole and label != 3:
                continue  # its pinholes are two voxels wide: another mask
            built.add_roi(mask=mask, name=f"ring {label}", use_pin_hole=keyhole)
            want[np.moveaxis(mask, 2, 0)] = len(built.get_roi_names())
        name = f"rt-utils{'_keyhole' if keyhole else ''}"
        built.save(str(out / name))
        (out / f"{name}.series").write_text(series)
        wanted[name] = want
    return wanted


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--reader", choices=("rt-utils", "dcmrtstruct2nii"), default="rt-utils")
    reader = p.parse_args().reader
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        foreign = write_foreign(folder) if reader == "rt-utils" else {}
        read = by_rt_utils if reader == "rt-utils" else by_dcmrtstruct2nii
        for case in export(folder):
            if case["mosaic"]:
                continue
            for what, equal in read(case, folder):
                bad += not equal
                print("equal" if equal else "DIFFERENT", case["name"], what, sep=", ")
        for name, want in foreign.items():
            got = np.fromfile(folder / "foreign" / f"{name}.raw", np.uint8).reshape(want.shape)
            equal = np.array_equal(got, want)
            bad += not equal
            print("equal" if equal else f"DIFFERENT in {(got != want).sum()} of {want.size}", "read by gounet", name, sep=", ")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
