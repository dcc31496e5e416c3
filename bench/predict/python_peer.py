"""PyTorch and ONNX Runtime in the prediction benchmark: the logits of one batch, timed on request.

Requests and answers are those of ../step/pytorch_peer.py, with the modes "eager", "channels_last" and "onnxruntime" (the same
model, exported by PyTorch). A prediction is what ours is: preprocessing of RGB 0..255, then the network as it is served.
EfficientNet-Lite0 is timm's. Wants torch and torchvision; timm, onnx and onnxruntime for what they are named for.
"""

import io
import json
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn as nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "step"))
from pytorch_peer import build, sgemm_gflops  # noqa: E402


class Served(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, images):
        return self.network((images / 255 - self.mean) / self.std)


def network(net, size, classes):
    if net == "efficientnet-lite0":
        import timm

        return timm.create_model("tf_efficientnet_lite0", num_classes=classes)
    return build(net, size, classes)


def onnx_session(model, images):
    import onnxruntime

    exported = io.BytesIO()
    torch.onnx.export(model, images, exported, dynamo=False, input_names=["images"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait busily would take the processors of those that are measured beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(exported.getvalue(), options, providers=["CPUExecutionProvider"])


class Bench:
    def __init__(self, request):
        torch.manual_seed(1)
        size, classes, batch, mode = (request[key] for key in ("size", "classes", "batch", "mode"))
        model = Served(network(request["net"], size, classes)).eval()
        self.parameters = sum(p.numel() for p in model.parameters())
        images = torch.rand(batch, 3, size, size) * 255
        if mode == "onnxruntime":
            session, pixels = onnx_session(model, images), images.numpy()
            self.predict = lambda: session.run(None, {"images": pixels})
            return
        if mode == "channels_last":
            model = model.to(memory_format=torch.channels_last)
            images = images.to(memory_format=torch.channels_last)
        self.predict = lambda: model(images)

    def run(self, steps):
        ms = []
        for _ in range(steps):
            start = time.perf_counter()
            self.predict()
            ms.append(1000 * (time.perf_counter() - start))
        return ms


def version():
    try:
        import onnxruntime
    except ImportError:
        return torch.__version__
    return f"{torch.__version__}, onnxruntime {onnxruntime.__version__}"


def main():
    torch.set_num_threads(int(sys.argv[1]))
    bench = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["call"] == "open":
                with torch.inference_mode():
                    bench = Bench(request)
                    bench.run(1)
                answer = {"parameters": bench.parameters}
            elif request["call"] == "run":
                with torch.inference_mode():
                    answer = {"ms": bench.run(request["steps"])}
            else:
                rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                answer = {"version": version(), "threads": torch.get_num_threads(), "rss": rss, "gflops": sgemm_gflops()}
        except Exception as error:  # the benchmark reports it and goes on without this mode
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
