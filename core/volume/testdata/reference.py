"""Writes reference.json: small arrays resampled, filled, labelled and measured by the original packages.

pip install numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 batchgenerators==0.25.5 nnunetv2==2.8.1
python reference.py > reference.json
"""
import json
import numpy as np
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape, determine_do_sep_z_and_axis, resample_data_or_seg_to_shape)
from scipy import ndimage

rng = np.random.default_rng(20)


def flat(a, digits=7):
    return [float(f"{v:.{digits}g}") for v in np.asarray(a, dtype=np.float64).ravel()]


def ints(a):
    return [int(v) for v in np.asarray(a).ravel()]


# Shapes and spacings: down, up, mixed, an axis of one or two voxels, thick slices along each axis in
# either spacing, two coarse axes, whole factors (samples halfway between two voxels).
RESAMPLE = [
    ((5, 6, 7), (1, 1, 1), (0.7, 1.3, 1.1)),
    ((6, 5, 4), (1, 1, 1), (0.5, 0.5, 0.5)),
    ((8, 6, 10), (1, 1, 1), (2, 2, 2)),
    ((1, 6, 7), (1, 1, 1), (1, 0.6, 1.7)),
    ((2, 3, 5), (1, 1, 1), (0.4, 1, 0.8)),
    ((5, 7, 6), (5, 1, 1), (4, 1.2, 0.8)),
    ((5, 7, 6), (5, 1, 1), (5, 1.2, 0.8)),
    ((5, 7, 6), (6, 1, 1), (3, 1, 1)),
    ((6, 5, 7), (1, 4, 1), (0.8, 5, 1.2)),
    ((6, 7, 5), (1, 1.1, 4), (1.3, 1.1, 2.5)),
    ((8, 7, 6), (1, 1, 1), (4, 1.1, 0.9)),
    ((4, 5, 6), (0.5, 2, 2), (1, 1, 1)),
]


def resampling():
    out = []
    for shape, old, new in RESAMPLE:
        to = compute_new_shape(shape, old, new)
        separate, axis = determine_do_sep_z_and_axis(None, old, new)
        image = rng.normal(size=(2, *shape)).astype(np.float32).round(3)
        labels = rng.integers(-1, 4, size=(1, *shape)).astype(np.int8)
        kw = dict(order_z=0, force_separate_z=None)
        out.append(dict(
            shape=shape, spacing=old, to_spacing=new, to_shape=ints(to), axis=int(axis) if separate else -1,
            image=flat(image), labels=ints(labels),
            cubic=flat(resample_data_or_seg_to_shape(image, to, old, new, is_seg=False, order=3, **kw)),
            linear=flat(resample_data_or_seg_to_shape(image, to, old, new, is_seg=False, order=1, **kw)),
            to_labels=ints(resample_data_or_seg_to_shape(labels, to, old, new, is_seg=True, order=1, **kw))))
    return out


def masks():
    out = []
    for shape, share in (((5, 7, 9), .35), ((6, 6, 6), .6), ((1, 9, 8), .5), ((4, 8, 11), .15), ((3, 3, 3), 0.), ((7, 8, 9), .8)):
        m = rng.random(shape) < share
        entry = dict(shape=shape, mask=ints(m), filled=ints(ndimage.binary_fill_holes(m)), components={}, sizes={})
        for name, c in ((6, 1), (18, 2), (26, 3)):
            l, _ = ndimage.label(m, ndimage.generate_binary_structure(3, c))
            entry['components'][name] = ints(l)
            entry['sizes'][name] = ints(np.bincount(l.ravel())[1:])
        spacing = (2.5, 0.8, 1.1)
        entry['spacing'] = spacing
        entry['distance'] = flat(ndimage.distance_transform_edt(~m, spacing) ** 2) if m.any() else []
        image = np.where(rng.random((2, *shape)) < .03, 1., 0.).astype(np.float32)
        seg = (rng.random((1, *shape)) < .1).astype(np.int8)
        data, cropped, box = crop_to_nonzero(image, seg.copy())
        entry.update(image=ints(image), seg=ints(seg), box=[ints(b) for b in box], cropped=ints(data), cropped_seg=ints(cropped))
        out.append(entry)
    return out


print(json.dumps(dict(resample=resampling(), masks=masks()), separators=(',', ':')))
