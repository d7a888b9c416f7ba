"""Makes NAME/3d_fullres_ohe.safetensors: what NVIDIA's preprocessor saves with --ohe.

usage: ohe.py     (MONAI 1.6.1)

The lines of the preprocessor that --ohe switches on, on what make.py got without it (the padding in between them is zeros, which
neither changes): 1 where all channels are above 0, then NormalizeIntensity(nonzero=True, channel_wise=True), then the 1 behind it.
"""
import json, os, struct
import numpy as np
from monai.transforms import NormalizeIntensity

here = os.path.dirname(os.path.abspath(__file__))
for name in ('Task04_Hippocampus', 'Task10_Colon', 'Task05_Prostate'):
    with open(os.path.join(here, name, '3d_fullres.safetensors'), 'rb') as f:
        n = struct.unpack('<Q', f.read(8))[0]
        header = json.loads(f.read(n))
        body = f.read()
    lo, hi = header['image']['data_offsets']
    image = np.frombuffer(body[lo:hi], '<f4').reshape(header['image']['shape']).copy()
    mask = np.all(image > 0, axis=0).astype(np.float32)
    again = np.asarray(NormalizeIntensity(nonzero=True, channel_wise=True)(image)).astype(np.float32)
    out = np.concatenate([again, mask[None]]).astype('<f4')
    text = json.dumps({'image': {'dtype': 'F32', 'shape': list(out.shape), 'data_offsets': [0, out.nbytes]}}).encode()
    text += b' ' * (-len(text) % 8)
    with open(os.path.join(here, name, '3d_fullres_ohe.safetensors'), 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text + out.tobytes())
    print(name, out.shape, mask.mean(), out.min(), out.max())
