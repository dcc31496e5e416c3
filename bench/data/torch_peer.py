"""PyTorch's DataLoader with torchvision in the data benchmark: batches of augmented, normalised images, timed on request.

Arguments: the case ("cifar" or "pictures"), the mode, the workers, the batch size, the folder. Modes: "pil", the transforms as
most people write them; "tensor", torchvision.transforms.v2 on tensors, for pictures with torchvision's own JPEG decoder. One
line of JSON per request on standard input: {"call": "info"}, {"call": "run", "batches": n}, {"call": "look", "picks": [...]}.
Wants torch and torchvision.
"""

import base64
import json
import sys
import time

import numpy
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, transforms
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RECORD_BYTES = 3073


class Cifar(Dataset):
    """All images in memory, as torchvision.datasets.CIFAR10 has them."""

    def __init__(self, folder, as_pictures, transform):
        files = [f"{folder}/data_batch_{number}.bin" for number in range(1, 6)]
        records = numpy.concatenate([numpy.fromfile(name, numpy.uint8).reshape(-1, RECORD_BYTES) for name in files])
        self.labels = records[:, 0].astype(int)
        planes = records[:, 1:].reshape(-1, 3, 32, 32)
        self.images = planes.transpose(0, 2, 3, 1).copy() if as_pictures else torch.from_numpy(planes.copy())
        self.as_pictures = as_pictures
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index]) if self.as_pictures else self.images[index]
        return self.transform(image), self.labels[index]


def steps_of(case, mode, augment):
    kit = transforms if mode == "pil" else v2
    if case == "cifar":
        steps = [kit.RandomCrop(32, padding=4), kit.RandomHorizontalFlip()] if augment else []
    else:
        steps = [kit.Resize((224, 224), antialias=True)] + ([kit.RandomHorizontalFlip()] if augment else [])
    to_numbers = [transforms.ToTensor()] if mode == "pil" else [v2.ToDtype(torch.float32, scale=True)]
    return kit.Compose(steps + to_numbers + [kit.Normalize(MEAN, STD)])


def read_tensor(path):
    return decode_image(path, mode=ImageReadMode.RGB)


def dataset(case, mode, folder, augment):
    transform = steps_of(case, mode, augment)
    if case == "cifar":
        return Cifar(folder, mode == "pil", transform)
    if mode == "pil":
        return datasets.ImageFolder(folder, transform)
    return datasets.ImageFolder(folder, transform, loader=read_tensor)


class Bench:
    def __init__(self, case, mode, workers, batch, folder):
        self.case, self.mode, self.folder, self.batch = case, mode, folder, int(batch)
        self.ahead = 2 * int(workers)
        self.loader = DataLoader(
            dataset(case, mode, folder, True),
            batch_size=self.batch,
            shuffle=True,
            drop_last=True,
            num_workers=int(workers),
            persistent_workers=True,
        )
        self.batches = self.endless()

    def endless(self):
        while True:
            yield from self.loader

    def run(self, batches):
        # What was made ready while others had their turn does not count.
        for _ in range(self.ahead):
            next(self.batches)
        start = time.perf_counter()
        for _ in range(batches):
            next(self.batches)
        return {"ms": 1000 * (time.perf_counter() - start), "images": batches * self.batch}

    def look(self, picks):
        plain = dataset(self.case, self.mode, self.folder, False)
        order = picks if self.case == "cifar" else [[path for path, _ in plain.samples].index(pick) for pick in picks]
        images = torch.stack([plain[index][0] for index in order]).permute(0, 2, 3, 1).contiguous()
        return {"images": base64.b64encode(images.numpy().tobytes()).decode()}


def main():
    bench = Bench(*sys.argv[1:6])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["call"] == "run":
                answer = bench.run(request["batches"])
            elif request["call"] == "look":
                answer = bench.look(request["picks"])
            else:
                answer = {"version": f"torch {torch.__version__}, torchvision {torchvision.__version__}"}
        except Exception as error:  # the benchmark reports it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
