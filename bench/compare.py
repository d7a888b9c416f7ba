#!/usr/bin/env python3
"""Runs gounet and PyTorch by turns on this machine and prints how much faster gounet is.

    bench/compare.py [--what ops,train,predict] [--precision f32,bf16] [--threads 1,0] [--rounds 2]

Same shapes, same threads, same run: in each round first the one, then the other
is measured, and the best time of all rounds counts on both sides, as other load
on the machine disturbs that least. PyTorch has the better of its two memory
layouts. bf16 is bf16 storage in gounet, and autocast in PyTorch (in single
convolutions bf16 tensors). Where the processor has no bf16 instructions PyTorch
is slow in bf16: what counts there is the last column, gounet's bf16 against
PyTorch's f32. PyTorch predicts tile by tile, as nnU-Net does; at a width of 8 that
keeps it from its fast convolutions, which it has for larger inputs only: two tiles at
a time took a quarter of the time a tile there, and as long at a width of 32.

Needs bin/gounet (make build makes it) and .tools/peers (bench/peers/setup.sh makes
it); both are made if they are missing. GOUNET and PEERS name others.
"""
import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(ROOT, "bench", "peers")
GOUNET = os.environ.get("GOUNET", os.path.join(ROOT, "bin", "gounet"))
PEERS = os.environ.get("PEERS", os.path.join(ROOT, ".tools", "peers"))
PYTHON = os.path.join(PEERS, "bin", "python")


def say(text):
    print(text, file=sys.stderr, flush=True)


def answer(command):
    """Runs a command and returns the JSON that it prints; ends the program if it cannot."""
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT)
    if done.returncode:
        sys.exit(f"compare: {' '.join(command)}: ended with {done.returncode}")
    return json.loads(done.stdout)


def prepare():
    if not os.path.exists(GOUNET):
        subprocess.run(["make", "-C", ROOT, "build"], check=True, stdout=sys.stderr)
    if not os.path.exists(PYTHON):
        subprocess.run([os.path.join(SCRIPTS, "setup.sh"), PEERS], check=True, stdout=sys.stderr)


class Pair:
    """A row: the best seconds of both, and gounet's share of the peak at that time."""

    def __init__(self, what, precision, threads):
        self.what, self.precision, self.threads = what, precision, threads
        self.gounet = self.torch = float("inf")
        self.share = None

    def ours(self, row):
        if row["best_s"] < self.gounet:
            self.gounet, self.share = row["best_s"], row["peak_share"]

    def theirs(self, row):
        self.torch = min(self.torch, row["best_s"])

    @property
    def speed(self):
        return self.torch / self.gounet


def layer(row):
    """A row of `gounet bench ops` as torch_ops.py names layers, or None if it cannot."""
    conv = row.get("conv")
    if not conv or len(set(conv["kernel"])) > 1 or len(set(conv["stride"])) > 1:
        return None
    size = "x".join(map(str, conv["size"]))
    return f"gounet:{sum(conv['ci'])}-{conv['co']}:{size}:{conv['kernel'][0]}:{conv['stride'][0]}"


class Bench:
    def __init__(self, args):
        self.args = args
        self.pairs = {}  # by what is measured, precision and threads
        self.machine = {}

    def pair(self, what, precision, threads):
        return self.pairs.setdefault((what, precision, threads), Pair(what, precision, threads))

    def gounet(self, command, precision, threads, *flags):
        seconds = self.args.op_seconds if command == "ops" else self.args.seconds
        got = answer([GOUNET, "bench", command, "--quiet", "--json", f"--precision={precision}", f"--threads={threads}",
                      f"--seconds={seconds}", f"--patch={self.args.patch}", f"--stages={self.args.stages}", *flags])
        self.machine.setdefault(threads, {"cpu": got["cpu"], "isa": got["isa"], "peaks": got["peaks"]})
        return got["rows"]

    def torch(self, script, precision, threads, seconds, *flags):
        got = answer([PYTHON, os.path.join(SCRIPTS, script), "--dtype", precision, "--threads", str(threads),
                      "--seconds", str(seconds), *flags])
        self.machine.setdefault("torch", {"version": got["torch"], "isa": got["isa"]})
        return got

    def network(self):
        a = self.args
        return [f"--patch={a.patch}", f"--stages={a.stages}", f"--width={a.width}"]

    def ops(self, precision, threads):
        """Convolutions in three directions, those of two inputs as one in PyTorch."""
        a = self.args
        rows = [(row, layer(row)) for row in self.gounet(
            "ops", precision, threads, f"--width={a.widths}", f"--batch={a.batch}", f"--filter={a.filter}")]
        rows = [(row, name) for row, name in rows if name]
        for batch in sorted({row["conv"]["batch"] for row, _ in rows}):
            same = [(row, name) for row, name in rows if row["conv"]["batch"] == batch]
            names = list(dict.fromkeys(name for _, name in same))
            got = self.torch("torch_ops.py", precision, threads, a.op_seconds, "--batch", str(batch),
                             *(f"--layer={name}" for name in names))
            # Three rows a layer, in the order that was asked for.
            theirs = {(names[i // 3], row["pass"]): row for i, row in enumerate(got["rows"])}
            for row, name in same:
                pair = self.pair(f"{row['op']} {row['shapes']}", precision, threads)
                pair.ours(row)
                pair.theirs(theirs[name, row["conv"]["pass"]])

    def train(self, precision, threads):
        a = self.args
        pair = self.pair(f"training step, batch {a.batch}, width {a.width}", precision, threads)
        pair.ours(self.gounet("train", precision, threads, f"--width={a.width}", f"--batch={a.batch}")[0])
        pair.theirs(self.torch("torch_train.py", precision, threads, a.seconds, *self.network(), "--batch", str(a.batch))["best"][0])

    def predict(self, precision, threads):
        a = self.args
        volume = a.volume or ",".join(str(2 * int(n)) for n in a.patch.split(","))
        tta = ["--tta"] if a.tta else []
        pair = self.pair(f"prediction of {volume.replace(',', 'x')}, width {a.width}", precision, threads)
        rows = self.gounet("predict", precision, threads, f"--width={a.width}", f"--volume={volume}", *tta)
        pair.ours(next(row for row in rows if row["what"] == "scan"))
        got = self.torch("torch_predict.py", precision, threads, a.seconds, *self.network(), f"--volume={volume}", *tta)
        pair.theirs(got["best"][0])

    def run(self):
        for what in self.args.what.split(","):
            for precision in self.args.precision.split(","):
                for threads in (int(t) or len(os.sched_getaffinity(0)) for t in self.args.threads.split(",")):
                    for round in range(self.args.rounds):
                        say(f"{what}, {precision}, {threads} threads: round {round + 1} of {self.args.rounds}")
                        getattr(self, what)(precision, threads)

    def to_f32(self, pair):
        """gounet's speed against PyTorch in f32, or None if that was not measured."""
        other = self.pairs.get((pair.what, "f32", pair.threads))
        return other and other.torch / pair.gounet

    def values(self):
        return [{"what": p.what, "precision": p.precision, "threads": p.threads, "gounet_s": p.gounet, "torch_s": p.torch,
                 "speed": p.speed, "speed_to_f32": self.to_f32(p), "peak_share": p.share} for p in self.pairs.values()]

    def report(self):
        for threads, m in self.machine.items():
            if threads == "torch":
                print(f"PyTorch {m['version']}, {m['isa']}")
                continue
            top = m["peaks"][0]
            peak = "unknown" if top["gflops"] is None else f"{top['gflops']:.1f} GFLOP/s, {top['gb_second']:.1f} GB/s"
            print(f"{m['cpu']}, gounet's kernels {m['isa']}, peak of {threads} threads: {peak}")
        print()
        rows = [("", "precision", "threads", "gounet ms", "peak", "torch ms", "speed", "to f32")]
        for p in self.pairs.values():
            share = "–" if p.share is None else f"{100 * p.share:.0f} %"
            to_f32 = "–" if self.to_f32(p) is None else f"{self.to_f32(p):.2f}x"
            rows.append((p.what, p.precision, str(p.threads), f"{1000 * p.gounet:.3f}", share, f"{1000 * p.torch:.3f}",
                         f"{p.speed:.2f}x", to_f32))
        widths = [max(map(len, column)) for column in zip(*rows)]
        for row in rows:
            print("  ".join([row[0].ljust(widths[0])] + [text.rjust(w) for text, w in zip(row[1:], widths[1:])]))
        print("\nspeed: PyTorch's time / gounet's; to f32: PyTorch's in f32 / gounet's")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", default="train,predict,ops")
    parser.add_argument("--precision", default="f32,bf16")
    parser.add_argument("--threads", default="1,0", help="comma separated; 0 is all cores")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="of each training and prediction in a round")
    parser.add_argument("--op-seconds", type=float, default=0.2, help="of each op in a round")
    parser.add_argument("--filter", default="^Conv3D", help="ops to compare, as in gounet bench ops --filter")
    parser.add_argument("--patch", default="40,56,40")
    parser.add_argument("--width", type=int, default=32, help="of the network that is trained and predicts")
    parser.add_argument("--widths", default="32,8", help="of the networks whose ops are compared")
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--volume", help="of the scan; twice the patch if not given")
    parser.add_argument("--tta", action="store_true", help="predict with mirroring along all axes")
    parser.add_argument("--json", metavar="FILE", help="also write the rows as JSON")
    args = parser.parse_args()
    if unknown := set(args.what.split(",")) - {"ops", "train", "predict"}:
        parser.error(f"--what {', '.join(sorted(unknown))}: wanted ops, train or predict")
    if args.rounds < 1:
        parser.error("--rounds: wanted at least 1")
    prepare()
    bench = Bench(args)
    bench.run()
    bench.report()
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"machine": bench.machine, "rows": bench.values()}, file, indent=2)


if __name__ == "__main__":
    main()
