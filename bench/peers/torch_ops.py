#!/usr/bin/env python3
"""Times convolutions of PyTorch: forward, input gradient, weight gradient.

    torch_ops.py [--threads 1,0] [--precision f32] [--batch 1] [--seconds 1] [--layer NAME:Ci-Co:DxHxW:k:stride ...]
                 [--device cuda]

Kernel and stride are a number, or one an axis: 1x3x3, which on one slice is a 2-D
convolution. Each is timed in both memory layouts and the better one counts. Rows are
those of `gounet bench ops`: GFLOP/s of the nominal 2 N D H W kD kH kW Ci Co. A
convolution of two inputs (64+32-32) is timed on the concatenated input, without the
concat. On a GPU its own clock tells, for calls that follow each other: those that
take less time than Python needs to start one show Python's.
"""
import argparse
import math

import torch

import timing

# The shapes of the bars, then the layers of the hippocampus plan (patch 40x56x40).
LAYERS = [
    "big:32-32:64x64x64:3:1",
    "big:64-64:32x32x32:3:1",
    "big:320-320:8x8x8:3:1",
    "plan:1-32:40x56x40:3:1",
    "plan:32-32:40x56x40:3:1",
    "plan:32-64:40x56x40:3:2",
    "plan:64-64:20x28x20:3:1",
    "plan:64-128:20x28x20:3:2",
    "plan:128-128:10x14x10:3:1",
    "plan:128-256:10x14x10:3:2",
    "plan:256-256:5x7x5:3:1",
    "plan:256-128:10x14x10:3:1",
    "plan:128-64:20x28x20:3:1",
    "plan:64-32:40x56x40:3:1",
]


def parse(text):
    name, channels, shape, kernel, stride = text.split(":")
    ci, co = (int(c) for c in channels.split("-"))
    three = [tuple(int(n) for n in part.split("x")) for part in (shape, kernel, stride)]
    shape, kernel, stride = (n * 3 if len(n) == 1 else n for n in three)
    if shape[0] == kernel[0] == stride[0] == 1:
        shape, kernel, stride = shape[1:], kernel[1:], stride[1:]
    return name, ci, co, shape, kernel, stride


def passes(x, w, dy, stride, padding):
    """The three directions as functions without arguments."""
    dims = len(stride)
    forward = {2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}[dims]

    def backward(mask):
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, stride, padding, [1] * dims, False, [0] * dims, 1, mask)
    return {
        "forward": lambda: forward(x, w, stride=stride, padding=padding),
        "grad_input": backward([True, False, False]),
        "grad_weight": backward([False, True, False]),
    }


CALLS = 10  # between two looks at the clock of a GPU


def measure(args, work):
    """Median and best seconds of a call."""
    if not args.gpu:
        return timing.measure(args, work)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    times = []

    def calls():
        begin.record()
        for _ in range(CALLS):
            work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1000 / CALLS)
    timing.measure(args, calls)
    times = sorted(times[1:])
    return times[len(times) // 2], times[0]


def rows(layer, args, count):
    name, ci, co, shape, kernel, stride = parse(layer)
    padding = [k // 2 for k in kernel]
    out = [(s - 1) // t + 1 for s, t in zip(shape, stride)]
    flop = 2 * args.batch * math.prod(out) * math.prod(kernel) * ci * co
    found = []
    for layout, form in timing.layouts(args, len(shape)).items():
        tensors = [torch.randn(s).to(args.device, timing.DTYPES[args.precision]).contiguous(memory_format=form) for s in (
            (args.batch, ci, *shape), (co, ci, *kernel), (args.batch, co, *out))]
        for direction, work in passes(*tensors, stride, padding).items():
            def make():
                median, fastest = measure(args, work)
                return {"s": median, "best_s": fastest, "gflops": flop / median / 1e9, "best_gflops": flop / fastest / 1e9}
            found.append(timing.row(args, make, set=name, op="conv", **{"pass": direction}, ci=ci, co=co, shape=list(shape), kernel=kernel,
                                    stride=stride, batch=args.batch, threads=count, precision=args.precision, layout=layout))
    return timing.best(found, "pass")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    timing.add_flags(parser, seconds=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--layer", action="append", help="instead of the built-in list; may be repeated")
    args = parser.parse_args()
    timing.start(args)
    result = []
    for count in timing.threads(args):
        timing.use(count)
        for layer in args.layer or LAYERS:
            result.extend(rows(layer, args, count))
    timing.report(args, rows=result)


if __name__ == "__main__":
    main()
