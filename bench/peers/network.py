"""nnU-Net's plain U-Net and its training loss in PyTorch, written for timing.

Per stage two blocks of convolution 3x3x3 with bias, instance normalisation with
affine and LeakyReLU 0.01; a stage but the first begins with stride 2; the way up
is transposed convolutions of kernel 2 and concatenation; a 1x1x1 head a scale.
A patch of one slice has the 2-D network: all that is 3 is 2.
"""
import torch
from torch import nn

CONV, UP, NORM = {2: nn.Conv2d, 3: nn.Conv3d}, {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}, {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


def space(patch):
    """The sizes that the network sees of a patch D H W: of one slice H and W."""
    return patch[1:] if patch[0] == 1 else patch


def block(dims, ci, co, stride=1):
    return nn.Sequential(CONV[dims](ci, co, 3, stride, 1), NORM[dims](co, affine=True), nn.LeakyReLU(0.01, inplace=True))


class UNet(nn.Module):
    """x [N Ci D H W], of 2 dims [N Ci H W] -> logits of every scale, the finest first (only it in eval mode)."""

    def __init__(self, dims, channels, classes, features):
        super().__init__()
        self.down = nn.ModuleList()
        ci = channels
        for i, co in enumerate(features):
            self.down.append(nn.Sequential(block(dims, ci, co, 1 if i == 0 else 2), block(dims, co, co)))
            ci = co
        self.up, self.stage, self.head = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for co in reversed(features[:-1]):
            self.up.append(UP[dims](ci, co, 2, 2))
            self.stage.append(nn.Sequential(block(dims, 2 * co, co), block(dims, co, co)))
            self.head.append(CONV[dims](co, classes, 1))
            ci = co

    def forward(self, x):
        skips = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        out = []
        for i, (up, stage) in enumerate(zip(self.up, self.stage)):
            x = stage(torch.cat((up(x), skips[-2 - i]), 1))
            if self.training or i == len(self.up) - 1:
                out.append(self.head[i](x))
        return out[::-1]


def loss(outputs, targets):
    """Soft Dice of the foreground a sample + cross entropy, over the scales of deep supervision.

    targets[i] [N 1 D H W], or [N 1 H W], int64 labels of scale i. Scale i weighs 1/2^i, the coarsest
    0, normalised to a sum of 1.
    """
    weights = [0.5 ** i for i in range(len(outputs))]
    if len(weights) > 1:
        weights[-1] = 0
    total = 0
    for weight, logits, target in zip(weights, outputs, targets):
        if weight == 0:
            continue
        logits = logits.float()
        p = torch.softmax(logits, 1)
        one_hot = torch.zeros_like(p).scatter_(1, target, 1)
        axes = tuple(range(2, p.ndim))
        both = (p * one_hot)[:, 1:].sum(axes)
        size = p[:, 1:].sum(axes) + one_hot[:, 1:].sum(axes)
        dice = ((2 * both + 1e-5) / torch.clamp(size + 1e-5, min=1e-8)).mean()
        total = total + weight / sum(weights) * (nn.functional.cross_entropy(logits, target[:, 0]) - dice)
    return total


def forward_flop(channels, classes, features, patch, heads="all"):
    """Nominal FLOP of the convolutions of one forward pass of one sample."""
    dims, voxels = len(space(patch)), patch[0] * patch[1] * patch[2]
    taps, fewer = 3 ** dims, 2 ** dims
    flop, ci = 0, channels
    for i, co in enumerate(features):
        n = voxels // fewer ** i
        flop += 2 * n * taps * co * (ci + co)
        ci = co
    for i in range(len(features) - 2, -1, -1):
        n, co = voxels // fewer ** i, features[i]
        flop += 2 * n * features[i + 1] * co  # transposed: one tap an output voxel
        flop += 2 * n * taps * co * (2 * co + co)
        if heads == "all" or i == 0:
            flop += 2 * n * co * classes
    return flop


def features(args):
    """Of the stages: nnU-Net's at most 320, of a 2-D network 512."""
    return [min({2: 512, 3: 320}[len(space(sizes(args.patch)))], args.width * 2 ** i) for i in range(args.stages)]


def sizes(text):
    """The numbers of "40,56,40"."""
    return [int(n) for n in text.split(",")]


def add_flags(parser):
    parser.add_argument("--patch", default="40,56,40", help="D,H,W; D is 1 for the 2-D network")
    parser.add_argument("--width", type=int, default=32, help="features of the first stage")
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--compile", nargs="?", choices=("no", "also", "only"), default="no", const="also",
                        help="time what was best with torch.compile too, or time only compiled networks")
