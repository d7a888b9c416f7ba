#!/usr/bin/env python3
"""Clients of other protocols against a running gounet serve: NVIDIA's tritonclient
(KServe v2), MONAI Label's own client, dicomweb-client (QIDO-RS, WADO-RS).

    bench/peers/serve_clients.py http://localhost:8080 MODEL SCAN.nii.gz [DICOM.zip]

Each gets the labels of the scan; they have to be those of our own REST. Needs
tritonclient[http], dicomweb-client, nibabel, requests and requests_toolbelt, and of
monailabel its client only (pip install --no-deps monailabel). Prints a line a protocol.
"""
import gzip
import sys
import time

import nibabel as nib
import numpy as np
import requests
import tritonclient.http as triton
from dicomweb_client.api import DICOMwebClient
from monailabel.client.client import MONAILabelClient, MONAILabelClientException

url, model, path = sys.argv[1:4]
api = url + "/api/v1"


def nifti(b):
    image = nib.Nifti1Image.from_bytes(gzip.decompress(b) if b[:2] == b"\x1f\x8b" else b)
    return np.asarray(image.dataobj)


def rest(path, formats, **more):
    with open(path, "rb") as f:
        upload = requests.post(f"{api}/uploads", params={"name": path.rsplit("/", 1)[-1]}, data=f).json()
    job = requests.post(f"{api}/jobs", json={"model": model, "inputs": [{"upload": upload["id"]}], "formats": formats, **more}).json()
    while job["state"] in ("queued", "running"):
        time.sleep(0.1)
        job = requests.get(f"{api}/jobs/{job['id']}").json()
    assert job["state"] == "done", job
    return job


job = rest(path, ["nifti"])
want = nifti(requests.get(url + job["results"][0]["url"]).content)
print(f"REST            {want.shape} {dict(zip(*np.unique(want, return_counts=True)))}")

client = triton.InferenceServerClient(url.split("//")[1], network_timeout=600, connection_timeout=60)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
assert client.get_model_metadata(model)["inputs"][0]["name"] == "image"
image = nib.load(path)
x = np.ascontiguousarray(np.asarray(image.dataobj, dtype=np.float32).T[None])
spacing = np.array(image.header.get_zooms()[2::-1], dtype=np.float32)
inputs = [triton.InferInput("image", x.shape, "FP32"), triton.InferInput("spacing", spacing.shape, "FP32")]
for i, v in zip(inputs, (x, spacing)):
    i.set_data_from_numpy(v, binary_data=True)
have = client.infer(model, inputs, outputs=[triton.InferRequestedOutput("labels", binary_data=True)]).as_numpy("labels").T
assert (have == want).all(), "tritonclient has other labels"
print("tritonclient    the same labels")

monai = MONAILabelClient(f"{url}/monai", client_id="check")
assert not monai.auth_enabled() and model in monai.info()["models"]
session = monai.create_session(path)["session_id"]
assert monai.get_session(session)
monai.upload_image(path, "scan")
assert "scan" in monai.datastore()["objects"]
for what, question in ("session", {"image_id": "", "session_id": session}), ("image", {"image_id": "scan"}):
    labels, _ = monai.infer(model, params={"result_extension": ".nii.gz"}, **question)
    with open(labels, "rb") as f:
        assert (nifti(f.read()) == want).all(), "MONAI Label has other labels"
    print(f"MONAI Label     the same labels of the {what}")
monai.save_label("scan", labels)
with open(monai.download_label("scan", "final"), "rb") as have, open(labels, "rb") as sent:
    assert have.read() == sent.read(), "a submitted label comes back as another"
assert "final" in monai.datastore()["objects"]["scan"]["labels"]
print("MONAI Label     a submitted label comes back")
monai.remove_session(session)
try:
    monai.get_session(session)
    raise SystemExit("a session that was removed is still there")
except MONAILabelClientException:
    pass

if len(sys.argv) > 4:
    job = rest(sys.argv[4], ["seg"], mirror=False, step=1)
    web = DICOMwebClient(url=f"{url}/dicomweb")
    studies = web.search_for_studies()
    study = studies[0]["0020000D"]["Value"][0]
    series = web.search_for_series(study, search_filters={"Modality": "SEG"})
    objects = web.retrieve_series(study, series[0]["0020000E"]["Value"][0])
    assert objects[0].Modality == "SEG" and len(objects[0].SegmentSequence) > 0
    assert web.retrieve_series_metadata(study, series[0]["0020000E"]["Value"][0])
    print(f"dicomweb-client {len(studies)} study, a segmentation of {len(objects[0].SegmentSequence)} segments")
