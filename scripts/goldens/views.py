"""Makes test/goldens/views.json: what torchvision makes of images, and what it draws.

    python scripts/goldens/views.py test/goldens/views.json        (needs torch, torchvision)

Colours and crops are computed by torchvision.transforms.v2.functional on float64 tensors (hue in float32, as torchvision does).
Of what is random, only the distribution can be compared: mean and standard deviation over many draws.
"""
import json
import sys

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

torch.manual_seed(6006)

HEIGHT, WIDTH = 5, 7
DRAWS = 20_000


def values(image):
    """[3, height, width] of 0..1 to height x width x 3 numbers of 0..255."""
    return [float(f"{value:.4f}") for value in (image * 255).permute(1, 2, 0).flatten().tolist()]


def image():
    """Whole numbers, as pixels are; the first ones lie where hue and saturation have their corners."""
    pixels = torch.randint(0, 256, (HEIGHT * WIDTH, 3))
    corners = [[0, 0, 0], [255, 255, 255], [90, 90, 90], [255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 200, 10], [10, 200, 200], [200, 10, 200]]
    pixels[: len(corners)] = torch.tensor(corners)
    return pixels.reshape(HEIGHT, WIDTH, 3).permute(2, 0, 1).double() / 255


def colours(original):
    blends = [0.0, 0.35, 1.0, 1.8]
    changes = {
        "brightness": (F.adjust_brightness, blends),
        "contrast": (F.adjust_contrast, blends),
        "saturation": (F.adjust_saturation, blends),
        "hue": (F.adjust_hue, [-0.5, -0.21, 0.0, 0.08, 0.33, 0.5]),
    }
    return [
        {"change": name, "factor": factor, "pixels": values(change(original, factor))}
        for name, (change, factors) in changes.items()
        for factor in factors
    ]


def crops(original):
    boxes = [(0, 0, 7, 5), (0, 0, 3, 2), (4, 3, 3, 2), (1, 1, 5, 3), (6, 0, 1, 5), (2, 4, 1, 1), (0, 1, 7, 4)]
    return [
        {
            "box": {"left": left, "top": top, "width": width, "height": height},
            "pixels": values(F.resized_crop(original, top, left, height, width, [HEIGHT, WIDTH], antialias=True)),
        }
        for left, top, width, height in boxes
    ]


def moments(draws):
    draws = torch.tensor(draws, dtype=torch.float64)
    return {"mean": draws.mean().item(), "std": draws.std(correction=0).item()}


def boxes():
    cases = [
        ((32, 32), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((500, 375), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((40, 30), (0.3, 0.6), (0.5, 1.5)),
        # Here draws often do not fit, and here never: what is left is the part at the centre.
        ((60, 20), (0.7, 1.0), (3 / 4, 3.0)),
        ((90, 20), (0.9, 1.0), (3 / 4, 4 / 3)),
        ((20, 90), (0.9, 1.0), (3 / 4, 4 / 3)),
    ]
    for (width, height), scale, ratio in cases:
        crop = v2.RandomResizedCrop(8, scale=scale, ratio=ratio)
        drawn = [crop.make_params([torch.empty(3, height, width)]) for _ in range(DRAWS)]
        sides = {side: moments([float(box[side]) for box in drawn]) for side in ("left", "top", "width", "height")}
        yield {"size": {"width": width, "height": height}, "crop": {"scale": scale, "ratio": ratio}, **sides}


def shares():
    images = torch.empty(2, 3, 24, 32)
    for alpha in (0.2, 1.0, 4.0):
        mixup = v2.MixUp(alpha=alpha, num_classes=2)
        cutmix = v2.CutMix(alpha=alpha, num_classes=2)
        yield {
            "alpha": alpha,
            "mixup": moments([mixup.make_params([images])["lam"] for _ in range(DRAWS)]),
            "cutmix": moments([cutmix.make_params([images])["lam_adjusted"] for _ in range(DRAWS)]),
        }


original = image()
golden = {
    "height": HEIGHT,
    "width": WIDTH,
    "pixels": values(original),
    "colours": colours(original),
    "crops": crops(original),
    "draws": DRAWS,
    "boxes": list(boxes()),
    "shares": list(shares()),
}
with open(sys.argv[1], "w") as file:
    file.write(json.dumps(golden, separators=(",", ":")) + "\n")
