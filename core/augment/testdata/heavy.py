"""What nnU-Net's nnUNetTrainerDA5 makes: each transform for fixed parameters, and the whole list
again and again.

    python heavy.py        (nnunetv2 2.8.1, batchgeneratorsv2, safetensors; some minutes)

writes heavy.safetensors and heavy.json beside itself. The image of the second is made of sines,
so that no file needs to have it.
"""
import json
import os

import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.local.brightness_gradient import BrightnessGradientAdditiveTransform
from batchgeneratorsv2.transforms.local.local_gamma import LocalGammaTransform
from batchgeneratorsv2.transforms.noise.blank_rectangle import BlankRectangleTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.noise.median_filter import MedianFilterTransform
from batchgeneratorsv2.transforms.noise.sharpen import SharpeningTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.rot90 import Rot90Transform
from batchgeneratorsv2.transforms.spatial.transpose import TransposeAxesTransform
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDA5 import nnUNetTrainerDA5
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(11)
np.random.seed(11)
torch.set_num_threads(1)

shape = (8, 10, 8)
image = torch.randn(1, *shape) * 1.3 + 0.4
tensors, parameters = {"input": image[0]}, {}


def keep(name, transform, values, **p):
    parameters[name] = values
    tensors[name] = transform._apply_to_image(image.clone(), **p)[0].contiguous().float()


for size in range(2, 8):
    keep(f"median.{size}", MedianFilterTransform(size), [size], filter_sizes=[size], apply_channel=[True])
keep("shift.0", BrightnessAdditiveTransform(0, 0.5, False), [0.37], shift=torch.tensor([0.37]), apply_to_channel=torch.tensor([0]))
for i, a in enumerate((0.6, 1.7)):
    p = dict(apply_to_channel=torch.tensor([0]), multipliers=torch.tensor([a]))
    keep(f"contrast.{i}", ContrastTransform(1, True, False), [a], **p)
    keep(f"contrast_open.{i}", ContrastTransform(1, False, False), [a], **p)
for i, a in enumerate((0.1, 0.85)):
    keep(f"sharpening.{i}", SharpeningTransform(a), [a], strengths=[a], clamp_intensities=[False], apply_channel=[True])
for i, a in enumerate((0.3, 0.9, 1.5)):
    keep(f"blur.{i}", GaussianBlurTransform(a), [a], apply_to_channel=torch.tensor([True]), sigmas=[[a] * 3])
for i, a in enumerate((0.31, 0.6)):
    low = SimulateLowResolutionTransform((0.25, 1), False, True, (0,))
    keep(f"low_resolution.{i}", low, [a], apply_to_channel=torch.tensor([0]), scales=torch.tensor([[1, a, a]]))

boxes = [((1, 2, 0), (3, 4, 3)), ((2, 0, 1), (2, 5, 6)), ((7, 9, 7), (1, 1, 1)), ((0, 0, 0), (2, 3, 2))]
rectangles = [([*lb], [l + s for l, s in zip(lb, size)]) for lb, size in boxes]
keep("blank_boxes.0", BlankRectangleTransform(1, torch.mean, 1), [v for lb, size in boxes for v in (*lb, *size)],
     apply_channel=[True], rectangles=[rectangles])


class Fixed:
    """What is drawn, in order: a place and a deviation for each axis."""

    def __init__(self, places, scales):
        self.places, self.scales = list(places), list(scales)

    def loc(self, shape, d):
        return self.places[d] / shape[d]

    def scale(self, shape, d):
        return self.scales[d]


bells = [((3.5, 4.2, 1.0), (2.0, 5.0, 3.3)), ((-3.9, 14.5, 2.0), (1.4, 1.7, 8.0)), ((11.9, -4.9, -3.9), (1.4, 1.7, 1.4))]
for i, (places, scales) in enumerate(bells):
    f = Fixed(places, scales)
    for strength in (-3.0, 1.5):
        t = BrightnessGradientAdditiveTransform(f.scale, f.loc, strength, False, False)
        keep(f"gradient.{i}.{strength}", t, [strength, *places, *scales], **t.get_parameters(image))
    for gamma in (0.05, 0.7, 3.1):
        t = LocalGammaTransform(f.scale, f.loc, gamma, False)
        keep(f"local_gamma.{i}.{gamma}", t, [gamma, *places, *scales], **t.get_parameters(image))

cube = torch.arange(4 * 4 * 4, dtype=torch.float32).reshape(1, 4, 4, 4)
tensors["cube"] = cube[0]
for i, j in ((0, 1), (0, 2), (1, 2)):
    for k in range(4):
        name = f"rotation_90.{i}.{j}.{k}"
        parameters[name] = [i, j, k]
        p = dict(num_rot_per_combination=[k], axis_combinations=[[i + 1, j + 1]])
        tensors[name] = Rot90Transform(1)._apply_to_image(cube, **p)[0].contiguous().clone()
for order in ((0, 2, 1), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
    name = "transposition." + "".join(map(str, order))
    parameters[name] = list(order)
    p = dict(axis_order=[0] + [o + 1 for o in order])
    tensors[name] = TransposeAxesTransform({0, 1, 2})._apply_to_image(cube, **p)[0].contiguous().clone()

# The whole list, as the trainer makes it. Edges of the crop are even as those of the patch: its middle is
# half a voxel elsewhere where nothing moves, if one of them is not.
patch = (10, 22, 22)
size = [int(v) for v in nnUNetTrainerDA5.configure_rotation_dummyDA_mirroring_and_inital_patch_size(
    type("T", (), {"configuration_manager": type("C", (), {"patch_size": patch}), "print_to_log_file": lambda *a: None})())[2]]
d, h, w = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in size], indexing="ij")
crop = np.sin(0.9 * d + 0.2 * w) + np.cos(0.7 * h) * np.sin(0.5 * w + 1) + 0.05 * d
seg = (d * d + h * h + w * w < 25).astype(np.int16) + ((d - 2) ** 2 + (h + 3) ** 2 + w * w < 9)
transforms = nnUNetTrainerDA5.get_training_transforms(
    patch, (-30. / 360 * 2. * np.pi, 30. / 360 * 2. * np.pi), None, (0, 1, 2), False)
sums = {}
passes = 6000
for _ in range(passes):
    out = transforms(image=torch.from_numpy(crop[None]).float(), segmentation=torch.from_numpy(seg[None]))
    x, y = out["image"][0], out["segmentation"][0]
    diff = (x[1:] - x[:-1]).abs().mean()
    for name, v in dict(mean=x.mean(), std=x.std(correction=0), min=x.min(), max=x.max(), rough=diff,
                        label1=(y == 1).float().mean(), label2=(y == 2).float().mean()).items():
        sums.setdefault(name, []).append(float(v))
stats = {k: dict(n=passes, mean=float(np.mean(v)), std=float(np.std(v))) for k, v in sums.items()}
save_file(tensors, os.path.join(here, "heavy.safetensors"))
with open(os.path.join(here, "heavy.json"), "w") as f:
    json.dump({"shape": shape, "parameters": parameters, "patch": patch, "source": size, "stats": stats}, f)
    f.write("\n")
