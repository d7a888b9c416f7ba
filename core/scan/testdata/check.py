"""Reads what TestWrittenFilesForOthers wrote into the folder argv[1] with SimpleITK and
nibabel: every label map lies where its scan lies, whatever the formats of the two."""
import glob, os, sys
import nibabel as nib, numpy as np, SimpleITK as sitk

here, there = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."), sys.argv[1]
scans = {"nrrd": "nrrd/testdata/itk.nrrd", "ras": "nrrd/testdata/space_right-anterior-superior.nrrd", "mha": "metaimage/testdata/float32.mha",
         "mgh": "mgh/testdata/zipped.mgz", "analyze": "analyze/testdata/int16.hdr", "nifti": os.path.join(there, "oblique.nii.gz")}


def read(path):
    """Affine (RAS+) and values, x first."""
    if path.endswith((".mgz", ".mgh", ".hdr", ".nii", ".nii.gz")):
        im = nib.load(path)
        return im.affine, np.asarray(im.dataobj)
    im = sitk.ReadImage(path)
    m = np.eye(4)
    m[:3, :3] = np.array(im.GetDirection()).reshape(3, 3) * np.array(im.GetSpacing())
    m[:3, 3] = im.GetOrigin()
    m[:2] *= -1
    return m, sitk.GetArrayFromImage(im).T


n, worst = 0, 0
for name, scan in scans.items():
    affine, values = read(os.path.join(here, scan))
    shape = values.shape[:3]
    for f in sorted(glob.glob(os.path.join(there, name + "_as*"))):
        if f.endswith(".zraw"):
            continue
        m, v = read(f)
        want = (np.arange(np.prod(shape)) % 4).reshape(shape, order="F")
        assert v.shape == shape and np.array_equal(v, want), f
        worst = max(worst, np.abs(m - affine).max())
        assert np.allclose(m, affine, rtol=0, atol=2e-5), (f, m, affine)  # headers of float32, places below 128 mm
        n += 1
print(n, "files lie where their scans lie; largest difference", worst, "mm")
assert n == 6 * 8
