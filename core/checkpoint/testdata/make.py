"""Makes results/: two results folders in the form of nnU-Net v2 with tiny networks.

    python make.py RESULTS_2D RESULTS_3D

with torch and numpy; two results folders of nnU-Net give plans.json and dataset.json (2d and
3d_fullres plans of the hippocampus), which are cut down to two stages. The
weights of fold f are (i mod 64 + f) / 64, i counting through all parameters in
the order of the state dict. Fold 1 carries the prefixes of wrapped modules.
"""

import json
import os
import shutil
import sys
from collections import OrderedDict

import numpy as np
import torch


def shrink(arch, dim):
    kwargs = arch["arch_kwargs"]
    kwargs.update(
        n_stages=2, features_per_stage=[2, 3], kernel_sizes=[[3] * dim, [3] * dim],
        strides=[[1] * dim, [2] * dim], n_conv_per_stage=[1, 2], n_conv_per_stage_decoder=[1],
    )


def parameters(dim, classes):
    k3, k2, k1 = (3,) * dim, (2,) * dim, (1,) * dim

    def layer(name, out, inp):
        conv = [("weight", (out, inp) + k3), ("bias", (out,))]
        norm = [("weight", (out,)), ("bias", (out,))]
        return ([(f"{name}.conv.{n}", s, None) for n, s in conv] + [(f"{name}.norm.{n}", s, None) for n, s in norm]
                + [(f"{name}.all_modules.0.{n}", s, f"{name}.conv.{n}") for n, s in conv]
                + [(f"{name}.all_modules.1.{n}", s, f"{name}.norm.{n}") for n, s in norm])

    encoder = (layer("encoder.stages.0.0.convs.0", 2, 1) + layer("encoder.stages.1.0.convs.0", 3, 2)
               + layer("encoder.stages.1.0.convs.1", 3, 3))
    aliases = [("decoder." + n, s, a or n) for n, s, a in encoder]
    return (encoder + aliases + layer("decoder.stages.0.convs.0", 2, 4)
            + [("decoder.transpconvs.0.weight", (3, 2) + k2, None), ("decoder.transpconvs.0.bias", (2,), None)]
            + [("decoder.seg_layers.0.weight", (classes, 2) + k1, None), ("decoder.seg_layers.0.bias", (classes,), None)])


def weights(dim, classes, fold, prefix):
    state, i = OrderedDict(), 0
    for name, shape, alias in parameters(dim, classes):
        if alias:
            state[prefix + name] = state[prefix + alias]
            continue
        n = int(np.prod(shape))
        state[prefix + name] = ((torch.arange(i, i + n) % 64 + fold) / 64).reshape(shape)
        i += n
    state._metadata = OrderedDict(version=1)
    return state


def make(source, configuration, dim, folds):
    folder = f"results/Dataset001_Tiny/nnUNetTrainer__nnUNetPlans__{configuration}"
    shutil.rmtree(folder, ignore_errors=True)
    plans = json.load(open(os.path.join(source, "plans.json")))
    dataset = json.load(open(os.path.join(source, "dataset.json")))
    plans["dataset_name"] = "Dataset001_Tiny"
    for c in list(plans["configurations"]):
        if c != configuration:
            del plans["configurations"][c]
    shrink(plans["configurations"][configuration]["architecture"], dim)
    os.makedirs(folder)
    json.dump(plans, open(f"{folder}/plans.json", "w"), indent=1)
    json.dump(dataset, open(f"{folder}/dataset.json", "w"), indent=1)
    for fold, (name, base, prefix) in enumerate(folds):
        os.makedirs(f"{folder}/fold_{name}")
        torch.save({
            "network_weights": weights(dim, 3, fold, prefix), "optimizer_state": {"state": {}, "param_groups": []},
            "grad_scaler_state": None, "logging": {"mean_fg_dice": [0.5]}, "_best_ema": np.float64(0.5),
            "current_epoch": 7 + fold,
            "init_args": {"plans": plans, "configuration": configuration, "fold": name, "dataset_json": dataset,
                          "device": torch.device("cpu")},
            "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": (0, 1),
        }, f"{folder}/fold_{name}/{base}")


make(sys.argv[1], "2d", 2, [("0", "checkpoint_final.pth", ""), ("1", "checkpoint_final.pth", "module._orig_mod."),
                            ("all", "checkpoint_final.pth", "")])
make(sys.argv[2], "3d_fullres", 3, [("0", "checkpoint_best.pth", "_orig_mod.")])
