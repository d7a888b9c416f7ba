#!/usr/bin/env python3
"""Draws the Dice of a gounet run and of an nnU-Net v2 run over the epochs, as SVG.

    bench/curves.py RUN_FOLDER TRAINING_LOG [TRAINING_LOG ...] > curves.svg

RUN_FOLDER has gounet's log.jsonl. The training logs are those of nnU-Net, in the
order of a training that was continued: each counts from the epoch it says.
"""
import json
import re
import sys

WIDTH, HEIGHT, LEFT, TOP = 620, 260, 46, 16


def ours(folder):
    with open(f"{folder}/log.jsonl") as f:
        return [e["mean_pseudo_dice"] for e in map(json.loads, f)]


def theirs(logs):
    epochs = {}
    for log in logs:
        epoch = None
        with open(log) as f:
            for line in f:
                if m := re.search(r"Epoch (\d+)\s*$", line):
                    epoch = int(m[1])
                if m := re.search(r"Pseudo dice \[(.*)\]", line):
                    values = [float(v) for v in re.findall(r"(?<=\()[0-9.e-]+|nan", m[1])]
                    epochs[epoch] = sum(values) / len(values)
    return [epochs[e] for e in sorted(epochs)]


def main():
    curves = [("gounet", "#117733", ours(sys.argv[1])), ("nnU-Net v2", "#cc6677", theirs(sys.argv[2:]))]
    n = max(len(c[2]) for c in curves)
    x = lambda i: LEFT + (WIDTH - LEFT - 12) * i / max(n - 1, 1)
    y = lambda v: TOP + (HEIGHT - TOP - 30) * (1 - v)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for k in range(6):
        v = k / 5
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.1f}</text>')
    out.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">epoch 1</text><text x="{WIDTH - 12}" y="{HEIGHT - 8}" text-anchor="end">{n}</text>')
    for i, (name, colour, values) in enumerate(curves):
        points = " ".join(f"{x(j):.1f},{y(v):.1f}" for j, v in enumerate(values))
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'
                   f'<text x="{WIDTH - 24}" y="{y(0.3 - 0.1 * i):.1f}" fill="{colour}" text-anchor="end">{name} {values[-1]:.3f}</text>')
    print("\n".join(out + ["</svg>"]))


main()
