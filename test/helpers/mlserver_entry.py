"""Fits two small classifiers, says what they answer, and lets MLServer serve the first: one process, one start of Python.

Usage: mlserver_entry.py FOLDER, with request.json in it: {"features": [rows of numbers], "httpPort": ..., "grpcPort": ...}.
Writes FOLDER/expected.json: the probabilities of both classifiers for the rows, by version.
"""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
rows = np.asarray(request["features"], dtype=np.float32)
classes = 4

models = folder / "models"
expected = {}
for version, seed in (("v1", 1), ("v2", 2)):
    random = np.random.default_rng(seed)
    labels = np.arange(200) % classes
    features = random.random((200, rows.shape[1]), dtype=np.float32)
    for label in range(classes):
        features[labels == label, label::classes] += 0.3
    model = LogisticRegression(max_iter=200).fit(features, labels)
    expected[version] = model.predict_proba(rows).tolist()
    place = models / "pixels"
    place.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, place / f"{version}.joblib")
    settings = {
        "name": "pixels",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": f"./{version}.joblib", "version": version},
        "inputs": [{"name": "predict", "datatype": "FP32", "shape": [-1, rows.shape[1]]}],
        "outputs": [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, classes]}],
    }
    (place / f"settings-{version}.json").write_text(json.dumps(settings))

(models / "pixels" / "model-settings.json").write_text((models / "pixels" / "settings-v1.json").read_text())
server = {
    "host": "127.0.0.1",
    "http_port": request["httpPort"],
    "grpc_port": request["grpcPort"],
    "metrics_endpoint": None,
    "parallel_workers": 0,
}
(models / "settings.json").write_text(json.dumps(server))
(folder / "expected.json").write_text(json.dumps(expected))

from mlserver.cli import main  # noqa: E402

sys.argv = ["mlserver", "start", str(models)]
main()
