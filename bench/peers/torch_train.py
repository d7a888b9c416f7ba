#!/usr/bin/env python3
"""Times a training step of nnU-Net's plain U-Net in PyTorch, as its trainer makes it:
forward, Dice + cross entropy over deep supervision, backward, clip to norm 12,
SGD with Nesterov momentum 0.99 and weight decay 3e-5.

    torch_train.py [--batch 2] [--patch 40,56,40] [--width 32] [--stages 4] [--threads 1,0] [--dtype bf16]

The defaults are the hippocampus plan. Both memory layouts are timed and the better
one counts. GFLOP/s counts the convolutions: three times the forward pass.
"""
import argparse
import contextlib

import torch

from network import UNet, add_flags, features, forward_flop, loss
from timing import LAYOUTS, measure, report, threads


def step(args, patch, layout):
    """Returns a function that makes one training step."""
    torch.manual_seed(0)
    net = UNet(args.channels, args.classes, features(args.width, args.stages)).to(memory_format=LAYOUTS[layout])
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)
    x = torch.randn(args.batch, args.channels, *patch).contiguous(memory_format=LAYOUTS[layout])
    targets = [torch.randint(0, args.classes, (args.batch, 1, *(s >> i for s in patch))) for i in range(args.stages - 1)]

    def autocast():
        if args.dtype == "f32":
            return contextlib.nullcontext()
        return torch.autocast("cpu", dtype=torch.bfloat16)

    def run():
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            outputs = net(x)
        value = loss(outputs, targets)
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 12)
        optimizer.step()
        return value.item()
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser)
    parser.add_argument("--batch", type=int, default=2)
    args = parser.parse_args()
    patch = [int(s) for s in args.patch.split(",")]
    flop = 3 * args.batch * forward_flop(args.channels, args.classes, features(args.width, args.stages), patch)
    rows = []
    for count in threads(args.threads):
        torch.set_num_threads(count)
        for layout in LAYOUTS if args.layout == "best" else [args.layout]:
            median, fastest = measure(step(args, patch, layout), args.seconds)
            rows.append({"threads": count, "layout": layout, "dtype": args.dtype, "batch": args.batch, "patch": patch,
                         "width": args.width, "stages": args.stages, "s": median, "best_s": fastest,
                         "gflops": flop / median / 1e9})
    best = {}
    for row in rows:
        key = row["threads"]
        if key not in best or row["best_s"] < best[key]["best_s"]:
            best[key] = row
    report(what="train", gflop=flop / 1e9, rows=rows, best=list(best.values()))


if __name__ == "__main__":
    main()
