"""Makes zoom.json: crops that are enlarged as NVIDIA's nnU-Net zooms them.

usage: zoom.py > zoom.json     (torch 2.15)

NVIDIA's recipe resizes a crop by DALI with INTERP_CUBIC, labels with INTERP_NN. torch has the same cubic kernel (Keys,
a = -1/2) where it resizes with antialias, which changes nothing else when an axis grows; it resizes two axes at a time. At the
border it leaves voxels out where DALI repeats the last, so that two voxels from there on count.
"""
import json
import torch
from torch.nn.functional import interpolate

torch.manual_seed(5)
CASES = [((6, 7, 8), (8, 10, 9)), ((9, 11, 9), (12, 12, 10)), ((1, 13, 12), (1, 16, 16))]


def cubic(x, size):
    d, h, w = size
    x = interpolate(x[:, None], (h, w), mode="bicubic", antialias=True, align_corners=False)[:, 0]  # [d H W]
    x = x.permute(1, 0, 2)[:, None]  # [H 1 d W]
    return interpolate(x, (d, w), mode="bicubic", antialias=True, align_corners=False)[:, 0].permute(1, 0, 2)


out = []
for source, patch in CASES:
    image = (torch.randn(source, dtype=torch.float64) * 100).round() / 100
    labels = torch.randint(0, 4, source)
    near = interpolate(labels[None, None].double(), patch, mode="nearest-exact")[0, 0]
    out.append({"source": source, "patch": patch, "image": image.flatten().tolist(), "labels": labels.flatten().tolist(),
                "zoomed": [round(v, 7) for v in cubic(image, patch).flatten().tolist()], "near": near.int().flatten().tolist()})
print(json.dumps(out))
