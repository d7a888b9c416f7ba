"""nnU-Net's plain U-Net and its training loss in PyTorch, written for timing.

Per stage two blocks of convolution 3x3x3 with bias, instance normalisation with
affine and LeakyReLU 0.01; a stage but the first begins with stride 2; the way up
is transposed convolutions of kernel 2 and concatenation; a 1x1x1 head a scale.
"""
import torch
from torch import nn


def block(ci, co, stride=1):
    return nn.Sequential(nn.Conv3d(ci, co, 3, stride, 1), nn.InstanceNorm3d(co, affine=True), nn.LeakyReLU(0.01, inplace=True))


class UNet(nn.Module):
    """x [N Ci D H W] -> logits of every scale, the finest first (only it in eval mode)."""

    def __init__(self, channels, classes, features):
        super().__init__()
        self.down = nn.ModuleList()
        ci = channels
        for i, co in enumerate(features):
            self.down.append(nn.Sequential(block(ci, co, 1 if i == 0 else 2), block(co, co)))
            ci = co
        self.up, self.stage, self.head = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for co in reversed(features[:-1]):
            self.up.append(nn.ConvTranspose3d(ci, co, 2, 2))
            self.stage.append(nn.Sequential(block(2 * co, co), block(co, co)))
            self.head.append(nn.Conv3d(co, classes, 1))
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

    targets[i] [N 1 D H W] int64 labels of scale i. Scale i weighs 1/2^i, the coarsest
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
    voxels = patch[0] * patch[1] * patch[2]
    flop, ci = 0, channels
    for i, co in enumerate(features):
        n = voxels // 8 ** i
        flop += 2 * n * 27 * co * (ci + co)
        ci = co
    for i in range(len(features) - 2, -1, -1):
        n, co = voxels // 8 ** i, features[i]
        flop += 2 * n * features[i + 1] * co  # transposed: one tap an output voxel
        flop += 2 * n * 27 * co * (2 * co + co)
        if heads == "all" or i == 0:
            flop += 2 * n * co * classes
    return flop


def features(width, stages, largest=320):
    return [min(largest, width * 2 ** i) for i in range(stages)]


def add_flags(parser):
    parser.add_argument("--patch", default="40,56,40")
    parser.add_argument("--width", type=int, default=32, help="features of the first stage")
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--threads", default="0", help="comma separated; 0 is all cores")
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32", help="bf16 is autocast")
    parser.add_argument("--layout", choices=("best", "default", "channels_last_3d"), default="best")
    parser.add_argument("--seconds", type=float, default=20, help="of timing a row")
