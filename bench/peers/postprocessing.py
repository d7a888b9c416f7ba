"""What nnU-Net v2 does with the postprocessing.pkl of gounet.

usage: postprocessing.py GOUNET_DATA [FOLDER]     (FOLDER has the files; core/metric/testdata/postprocessing if not given)

NAME.pkl is given to nnUNetv2_apply_postprocessing with the label maps of the reference data; what it writes is compared
with the folder NAME of the reference data, which nnU-Net's own functions made.

Needs nnunetv2 from PyPI beside torch.
"""
import glob, os, subprocess, sys, tempfile
import nibabel, numpy as np

golden = os.path.join(sys.argv[1], 'golden')
files = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(__file__), '../../core/metric/testdata/postprocessing')
model = os.path.join(golden, 'nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__3d_fullres')
labels = os.path.join(golden, 'predict/small3d_no_tta')
read = lambda path: np.asarray(nibabel.load(path).dataobj)
failed = False
for pkl in sorted(glob.glob(os.path.join(files, '*.pkl'))):
    name = os.path.splitext(os.path.basename(pkl))[0]
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([os.path.join(os.path.dirname(sys.executable), 'nnUNetv2_apply_postprocessing'), '-i', labels, '-o', out, '-pp_pkl_file', pkl, '-np', '1',
                        '-plans_json', os.path.join(model, 'plans.json'), '-dataset_json', os.path.join(model, 'dataset.json')],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        made = sorted(glob.glob(os.path.join(out, '*.nii.gz')))
        differ = sum(int((read(m) != read(os.path.join(golden, 'predict/postprocessing', name, os.path.basename(m)))).sum()) for m in made)
        changed = sum(int((read(m) != read(os.path.join(labels, os.path.basename(m)))).sum()) for m in made)
    failed |= differ > 0 or not made
    print(f'{name}: {len(made)} label maps, {changed} voxels taken away, {differ} differ from the reference')
sys.exit(failed)
