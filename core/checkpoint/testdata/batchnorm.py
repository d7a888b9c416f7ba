"""Makes batchnorm.pth, a checkpoint of nnUNetTrainerBN with the tiny 2-D plan of results/, and what its network makes of an input.

    python batchnorm.py        (dynamic-network-architectures 0.4.4, torch 2.15.0)

The trainer takes batch norms whatever the plan says, and keeps the plan as it is.
"""
import json
import os

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "results", "Dataset001_Tiny", "nnUNetTrainer__nnUNetPlans__2d")
plans = json.load(open(os.path.join(folder, "plans.json")))
dataset = json.load(open(os.path.join(folder, "dataset.json")))
conf = plans["configurations"]["2d"]
kw = conf["architecture"]["arch_kwargs"]
torch.manual_seed(5)
net = PlainConvUNet(1, kw["n_stages"], kw["features_per_stage"], torch.nn.Conv2d, kw["kernel_sizes"], kw["strides"], kw["n_conv_per_stage"], 3,
                    kw["n_conv_per_stage_decoder"], conv_bias=kw["conv_bias"], norm_op=torch.nn.BatchNorm2d, norm_op_kwargs={"eps": 1e-5, "affine": True},
                    nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=False)
for name, p in net.state_dict().items():
    if "norm" in name and p.dtype == torch.float32:
        p.add_(0.2 * torch.rand(p.shape))
x = torch.randn(1, 1, *conf["patch_size"])
with torch.inference_mode():
    y = net.eval()(x)
torch.save({"network_weights": net.state_dict(), "current_epoch": 3, "trainer_name": "nnUNetTrainerBN", "inference_allowed_mirroring_axes": (0, 1),
            "init_args": {"plans": plans, "configuration": "2d", "fold": 0, "dataset_json": dataset, "device": torch.device("cpu")}},
           os.path.join(here, "batchnorm.pth"))
short = lambda t: [float(f"{v:.7g}") for v in t.flatten().tolist()]
json.dump({"input": short(x), "output": short(y)}, open(os.path.join(here, "batchnorm.json"), "w"))
