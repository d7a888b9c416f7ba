"""Makes labels.nii.gz, image.nii.gz and expected.json: what numpy, scipy and
scikit-image say of the structures. nibabel 5.4.2, scikit-image 0.26, scipy 1.17."""
import json, os
import nibabel as nib, numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import pdist
from skimage.measure import marching_cubes

os.chdir(os.path.dirname(os.path.abspath(__file__)))
r = np.random.default_rng(7)
shape = (23, 19, 14)  # x y z
field = gaussian_filter(r.normal(size=(3,) + shape), (0, 2, 2, 1.5))
labels = np.where(np.abs(field).max(0) > 0.03, np.abs(field).argmax(0) + 1, 0).astype("uint8")
labels[labels == 3] = 9
labels[:2, :2, 0] = 0
labels[0, 0, 0] = 5  # one voxel, at the border
image = (r.normal(size=shape) * 200 + 40).astype("float32")
c, s = np.cos(0.35), np.sin(0.35)
rot = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
affine = np.eye(4)
affine[:3, :3] = rot @ np.diag([-0.7, 0.9, 2.5])
affine[:3, 3] = [40, -30.5, 112]
image[4, 4, 4] = np.nan
for name, a in [("labels", labels), ("image", image)]:
    im = nib.Nifti1Image(a, affine)
    im.header.set_sform(affine, 1)
    nib.save(im, name + ".nii.gz")
affine = nib.load("labels.nii.gz").affine
out = []
for v in [1, 2, 5, 9]:
    mask = labels == v
    x = image[mask].astype(float)
    x = x[np.isfinite(x)]
    padded = np.pad(mask, 1).astype(float)
    points, _, _, _ = marching_cubes(padded, 0.5)
    points = np.unique(points - 1, axis=0)
    mm = points @ affine[:3, :3].T + affine[:3, 3]
    best = (0, 0, 0)
    for k in range(shape[2]):
        p = mm[points[:, 2] == k]
        if len(p) < 2:
            continue
        d = np.linalg.norm(p[:, None] - p[None], axis=-1)
        if d.max() > best[0] + 1e-9:
            i, j = np.unravel_index(d.argmax(), d.shape)
            n = np.cross(affine[:3, 0], affine[:3, 1])
            w = np.cross(n, p[j] - p[i])
            w /= np.linalg.norm(w)
            best = (d.max(), np.ptp(p @ w), k)
    out.append({"label": v, "voxels": int(mask.sum()), "volume_ml": mask.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000,
                "mean": x.mean(), "std": x.std(), "min": x.min(), "max": x.max(), "feret_mm": pdist(mm).max(),
                "axial_mm": best[0], "axial_width_mm": best[1], "axial_slice": best[2],
                "centroid_mm": (np.argwhere(mask).mean(0) @ affine[:3, :3].T + affine[:3, 3]).tolist()})
json.dump(out, open("expected.json", "w"), indent=1)
