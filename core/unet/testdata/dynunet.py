"""MONAI's DynUNet with residual blocks and other norms: outputs, losses, gradients, and three steps.

    python dynunet.py        (monai 1.6.1, torch 2.15.0, safetensors)

Writes a folder for each case beside itself, in the form of golden/networks: case.json,
weights, io (output_eval is that of running statistics), gradients, and weights after
three steps of SGD. The loss is NVIDIA's: Dice and cross entropy of each head, enlarged,
weighted 1, ½ …
"""
import json
import os

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from safetensors.torch import save_file

KERNELS, STRIDES = [[1, 3, 3], [3, 3, 3], [3, 3, 3]], [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
CASES = [
    dict(name="residual3d", dim=3, res_block=True),
    dict(name="residual2d_batch", dim=2, res_block=True, norm="batch"),
    dict(name="plain3d_batch", dim=3, norm="batch"),
    dict(name="plain3d_group", dim=3, norm="group", groups=2),
    dict(name="residual3d_group", dim=3, res_block=True, norm="group", groups=1),
]
here = os.path.dirname(os.path.abspath(__file__))


def build(c):
    torch.manual_seed(c["seed"])
    norm = {"instance": ("INSTANCE", {"affine": True}), "batch": ("BATCH", {"affine": True}),
            "group": ("GROUP", {"num_groups": c["groups"]})}[c["norm"]]
    net = DynUNet(c["dim"], c["in_channels"], c["out_channels"], c["kernels"], c["strides"], c["strides"][1:], filters=c["filters"],
                  norm_name=norm, act_name=("leakyrelu", {"inplace": False, "negative_slope": 0.01}),
                  deep_supervision=True, deep_supr_num=c["deep_supr_num"], res_block=c["res_block"], trans_bias=True)
    for name, p in net.state_dict().items():
        if "norm" in name and name.endswith(("weight", "running_var")):
            p.copy_(1 + 0.2 * torch.rand(p.shape))
        elif name.endswith(("bias", "running_mean")):
            p.add_(0.1 * torch.randn(p.shape))
    shape = [c["batch"], c["in_channels"], *c["patch"]]
    return net, torch.randn(shape), torch.randint(0, c["out_channels"], [c["batch"], 1, *c["patch"]])


def nearest_kink(c):
    """The smallest pre-activation: near 0 rounding decides which side of the leaky ReLU it is on."""
    net, x, _ = build(c)
    least = []
    for m in net.modules():
        if isinstance(m, torch.nn.LeakyReLU):
            m.register_forward_pre_hook(lambda _, i: least.append(i[0].abs().min().item()))
    with torch.no_grad():
        net.train()(x)
    return min(least)


def own(tensors):
    return {n: v.detach().clone().float().contiguous() for n, v in tensors.items() if not n.startswith("skip_layers.")}


for c in CASES:
    c = dict(dict(norm="instance", groups=0, res_block=False), **c)
    c.update(in_channels=2, out_channels=3, filters=[2, 4, 6], deep_supr_num=1, batch=2, patch=[4, 8, 12][3 - c["dim"]:], steps=["dice_ce"],
             kernels=[k[3 - c["dim"]:] for k in KERNELS], strides=[s[3 - c["dim"]:] for s in STRIDES])
    c["seed"] = max(range(40), key=lambda s: nearest_kink(dict(c, seed=s)))
    net, x, y = build(c)
    dice_ce = DiceCELoss(include_background=False, softmax=True, to_onehot_y=True, batch=True)
    folder = os.path.join(here, "dynunet", c["name"])
    os.makedirs(folder, exist_ok=True)

    def loss():
        out = net(x)
        return sum(0.5 ** i * dice_ce(out[:, i], y) for i in range(out.shape[1])) / sum(0.5 ** i for i in range(out.shape[1]))

    save_file(own({n: v for n, v in net.state_dict().items() if "num_batches" not in n}), f"{folder}/weights.safetensors")
    net.eval()
    with torch.no_grad():
        save_file(own({"input": x, "output_eval": net(x), "target": y}), f"{folder}/io.safetensors")
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=8e-4, momentum=0.99)
    losses = []
    for step in range(3):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        if step == 0:
            grads = {n: p.grad for n, p in net.named_parameters(remove_duplicate=False)}
            save_file(own(grads), f"{folder}/grads_dice_ce.safetensors")
        optimizer.step()
        losses.append(value.item())
    save_file(own({n: v for n, v in net.state_dict().items() if "num_batches" not in n}), f"{folder}/after3_sgd_dice_ce.safetensors")
    c["losses"] = {"dice_ce": {"loss": losses[0], "sgd3": {"losses": losses}}}
    json.dump(c, open(f"{folder}/case.json", "w"), indent=1)
    print(c["name"], c["seed"], losses)
