"""Makes the data sets beside it and what NVIDIA's nnU-Net preprocesses them to.

usage: make.py DEEP_LEARNING_EXAMPLES TASK04_HIPPOCAMPUS     (a checkout of NVIDIA/DeepLearningExamples, the MSD task)

The preprocessor of PyTorch/Segmentation/nnUNet runs as it is, but for two things: cases are not padded and cut to
the patch, and what it would save is caught. Expected is Python 3.8 with the versions of its Dockerfile that
matter: monai 1.0.0, scikit-image 0.18.3, scipy 1.8.1, nibabel 3.2.1 (any torch).

Each data set is one case, cut out of a hippocampus scan, under a name that the table of the preprocessor knows:
  Task04_Hippocampus    MR, resampled on all axes
  Task10_Colon          CT, thick slices on the first axis; the crop is to voxels above 0
  Task05_Prostate       two channels of MR, thick slices on the last axis, where the preprocessor does not look for them
NAME/3d_fullres.safetensors, and 2d.safetensors of the second, have image f32 [C D H W], labels u8 [D H W], meta i64 [4 3] (box, shape, cropped shape).
"""
import json, os, struct, sys, types
import nibabel, numpy as np

examples, hippocampus = sys.argv[1:3]
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(examples, 'PyTorch/Segmentation/nnUNet'))
# Of its utils two functions are used; the rest wants Lightning.
sys.modules['utils'] = types.ModuleType('utils')
sys.modules['utils.utils'] = utils = types.ModuleType('utils.utils')
utils.get_task_code = lambda args: f'{args.task}_{args.dim}d'
utils.make_empty_dir = None
from data_preprocessing import configs
from data_preprocessing.preprocessor import Preprocessor


def preprocess(name, dim, file):
    args = types.SimpleNamespace(data=here, results='', task=name[4:6], dim=dim, exec_mode='training', verbose=False, ohe=False)
    p = Preprocessor(args)
    p.standardize = lambda *pair: pair
    p.target_spacing = configs.spacings[p.task_code]
    if p.modality == 'CT':
        p.ct_min, p.ct_max, p.ct_mean, p.ct_std = (getattr(configs, f'ct_{k}')[p.task] for k in ('min', 'max', 'mean', 'std'))
    p.save_npy = lambda *a: None
    caught = []
    p.save = lambda *a: caught.extend(a)
    p.preprocess_pair(p.metadata['training'][0])
    image, label, _, meta = caught
    tensors = {'image': np.asarray(image).astype('<f4'), 'labels': np.asarray(label)[0].astype('u1'), 'meta': np.asarray(meta).astype('<i8')}
    header, at = {}, 0
    for k, v in tensors.items():
        header[k] = {'dtype': {'<f4': 'F32', '|u1': 'U8', '<i8': 'I64'}[v.dtype.str], 'shape': list(v.shape), 'data_offsets': [at, at + v.nbytes]}
        at += v.nbytes
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(file, 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text + b''.join(v.tobytes() for v in tensors.values()))
    print(name, dim, {k: v.shape for k, v in tensors.items()}, image.min(), image.max(), np.bincount(tensors['labels'].ravel()), meta.tolist())


scan = nibabel.load(os.path.join(hippocampus, 'imagesTr/hippocampus_003.nii.gz'))
whole = np.asarray(scan.dataobj).astype(np.float64)[2:20, 20:42, 6:22] # x y z
labels = np.asarray(nibabel.load(os.path.join(hippocampus, 'labelsTr/hippocampus_003.nii.gz')).dataobj).astype(np.uint8)[2:20, 20:42, 6:22]
assert set(np.unique(labels)) == {0, 1, 2}
margin = np.zeros(whole.shape)
margin[1:, 1:-4, 2:-1] = 1 # odd: no place lies half-way between two voxels, where rounding decides on labels
cases = {
    'Task04_Hippocampus': ((1.1, 0.8, 1.25), 'MRI', np.round(whole * margin)),
    'Task10_Colon': ((0.9, 0.7, 3.6), 'CT', np.round(whole / whole.max() * 300 * margin - 60)),
    'Task05_Prostate': ((3.6, 0.9, 2), 'MRI', np.round(np.stack([whole * margin, (whole.max() - whole) * margin], axis=3))),
}
for name, (spacing, modality, image) in cases.items():
    folder = os.path.join(here, name)
    for sub, data in (('imagesTr', image), ('labelsTr', labels)):
        os.makedirs(os.path.join(folder, sub), exist_ok=True)
        affine = np.diag([*spacing, 1])
        nii = nibabel.Nifti1Image(data.astype(np.int16 if sub == 'imagesTr' else np.uint8), affine)
        nii.to_filename(os.path.join(folder, sub, 'case_1.nii.gz'))
    channels = image.shape[3] if image.ndim == 4 else 1
    dataset = {
        'name': name, 'tensorImageSize': f'{channels + 2}D', 'modality': {str(c): modality for c in range(channels)},
        'labels': {'0': 'background', '1': 'anterior', '2': 'posterior'}, 'numTraining': 1, 'numTest': 0,
        'training': [{'image': './imagesTr/case_1.nii.gz', 'label': './labelsTr/case_1.nii.gz'}], 'test': [],
    }
    with open(os.path.join(folder, 'dataset.json'), 'w') as f:
        json.dump(dataset, f, indent=1)

    for dim, file in ((3, '3d_fullres'), (2, '2d')):
        if dim == 3 or modality == 'CT':
            preprocess(name, dim, os.path.join(folder, file + '.safetensors'))
