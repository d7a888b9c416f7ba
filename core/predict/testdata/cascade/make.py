"""A cascade of two small networks with random weights, and what nnU-Net v2 makes of a scan with it.

usage: make.py MODEL_FOLDER SCAN      (a results folder of nnU-Net v2 for its plans.json and dataset.json; a scan of its data set)

Writes beside itself: T__P__3d_lowres and T__P__3d_cascade_fullres (results folders), scan_0000.nii.gz, and
  lowres/scan.nii.gz    nnUNetv2_predict of the first stage
  next/scan.nii.gz      what the first stage gives to the training of the second one (resample_and_save)
  cascade/scan.nii.gz   nnUNetv2_predict of the second stage with -prev_stage_predictions lowres
"""
import json, os, shutil, sys
import numpy as np, nibabel, torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.export_prediction import resample_and_save
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

here = os.path.dirname(os.path.abspath(__file__))
model, scan = sys.argv[1:3]
plans = json.load(open(os.path.join(model, 'plans.json')))
dataset = json.load(open(os.path.join(model, 'dataset.json')))
full = plans['configurations']['3d_fullres']
full.update(patch_size=[24, 32, 24], spacing=[1.2, 0.9, 1.1])
a = full['architecture']['arch_kwargs']
a.update(n_stages=3, features_per_stage=[4, 6, 8], kernel_sizes=[[3] * 3] * 3, strides=[[1] * 3, [2] * 3, [2] * 3], n_conv_per_stage=[2] * 3, n_conv_per_stage_decoder=[2] * 2)
low = json.loads(json.dumps(full))
low.update(spacing=[1.7, 1.4, 1.5], patch_size=[16, 24, 16], next_stage='3d_cascade_fullres', data_identifier='low', median_image_size_in_voxels=[21, 36, 23])
plans['configurations'] = {'3d_lowres': low, '3d_fullres': full, '3d_cascade_fullres': {'inherits_from': '3d_fullres', 'previous_stage': '3d_lowres'}}
plans['plans_name'] = 'P'
pm = PlansManager(plans)
labels = pm.get_label_manager(dataset)

shutil.copy(scan, os.path.join(here, 'scan_0000.nii.gz'))
for seed, (name, channels) in enumerate((('3d_lowres', 1), ('3d_cascade_fullres', 3))):
    torch.manual_seed(seed + 5)
    arch = pm.get_configuration(name)
    net = get_network_from_plans(arch.network_arch_class_name, arch.network_arch_init_kwargs, arch.network_arch_init_kwargs_req_import, channels, 3, deep_supervision=True)
    for p in net.decoder.seg_layers.parameters():
        p.data = (p.data - p.data.mean(1, keepdim=True)) * 4 if p.dim() > 1 else p.data * 0  # decided logits, all labels in use
    folder = os.path.join(here, 'T__P__' + name)
    os.makedirs(os.path.join(folder, 'fold_0'), exist_ok=True)
    json.dump(plans, open(os.path.join(folder, 'plans.json'), 'w'), indent=1)
    json.dump(dataset, open(os.path.join(folder, 'dataset.json'), 'w'), indent=1)
    torch.save({'network_weights': net.state_dict(), 'trainer_name': 'nnUNetTrainer', 'current_epoch': 1, 'inference_allowed_mirroring_axes': (2,),
                'init_args': {'configuration': name, 'fold': 0}}, os.path.join(folder, 'fold_0', 'checkpoint_final.pth'))


def predictor(name):
    p = nnUNetPredictor(tile_step_size=0.5, use_mirroring=True, perform_everything_on_device=False, device=torch.device('cpu'))
    p.initialize_from_trained_model_folder(os.path.join(here, 'T__P__' + name), (0,))
    return p


files = [[os.path.join(here, 'scan_0000.nii.gz')]]
os.makedirs(os.path.join(here, 'lowres'), exist_ok=True)
p = predictor('3d_lowres')
p.predict_from_files_sequential(files, [os.path.join(here, 'lowres', 'scan')])
low_cm, next_cm = pm.get_configuration('3d_lowres'), pm.get_configuration('3d_cascade_fullres')
data, _, props = DefaultPreprocessor(verbose=False).run_case(files[0], None, pm, low_cm, dataset)
target, _, _ = DefaultPreprocessor(verbose=False).run_case(files[0], None, pm, next_cm, dataset)
logits = p.predict_logits_from_preprocessed_data(torch.from_numpy(data))


class Keep:
    def save_seg(seg, path, *_):
        Keep.seg = seg


os.makedirs(os.path.join(here, 'next'), exist_ok=True)
resample_and_save(logits, target.shape[1:], 'x', pm, low_cm, props, dataset, 1, Keep)
nibabel.save(nibabel.Nifti1Image(Keep.seg.transpose(2, 1, 0).astype(np.uint8), np.eye(4)), os.path.join(here, 'next', 'scan.nii.gz'))

os.makedirs(os.path.join(here, 'cascade'), exist_ok=True)
predictor('3d_cascade_fullres').predict_from_files_sequential(files, [os.path.join(here, 'cascade', 'scan')],
                                                              folder_with_segs_from_prev_stage=os.path.join(here, 'lowres'))
for f in ('lowres', 'next', 'cascade'):
    print(f, np.unique(np.asarray(nibabel.load(os.path.join(here, f, 'scan.nii.gz')).dataobj), return_counts=True))
