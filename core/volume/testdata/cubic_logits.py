"""Writes cubic_logits.json: logits that NVIDIA's nnU-Net brings to the grid of the cropped scan, a class at a time.

pip install numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0
python cubic_logits.py > cubic_logits.json
"""
import json
import numpy as np
from skimage.transform import resize

rng = np.random.default_rng(7)
out = []
for k, shape, to in ((3, (5, 6, 7), (9, 8, 11)), (2, (8, 7, 9), (5, 7, 6)), (4, (1, 6, 5), (1, 9, 9))):
    logits = (rng.normal(size=(k, *shape)) * 4).round(2).astype(np.float32)
    # The call of its test_step.
    there = np.stack([resize(c, to, order=3, mode="edge", cval=0, clip=True, anti_aliasing=False) for c in logits])
    out.append(dict(k=k, shape=shape, to=to, logits=[float(f"{v:.4g}") for v in np.moveaxis(logits, 0, -1).ravel()],
                    resized=[float(f"{v:.7g}") for v in np.moveaxis(there, 0, -1).ravel()]))
print(json.dumps(out))
