"""Why Adam's third step of two of the golden networks has two right answers.

    python kink.py GOLDEN/networks/e_dynunet3d        (monai 1.6.1, torch 2.15.0, safetensors)
    python kink.py GOLDEN/networks/e_dynunet2d

In the second step a pre-activation is -9.1e-7 or 1.1e-7 in float64: rounding decides on
which side of the leaky ReLU it is, and Adam makes a whole step of the difference. This
is the training in float64 with that one activation on the other side; it writes the
weights after the third step beside itself.
"""
import json
import os
import sys

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from safetensors.torch import load_file, save_file

folder = sys.argv[1]
name = os.path.basename(os.path.normpath(folder))
STEP, CALL = 1, 0
MODULE, INDEX = {"e_dynunet3d": ("upsamples.1.conv_block.lrelu", 6572), "e_dynunet2d": ("upsamples.2.conv_block.lrelu", 16200)}[name]
c = json.load(open(f"{folder}/case.json"))
weights, io = load_file(f"{folder}/weights.safetensors"), load_file(f"{folder}/io.safetensors")


class Leaky(torch.nn.Module):
    """A leaky ReLU that takes one activation for one of the other sign."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        above = x > 0
        self.calls += 1
        if (step, self.name, self.calls - 1) == (STEP, MODULE, CALL) and flip:
            print("the pre-activation is", x.flatten()[INDEX].item())
            above = above.flatten().clone()
            above[INDEX] = ~above[INDEX]
            above = above.reshape(x.shape)
        return torch.where(above, x, 0.01 * x)


def train():
    global step
    net = DynUNet(c["dim"], c["in_channels"], c["out_channels"], c["kernels"], c["strides"], c["strides"][1:], filters=c["filters"],
                  norm_name=("INSTANCE", {"affine": True}), act_name=("leakyrelu", {"inplace": False, "negative_slope": 0.01}),
                  deep_supervision=True, deep_supr_num=c["deep_supr_num"], trans_bias=True).double()
    net.load_state_dict({n: v.double() for n, v in weights.items()}, strict=False)
    for name, m in list(net.named_modules()):
        if isinstance(m, torch.nn.LeakyReLU):
            parent, own = name.rsplit(".", 1)
            setattr(net.get_submodule(parent), own, Leaky(name))
    loss = DiceCELoss(include_background=False, softmax=True, to_onehot_y=True, batch=True)
    x, y = io["input"].double(), io["target"].long()
    optimizer = torch.optim.Adam(net.parameters(), lr=8e-4, weight_decay=1e-4)
    for step in range(3):
        for m in net.modules():
            m.calls = 0
        out = net.train()(x)
        optimizer.zero_grad()
        sum(0.5 ** i * loss(out[:, i], y) for i in range(out.shape[1])).div(sum(0.5 ** i for i in range(out.shape[1]))).backward()
        optimizer.step()
    return {n: p.detach().float() for n, p in net.named_parameters(remove_duplicate=False) if not n.startswith("skip_layers.")}


golden = load_file(f"{folder}/after3_adam_dice_ce.safetensors")
for flip in (False, True):
    after = train()
    print("flipped" if flip else "as it is", "against the golden weights:", max((after[n] - golden[n]).abs().max().item() for n in after))
save_file(after, os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.safetensors"))
