"""Reads what TestWrittenFilesForOthers wrote into the folder argv[1] with SimpleITK."""
import os, sys
import numpy as np, SimpleITK as sitk

here, there = os.path.dirname(os.path.abspath(__file__)), sys.argv[1]
like = sitk.ReadImage(os.path.join(here, "int16_vector.mha"))
for name, exact in [("vector.mha", False), ("labels.mha", True), ("labels.mhd", False)]:
    im = sitk.ReadImage(os.path.join(there, name))
    for f in ["GetOrigin", "GetSpacing", "GetDirection"]:
        a, b = getattr(like, f)(), getattr(im, f)()
        assert a == b if exact else np.allclose(a, b, rtol=0, atol=1e-14), (name, f, a, b)
    v = sitk.GetArrayFromImage(im)
    want = sitk.GetArrayFromImage(like) if name == "vector.mha" else np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(v, want), name
print("all that was written reads back")
