"""Reads what TestWrittenFilesForOthers wrote into the folder argv[1] with trimesh 5.2."""
import json, os, sys
import numpy as np, trimesh

d = sys.argv[1]
facts = json.load(open(os.path.join(d, "mesh.json")))
for e in ["stl", "obj", "glb"]:
    m = trimesh.load(os.path.join(d, "ball." + e), force="mesh")
    m.merge_vertices(merge_norm=True, merge_tex=True)
    k = 1e-3 if e == "glb" else 1  # glTF is in metres
    assert m.is_watertight and m.is_winding_consistent, e
    print(e, "volume", m.volume / k**3, "area", m.area / k**2, "box", (m.bounds / k).tolist())
    assert np.isclose(m.volume / k**3, facts["volumes"][0], rtol=1e-5) and np.isclose(m.area / k**2, facts["areas"][0], rtol=1e-5)
    lo, hi = m.bounds / k
    centre = (lo + hi) / 2
    # The ball lies at R 15, A 15, S 15: L and P are −15; in glTF X left, Y up, Z front.
    assert np.allclose(centre, [-15, 15, 15] if e == "glb" else [-15, -15, 15], atol=0.1), centre
s = trimesh.load(os.path.join(d, "both.glb"))
assert set(s.geometry) == {"the ball", "the noise"}, s.geometry
both = sum(abs(g.volume) for g in s.geometry.values())
print("all that was written reads back")
