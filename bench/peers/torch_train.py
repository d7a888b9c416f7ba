#!/usr/bin/env python3
"""Times a training step of nnU-Net's plain U-Net in PyTorch, as its trainer makes it:
forward, Dice + cross entropy over deep supervision, backward, clip to norm 12,
SGD with Nesterov momentum 0.99 and weight decay 3e-5.

    torch_train.py [--batch 2,4] [--patch 40,56,40] [--width 32] [--stages 4] [--threads 1,0] [--precision bf16]
                   [--device cuda] [--compile]

The defaults are the hippocampus plan. Both memory layouts are timed, with --compile
the better one also compiled, and the best counts. GFLOP/s counts the convolutions:
three times the forward pass. What does not fit into the memory of a GPU is a row
with "error".
"""
import argparse

import torch

import timing
from network import UNet, add_flags, features, forward_flop, loss, sizes, space


def step(args, batch, form, compiled):
    """Returns a function that makes one training step."""
    torch.manual_seed(0)
    patch = space(sizes(args.patch))
    net = UNet(len(patch), args.channels, args.classes, features(args)).to(args.device, memory_format=form)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)
    scaler = torch.amp.GradScaler(args.device.split(":")[0], enabled=args.precision == "f16")
    x = torch.randn(batch, args.channels, *patch).to(args.device).contiguous(memory_format=form)
    targets = [torch.randint(0, args.classes, (batch, 1, *(s >> i for s in patch))).to(args.device) for i in range(args.stages - 1)]
    model = torch.compile(net) if compiled else net

    def run():
        optimizer.zero_grad(set_to_none=True)
        with timing.autocast(args):
            outputs = model(x)
        value = loss(outputs, targets)
        scaler.scale(value).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 12)
        scaler.step(optimizer)
        scaler.update()
        return value.item()
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    timing.add_flags(parser, seconds=20)
    add_flags(parser)
    parser.add_argument("--batch", default="2", help="comma separated")
    args = parser.parse_args()
    timing.start(args)
    patch = sizes(args.patch)
    rows = []

    def time(batch, count, layout, form, compiled):
        flop = 3 * batch * forward_flop(args.channels, args.classes, features(args), patch)

        def make():
            median, fastest = timing.measure(args, step(args, batch, form, compiled))
            return {"s": median, "best_s": fastest, "images_per_s": batch / fastest, "gflops": flop / median / 1e9}
        rows.append(timing.row(args, make, threads=count, layout=layout, compiled=compiled, precision=args.precision, batch=batch, patch=patch,
                               width=args.width, stages=args.stages, gflop=flop / 1e9))

    for count in timing.threads(args):
        timing.use(count)
        for batch in sizes(args.batch):
            forms = timing.layouts(args, len(space(patch)))
            for layout, form in forms.items():
                time(batch, count, layout, form, args.compile == "only")
            if args.compile == "also":
                layout = timing.best(rows[-len(forms):])[0]["layout"]
                time(batch, count, layout, forms[layout], True)
    timing.report(args, what="train", rows=rows, best=timing.best(rows, "threads", "batch"))


if __name__ == "__main__":
    main()
