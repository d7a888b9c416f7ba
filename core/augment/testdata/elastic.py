"""Makes elastic.json: what the displacements of batchgeneratorsv2's SpatialTransform are like.

usage: elastic.py     (needs batchgeneratorsv2 0.3.6 from PyPI beside torch)

Of many fields of one patch, sigma and magnitude: for each axis of displacement the root of the mean square, and for each axis
of space the correlation of voxels that are 1, 2, 4, 6 apart around the borders; [mean over the fields, its standard deviation].
The mean of a field is taken away first, as the transform does by centring the deformation.
"""
import json, os
import numpy as np, torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

PATCH, SIGMA, MAGNITUDE, FIELDS, LAGS = (24, 32, 20), 0.1, 4.0, 400, (1, 2, 4, 6)
np.random.seed(1)
torch.manual_seed(1)
transform = SpatialTransform(PATCH, 0, False, p_elastic_deform=1, elastic_deform_scale=(SIGMA, SIGMA), elastic_deform_magnitude=(MAGNITUDE, MAGNITUDE))
image = torch.zeros(1, *PATCH)
rms, correlation = np.zeros((FIELDS, 3)), np.zeros((FIELDS, 3, 3, len(LAGS)))
for i in range(FIELDS):
    field = transform.get_parameters(image=image)['elastic_offsets'].numpy().astype(np.float64)
    assert np.allclose(np.abs(field).reshape(-1, 3).max(0), MAGNITUDE)
    for a in range(3):
        u = field[..., a] - field[..., a].mean()
        rms[i, a] = np.sqrt((u * u).mean())
        for s in range(3):
            for k, lag in enumerate(LAGS):
                correlation[i, a, s, k] = (u * np.roll(u, lag, s)).mean() / (u * u).mean()
both = lambda v: np.stack([v.mean(0), v.std(0, ddof=1)], -1).round(6).tolist()
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'elastic.json'), 'w') as f:
    json.dump({'patch': PATCH, 'sigma': SIGMA, 'magnitude': MAGNITUDE, 'fields': FIELDS, 'lags': LAGS, 'rms': both(rms), 'correlation': both(correlation)}, f)
    f.write('\n')
