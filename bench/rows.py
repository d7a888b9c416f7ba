"""What bench/compare.py runs and what it knows of a row."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Failed(Exception):
    """A command that gave no answer."""


class Commands:
    """Runs commands, each for at most `limit` seconds and none beyond `total`; 0 is no bound."""

    def __init__(self, limit, total):
        self.limit, self.begin, self.total = limit, time.monotonic(), total

    def passed(self):
        return time.monotonic() - self.begin

    def run(self, command, env=None):
        """What the command prints."""
        bounds = [n for n in (self.limit, self.total and self.total - self.passed()) if n]
        limit = min(bounds) if bounds else None
        if limit is not None and limit <= 0:
            raise Failed(f"not begun: --total {self.total} s are over")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env,
                                   start_new_session=True)
        try:
            out, err = process.communicate(timeout=limit)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with those that it has started
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(f"ended after {limit:.0f} s") from None
            raise
        if process.returncode:
            sys.stderr.write(err)
            lines = [line for line in err.strip().splitlines() if line and not line.startswith("see: ")]
            raise Failed(lines[-1] if lines else f"ended with {process.returncode}")
        return out

    def answer(self, command, env=None):
        """The JSON that the command prints."""
        out = self.run(command, env)
        try:
            return json.loads(out)
        except ValueError:
            raise Failed(f"no JSON: {out[:200]!r}") from None


class Pair:
    """A row: the best seconds of both, gounet's share of the peak at that time, and what went wrong."""

    def __init__(self, what, precision, threads):
        self.what, self.precision, self.threads = what, precision, threads
        self.gounet = self.torch = self.compiled = None
        self.share = self.images = self.how = None
        self.notes = []

    def ours(self, row):
        if self.gounet is None or row["best_s"] < self.gounet:
            self.gounet, self.share = row["best_s"], row["peak_share"]

    def theirs(self, row):
        """A row of a peer."""
        if "error" in row:
            self.note(f"PyTorch: {row['error']}")
            return
        if row.get("tiles", self.images) != self.images and self.images:
            self.note(f"PyTorch runs {row['tiles']} tiles, gounet {self.images}")
        kind = "compiled" if row.get("compiled") else "torch"
        before = getattr(self, kind)
        if self.best_torch is None or row["best_s"] < self.best_torch:
            at_once = [f"{row['at_once']} at once"] if "at_once" in row else []
            self.how = ", ".join([row["layout"], *at_once, *(["compiled"] if kind == "compiled" else [])])
        setattr(self, kind, row["best_s"] if before is None else min(before, row["best_s"]))

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    @property
    def best_torch(self):
        """Its seconds, however it was run."""
        return min((s for s in (self.torch, self.compiled) if s is not None), default=None)

    @property
    def speed(self):
        return self.best_torch / self.gounet if self.best_torch and self.gounet else None

    def rate(self, seconds):
        return self.images / seconds if self.images and seconds else None
