#!/usr/bin/env python3
"""Holds DICOM segmentations that gounet writes against other readers, and those that
highdicom writes against gounet's.

    GOUNET_DATA=FOLDER dicom_seg.py [--reader highdicom|pydicom-seg|dcmqi]

Needs pydicom, numpy and the reader of its choice from PyPI (highdicom 0.28 runs with
pydicom 3, pydicom-seg 0.4 with pydicom 2, so that they take an environment each; dcmqi
1.5, which 3D Slicer reads with, needs nibabel too), and go. Every voxel of every segment must be equal; the exit status says whether it was.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pydicom

HERE = pathlib.Path(__file__).resolve().parents[2]


def export(folder):
    """Lets gounet write its objects into folder and read those in folder/foreign."""
    subprocess.run(
        ["go", "test", "-count=1", "-run", "TestExportForPeers", "./core/dicom"],
        cwd=HERE, check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "GOUNET_DICOM_PEERS": str(folder)},
    )
    return json.loads((folder / "cases.json").read_text())


def labels(case):
    return np.fromfile(f"{case['folder']}/labels.raw", np.uint8).reshape(case["shape"])


def check_required(ds):
    """Lists attributes of type 1 and 2 that highdicom's tables of PS3.3 miss, of whole
    data sets: it does not know that functional groups may be of the frames."""
    from highdicom._standard_utils import check_required_attributes, get_iod_module_map, get_sop_class_iod_map

    iod = get_sop_class_iod_map()[ds.SOPClassUID]
    missing = []
    for module in get_iod_module_map()[iod]:
        if module["usage"] != "M" or module["key"].endswith("functional-groups"):
            continue
        try:
            check_required_attributes(ds, module["key"])
        except AttributeError as e:
            missing.append(f"{module['key']}: {e}")
    return missing


def by_highdicom(case, name):
    """Yields (what, equal) for an object, read by highdicom."""
    import highdicom as hd

    want = labels(case)
    seg = hd.seg.segread(f"{case['folder']}/{name}")
    yield "required attributes " + "; ".join(check_required(seg)), not check_required(seg)
    numbers = {s["Name"]: (s["Label"] if name.startswith("labelmap") else i + 1) for i, s in enumerate(case["segments"])}
    got_names = {seg.get_segment_description(n).SegmentLabel: n for n in seg.segment_numbers if n != 0}
    yield "names", got_names == numbers
    positions = np.array([s["position"] for s in case["slices"]])
    volume = seg.get_volume(combine_segments=True)
    # highdicom's volume runs along the normal of its own choice: put slices in our order.
    place = [volume.map_indices_to_reference(np.array([[k, 0, 0]]))[0] for k in range(volume.shape[0])]
    order = [int(np.argmin(np.linalg.norm(np.array(place) - p, axis=1))) for p in positions]
    off = max(np.linalg.norm(place[k] - p) for k, p in zip(order, positions))
    yield f"positions, at most {off:.2g} mm off", off < 1e-3
    back = {n: i + 1 for i, n in enumerate(got_names[s["Name"]] for s in case["segments"])}
    array = np.vectorize(lambda v: back.get(v, 0))(volume.array[order])
    yield "voxels", np.array_equal(array, want)
    if not case["mosaic"]:  # whose slices have no frame of their own
        yield "voxels by source image", by_source(case, seg, want)


def by_source(case, seg, want):
    """Reads the slices by the images that they refer to."""
    instances = [s["instance"] for s in case["slices"]]
    if any(s["frame"] for s in case["slices"]):
        array = seg.get_pixels_by_source_frame(
            instances[0], [s["frame"] for s in case["slices"]],
            combine_segments=True, assert_missing_frames_are_empty=True)
    else:
        array = seg.get_pixels_by_source_instance(instances, combine_segments=True, assert_missing_frames_are_empty=True)
    return np.array_equal(array, want)


def by_pydicom_seg(case, name):
    """Yields (what, equal) for an object, read by pydicom-seg."""
    import pydicom_seg

    if name.startswith("labelmap"):  # which it is older than
        return
    want = labels(case)
    result = pydicom_seg.SegmentReader().read(pydicom.dcmread(f"{case['folder']}/{name}"))
    for i, s in enumerate(case["segments"]):
        image = result.segment_image(i + 1)
        array = result.segment_data(i + 1)
        full = np.zeros_like(want, bool)
        first = np.array(image.GetOrigin())
        positions = np.array([p["position"] for p in case["slices"]])
        at = int(np.argmin(np.linalg.norm(positions - first, axis=1)))
        full[at:at + array.shape[0]] = array
        yield f"voxels of {s['Name']}", np.array_equal(full, want == s["Label"])


def by_dcmqi(case, name):
    """Yields (what, equal) for an object, read by dcmqi's segimage2itkimage."""
    import nibabel

    want = labels(case)
    positions = np.array([s["position"] for s in case["slices"]])
    got, off = np.zeros_like(want, int), 0
    with tempfile.TemporaryDirectory() as out:
        tool = pathlib.Path(sys.executable).with_name("segimage2itkimage")
        subprocess.run([tool, "--inputDICOM", f"{case['folder']}/{name}", "--outputDirectory", out, "-t", "nifti"],
                       check=True, stdout=subprocess.DEVNULL)
        for path in pathlib.Path(out).glob("*.nii.gz"):
            image = nibabel.load(path)
            array = np.asarray(image.dataobj).T
            array = np.where(array > 0, array if name.startswith("labelmap") else int(path.name.split(".")[0]), 0)
            for k, plane in enumerate(array):
                place = (image.affine @ [0, 0, k, 1])[:3] * [-1, -1, 1]
                distance = np.linalg.norm(positions - place, axis=1)
                off = max(off, distance.min())
                got[distance.argmin()] = np.maximum(got[distance.argmin()], plane)
    yield f"positions, at most {off:.2g} mm off", off < 1e-3
    yield "voxels", np.array_equal(got, want)


def write_foreign(folder):
    """Lets highdicom write segmentations of a real series; returns what gounet must read."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    data = pathlib.Path(os.environ["GOUNET_DATA"]) / "dicom"
    out = folder / "foreign"
    out.mkdir()
    wanted = {}
    for series in ("seg_rtstruct/rt-utils/mock_data", "series_ref/udacity/Study1/13_HCropVolume"):
        if not (data / series).is_dir():
            continue
        images = [pydicom.dcmread(f) for f in sorted((data / series).rglob("*.dcm"))]
        images = [i for i in images if i.Modality in ("CT", "MR")]
        for i in images:
            for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
                if keyword not in i:
                    setattr(i, keyword, "")
        images.sort(key=lambda i: float(np.dot(np.cross(i.ImageOrientationPatient[:3], i.ImageOrientationPatient[3:]), i.ImagePositionPatient)))
        shape = (len(images), images[0].Rows, images[0].Columns)
        rng = np.random.default_rng(5)
        mask = (rng.random(shape) < 0.2).astype(np.uint8) * rng.integers(1, 4, shape, dtype=np.uint8)
        mask[:, shape[1] // 2:] = 0
        describe = [hd.seg.SegmentDescription(
            n, f"part {n}", codes.SCT.Organ, codes.SCT.Liver, "AUTOMATIC",
            algorithm_identification=hd.AlgorithmIdentificationSequence("test", codes.DCM.ArtificialIntelligence, "1"),
        ) for n in (1, 2, 3)]
        for kind, pixels, syntax in (
            ("BINARY", mask, pydicom.uid.ExplicitVRLittleEndian),
            ("LABELMAP", mask, pydicom.uid.ExplicitVRLittleEndian),
            ("LABELMAP", mask, pydicom.uid.RLELossless),
            ("LABELMAP", mask, pydicom.uid.JPEGLSLossless),
            ("FRACTIONAL", mask == np.arange(1, 4).reshape(3, 1, 1, 1), pydicom.uid.ExplicitVRLittleEndian),
        ):
            if kind == "FRACTIONAL":
                pixels = np.moveaxis(pixels, 0, 3) * rng.choice([0.3, 0.5, 0.9], (*shape, 1)).astype(np.float32)
                # highdicom stores round(value * 255); half of 255 is 127.5
                want = np.where(np.rint(pixels * 255) >= 127.5, np.arange(1, 4, dtype=np.uint8), 0).max(3)
            else:
                want = mask
            seg = hd.seg.Segmentation(
                images, pixels, kind, describe, hd.UID(), 100, hd.UID(), 1, "maker", "model", "1", "1",
                transfer_syntax_uid=syntax, max_fractional_value=255)
            name = f"{series.split('/')[-1]}_{kind}_{pydicom.uid.UID(syntax).keyword}"
            seg.save_as(out / f"{name}.dcm")
            (out / f"{name}.series").write_text(series)
            wanted[name] = want
    return wanted


def write_by_dcmqi(folder, cases):
    """Lets dcmqi write segmentations of the scans of cases; returns what gounet must read."""
    import nibabel

    data = pathlib.Path(os.environ["GOUNET_DATA"]) / "dicom"
    out = folder / "foreign"
    out.mkdir()
    code = {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}
    category = {"CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Anatomical Structure"}
    wanted = {}
    for case in cases:
        if case["mosaic"] or case["times"] or len(case["slices"]) == 1:
            continue
        want = labels(case)
        positions = np.array([s["position"] for s in case["slices"]])
        files = {}
        for f in pathlib.Path(case["series"]).rglob("*.dcm"):
            files[pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID] = str(f)
        files = [files[s["instance"]] for s in case["slices"]]
        first = pydicom.dcmread(files[0])
        o, spacing = np.array(first.ImageOrientationPatient, float), np.array(first.PixelSpacing, float)
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1] = o[:3] * spacing[1], o[3:] * spacing[0]
        affine[:3, 2] = (positions[-1] - positions[0]) / (len(positions) - 1)
        affine[:3, 3] = positions[0]
        name = f"dcmqi_{pathlib.Path(case['folder']).name}"
        nibabel.save(nibabel.Nifti1Image(want.T, np.diag([-1, -1, 1, 1]) @ affine), folder / "labels.nii.gz")
        meta = {
            "ContentCreatorName": "Test", "ClinicalTrialSeriesID": "1", "ClinicalTrialTimePointID": "1", "SeriesDescription": "test",
            "SeriesNumber": "300", "InstanceNumber": "1", "BodyPartExamined": "",
            "segmentAttributes": [[{
                "labelID": int(n), "SegmentDescription": f"part {n}", "SegmentAlgorithmType": "AUTOMATIC", "SegmentAlgorithmName": "test",
                "SegmentedPropertyCategoryCodeSequence": category, "SegmentedPropertyTypeCodeSequence": code,
            } for n in np.unique(want) if n]],
        }
        (folder / "meta.json").write_text(json.dumps(meta))
        tool = pathlib.Path(sys.executable).with_name("itkimage2segimage")
        subprocess.run([
            tool, "--inputImageList", folder / "labels.nii.gz", "--inputDICOMList", ",".join(files), "--outputDICOM", out / f"{name}.dcm",
            "--inputMetadata", folder / "meta.json",
        ], check=True, stdout=subprocess.DEVNULL)
        (out / f"{name}.series").write_text(str(pathlib.Path(case["series"]).relative_to(data)))
        wanted[name] = want
    return wanted


READERS = {"highdicom": by_highdicom, "pydicom-seg": by_pydicom_seg, "dcmqi": by_dcmqi}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--reader", choices=READERS, default="highdicom")
    reader = p.parse_args().reader
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        foreign = write_foreign(folder) if reader == "highdicom" else {}
        read = READERS[reader]
        cases = export(folder)
        if reader == "dcmqi":
            foreign = write_by_dcmqi(folder, cases)
            export(folder)  # again, to read them
        for case in cases:
            for name in ("seg.dcm", "labelmap.dcm", "labelmap_rle.dcm"):
                for what, equal in read(case, name):
                    bad += not equal
                    print("equal" if equal else "DIFFERENT", case["name"], name, what, sep=", ")
        for name, want in foreign.items():
            got = np.fromfile(folder / "foreign" / f"{name}.raw", np.uint8).reshape(want.shape)
            equal = np.array_equal(got, want)
            bad += not equal
            print("equal" if equal else f"DIFFERENT in {(got != want).sum()} of {want.size}", "read by gounet", name, sep=", ")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
