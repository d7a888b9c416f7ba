#!/usr/bin/env python3
"""gounet serve beside Orthanc, an archive that speaks DICOMweb.

    bench/peers/orthanc.py bin/gounet MODELS MODEL SERIES

Stores the folder SERIES in an Orthanc of its own by STOW-RS, lets MODEL of the folder
MODELS label it by its UIDs there, and asks for the segmentation to be sent back. What
Orthanc hands out then has to be a DICOM segmentation of the same study that highdicom
reads, with every voxel of the labels that the same files have as an upload. Needs
orthanc and orthanc-dicomweb (Debian), and of PyPI dicomweb-client, highdicom, nibabel,
numpy and requests.
"""
import contextlib
import gzip
import io
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

import highdicom
import nibabel
import numpy as np
import pydicom
import requests
from dicomweb_client.api import DICOMwebClient

gounet, models, model, series = sys.argv[1:5]
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(command, ready, **more):
    """A process that answers at the address ready, until the end of the block."""
    p = subprocess.Popen(command, stderr=subprocess.STDOUT, **more)
    try:
        for _ in range(300):
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(ready, timeout=5).status_code == 200:
                    break
            assert p.poll() is None, f"{command[0]} has ended with {p.returncode}"
            time.sleep(0.1)
        yield p
    finally:
        p.terminate()
        p.wait(60)


def over(api, job):
    while job["state"] in ("queued", "running"):
        time.sleep(0.1)
        job = requests.get(f"{api}/jobs/{job['id']}").json()
    return job


def done(api, submit):
    answer = requests.post(f"{api}/jobs", json=submit)
    assert answer.status_code == 201, answer.text
    job = over(api, answer.json())
    assert job["state"] == "done", job
    return job


def labels_of_upload(api, files):
    """[W H D] of the same files as a zip."""
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        for f in files:
            z.write(f, f.name)
    upload = requests.post(f"{api}/uploads", params={"name": "series.zip"}, data=b.getvalue()).json()
    job = done(api, {"model": model, "inputs": [{"upload": upload["id"]}], "formats": ["nifti"]})
    nifti = requests.get(api.removesuffix("/api/v1") + job["results"][0]["url"]).content
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(nifti))
    return np.asarray(image.dataobj), image.affine


def check(objects, sources, labels, affine):
    """One segmentation of the sources, with the labels at the same places of the patient."""
    assert len(objects) == 1, f"{len(objects)} segmentations"
    seg = highdicom.seg.Segmentation.from_dataset(objects[0])
    assert seg.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    refers = {i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert refers == {s.SOPInstanceUID for s in sources}, "it refers to other instances"
    have = seg.get_volume(combine_segments=True)  # [D H W], and an affine in LPS
    at = np.argwhere(have.array > 0)
    lps = (have.affine @ np.c_[at, np.ones(len(at))].T)[:3]
    ras = np.r_[lps[:2] * -1, lps[2:], np.ones((1, len(at)))]
    x, y, z = np.rint((np.linalg.inv(affine) @ ras)[:3]).astype(int)
    assert (labels[x, y, z] == have.array[tuple(at.T)]).all(), "other labels"
    assert len(at) == (labels > 0).sum(), "labels are missing"
    return seg, len(at)


with tempfile.TemporaryDirectory() as tmp:
    tmp = pathlib.Path(tmp)
    there, here = free_port(), free_port()
    (tmp / "orthanc.json").write_text(json.dumps({
        "Name": "peer", "StorageDirectory": str(tmp / "storage"), "IndexDirectory": str(tmp / "storage"), "Plugins": [PLUGIN],
        "HttpPort": there, "DicomServerEnabled": False, "RemoteAccessAllowed": False, "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }))
    archive, api = f"http://127.0.0.1:{there}", f"http://127.0.0.1:{here}/api/v1"
    files = sorted(p for p in pathlib.Path(series).iterdir() if p.is_file())
    serve = [gounet, "serve", "--listen", f"127.0.0.1:{here}", "--data", str(tmp / "data"), "--models", models, "--device", "cpu", "--archive", f"orthanc={archive}/dicom-web"]
    with open(tmp / "orthanc.log", "w") as a, open(tmp / "gounet.log", "w") as b:
        with running(["Orthanc", str(tmp / "orthanc.json")], f"{archive}/system", stdout=a) as _, running(serve, f"http://127.0.0.1:{here}/readyz", stdout=b) as _:
            web = DICOMwebClient(url=f"{archive}/dicom-web")
            sources = [pydicom.dcmread(f) for f in files]
            web.store_instances(sources)
            study, uid = sources[0].StudyInstanceUID, sources[0].SeriesInstanceUID
            print(f"Orthanc {requests.get(f'{archive}/system').json()['Version']}: {len(web.search_for_instances(study, uid))} instances stored")
            job = done(api, {"model": model, "inputs": [{"dicomweb": {"archive": "orthanc", "study": study, "series": uid, "store": True}}], "formats": ["seg"]})
            found = web.search_for_series(study, search_filters={"Modality": "SEG"})
            assert len(found) == 1, f"{len(found)} series of segmentations in the study"
            objects = web.retrieve_series(study, found[0]["0020000E"]["Value"][0])
            seg, voxels = check(objects, sources, *labels_of_upload(api, files))
            print(f"job {job['id']}: {seg.number_of_segments} segments, {voxels} voxels, those of the upload; came back to the study as {seg.SOPInstanceUID}")
            absent = uid[:-1] + str((int(uid[-1]) + 1) % 10)
            answer = requests.post(f"{api}/jobs", json={"model": model, "inputs": [{"dicomweb": {"archive": "orthanc", "study": study, "series": absent}}]})
            assert answer.status_code == 201, answer.text
            job = over(api, answer.json())
            assert job["state"] == "failed" and job["failed"]["code"] == "fetch", job
            print(f"a series that is not there: {job['failed']['reason']}")
