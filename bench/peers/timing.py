"""What the peers share: threads, repeated timing, the name of the CPU, JSON."""
import json
import os
import statistics
import sys
import time

import torch


def threads(text):
    """Parses "1,0" into numbers of threads; 0 is all cores."""
    return [int(t) or os.cpu_count() for t in text.split(",")]


def measure(work, seconds, least=3):
    """Calls work until `seconds` have passed, at least `least` times after one call to warm up.

    Returns the median and the best time of a call in seconds.
    """
    work()
    times = []
    start = time.perf_counter()
    while len(times) < least or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return statistics.median(times), min(times)


def cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def report(**values):
    """Prints values as JSON, with what they depend on."""
    json.dump({"torch": torch.__version__, "cpu": cpu_name(), "isa": torch.backends.cpu.get_cpu_capability(), **values},
              sys.stdout, indent=2)
    print()


LAYOUTS = {"default": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
