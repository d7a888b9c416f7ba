"""Weights after each of five steps of PyTorch's optimizers, and of adan-pytorch, on fixed gradients.

    python optimizers.py > optimizers.json        (torch 2.15.0, adan-pytorch 0.1.0)
"""
import json

import torch
from adan_pytorch import Adan

torch.manual_seed(7)
weights = torch.randn(24)
grads = [torch.randn(24) * (0.5 + i) for i in range(5)]
cases = {
    "sgd": (torch.optim.SGD, dict(lr=0.01, momentum=0.99, weight_decay=3e-5)),
    "sgd nesterov": (torch.optim.SGD, dict(lr=0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)),
    "sgd plain": (torch.optim.SGD, dict(lr=0.1, momentum=0.0, weight_decay=0.0)),
    "adam": (torch.optim.Adam, dict(lr=8e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-4)),
    "adamw": (torch.optim.AdamW, dict(lr=8e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-4)),
    "adamw strong decay": (torch.optim.AdamW, dict(lr=3e-3, betas=(0.8, 0.95), eps=1e-5, weight_decay=0.1)),
    "adan": (Adan, dict(lr=0.01, betas=(0.02, 0.08, 0.01), eps=1e-8, weight_decay=3e-5)),
    "adan strong decay": (Adan, dict(lr=3e-3, betas=(0.1, 0.2, 0.05), eps=1e-5, weight_decay=0.1)),
}
out = {"weights": weights.tolist(), "grads": [g.tolist() for g in grads], "clip": 4.0, "cases": {}}
for name, (make, options) in cases.items():
    for clip in (False, True):
        w = weights.clone().requires_grad_()
        o = make([w], **options)
        steps = []
        for g in grads:
            w.grad = g.clone()
            if clip:
                torch.nn.utils.clip_grad_norm_([w], out["clip"])
            o.step()
            steps.append(w.detach().tolist())
        out["cases"][name + (" clipped" if clip else "")] = dict(options, clip=clip, after=steps)
print(json.dumps(out))
