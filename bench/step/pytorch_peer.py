"""The PyTorch side of the step benchmark: one training step, timed on request.

Reads one JSON request per line on standard input and answers one JSON line each:
  {"call": "open", "net": "resnet-20", "size": 32, "classes": 10, "batch": 64, "mode": "eager" | "channels_last" | "compile"}
      -> {"parameters": n}                          the model, its optimizer and a fixed random batch are at hand
  {"call": "run", "steps": k}  -> {"ms": [...]}     wall time of each of k steps
  {"call": "info"}             -> {"version", "threads", "rss"}
A step is what ours is: preprocessing of RGB 0..255, forward, 0.1 x cross-entropy + 0.9 x T^2 KL to given teacher logits, backward,
SGD with momentum (the fused implementation), loss and accuracy read back.
"""

import json
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class SimpleCnn(nn.Module):
    def __init__(self, size, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * (size // 2) ** 2, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        return self.fc1(torch.flatten(x, 1))


class StudentNet(nn.Module):
    def __init__(self, size, classes):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2, 2))
        self.fc = nn.Linear(4 * (size // 2) ** 2, classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.layer1(x), 1))


class BasicBlock(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or channels != filters:
            self.downsample = nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class CifarResnet(nn.Module):
    def __init__(self, depth, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, channels = [], 16
        for stage, filters in enumerate((16, 32, 64)):
            for block in range((depth - 2) // 6):
                blocks.append(BasicBlock(channels, filters, 2 if stage > 0 and block == 0 else 1))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.fc(x.mean((2, 3)))


def build(net, size, classes):
    if net == "simple-cnn":
        return SimpleCnn(size, classes)
    if net == "student-net":
        return StudentNet(size, classes)
    if net == "resnet-18":
        from torchvision.models import resnet18

        return resnet18(num_classes=classes)
    return CifarResnet(int(net.split("-")[1]), classes)


class Bench:
    TEMPERATURE = 4.0
    MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def __init__(self, request):
        torch.manual_seed(1)
        size, classes, batch, mode = (request[key] for key in ("size", "classes", "batch", "mode"))
        self.model = build(request["net"], size, classes).train()
        self.images = torch.rand(batch, 3, size, size) * 255
        if mode == "channels_last":
            self.model = self.model.to(memory_format=torch.channels_last)
            self.images = self.images.to(memory_format=torch.channels_last)
        self.labels = torch.randint(0, classes, (batch,))
        self.teacher = torch.randn(batch, classes) * 3
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9, fused=True)
        self.compute = torch.compile(self.loss) if mode == "compile" else self.loss

    def loss(self, images, labels, teacher):
        logits = self.model((images / 255 - self.MEAN) / self.STD)
        t = self.TEMPERATURE
        soft = F.kl_div(F.log_softmax(logits / t, 1), F.softmax(teacher / t, 1), reduction="batchmean") * t * t
        return 0.1 * F.cross_entropy(logits, labels) + 0.9 * soft, (logits.argmax(1) == labels).sum()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss, correct = self.compute(self.images, self.labels, self.teacher)
        loss.backward()
        self.optimizer.step()
        return loss.item(), correct.item()

    def run(self, steps):
        ms = []
        for _ in range(steps):
            start = time.perf_counter()
            self.step()
            ms.append(1000 * (time.perf_counter() - start))
        return ms


def sgemm_gflops(n=2048, repeats=5):
    a, b = torch.randn(n, n), torch.randn(n, n)
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        best = max(best, 2 * n**3 / (time.perf_counter() - start) / 1e9)
    return best


def main():
    torch.set_num_threads(int(sys.argv[1]))
    bench = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["call"] == "open":
                bench = Bench(request)
                bench.run(1)
                answer = {"parameters": bench.parameters}
            elif request["call"] == "run":
                answer = {"ms": bench.run(request["steps"])}
            else:
                rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                answer = {"version": torch.__version__, "threads": torch.get_num_threads(), "rss": rss, "gflops": sgemm_gflops()}
        except Exception as error:  # the benchmark reports it and goes on without this mode
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
