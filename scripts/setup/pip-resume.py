"""Runs pip so that the download of a wheel goes on where an earlier run was cut off: pip-resume.py FILE PIP-ARGUMENT...

All of the work stays pip's: the index, proxies, certificates, credentials, and at the end the check of the hash. Only the
body of the wheel's response is kept in FILE too as it comes, and what FILE holds already is not asked for again (RFC 9110,
section 14: range requests). What FILE holds needs no validator: the caller pins the whole by its hash.
"""
import errno
import fcntl
import os
import runpy
import sys
import time
from urllib.parse import urljoin, urlsplit

CHUNK_BYTES = 1 << 18
# After this much a connection that breaks counts as the first one again.
PROGRESS_BYTES = 1 << 20


class Body:
    """What pip reads in place of the connection: what FILE has, then the rest as it comes, from a new one when it breaks."""

    def __init__(self, file, have, raw, reopen):
        self.file, self.have, self.raw, self.reopen = file, have, raw, reopen
        self.total = have + length_of(raw)

    def stream(self, _amount=None, decode_content=None):
        with open(self.file.name, "rb") as stored:
            for chunk in iter(lambda: stored.read(min(CHUNK_BYTES, self.have - stored.tell())), b""):
                yield chunk
        at, marked, tries = self.have, self.have, 0
        limit = int(os.environ.get("PIP_RETRIES", "5"))
        while at < self.total:
            try:
                for chunk in self.raw.stream(CHUNK_BYTES, decode_content=False):
                    self.file.write(chunk)
                    self.file.flush()
                    at += len(chunk)
                    yield chunk
                if at < self.total:
                    raise ConnectionError("the connection ended after %d of %d bytes" % (at, self.total))
            except Exception as error:
                # urllib3 and http.client have their own words for a broken connection; the last one is pip's to tell.
                if getattr(error, "errno", None) == errno.ENOSPC:
                    raise
                tries = 1 if at - marked >= PROGRESS_BYTES else tries + 1
                marked = at
                if tries > limit:
                    raise
                self.raw.close()
                time.sleep(min(2 ** (tries - 1), 8))
                self.raw = self.reopen(at, self.total)

    def close(self):
        self.raw.close()

    def release_conn(self):
        self.raw.close()


def length_of(raw):
    return int(raw.headers.get("Content-Length", "0"))


def starts_at(response, at):
    """Whether a response is the rest of the file from `at` on."""
    return response.status_code == 206 and response.headers.get("Content-Range", "").startswith("bytes %d-" % at)


def resuming(send, file):
    """`HTTPAdapter.send`, which keeps and continues the bodies of wheels."""
    redirected = set()

    def ask(adapter, request, at, args, kwargs):
        if at == 0:
            return send(adapter, request, *args, **kwargs)
        part = request.copy()
        part.headers["Range"] = "bytes=%d-" % at
        response = send(adapter, part, *args, **kwargs)
        # What pip sends again (with credentials, after a redirect) is the request that it knows.
        response.request = request
        return response

    def wrapped(adapter, request, *args, **kwargs):
        is_wheel = urlsplit(request.url).path.endswith(".whl") or request.url in redirected
        if request.method != "GET" or "Range" in request.headers or not is_wheel:
            return send(adapter, request, *args, **kwargs)
        have = os.fstat(file.fileno()).st_size
        response = ask(adapter, request, have, args, kwargs)
        if have > 0 and (response.status_code == 416 or response.status_code == 206 and not starts_at(response, have)):
            response.close()
            response = ask(adapter, request, 0, args, kwargs)
        if response.is_redirect:
            redirected.add(urljoin(request.url, response.headers["Location"]))
            return response
        if response.status_code not in (200, 206) or "Content-Encoding" in response.headers or length_of(response) == 0:
            return response
        if response.status_code == 200:
            file.truncate(0)
            have = 0

        def reopen(at, total):
            rest = ask(adapter, request, at, args, kwargs)
            if starts_at(rest, at) and at + length_of(rest) == total:
                return rest.raw
            rest.close()
            raise ConnectionError("the server does not go on at byte %d" % at)

        body = Body(file, have, response.raw, reopen)
        response.status_code = 200
        response.headers.pop("Content-Range", None)
        response.headers["Content-Length"] = str(body.total)
        response.raw = body
        return response

    return wrapped


def prepare(path):
    """Has pip's HTTP client keep wheels in `path`; a pip that has none of that name downloads as it always does."""
    try:
        from pip._vendor.requests.adapters import HTTPAdapter
    except ImportError:
        return
    file = open(path, "ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Another one is at it, which a killed set-up has left: this one does without.
        return
    HTTPAdapter.send = resuming(HTTPAdapter.send, file)


if __name__ == "__main__":
    prepare(sys.argv[1])
    sys.argv = ["pip"] + sys.argv[2:]
    # As with `python -m pip`: nothing of this folder can be taken for a module of pip's.
    sys.path.pop(0)
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
