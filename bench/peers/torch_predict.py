#!/usr/bin/env python3
"""Times sliding-window prediction of nnU-Net's plain U-Net in PyTorch: tiles with half
their size as step, Gaussian weights, mirroring over all axes with --tta, argmax.

    torch_predict.py [--volume 80,112,80] [--tta] [--patch 40,56,40] [--width 32] [--threads 1,0]

Both memory layouts are timed, and one or two tiles at a time (nnU-Net runs one):
the best of the four counts.
"""
import argparse
import contextlib
import itertools
import math

import torch

from network import UNet, add_flags, features, forward_flop
from timing import LAYOUTS, measure, report, threads


def corners(size, patch, step=0.5):
    """First voxels of the tiles along one axis, as nnU-Net spreads them."""
    count = math.ceil((size - patch) / (patch * step)) + 1
    if count == 1:
        return [0]
    return [round((size - patch) / (count - 1) * i) for i in range(count)]


def gaussian(patch):
    lines = []
    for n in patch:
        at = torch.arange(n) - n // 2
        lines.append(torch.exp(-0.5 * (at / (n / 8)) ** 2))
    weights = torch.einsum("d,h,w->dhw", *lines)
    weights /= weights.max() / 10
    return weights.clamp(min=float(weights[weights > 0].min()))


def prediction(args, patch, volume, layout, at_once):
    """Returns a function that labels one volume."""
    torch.manual_seed(0)
    net = UNet(args.channels, args.classes, features(args.width, args.stages)).eval().to(memory_format=LAYOUTS[layout])
    x = torch.randn(1, args.channels, *volume)
    weights = gaussian(patch)
    tiles = list(itertools.product(*(corners(n, p) for n, p in zip(volume, patch))))
    mirrors = [axes for n in range(4) for axes in itertools.combinations((2, 3, 4), n)] if args.tta else [()]

    def autocast():
        if args.dtype == "f32":
            return contextlib.nullcontext()
        return torch.autocast("cpu", dtype=torch.bfloat16)

    @torch.inference_mode()
    def run():
        logits = torch.zeros(args.classes, *volume)
        total = torch.zeros(*volume)
        jobs = [(corner, axes) for corner in tiles for axes in mirrors]
        for first in range(0, len(jobs), at_once):
            some = jobs[first:first + at_once]
            boxes = [tuple(slice(c, c + p) for c, p in zip(corner, patch)) for corner, _ in some]
            batch = torch.cat([torch.flip(x[(slice(None), slice(None), *box)], axes) for box, (_, axes) in zip(boxes, some)])
            with autocast():
                y = net(batch.contiguous(memory_format=LAYOUTS[layout]))[0]
            for out, box, (_, axes) in zip(y.float(), boxes, some):
                logits[(slice(None), *box)] += torch.flip(out, [a - 1 for a in axes]) / len(mirrors) * weights
                total[box] += weights / len(mirrors)
        return (logits / total).argmax(0)
    return run, len(tiles) * len(mirrors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser)
    parser.add_argument("--volume", default="80,112,80")
    parser.add_argument("--tta", action="store_true")
    args = parser.parse_args()
    patch = [int(s) for s in args.patch.split(",")]
    volume = [int(s) for s in args.volume.split(",")]
    flop = forward_flop(args.channels, args.classes, features(args.width, args.stages), patch, heads="finest")
    rows = []
    for count in threads(args.threads):
        torch.set_num_threads(count)
        for layout, at_once in itertools.product(LAYOUTS if args.layout == "best" else [args.layout], (1, 2)):
            work, passes = prediction(args, patch, volume, layout, at_once)
            median, fastest = measure(work, args.seconds, least=2)
            rows.append({"threads": count, "layout": layout, "at_once": at_once, "dtype": args.dtype, "volume": volume, "patch": patch,
                         "width": args.width, "stages": args.stages, "tiles": passes, "tta": args.tta,
                         "s": median, "best_s": fastest, "tiles_per_s": passes / median, "gflops": passes * flop / median / 1e9})
    best = {}
    for row in rows:
        key = row["threads"]
        if key not in best or row["best_s"] < best[key]["best_s"]:
            best[key] = row
    report(what="predict", gflop_per_tile=flop / 1e9, rows=rows, best=list(best.values()))


if __name__ == "__main__":
    main()
