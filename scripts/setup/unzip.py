"""Unzips some members of a wheel: unzip.py WHEEL TARGET PREFIX... (a prefix ending in / means everything below it).

Prints the bytes written so far as lines, then one JSON line {path: {"bytes": n, "sha256": hex}} for members outside
folders. Members keep their path below the target and programs stay executable; one that would leave it is refused.
"""
import hashlib
import json
import os
import sys
import zipfile

wheel, target, prefixes = sys.argv[1], sys.argv[2], sys.argv[3:]
folders = tuple(p for p in prefixes if p.endswith("/"))
files = {p for p in prefixes if not p.endswith("/")}
written, shown, stamps = 0, 0, {}
with zipfile.ZipFile(wheel) as archive:
    for info in archive.infolist():
        if info.is_dir() or not (info.filename in files or info.filename.startswith(folders)):
            continue
        path = os.path.normpath(os.path.join(target, info.filename))
        if not path.startswith(os.path.abspath(target) + os.sep):
            sys.exit("unsafe path in the wheel: " + info.filename)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        digest = hashlib.sha256()
        with archive.open(info) as source, open(path, "wb") as sink:
            for chunk in iter(lambda: source.read(1 << 20), b""):
                sink.write(chunk)
                digest.update(chunk)
                written += len(chunk)
                if written - shown > 10_000_000:
                    shown = written
                    print(written, flush=True)
        if info.external_attr >> 16 & 0o111:
            os.chmod(path, 0o755)
        if info.filename in files:
            stamps[info.filename] = {"bytes": info.file_size, "sha256": "sha256:" + digest.hexdigest()}
missing = files - stamps.keys()
if missing:
    sys.exit("not in the wheel: " + ", ".join(sorted(missing)))
print(json.dumps(stamps), flush=True)
