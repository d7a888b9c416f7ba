"""Losses of nnU-Net and of MONAI, and their gradients in the logits.

    python losses.py > losses.json        (nnunetv2 2.8.1, MONAI 1.6.1, torch 2.15.0)

Logits are rounded to three digits, so that the file is small. Logits and gradients are
[N K D H W], labels [N 1 D H W]. Without a key "dice" there is no Dice.
"""
import json

import torch
from monai.losses import DiceFocalLoss
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss, DC_and_topk_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss, SoftDiceLoss
from nnunetv2.training.loss.robust_ce_loss import RobustCrossEntropyLoss, TopKLoss

torch.manual_seed(3)
K, IGNORE = 3, 3
logits = (torch.randn(2, K, 3, 4, 5) * 2).mul(1000).round().div(1000)
labels = torch.randint(0, K, (2, 1, 3, 4, 5))
sparse = labels.clone()
sparse[torch.rand(sparse.shape) < 0.3] = IGNORE


def short(x):
    return [float(f"{v:.8g}") for v in x.flatten().tolist()]


weights = [0.2, 1.0, 3.0]

out = {"shape": list(logits.shape), "logits": short(logits), "labels": labels.flatten().tolist(),
       "sparse": sparse.flatten().tolist(), "cases": {}}


def case(name, loss, **plan):
    z = logits.clone().requires_grad_()
    value = loss(z, sparse if plan.get("ignore") else labels)
    value.backward()
    out["cases"][name] = dict(plan, loss=value.item(), gradient=short(z.grad))


for ignore in (False, True):
    tail = " ignore" if ignore else ""
    index = IGNORE if ignore else -100
    label = IGNORE if ignore else None
    w = torch.tensor(weights)
    case("weighted" + tail, RobustCrossEntropyLoss(weight=w, ignore_index=index), voxel="ce", weights=weights, ignore=ignore)
    case("topk" + tail, TopKLoss(ignore_index=index, k=10), voxel="topk", k=0.1, ignore=ignore)
    for batch in (False, True):
        dice = {"batch_dice": batch, "smooth": 1e-5, "do_bg": False, "ddp": False}
        name = (" batch" if batch else " sample") + tail
        case("dice weighted" + name, DC_and_CE_loss(dict(dice), {"weight": w}, ignore_label=label, dice_class=MemoryEfficientSoftDiceLoss),
             voxel="ce", weights=weights, dice=1, batch=batch, ignore=ignore)
        case("dice topk" + name, DC_and_topk_loss(dict(dice), {"k": 10, "label_smoothing": 0.0}, ignore_label=label),
             voxel="topk", k=0.1, dice=1, batch=batch, ignore=ignore)
case("topk 29", TopKLoss(k=29), voxel="topk", k=0.29)

# Smoothed labels: those of nnU-Net's trainer TopK10LossLS01, and of its cross entropy.
for ignore in (False, True):
    tail = " ignore" if ignore else ""
    index = IGNORE if ignore else -100
    case("smoothed" + tail, RobustCrossEntropyLoss(label_smoothing=0.1, ignore_index=index), voxel="ce", smoothing=0.1, ignore=ignore)
    case("topk smoothed" + tail, TopKLoss(ignore_index=index, k=10, label_smoothing=0.1), voxel="topk", k=0.1, smoothing=0.1, ignore=ignore)
case("dice smoothed", DC_and_CE_loss({"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}, {"label_smoothing": 0.3},
                                     dice_class=MemoryEfficientSoftDiceLoss), voxel="ce", smoothing=0.3, dice=1)

# NVIDIA's --focal as MONAI computes it since the softmax of Dice has the background.
case("dice focal", DiceFocalLoss(include_background=False, softmax=True, to_onehot_y=True, batch=True, gamma=2),
     voxel="focal", gamma=2, dice=1, batch=True, offset=1)
print(json.dumps(out))
