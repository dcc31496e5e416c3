"""Makes test/fixtures/idx and test/goldens/idx.json: a tiny data set in MNIST's layout, and what torchvision reads from it.

    python scripts/goldens/idx.py        (needs torchvision, numpy)

Pixels are those of all images, base64.
"""
import base64
import gzip
import json
import pathlib
import struct
import tempfile

import numpy as np
from torchvision.datasets.mnist import read_image_file, read_label_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures" / "idx"
OUT = ROOT / "test" / "goldens" / "idx.json"

random = np.random.default_rng(2110)
FIXTURES.mkdir(parents=True, exist_ok=True)
golden = {}


def write(name, values, packed):
    content = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    path = FIXTURES / (name + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    with tempfile.TemporaryDirectory() as folder:
        plain = pathlib.Path(folder) / name
        plain.write_bytes(content)
        return (read_image_file if values.ndim == 3 else read_label_file)(str(plain)).numpy()


for split, name, count, packed in [("train", "train", 6, True), ("test", "t10k", 3, False)]:
    images = write(f"{name}-images-idx3-ubyte", random.integers(0, 256, (count, 5, 7), np.uint8), packed)
    labels = write(f"{name}-labels-idx1-ubyte", random.integers(0, 10, count, np.uint8), packed)
    pixels = base64.b64encode(images.astype(np.uint8).tobytes()).decode()
    golden[split] = {"shape": list(images.shape), "labels": labels.tolist(), "pixels": pixels}
OUT.write_text(json.dumps(golden, indent=1) + "\n")
