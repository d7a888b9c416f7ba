#!/usr/bin/env python3
"""Times 3-D convolutions of PyTorch: forward, input gradient, weight gradient.

    torch_ops.py [--threads 1,0] [--dtype f32] [--batch 1] [--seconds 1] [--layer NAME:Ci-Co:DxHxW:k:stride ...]

Each is timed in both memory layouts and the better one counts. Rows are those of
`gounet bench ops`: GFLOP/s of the nominal 2 N D H W kD kH kW Ci Co. A convolution
of two inputs (64+32-32) is timed on the concatenated input, without the concat.
"""
import argparse

import torch

from timing import DTYPES, LAYOUTS, measure, report, threads

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
    return name, ci, co, tuple(int(s) for s in shape.split("x")), int(kernel), int(stride)


def passes(x, w, dy, stride, padding):
    """The three directions as functions without arguments."""
    def backward(mask):
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, [stride] * 3, [padding] * 3, [1] * 3, False, [0] * 3, 1, mask)
    return {
        "forward": lambda: torch.nn.functional.conv3d(x, w, stride=stride, padding=padding),
        "grad_input": backward([True, False, False]),
        "grad_weight": backward([False, True, False]),
    }


def rows(layer, args, count):
    name, ci, co, shape, kernel, stride = parse(layer)
    padding = kernel // 2
    out = [(s - 1) // stride + 1 for s in shape]
    flop = 2 * args.batch * out[0] * out[1] * out[2] * kernel ** 3 * ci * co
    best = {}
    for layout, form in LAYOUTS.items():
        tensors = [torch.randn(s).to(dtype=DTYPES[args.dtype]).contiguous(memory_format=form) for s in (
            (args.batch, ci, *shape), (co, ci, kernel, kernel, kernel), (args.batch, co, *out))]
        for direction, work in passes(*tensors, stride, padding).items():
            median, fastest = measure(work, args.seconds)
            if direction not in best or fastest < best[direction]["best_s"]:
                best[direction] = {"layout": layout, "s": median, "best_s": fastest}
    for direction, row in best.items():
        yield {"set": name, "op": "conv3d", "pass": direction, "ci": ci, "co": co, "shape": list(shape), "kernel": kernel,
               "stride": stride, "batch": args.batch, "threads": count, "dtype": args.dtype, **row,
               "gflops": flop / row["s"] / 1e9, "best_gflops": flop / row["best_s"] / 1e9}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", default="1,0")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1, help="a row")
    parser.add_argument("--layer", action="append", help="instead of the built-in list; may be repeated")
    args = parser.parse_args()
    result = []
    for count in threads(args.threads):
        torch.set_num_threads(count)
        for layer in args.layer or LAYERS:
            result.extend(rows(layer, args, count))
    report(rows=result)


if __name__ == "__main__":
    main()
