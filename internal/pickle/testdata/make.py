"""Makes the files of this folder with torch and numpy: python make.py

torch-zip.pt and torch-legacy.pt hold the same value in the two forms of
torch.save; torch-protocol4.pt the zip form with pickle protocol 4.
"""

import argparse
from collections import OrderedDict

import numpy as np
import torch

base = torch.arange(24, dtype=torch.float32) / 8
state = OrderedDict()
state["whole"] = base.reshape(2, 3, 4)
state["alias"] = state["whole"]
state["transposed"] = base.reshape(4, 6).t()
state["part"] = base.reshape(2, 3, 4)[1, :, 1:3]
state["parameter"] = torch.nn.Parameter(torch.tensor([1.5, -2.0]))
state._metadata = OrderedDict(version=1)

value = {
    "state": state,
    "types": {
        str(t).split(".")[1]: torch.tensor([0, 1, 2, 100]).to(t)
        for t in (
            torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
            torch.int16, torch.int8, torch.uint8, torch.bool,
        )
    },
    "scalar": torch.tensor(7.25),
    "empty": torch.zeros(0, 3),
    "numpy": [np.float64(0.1), np.float32(0.5), np.int64(-3), np.uint8(200), np.bool_(True)],
    "device": [torch.device("cpu"), torch.device("cuda", 1)],
    "size": torch.Size([2, 3]),
    "namespace": argparse.Namespace(fold=3, name="x"),
    "plain": [None, True, False, 0, 255, 65535, -1, 2**31, -(2**40), 2**70, -(2**70), 1.5, "α", b"\x00\xff", (), (1,), (1, (2, 3)), [], {}],
    "keys": {1: "int", (0, 1): "tuple", None: "none"},
}

torch.save(value, "torch-zip.pt")
torch.save(value, "torch-protocol4.pt", pickle_protocol=4)
torch.save(value, "torch-legacy.pt", _use_new_zipfile_serialization=False)
