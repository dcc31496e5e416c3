"""Writes test/goldens/state-dicts.json: names and shapes of the state dicts of torchvision and timm.

    python scripts/goldens/state_dicts.py        (needs torch, torchvision, timm)
"""
import json
import pathlib

import timm
import torchvision

OUT = pathlib.Path(__file__).resolve().parents[2] / "test" / "goldens" / "state-dicts.json"

models = {}
for depth in (18, 34, 50):
    models[f"torchvision resnet{depth}"] = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    models[f"timm resnet{depth}"] = timm.create_model(f"resnet{depth}")
models["timm tf_efficientnet_lite0"] = timm.create_model("tf_efficientnet_lite0")

lines = [
    f'{json.dumps(name)}:'
    + json.dumps({key: list(tensor.shape) for key, tensor in model.state_dict().items()}, separators=(",", ":"))
    for name, model in models.items()
]
OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
