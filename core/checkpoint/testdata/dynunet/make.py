"""Files of MONAI's DynUNet as users have them, and what the network makes of an input.

Writes beside itself, of one network with anisotropic kernels and random weights:
  nvidia.ckpt       as PyTorch Lightning saves NVIDIA's nnU-Net: state_dict with prefix, hyper_parameters with a Namespace
  config.pkl        as NVIDIA's preprocessing leaves it
  legacy.pt         the state dict in the form of torch before 1.6
  bundle/           a bundle of MONAI: models/model.pt, configs/inference.json
  io.json           input and output, in the order of torch
"""
import argparse, json, os, pickle
import torch
from monai.networks.nets import DynUNet

here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(3)
kernels, strides = [[1, 3, 3], [3, 3, 3], [3, 3, 3]], [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
net = DynUNet(3, 1, 3, kernels, strides, strides[1:], filters=[3, 4, 5], norm_name=('INSTANCE', {'affine': True}), act_name=('leakyrelu', {'inplace': True, 'negative_slope': 0.01}),
              deep_supervision=True, deep_supr_num=1, trans_bias=True)
for name, p in net.named_parameters():
    if 'norm' in name:
        torch.nn.init.normal_(p, mean=float(name.endswith('weight')), std=0.3)
net.eval()
x = torch.randn(1, 1, 4, 8, 12)
with torch.inference_mode():
    y = net(x)
state = net.state_dict()
at = lambda *p: os.path.join(here, *p)
torch.save({'epoch': 6, 'global_step': 70, 'pytorch-lightning_version': '1.7.7', 'state_dict': {'model.' + k: v for k, v in state.items()},
            'hyper_parameters': {'args': argparse.Namespace(dim=3, task='04', learning_rate=8e-4), 'triton': False, 'data_dir': None},
            'optimizer_states': [], 'lr_schedulers': [], 'callbacks': {}, 'loops': {}}, at('nvidia.ckpt'))
pickle.dump({'patch_size': [4, 8, 12], 'spacings': [3.0, 0.7, 0.8], 'n_class': 3, 'in_channels': 1}, open(at('config.pkl'), 'wb'))
torch.save(state, at('legacy.pt'), _use_new_zipfile_serialization=False)
os.makedirs(at('bundle', 'models'), exist_ok=True)
os.makedirs(at('bundle', 'configs'), exist_ok=True)
torch.save(state, at('bundle', 'models', 'model.pt'))
json.dump({'imports': ['$import glob'], 'device': '$torch.device("cpu")', 'network_def': {'_target_': 'DynUNet', 'spatial_dims': 3},
           'preprocessing': {'_target_': 'Compose', 'transforms': [{'_target_': 'Spacingd', 'keys': 'image', 'pixdim': [3.0, 0.7, 0.8]}]},
           'inferer': {'_target_': 'SlidingWindowInferer', 'roi_size': [4, 8, 12], 'overlap': 0.5}}, open(at('bundle', 'configs', 'inference.json'), 'w'), indent=1)
json.dump({'input': x.flatten().tolist(), 'output': y.flatten().tolist()}, open(at('io.json'), 'w'))

# Two other networks: residual blocks with batch norms, and group norms, which weights do not tell from instance norms.
for name, dim, options in (('residual_batch', 2, dict(norm_name=('BATCH', {'affine': True}), res_block=True)),
                           ('group', 3, dict(norm_name=('GROUP', {'num_groups': 2})))):
    cut = lambda rows: [r[3 - dim:] for r in rows]
    net = DynUNet(dim, 2, 3, cut(kernels), cut(strides), cut(strides[1:]), filters=[2, 4, 6], trans_bias=True,
                  act_name=('leakyrelu', {'inplace': True, 'negative_slope': 0.01}), **options)
    for key, p in net.state_dict().items():
        if 'norm' in key and p.dtype == torch.float32:
            p.add_(0.2 * torch.rand(p.shape))
    x = torch.randn(1, 2, *[4, 8, 12][3 - dim:])
    with torch.inference_mode():
        y = net.eval()(x)
    torch.save(net.state_dict(), at(name + '.pt'))
    json.dump({'input': x.flatten().tolist(), 'output': y.flatten().tolist()}, open(at(name + '.json'), 'w'))
