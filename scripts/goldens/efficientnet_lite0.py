"""Writes test/goldens/efficientnet-lite0.json: what PyTorch makes of the photographs with the set-up's real weights.

    python scripts/goldens/efficientnet_lite0.py WEIGHTS        (needs torch, timm, pillow)

WEIGHTS is efficientnet-lite0-57934424.pth in the cache's weights/efficientnet-lite0. It goes into timm's
tf_efficientnet_lite0 tensor by tensor in their common order, so that no table of names is trusted; computed in float64.
"""
import hashlib
import json
import pathlib
import sys

import numpy
import timm
import torch
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "test" / "fixtures" / "photos"
OUT = ROOT / "test" / "goldens" / "efficientnet-lite0.json"

weights = torch.load(sys.argv[1], weights_only=True)
model = timm.create_model("tf_efficientnet_lite0").double().eval()
own = model.state_dict()
assert [tensor.shape for tensor in own.values()] == [tensor.shape for tensor in weights.values()]
model.load_state_dict(dict(zip(own, weights.values())))

photos = {}
for path in sorted(PHOTOS.glob("*.jpg")):
    pixels = numpy.asarray(Image.open(path).convert("RGB"))
    images = torch.from_numpy(pixels.copy()).double().permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = model((images - 127) / 128)[0]
    photos[path.name] = {
        "pixels": "sha256:" + hashlib.sha256(pixels.tobytes()).hexdigest(),
        "logits": [float(f"{value:.7g}") for value in logits.tolist()],
    }
    print(path.name, logits.argmax().item(), logits.softmax(0).max().item())
OUT.parent.mkdir(parents=True, exist_ok=True)
OUT.write_text(json.dumps(photos, separators=(",", ":")) + "\n")
