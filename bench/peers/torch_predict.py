#!/usr/bin/env python3
"""Times sliding-window prediction of nnU-Net's plain U-Net in PyTorch: tiles with half
their size as step, Gaussian weights, with mirroring over all axes, argmax. The scan
comes from the host's memory, and its labels go there.

    torch_predict.py [--volume 80,112,80] [--mirror no,yes] [--patch 40,56,40] [--width 32] [--threads 1,0]
                     [--at-once 1,2] [--precision f16] [--device cuda] [--compile]

Both memory layouts are timed, and one or more tiles at a time (nnU-Net runs one), with
--compile the best of these also compiled: the best of all counts. On a GPU sums of
logits are kept in f16 where the network computes in f16, as nnU-Net keeps them.
A 2-D network sees every slice by itself.
"""
import argparse
import itertools
import math

import torch

import timing
from network import UNet, add_flags, features, forward_flop, sizes, space


def corners(size, patch, step=0.5):
    """First voxels of the tiles along one axis, as nnU-Net spreads them."""
    if patch == 1:
        return list(range(size))
    count = math.ceil((size - patch) / (patch * step)) + 1
    if count == 1:
        return [0]
    return [round((size - patch) / (count - 1) * i) for i in range(count)]


def gaussian(patch, dtype):
    """Weights of the voxels of a tile, none of them 0."""
    lines = []
    for n in patch:
        at = torch.arange(n) - n // 2
        lines.append(torch.exp(-0.5 * (at / (n / 8)) ** 2))
    weights = torch.einsum("d,h,w->dhw", *lines)
    weights = (weights / weights.max() * 10).to(dtype)
    weights[weights == 0] = weights[weights > 0].min()
    return weights


def network(args, form, compiled):
    torch.manual_seed(0)
    net = UNet(len(space(sizes(args.patch))), args.channels, args.classes, features(args))
    net = net.eval().to(args.device, memory_format=form)
    return torch.compile(net) if compiled else net


def jobs(args, volume, mirror):
    """The corners of all tiles, each with the axes (of D H W: 0 1 2) that it is mirrored along."""
    patch = sizes(args.patch)
    tiles = itertools.product(*(corners(n, p) for n, p in zip(volume, patch)))
    axes = [a for a in range(3) if patch[a] > 1]
    mirrors = [m for n in range(len(axes) + 1) for m in itertools.combinations(axes, n)] if mirror else [()]
    return list(itertools.product(tiles, mirrors)), len(mirrors)


def prediction(args, net, volume, form, at_once, mirror):
    """Returns a function that labels one volume."""
    patch = sizes(args.patch)
    flat = patch[0] == 1
    scan = torch.randn(args.channels, *volume)
    kept = timing.DTYPES[args.precision] if args.gpu and args.precision == "f16" else torch.float32
    weights = gaussian(patch, kept).to(args.device)
    todo, mirrors = jobs(args, volume, mirror)

    @torch.inference_mode()
    def run():
        x = scan.to(args.device)
        logits = torch.zeros(args.classes, *volume, dtype=kept, device=args.device)
        total = torch.zeros(*volume, dtype=kept, device=args.device)
        for first in range(0, len(todo), at_once):
            some = todo[first:first + at_once]
            boxes = [tuple(slice(c, c + p) for c, p in zip(corner, patch)) for corner, _ in some]
            tiles = [torch.flip(x[(slice(None), *box)], [a + 1 for a in axes]) for box, (_, axes) in zip(boxes, some)]
            batch = torch.stack([tile[:, 0] if flat else tile for tile in tiles])
            with timing.autocast(args):
                y = net(batch.contiguous(memory_format=form))[0]
            for out, box, (_, axes) in zip(y.to(kept), boxes, some):
                out = out[:, None] if flat else out
                logits[(slice(None), *box)] += torch.flip(out, [a + 1 for a in axes]) / mirrors * weights
                total[box] += weights / mirrors
        return (logits / total).argmax(0).to(torch.uint8).cpu()
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    timing.add_flags(parser, seconds=20)
    add_flags(parser)
    parser.add_argument("--volume", default="80,112,80")
    parser.add_argument("--mirror", default="no", help="no, yes or both: no,yes")
    parser.add_argument("--at-once", default="1,2", help="tiles in one run of the network, comma separated")
    args = parser.parse_args()
    timing.start(args)
    patch, volume = sizes(args.patch), sizes(args.volume)
    if any(n < p for n, p in zip(volume, patch)):
        parser.error(f"--volume {args.volume}: wanted at least the patch, {args.patch}")
    flop = forward_flop(args.channels, args.classes, features(args), patch, heads="finest")
    forms = timing.layouts(args, len(space(patch)))
    rows = []

    def time(count, layout, compiled, at_once, mirrors):
        net = []  # made once for all rows, which have the same shapes

        for mirror in mirrors:
            passes = len(jobs(args, volume, mirror == "yes")[0])

            def make():
                warm = bool(net)
                if not warm:
                    net.append(network(args, forms[layout], compiled))
                work = prediction(args, net[0], volume, forms[layout], at_once, mirror == "yes")
                median, fastest = timing.measure(args, work, least=2, warm=warm)
                return {"s": median, "best_s": fastest, "images_per_s": passes / fastest, "gflops": passes * flop / median / 1e9}
            rows.append(timing.row(args, make, threads=count, layout=layout, compiled=compiled, at_once=at_once, precision=args.precision,
                                   volume=volume, patch=patch, width=args.width, stages=args.stages, tiles=passes, mirror=mirror))

    for count in timing.threads(args):
        timing.use(count)
        mirrors, before = args.mirror.split(","), len(rows)
        for layout, at_once in itertools.product(forms, sorted(set(sizes(args.at_once)))):
            time(count, layout, args.compile == "only", at_once, mirrors)
        if args.compile == "also":
            for r in timing.best(rows[before:], "mirror"):
                time(count, r["layout"], True, r["at_once"], [r["mirror"]])
    timing.report(args, what="predict", gflop_per_tile=flop / 1e9, rows=rows, best=timing.best(rows, "threads", "mirror"))


if __name__ == "__main__":
    main()
