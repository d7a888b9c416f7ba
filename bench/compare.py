#!/usr/bin/env python3
"""Runs gounet and PyTorch by turns on this machine and prints how much faster gounet is.

    bench/compare.py [--what train,predict,ops] [--precision f32,bf16] [--threads 1,0] [--rounds 2]
    bench/compare.py --device cuda [--network brain,slices,hippocampus] [--precision f16,bf16,f32] [--compile]
                     [--seconds 2] [--json FILE] [--python PYTHON] [--gounet GOUNET]
    bench/compare.py --device cuda --what epoch --data DATASET

Same shapes, same processor, same run: in each round first the one, then the other
is measured, and the best time of all rounds counts on both sides, as other load
on the machine disturbs that least. PyTorch has the better of its two memory
layouts. 16 bits are the storage in gounet, and autocast in PyTorch (in single
convolutions 16-bit tensors); f16 is trained with a GradScaler.

On a CPU without bf16 instructions PyTorch is slow in bf16: what counts there is the
column "to f32", gounet's bf16 against PyTorch's f32. PyTorch predicts tile by tile, as
nnU-Net does; at a width of 8 that keeps it from its fast convolutions, which it has
for larger inputs only: two tiles at a time took a quarter of the time a tile there,
and as long at a width of 32.

On a GPU PyTorch has cuDNN choose by measuring, and TF32 in f32; it predicts one tile at
a time and as many as a training batch has, and the better counts. With --compile the
better layout is also compiled by torch.compile, which takes minutes; both are printed,
the better counts. --seconds is how long each training and each prediction is measured
by either side, beyond starting, compiling kernels and warming up, which is printed with
it; --limit ends a command that takes longer, --total the run. What fails or does not fit
into memory is a row that says so, and the end of the run fails.

images/s are samples of a training step; in a prediction tiles, mirrored ones counted each.
"epoch" is gounet alone: the second of two epochs of --steps steps on real data, by the
log of `gounet train DATASET 3d_fullres --fold 0 --iterations STEPS --epochs 2 --no-validation`.

Runs bin/gounet, else what `make gpu` built, else what `make build` builds; and PyTorch
of .tools/peers, else that of python3, else of what bench/peers/setup.sh installs.
GOUNET and PEERS name others.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time

from rows import Commands, Failed, Pair

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(ROOT, "bench", "peers")
PEERS = os.environ.get("PEERS", os.path.join(ROOT, ".tools", "peers"))
WHAT = ("train", "predict", "ops", "epoch")


@dataclasses.dataclass
class Network:
    """A network with what it is trained on and predicts."""

    name: str
    patch: str
    stages: int
    width: int
    channels: int
    classes: int
    batches: tuple
    volume: str

    def flags(self):
        return [f"--patch={self.patch}", f"--stages={self.stages}", f"--width={self.width}",
                f"--channels={self.channels}", f"--classes={self.classes}"]

    def title(self):
        return f"{self.name} {self.patch.replace(',', 'x')}"


NETWORKS = {n.name: n for n in (
    Network("brain", "128,128,128", 6, 32, 4, 4, (2, 4), "192,192,192"),
    Network("slices", "1,192,160", 6, 32, 4, 4, (64,), "16,288,240"),
    Network("hippocampus", "40,56,40", 4, 32, 1, 3, (9,), "80,112,80"),
)}


def say(text):
    print(text, file=sys.stderr, flush=True)


def find_gounet():
    for path in ("bin/gounet", "bin/gpu/gounet.test"):
        if os.path.exists(os.path.join(ROOT, path)):
            return os.path.join(ROOT, path)
    subprocess.run(["make", "-C", ROOT, "build"], check=True, stdout=sys.stderr)
    return os.path.join(ROOT, "bin", "gounet")


def find_python():
    own = os.path.join(PEERS, "bin", "python")
    if os.path.exists(own):
        return own
    if subprocess.run(["python3", "-c", "import torch"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        return "python3"
    subprocess.run([os.path.join(SCRIPTS, "setup.sh"), PEERS], check=True, stdout=sys.stderr)
    return own


def layer(row):
    """A row of `gounet bench ops` as torch_ops.py names layers, or None if it is no convolution."""
    conv = row.get("conv")
    if not conv:
        return None
    size, kernel, stride = ("x".join(map(str, conv[k])) for k in ("size", "kernel", "stride"))
    return f"gounet:{sum(conv['ci'])}-{conv['co']}:{size}:{kernel}:{stride}"


class Bench:
    def __init__(self, args):
        self.args = args
        self.gpu = args.device.startswith("cuda")
        self.commands = Commands(args.limit, args.total)
        self.pairs = {}  # by what is measured, precision and threads
        self.epochs = []
        self.machine = {}
        self.seconds = 0

    def pair(self, what, precision, threads):
        return self.pairs.setdefault((what, precision, threads), Pair(what, precision, threads))

    @contextlib.contextmanager
    def noting(self, *pairs):
        """What fails inside is a note of the pairs."""
        try:
            yield
        except Failed as error:
            say(f"  failed: {error}")
            for pair in pairs:
                pair.note(str(error))

    def program(self, command, *flags):
        """A command of gounet, and its environment. The program for tests runs as gounet where it is told to."""
        env = dict(os.environ, GOUNET_TEST_AS_PROGRAM="1") if self.args.gounet.endswith(".test") else None
        return [self.args.gounet, *command, f"--device={self.args.device}", *(["--tune=false"] if self.args.untuned else []), *flags], env

    def gounet(self, command, precision, threads, *flags):
        seconds = self.args.op_seconds if command == "ops" else self.args.seconds
        processor = [] if self.gpu else [f"--threads={threads}"]
        with self.timing(f"gounet bench {command}"):
            got = self.commands.answer(*self.program(["bench", command], "--quiet", "--json", f"--precision={precision}",
                                                     f"--seconds={seconds}", *processor, *flags))
        self.machine.setdefault(f"{precision}, {threads}", {k: got.get(k) for k in ("cpu", "device", "isa", "precision", "peaks")})
        return got["rows"]

    def torch(self, script, precision, threads, seconds, *flags):
        with self.timing(script):
            got = self.commands.answer([self.args.python, os.path.join(SCRIPTS, script), f"--device={self.args.device}",
                                        "--precision", precision, "--threads", str(threads), "--seconds", str(seconds), *flags])
        self.machine.setdefault("torch", {k: got[k] for k in ("torch", "isa", "gpu", "cuda", "cudnn") if k in got})
        for row in got["rows"]:
            if "tiles" in row or "batch" in row and script != "torch_ops.py":
                say("  " + ", ".join(f"{k} {row[k]}" for k in ("layout", "at_once", "mirror", "compiled") if k in row)
                    + (f": {row['error']}" if "error" in row else f": {1000 * row['best_s']:.3f} ms"))
        return got

    @contextlib.contextmanager
    def timing(self, name):
        begin = time.monotonic()
        try:
            yield
        finally:
            say(f"  {name}: {time.monotonic() - begin:.1f} s in all")

    def ops(self, net, precision, threads):
        """Convolutions in three directions, those of two inputs as one in PyTorch."""
        a = self.args
        widths = [*net.flags(), "--large=false"] if self.gpu else [*net.flags(), f"--width={a.widths}"]
        for batch in net.batches[:1]:
            rows = []
            failed = self.pair(f"ops of {net.title()}", precision, threads)
            with self.noting(failed):
                rows = [(row, layer(row)) for row in self.gounet("ops", precision, threads, *widths, f"--batch={batch}", f"--filter={a.filter}")]
            if not failed.notes:
                del self.pairs[failed.what, precision, threads]
            rows = [(row, name) for row, name in rows if name]
            for size in sorted({row["conv"]["batch"] for row, _ in rows}):
                same = [(row, name, self.pair(f"{row['op']} {row['shapes']}", precision, threads)) for row, name in rows if row["conv"]["batch"] == size]
                for row, _, pair in same:
                    pair.ours(row)
                names = list(dict.fromkeys(name for _, name, _ in same))
                with self.noting(*(pair for _, _, pair in same)):
                    got = self.torch("torch_ops.py", precision, threads, a.op_seconds, "--batch", str(size), *(f"--layer={name}" for name in names))
                    # Three rows a layer, in the order that was asked for.
                    theirs = {(names[i // 3], row["pass"]): row for i, row in enumerate(got["rows"])}
                    for row, name, pair in same:
                        pair.theirs(theirs[name, row["conv"]["pass"]])

    def peer(self, script, pairs, precision, threads, rows, *flags):
        """A peer by itself and, where that is wanted, compiled. pairs: by the mirroring of a row, None where it
        has none; rows: how many share --seconds on a GPU."""
        seconds = self.args.seconds / (rows if self.gpu else 1)
        with self.noting(*pairs.values()):
            for row in self.torch(script, precision, threads, seconds, *flags)["best"]:
                pairs[row.get("mirror")].theirs(row)
        for mirror, pair in pairs.items():
            if not self.args.compile or pair.torch is None:
                continue
            layout, *at_once = pair.how.split(", ")
            flags += ("--compile=only", "--layout=" + ("default" if layout == "default" else "channels_last"))
            if mirror:
                flags += ("--mirror", mirror, "--at-once", at_once[0].split()[0])
            with self.noting(pair):
                pair.theirs(self.torch(script, precision, threads, self.args.seconds, *flags)["best"][0])

    def train(self, net, precision, threads):
        for batch in net.batches:
            pair = self.pair(f"training step of {net.title()}, batch {batch}, width {net.width}", precision, threads)
            pair.images = batch
            with self.noting(pair):
                pair.ours(self.gounet("train", precision, threads, *net.flags(), f"--batch={batch}")[0])
            self.peer("torch_train.py", {None: pair}, precision, threads, 2, *net.flags(), "--batch", str(batch))
            self.done(pair)

    def predict(self, net, precision, threads):
        pairs = {}
        for mirror in ("no", "yes") if self.gpu else (("yes",) if self.args.tta else ("no",)):
            tta = ["--tta"] if mirror == "yes" else []
            pair = self.pair(f"prediction of {net.volume.replace(',', 'x')} by {net.title()}, width {net.width}{', mirrored' if tta else ''}",
                             precision, threads)
            pairs[mirror] = pair
            with self.noting(pair):
                rows = self.gounet("predict", precision, threads, *net.flags(), f"--volume={net.volume}", "--tiles=false", *tta)
                scan = next(row for row in rows if row["what"] == "scan")
                pair.images = scan["tiles"]
                pair.ours(scan)
        at_once = f"1,{net.batches[0] if self.gpu else 2}"
        self.peer("torch_predict.py", pairs, precision, threads, 8, *net.flags(), f"--volume={net.volume}",
                  "--mirror", ",".join(pairs), "--at-once", at_once)
        self.done(*pairs.values())

    def epoch(self, net, precision, threads):
        """The second epoch of a training on real data, which has nothing to compile any more."""
        a = self.args
        pair = Pair(f"an epoch of {a.steps} steps of {os.path.basename(os.path.normpath(a.data))}", precision, threads)
        self.epochs.append(pair)
        pair.log = None
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work, self.noting(pair):
            run = os.path.join(work, "run")
            flags = [f"--precision={precision}", "--work", os.path.join(work, "work"), "--output", run, "--fold=0", f"--iterations={a.steps}",
                     "--epochs=2", "--no-validation", "--quiet", *([] if self.gpu else [f"--threads={threads}"])]
            with self.timing("gounet train"):
                self.commands.run(*self.program(["train", a.data, "3d_fullres"], *flags))
            with open(os.path.join(run, "log.jsonl")) as file:
                first, pair.log = (json.loads(line) for line in file)
            spent = {k: pair.log["time"][k] - first["time"][k] for k in pair.log["time"]}
            pair.log.update(steps_s=spent["step"], waited_s=spent["wait"], validation_s=spent["validate"])
            say(f"  {self.epoch_text(pair)}")

    @staticmethod
    def epoch_text(pair):
        e = pair.log
        if e is None:
            return f"{pair.what} in {pair.precision}: {'; '.join(pair.notes)}"
        return (f"{pair.what} in {pair.precision}: {e['seconds']:.1f} s, of it steps {e['steps_s']:.1f} s, waiting for data {e['waited_s']:.1f} s,"
                f" validation {e['validation_s']:.1f} s; {e['images_per_second']:.1f} images/s")

    def done(self, *pairs):
        """Says what is known of rows, and keeps it, should the run be ended."""
        for pair in pairs:
            say("  " + "  ".join(self.cells(pair)))
        self.keep()

    def run(self):
        a = self.args
        for precision in a.precision.split(","):
            for what in a.what.split(","):
                for threads in [0] if self.gpu else (int(t) or len(os.sched_getaffinity(0)) for t in a.threads.split(",")):
                    for net in a.networks[:1] if what == "epoch" else a.networks:
                        for round in range(a.rounds):
                            on = "" if self.gpu else f", {threads} threads"
                            say(f"{what}, {net.name}, {precision}{on}: round {round + 1} of {a.rounds}, {self.commands.passed():.0f} s so far")
                            getattr(self, what)(net, precision, threads)
        self.seconds = self.commands.passed()

    def to_f32(self, pair):
        """gounet's speed against PyTorch in f32, or None if that was not measured."""
        other = self.pairs.get((pair.what, "f32", pair.threads))
        return other.best_torch / pair.gounet if other and other.best_torch and pair.gounet else None

    def failed(self):
        return any(p.gounet is None or p.best_torch is None for p in self.pairs.values()) or any(p.log is None for p in self.epochs)

    def keep(self):
        if not self.args.json:
            return
        rows = [{"what": p.what, "precision": p.precision, "threads": p.threads, "gounet_s": p.gounet, "torch_s": p.torch,
                 "torch_compiled_s": p.compiled, "torch_how": p.how, "images": p.images, "gounet_images_per_s": p.rate(p.gounet),
                 "torch_images_per_s": p.rate(p.best_torch), "speed": p.speed, "speed_to_f32": self.to_f32(p),
                 "peak_share": p.share, "notes": p.notes} for p in self.pairs.values()]
        epochs = [{"what": p.what, "precision": p.precision, "log": p.log, "notes": p.notes} for p in self.epochs]
        with open(self.args.json, "w") as file:
            json.dump({"machine": self.machine, "rows": rows, "epochs": epochs, "seconds": self.commands.passed()}, file, indent=2)

    HEAD = ("", "precision", "threads", "gounet ms", "peak", "torch ms", "compiled ms", "gounet images/s", "torch images/s", "speed", "to f32", "torch's best")

    def cells(self, p):
        def number(value, form):
            return "–" if value is None else format(value, form)
        ms = [number(s and 1000 * s, ".3f") for s in (p.gounet, p.torch, p.compiled)]
        share = "–" if p.share is None else f"{100 * p.share:.0f} %"
        return (p.what, p.precision, str(p.threads or "–"), ms[0], share, ms[1], ms[2], number(p.rate(p.gounet), ".2f"), number(p.rate(p.best_torch), ".2f"),
                number(p.speed, ".2f") + "x" * bool(p.speed), number(self.to_f32(p), ".2f") + "x" * bool(self.to_f32(p)), "; ".join([p.how or "–", *p.notes]))

    def report(self):
        for key, m in self.machine.items():
            if key == "torch":
                print(", ".join([f"PyTorch {m['torch']}"] + [f"{k} {m[k]}" for k in ("gpu", "cuda", "cudnn") if k in m]
                                + ["f32 with TF32" if "gpu" in m else m["isa"]]))
                continue
            top = m["peaks"][0]
            peak = "unknown" if top["gflops"] is None else f"{top['gflops']:.1f} GFLOP/s, {top['gb_second']:.1f} GB/s"
            on = f"{m['device']} on {m['cpu']}" if m["device"] else f"{m['cpu']}, gounet's kernels {m['isa']}"
            print(f"{on}, {m['precision']}, peak{'' if m['device'] else ' of ' + key.split(', ')[1] + ' threads'}: {peak}")
        rows = [self.HEAD] + [self.cells(p) for p in self.pairs.values()]
        columns = [c for c in zip(*rows) if any(text != "–" for text in c[1:])]  # those with something in them
        widths = [max(map(len, c)) for c in columns]
        print()
        for row in zip(*columns) if self.pairs else ():
            cells = [text.rjust(w) for text, w in zip(row, widths)]
            print("  ".join([row[0].ljust(widths[0]), *cells[1:-1], row[-1]]))
        for p in self.epochs:
            print(self.epoch_text(p))
        print(f"\nspeed: PyTorch's time / gounet's; to f32: PyTorch's in f32 / gounet's. {self.seconds:.0f} s in all")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda, or cuda: and the number of a GPU")
    parser.add_argument("--what", help=f"of {', '.join(WHAT)} (train,predict,ops; on a GPU train,predict)")
    parser.add_argument("--precision", help="of f32, bf16, f16 (f32,bf16; on a GPU f16)")
    parser.add_argument("--network", help=f"of {', '.join(NETWORKS)}, and flags: that of the flags below (flags; on a GPU all the others)")
    parser.add_argument("--threads", default="1,0", help="of the CPU, comma separated; 0 is all cores")
    parser.add_argument("--rounds", type=int, help="(2; on a GPU 1)")
    parser.add_argument("--seconds", type=float, help="of each training and prediction in a round (10; on a GPU 2)")
    parser.add_argument("--op-seconds", type=float, default=0.2, help="of each op in a round")
    parser.add_argument("--limit", type=float, help="seconds after which a command is ended, 0: none (0; on a GPU 120, with --compile 600)")
    parser.add_argument("--total", type=float, default=0, help="seconds after which the run is ended with what it has; 0: none")
    parser.add_argument("--compile", action="store_true", help="also time PyTorch with torch.compile")
    parser.add_argument("--untuned", action="store_true", help="gounet chooses its kernels by a model, which on a new GPU takes less time to compile")
    parser.add_argument("--filter", default="^Conv3D", help="ops to compare, as in gounet bench ops --filter")
    parser.add_argument("--patch", default="40,56,40")
    parser.add_argument("--width", type=int, default=32, help="of the network that is trained and predicts")
    parser.add_argument("--widths", default="32,8", help="of the networks whose ops are compared")
    parser.add_argument("--stages", type=int, default=4)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--volume", help="of the scan; twice the patch if not given")
    parser.add_argument("--tta", action="store_true", help="predict with mirroring along all axes; on a GPU both ways are measured")
    parser.add_argument("--data", help="data set of an epoch")
    parser.add_argument("--steps", type=int, default=250, help="of an epoch")
    parser.add_argument("--json", metavar="FILE", help="also write the rows as JSON")
    parser.add_argument("--python", help="that has PyTorch")
    parser.add_argument("--gounet", default=os.environ.get("GOUNET"), help="the program")
    a = parser.parse_args()

    gpu = a.device.startswith("cuda")
    for name, usual, on_gpu in (("what", "train,predict,ops", "train,predict"), ("precision", "f32,bf16", "f16"),
                                ("network", "flags", ",".join(NETWORKS)), ("rounds", 2, 1), ("seconds", 10, 2),
                                ("limit", 0, 600 if a.compile else 120)):
        if getattr(a, name) is None:
            setattr(a, name, on_gpu if gpu else usual)
    for name, known in (("what", WHAT), ("precision", ("f32", "bf16", "f16")), ("network", (*NETWORKS, "flags"))):
        if unknown := set(getattr(a, name).split(",")) - set(known):
            parser.error(f"--{name} {', '.join(sorted(unknown))}: wanted {', '.join(known)}")
    if a.rounds < 1:
        parser.error("--rounds: wanted at least 1")
    if "epoch" in a.what.split(",") and not a.data:
        parser.error("--what epoch: wanted --data")
    a.data = a.data and os.path.abspath(a.data)
    twice = ",".join(str(2 * int(n)) for n in a.patch.split(","))
    flags = Network("flags", a.patch, a.stages, a.width, a.channels, a.classes, (a.batch,), a.volume or twice)
    a.networks = [{**NETWORKS, "flags": flags}[name] for name in a.network.split(",")]
    a.gounet = os.path.abspath(a.gounet) if a.gounet else find_gounet()
    a.python = a.python or find_python()
    return a


def main():
    bench = Bench(arguments())
    bench.run()
    bench.keep()
    bench.report()
    if bench.failed():
        sys.exit("compare: rows are missing, see above")


if __name__ == "__main__":
    main()
