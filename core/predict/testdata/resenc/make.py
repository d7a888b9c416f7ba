"""A small ResidualEncoderUNet with random weights as a results folder of nnU-Net v2, and its labels of a scan.

usage: make.py MODEL_FOLDER SCAN      (a results folder of nnU-Net v2 for its plans.json and dataset.json; a scan of its data set)

Writes beside itself T__P__3d_fullres and labels/scan.nii.gz; the scan is that of ../cascade.
"""
import json, os, sys
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

here = os.path.dirname(os.path.abspath(__file__))
model, scan = sys.argv[1:3]
plans = json.load(open(os.path.join(model, 'plans.json')))
dataset = json.load(open(os.path.join(model, 'dataset.json')))
full = plans['configurations']['3d_fullres']
full.update(patch_size=[24, 32, 24], spacing=[1.2, 0.9, 1.1])
a = full['architecture']
a['network_class_name'] = 'dynamic_network_architectures.architectures.unet.ResidualEncoderUNet'
k = a['arch_kwargs']
del k['n_conv_per_stage']
k.update(n_stages=3, features_per_stage=[4, 6, 8], kernel_sizes=[[1, 3, 3], [3] * 3, [3] * 3], strides=[[1] * 3, [1, 2, 2], [2] * 3], n_blocks_per_stage=[1, 2, 2], n_conv_per_stage_decoder=[1] * 2)
plans['configurations'] = {'3d_fullres': full}
plans['plans_name'] = 'P'
torch.manual_seed(9)
arch = PlansManager(plans).get_configuration('3d_fullres')
net = get_network_from_plans(arch.network_arch_class_name, arch.network_arch_init_kwargs, arch.network_arch_init_kwargs_req_import, 1, 3, deep_supervision=True)
for name, p in net.named_parameters():
    if 'norm' in name and name.endswith('weight'):
        torch.nn.init.uniform_(p, 0.5, 1.5)  # fresh residual blocks have 0 there
    if 'seg_layers' in name:
        p.data = (p.data - p.data.mean(1, keepdim=True)) * 4 if p.dim() > 1 else p.data * 0
folder = os.path.join(here, 'T__P__3d_fullres')
os.makedirs(os.path.join(folder, 'fold_0'), exist_ok=True)
os.makedirs(os.path.join(here, 'labels'), exist_ok=True)
json.dump(plans, open(os.path.join(folder, 'plans.json'), 'w'), indent=1)
json.dump(dataset, open(os.path.join(folder, 'dataset.json'), 'w'), indent=1)
torch.save({'network_weights': net.state_dict(), 'trainer_name': 'nnUNetTrainer', 'current_epoch': 1, 'inference_allowed_mirroring_axes': (2,),
            'init_args': {'configuration': '3d_fullres', 'fold': 0}}, os.path.join(folder, 'fold_0', 'checkpoint_final.pth'))
p = nnUNetPredictor(tile_step_size=0.5, use_mirroring=True, perform_everything_on_device=False, device=torch.device('cpu'))
p.initialize_from_trained_model_folder(folder, (0,))
p.predict_from_files_sequential([[scan]], [os.path.join(here, 'labels', 'scan')])
