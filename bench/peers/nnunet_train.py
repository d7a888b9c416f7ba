#!/usr/bin/env python3
"""Trains fold 0 of a data set with nnU-Net v2 itself, on the CPU, and times its iterations.

    pip install nnunetv2==2.8.1
    gounet convert-dataset Task04_Hippocampus --to nnunetv2 --output WORK/raw/Dataset004_Hippocampus
    bench/peers/nnunet_train.py Dataset004_Hippocampus WORK --width 8 --epochs 32 --iterations 50 --batch 4

Beside it, on the same machine:

    gounet train Task04_Hippocampus 3d_fullres --fold 0 --width 8 --epochs 32 --iterations 50 --batch 4

The trainer, its loss, augmentation, optimizer and validation are the package's; epochs, iterations, batch
and width are set from outside. An iteration is the next batch and a step with it. The epochs are printed
with their pseudo Dice, and stand in the package's own training_log, of which bench/curves.py makes a picture.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("name", help="of the data set, DatasetNNN_NAME, in WORK/raw")
    p.add_argument("work", type=pathlib.Path, help="folder of what nnU-Net reads and writes: raw, preprocessed, results")
    p.add_argument("--config", default="3d_fullres")
    p.add_argument("--width", type=int, default=8, help="features of the first stage")
    p.add_argument("--epochs", type=int, default=32)
    p.add_argument("--iterations", type=int, default=50, help="of an epoch")
    p.add_argument("--val-iterations", type=int, default=10)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--threads", type=int, default=0, help="of torch; 0: as it chooses")
    p.add_argument("--workers", type=int, default=0, help="processes that augment; 0: the training's own")
    p.add_argument("--no-validation", action="store_true")
    return p.parse_args()


def main():
    o = arguments()
    for name in ("raw", "preprocessed", "results"):
        folder = o.work.absolute() / name
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["nnUNet_" + name] = str(folder)
    number = int(o.name[7:10])

    def tool(name, *words):
        subprocess.run([pathlib.Path(sys.executable).parent / name, *map(str, words)], check=True)

    base = o.work.absolute() / "preprocessed" / o.name
    if not (base / "nnUNetPlans.json").exists():
        tool("nnUNetv2_plan_and_preprocess", "-d", number, "-c", o.config, "-np", 2)

    os.environ["nnUNet_n_proc_DA"] = str(o.workers)
    import torch
    from nnunetv2.run.run_training import get_trainer_from_args

    if o.threads:
        torch.set_num_threads(o.threads)
    name = f"nnUNetPlansF{o.width}"
    plans = json.loads((base / "nnUNetPlans.json").read_text())
    plans["plans_name"] = name
    for c in plans["configurations"].values():
        if "architecture" in c:
            a = c["architecture"]["arch_kwargs"]
            a["features_per_stage"] = [o.width << i for i in range(a["n_stages"])]
    (base / (name + ".json")).write_text(json.dumps(plans))

    t = get_trainer_from_args(str(number), o.config, 0, "nnUNetTrainer", name, False, torch.device("cpu"))
    t.num_epochs, t.num_iterations_per_epoch, t.num_val_iterations_per_epoch = o.epochs, o.iterations, o.val_iterations
    t.initialize()
    t.batch_size = o.batch

    # An iteration lasts from the end of the one before to its own; the first of an epoch begins with it.
    step, begin, times, last = t.train_step, t.on_train_epoch_start, [], [0.0]

    def begun():
        begin()
        last[0] = time.perf_counter()

    def timed(batch):
        out = step(batch)
        now = time.perf_counter()
        times.append(now - last[0])
        last[0] = now
        return out

    t.on_train_epoch_start, t.train_step = begun, timed
    t.run_training()
    if not o.no_validation:
        t.perform_actual_validation(False)
    warm = times[min(5, len(times) - 1):]
    print(json.dumps({
        "seconds_an_iteration": {"median": statistics.median(warm), "mean": statistics.fmean(warm), "least": min(warm)},
        "iterations": len(times), "batch": o.batch, "width": o.width, "threads": torch.get_num_threads(), "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
