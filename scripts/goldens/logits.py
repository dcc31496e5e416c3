"""Makes test/goldens/logits.json: roundings by NumPy and PyTorch, tails and mixed-in probabilities by PyTorch in float64.

    python scripts/goldens/logits.py test/goldens/logits.json        (needs torch, numpy)

Floats are given by their bits, so that nothing is rounded on the way.
"""
import json
import sys

import numpy as np
import torch

random = np.random.default_rng(2118)
torch.set_default_dtype(torch.float64)


def samples():
    """Of all magnitudes, on both sides of and at what lies half-way between two halves and two bfloat16, and the ends."""
    values = [random.standard_normal(200), random.standard_normal(200) * 2.0 ** random.integers(-30, 17, 200)]
    halves = random.integers(0, 0x7BFF, 100, np.uint16)
    low, high = halves.view(np.float16).astype(np.float32), (halves + np.uint16(1)).view(np.float16).astype(np.float32)
    middle = (low + high) / np.float32(2)
    values += [middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(1e30))]
    upper = random.integers(0x0080, 0x7F00, 60).astype(np.uint32) << 16
    values += [(upper + np.uint32(offset)).view(np.float32) for offset in (0x7FFF, 0x8000, 0x8001, 0x18000)]
    values += [np.array([0.0, -0.0, 65504, 65519.996, 65520, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 2.0**-14, 3.3895314e38])]
    one = np.concatenate([v.astype(np.float32) for v in values])
    return np.concatenate([one, -one])


def roundings():
    floats = samples()
    with np.errstate(over="ignore"):
        halves = floats.astype(np.float16)
    bfloats = torch.from_numpy(floats).to(torch.bfloat16)
    return {
        "floats": floats.view(np.uint32).tolist(),
        "halves": halves.view(np.uint16).tolist(),
        "bfloats": (bfloats.view(torch.int16).numpy().astype(np.int64) & 0xFFFF).tolist(),
    }


def tails(columns, k, temperatures, scale):
    """Rows, which columns are the largest, and T * logsumexp(z / T) of all others."""
    rows = torch.from_numpy((random.standard_normal((4, columns)) * scale).astype(np.float32))
    wide = rows.double()
    kept = torch.topk(wide, k, dim=1).indices.sort(dim=1).values
    others = wide.scatter(1, kept, float("-inf"))
    values = torch.stack([T * torch.logsumexp(others / T, 1) for T in temperatures], 1)
    probabilities = [torch.softmax(wide / T, 1).gather(1, kept) for T in temperatures]
    return {
        "columns": columns, "k": k, "temperatures": temperatures,
        "logits": rows.flatten().numpy().view(np.uint32).tolist(),
        "kept": kept.tolist(),
        "tails": values.tolist(),
        "probabilities": [p.tolist() for p in probabilities],
    }


def means(columns, T, weights, scale):
    """What several teachers' logits become: mean logits, and T * log of the mean of the probabilities at T."""
    teachers = torch.from_numpy((random.standard_normal((len(weights), 3, columns)) * scale).astype(np.float32)).double()
    shares = torch.tensor(weights) / sum(weights)
    return {
        "columns": columns, "temperature": T, "weights": weights,
        "teachers": teachers.flatten(1).tolist(),
        "logits": torch.einsum("t,trc->rc", shares, teachers).flatten().tolist(),
        "probabilities": torch.einsum("t,trc->rc", shares, torch.softmax(teachers / T, 2)).flatten().tolist(),
    }


with open(sys.argv[1], "w") as file:
    json.dump({
        "madeBy": "scripts/goldens/logits.py", "torch": torch.__version__, "numpy": np.__version__,
        "roundings": roundings(),
        "tails": [tails(10, 3, [1, 4], 3), tails(200, 16, [0.5, 1, 2, 4, 8], 5), tails(5, 4, [2], 400)],
        "means": [means(6, 1, [1, 1], 2), means(4, 4, [1, 3, 0.5], 5), means(3, 2, [2, 1], 300)],
    }, file)
    file.write("\n")
