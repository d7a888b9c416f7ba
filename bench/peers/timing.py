"""What the peers share: devices, precisions, memory layouts, repeated timing, JSON."""
import contextlib
import gc
import json
import os
import statistics
import sys
import time

import torch

# By the axes of space of what is computed.
LAYOUTS = {
    2: {"default": torch.contiguous_format, "channels_last": torch.channels_last},
    3: {"default": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d},
}
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def add_flags(parser, seconds):
    """What every peer is asked."""
    parser.add_argument("--device", default="cpu", help="cpu, or cuda, or cuda: and the number of a GPU")
    parser.add_argument("--threads", default="0", help="of the CPU, comma separated; 0 is all cores")
    parser.add_argument("--precision", choices=DTYPES, default="f32",
                        help="f16 and bf16 are autocast, f16 in training with a GradScaler; f32 on a GPU has TF32 in products")
    parser.add_argument("--layout", choices=("best", "default", "channels_last"), default="best")
    parser.add_argument("--seconds", type=float, default=seconds, help="of timing a row")


def start(args):
    """Readies args.device as PyTorch's guide to performance says: on a GPU cuDNN chooses by
    measuring, and f32 products may round their factors to TF32."""
    args.gpu = args.device.startswith("cuda")
    if not args.gpu:
        return
    if not torch.cuda.is_available():
        sys.exit(f"{os.path.basename(sys.argv[0])}: PyTorch {torch.__version__} sees no GPU")
    torch.cuda.set_device(int(args.device.partition(":")[2] or 0))
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = True


def threads(args):
    """The numbers of threads that are measured, from "1,0"; of a GPU none."""
    if args.gpu:
        return [0]
    return [int(t) or os.cpu_count() for t in args.threads.split(",")]


def use(count):
    """Computes with so many threads from now on."""
    if count:
        torch.set_num_threads(count)


def layouts(args, dims):
    """The memory layouts that are timed, by their names."""
    return {name: form for name, form in LAYOUTS[dims].items() if args.layout == "best" or name.startswith(args.layout)}


def autocast(args):
    """Where forward passes are made in."""
    if args.precision == "f32":
        return contextlib.nullcontext()
    return torch.autocast(args.device.split(":")[0], dtype=DTYPES[args.precision])


def synchronise(args):
    """Returns when the GPU has done what it was given."""
    if args.gpu:
        torch.cuda.synchronize()


def measure(args, work, least=3, warm=False):
    """Calls work until args.seconds have passed, at least `least` times after one call to
    warm up, in which cuDNN measures, unless it is warm. The GPU has nothing to do before a
    call and nothing left after it.

    Returns the median and the best time of a call in seconds.
    """
    if not warm:
        work()
        synchronise(args)
    times = []
    begin = time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < args.seconds:
        before = time.perf_counter()
        work()
        synchronise(args)
        times.append(time.perf_counter() - before)
    return statistics.median(times), min(times)


def row(args, make, **facts):
    """A row of facts with the times that make() returns, or with "error" where the GPU has
    too little memory for it, or torch.compile cannot."""
    wanting = None
    try:
        facts.update(make())
    except torch.OutOfMemoryError as error:
        wanting = "out of memory: " + str(error).split(". ")[0]
    except Exception as error:
        if not facts.get("compiled"):
            raise
        wanting = "torch.compile: " + (str(error).strip().splitlines() or [type(error).__name__])[0]
    if wanting:
        facts["error"] = wanting
    gc.collect()
    if args.gpu:
        torch.cuda.empty_cache()
    return facts


def best(rows, *keys):
    """The fastest of those rows that have the same keys, in their order."""
    fastest = {}
    for r in rows:
        key = tuple(r[k] for k in keys)
        if key not in fastest or r.get("best_s", float("inf")) < fastest[key].get("best_s", float("inf")):
            fastest[key] = r
    return list(fastest.values())


def cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def report(args, **values):
    """Prints values as JSON, with what they depend on."""
    machine = {"torch": torch.__version__, "cpu": cpu_name(), "isa": torch.backends.cpu.get_cpu_capability()}
    if args.gpu:
        machine.update(gpu=torch.cuda.get_device_name(), cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
                       tf32=args.precision == "f32")
    json.dump({**machine, **values}, sys.stdout, indent=2)
    print()
