"""Writes test/fixtures/torch/: small files as torch.save writes them, and expected.json with what is in them.

    python scripts/goldens/torch_files.py        (needs torch)
"""
import collections
import json
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "test" / "fixtures" / "torch"


def ramp(*shape, dtype=torch.float32):
    count = 1
    for length in shape:
        count *= length
    return ((torch.arange(count, dtype=torch.float64) - count // 2) / 8).reshape(shape).to(dtype)


def state_dict(**tensors):
    found = collections.OrderedDict((name.replace("__", "."), tensor) for name, tensor in tensors.items())
    found._metadata = collections.OrderedDict({"": {"version": 1}})
    return found


base = ramp(24)
block = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4))
with torch.no_grad():
    for tensor in block.state_dict().values():
        tensor.copy_(ramp(*tensor.shape).to(tensor.dtype))

files = {
    "plain": state_dict(conv1__weight=ramp(2, 3, 3, 3), conv1__bias=ramp(2)),
    "module": torch.nn.ModuleDict({"module": block}).state_dict(),
    "strided": state_dict(
        transposed=ramp(3, 4).t(),
        channels_last=ramp(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        sliced=ramp(6, 6)[1:5:2, 2:],
        expanded=ramp(3).expand(2, 3),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
    ),
    "shared": state_dict(whole=base, middle=base[8:16].reshape(2, 4), tied=base),
    "types": state_dict(
        half=ramp(3, 3, dtype=torch.float16),
        bfloat=ramp(3, 3, dtype=torch.bfloat16),
        double=ramp(3, 3, dtype=torch.float64) / 3,
        long=torch.tensor([-5, 7, 2**40]),
        int=torch.tensor([-5, 7], dtype=torch.int32),
        short=torch.tensor([-5, 7], dtype=torch.int16),
        char=torch.tensor([-5, 7], dtype=torch.int8),
        byte=torch.tensor([5, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
    ),
    "checkpoint": {
        "epoch": 3,
        "best": 0.75,
        "arch": "resnet8",
        "state_dict": state_dict(fc__weight=ramp(2, 5), fc__bias=torch.nn.Parameter(ramp(2))),
        "optimizer": torch.optim.SGD([torch.nn.Parameter(ramp(2))], lr=0.1, momentum=0.9).state_dict(),
    },
}

OUT.mkdir(parents=True, exist_ok=True)
expected = {}
for name, content in files.items():
    torch.save(content, OUT / f"{name}.zip.pth")
    torch.save(content, OUT / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    tensors = content.get("state_dict", content)
    expected[name] = {
        key: {"shape": list(tensor.shape), "values": tensor.detach().to(torch.float32).flatten().tolist()}
        for key, tensor in tensors.items()
    }
torch.save(files["plain"], OUT / "protocol5.zip.pth", pickle_protocol=5)
expected["protocol5"] = expected["plain"]
(OUT / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
