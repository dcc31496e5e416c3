#!/usr/bin/env python3
"""One training step of every architecture in float64 PyTorch, as goldens for test/lib/model/goldens.test.ts.

    python3 -m venv goldens-env
    goldens-env/bin/pip install torch torchvision timm
    goldens-env/bin/python scripts/goldens/architectures.py [NAME...]

writes test/goldens/architectures/NAME.json for the architectures named, or for all (a few minutes). The networks are
torchvision's and timm's where they exist and written out plainly otherwise; none shares code with ours. Weights, batch and
teacher logits follow from names and indices by a hash that test/helpers/golden.ts computes too, so no file holds them.

A step is compared in float32 with this one in float64. Where a ReLU's input lies within rounding of zero, or two places of
a max-pool's window within rounding of each other, the two may take different branches, and their gradients then differ by
much more than rounding. So batches are tried until none of these is closer than a margin, in parts of its layer's deviation.
"""

import base64
import json
import pathlib
import sys

import numpy
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "test" / "goldens" / "architectures"
SKETCH_SIZE = 64
MARGIN = 5e-6
# Its last stage normalises over 16 places, where rounding grows.
MARGINS = {"resnet-34": 1.2e-5}
ATTEMPTS = 2000
TEMPERATURE = 4.0
ALPHA = 0.5

# --- the hash and the sketch, as in test/helpers/golden.ts ---


def mix(words):
    words = words ^ (words >> numpy.uint32(16))
    words = words * numpy.uint32(0x85EBCA6B)
    words = words ^ (words >> numpy.uint32(13))
    words = words * numpy.uint32(0xC2B2AE35)
    return words ^ (words >> numpy.uint32(16))


def hash_name(name):
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def hashes(seed, length):
    steps = numpy.arange(length, dtype=numpy.uint32) * numpy.uint32(0x9E3779B9)
    return mix(numpy.uint32(seed) ^ steps)


def values(name, shape):
    seed = mix(numpy.array([hash_name(name)], dtype=numpy.uint32))[0]
    flat = hashes(seed, int(numpy.prod(shape))).astype(numpy.float64) / 2**31 - 1
    return flat.reshape(shape)


def sketch(tensor):
    flat = tensor.detach().numpy().reshape(-1)
    if flat.size > SKETCH_SIZE:
        hashed = hashes(0x5BD1E995, flat.size)
        signed = numpy.where(hashed >= 2**31, flat, -flat)
        kept = numpy.bincount(hashed % SKETCH_SIZE, weights=signed, minlength=SKETCH_SIZE)
    else:
        kept = flat
    text = base64.b64encode(kept.astype("<f4").tobytes()).decode()
    return {"norm": float(numpy.linalg.norm(flat)), "values": text}


# --- networks that neither torchvision nor timm has ---


class SimpleCnn(nn.Module):
    def __init__(self, side, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * (side // 2) ** 2, classes)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        return self.fc1(torch.flatten(x, 1))


class StudentNet(nn.Module):
    def __init__(self, side, classes):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2, 2))
        self.fc = nn.Linear(4 * (side // 2) ** 2, classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.layer1(x), 1))


class GapCnn(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.student_model = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=1, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2), nn.AdaptiveAvgPool2d(1)
        )
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.student_model(x), 1))


class CifarBlock(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.relu2 = nn.ReLU()
        self.downsample = None
        if stride != 1 or channels != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride=stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + shortcut)


class CifarResnet(nn.Module):
    def __init__(self, depth, stem, widths, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        channels = stem
        for stage, filters in enumerate(widths):
            blocks = []
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(CifarBlock(channels, filters, stride))
                channels = filters
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def cifar(depth):
    return 32, 10, 4, lambda classes: CifarResnet(depth, 16, [16, 32, 64], classes)


def cifar_wide(depth):
    return 32, 10, 2, lambda classes: CifarResnet(depth, 32, [64, 128, 256], classes)


# Side of the image, classes, batch, network.
ARCHITECTURES = {
    "simple-cnn": (32, 5, 8, lambda classes: SimpleCnn(32, classes)),
    "student-net": (224, 2, 2, lambda classes: StudentNet(224, classes)),
    "gap-cnn": (32, 10, 8, GapCnn),
    "resnet-8": cifar(8),
    "resnet-14": cifar(14),
    "resnet-20": cifar(20),
    "resnet-32": cifar(32),
    "resnet-56": cifar(56),
    "resnet-8x4": cifar_wide(8),
    "resnet-32x4": cifar_wide(32),
    "resnet-18": (64, 10, 4, lambda classes: torchvision.models.resnet18(num_classes=classes)),
    "resnet-34": (64, 10, 4, lambda classes: torchvision.models.resnet34(num_classes=classes)),
    "resnet-50": (64, 10, 2, lambda classes: torchvision.models.resnet50(num_classes=classes)),
    "efficientnet-lite0": (
        64,
        10,
        2,
        lambda classes: timm.create_model("tf_efficientnet_lite0", num_classes=classes, drop_rate=0.0, bn_momentum=0.01),
    ),
}


def initial(name, tensor, module):
    """Values as in test/lib/model/goldens.test.ts, rounded to float32 on both sides."""
    drawn = values(name, tensor.shape)
    if name.endswith("running_mean"):
        drawn = 0.3 * drawn
    elif name.endswith("running_var"):
        drawn = 1 + 0.5 * drawn
    elif isinstance(module, nn.BatchNorm2d):
        # Offsets of one keep most activations off the kinks.
        drawn = 1 + 0.2 * drawn
    elif name.endswith("bias"):
        drawn = 0.1 * drawn
    else:
        gain = 2 if tensor.dim() == 4 else 1
        drawn = numpy.sqrt(3 * gain / (tensor.numel() / tensor.shape[0])) * drawn
    return torch.from_numpy(drawn.astype(numpy.float32).astype(numpy.float64))


def build(name):
    side, classes, batch, create = ARCHITECTURES[name]
    model = create(classes).double()
    modules = dict(model.named_modules())
    with torch.no_grad():
        for key, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if key.endswith("num_batches_tracked"):
                continue
            tensor.copy_(initial(key, tensor, modules[key.rpartition(".")[0]]))
    return model, side, classes, batch


class Margins:
    """The smallest distance of any activation from a kink, relative to its layer's deviation."""

    def __init__(self):
        self.smallest = float("inf")
        self.relu, self.relu6, self.hardtanh = functional.relu, functional.relu6, functional.hardtanh
        self.pool = functional.max_pool2d

    def near(self, x, kinks):
        x = x.detach()
        deviation = x.std()
        for kink in kinks:
            self.smallest = min(self.smallest, float((x - kink).abs().min() / deviation))

    def near_ties(self, x, size, stride, padding):
        filled = functional.pad(x, (padding,) * 4, value=-torch.inf)
        places = filled.unfold(2, size, stride).unfold(3, size, stride).flatten(4)
        best, second = places.topk(2, dim=-1).values.unbind(-1)
        # Zeros that a ReLU left tie, but carry no gradient.
        gaps = (best - second)[best != 0]
        self.smallest = min(self.smallest, float(gaps.min() / x.std()))

    def __enter__(self):
        def relu(x, inplace=False):
            self.near(x, [0])
            return self.relu(x)

        def hardtanh(x, low=-1.0, high=1.0, inplace=False):
            self.near(x, [low, high])
            return self.hardtanh(x, low, high)

        def relu6(x, inplace=False):
            self.near(x, [0, 6])
            return self.relu6(x)

        def pool(x, kernel_size, stride=None, padding=0, *_, **__):
            self.near_ties(x, kernel_size, stride or kernel_size, padding)
            return self.pool(x, kernel_size, stride, padding)

        functional.relu, functional.relu6, functional.hardtanh, functional.max_pool2d = relu, relu6, hardtanh, pool
        return self

    def __exit__(self, *_):
        functional.relu, functional.relu6, functional.hardtanh = self.relu, self.relu6, self.hardtanh
        functional.max_pool2d = self.pool


def amplitude_of(model):
    """Before batch norm, images of a variance so small that its epsilon counts."""
    return 0.02 if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()) else 1.7


def images_of(model, batch_name, batch, side):
    drawn = amplitude_of(model) * values(f"{batch_name} images", (batch, side, side, 3))
    return torch.from_numpy(drawn.astype(numpy.float32).astype(numpy.float64)).permute(0, 3, 1, 2).contiguous()


def find_batch(name):
    """The first batch without an activation near a kink."""
    best = 0.0
    model, side, _, batch = build(name)
    model.train()
    for attempt in range(ATTEMPTS):
        batch_name = f"{name} {attempt}"
        with torch.no_grad(), Margins() as margins:
            model(images_of(model, batch_name, batch, side))
        if margins.smallest == float("inf"):
            raise SystemExit(f"{name}: no activation was seen")
        if margins.smallest >= MARGINS.get(name, MARGIN):
            return batch_name, margins.smallest
        best = max(best, margins.smallest)
    raise SystemExit(f"{name}: in {ATTEMPTS} batches the largest distance from a kink was {best:.1e}")


def golden(name):
    batch_name, margin = find_batch(name)
    model, side, classes, batch = build(name)
    images = images_of(model, batch_name, batch, side)
    labels = torch.arange(batch) * 7 % classes
    teacher = torch.from_numpy((3 * values(f"{batch_name} teacher", (batch, classes))).astype(numpy.float32)).double()
    model.eval()
    eval_logits = model(images)
    model.train()
    logits = model(images)
    hard = functional.cross_entropy(logits, labels)
    soft = functional.kl_div(
        functional.log_softmax(logits / TEMPERATURE, 1), functional.softmax(teacher / TEMPERATURE, 1), reduction="batchmean"
    )
    loss = (1 - ALPHA) * hard + ALPHA * TEMPERATURE**2 * soft
    loss.backward()
    print(f"{name}: {batch_name}, margin {margin:.1e}, loss {loss.item():.6f}", flush=True)
    return {
        "architecture": name,
        "input": {"height": side, "width": side, "channels": 3},
        "classes": classes,
        "batch": batch,
        "batchName": batch_name,
        "amplitude": amplitude_of(model),
        "temperature": TEMPERATURE,
        "alpha": ALPHA,
        "evalLogits": sketch(eval_logits),
        "trainLogits": sketch(logits),
        "loss": loss.item(),
        "gradients": {key: sketch(tensor.grad) for key, tensor in model.named_parameters()},
        "statistics": {
            key: sketch(tensor) for key, tensor in model.named_buffers() if not key.endswith("num_batches_tracked")
        },
    }


def main():
    names = sys.argv[1:] or list(ARCHITECTURES)
    unknown = [name for name in names if name not in ARCHITECTURES]
    if unknown:
        raise SystemExit(f"unknown architectures: {', '.join(unknown)}; known: {', '.join(ARCHITECTURES)}")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = OUTPUT / f"{name}.json"
        path.write_text(json.dumps(golden(name), indent=1) + "\n")


if __name__ == "__main__":
    main()
