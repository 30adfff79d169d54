"""Find pretrained weights in the caches of this machine, and fetch those that are missing.

A file is fetched once, into the cache where the hub's own client (or torchvision) looks for it, and is checked
against the digest its source states. An interrupted download is continued, in the next run too, and ends with the
allowance: the hub's client does neither, so the bytes are read here; addresses, cache and token are the client's.
Processes that want the same file take turns. Whether a host answers is tested once for all files, in at most
`PROBE_SECONDS`. Imports no torch.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from autotl.budget import Allowance
from autotl.cache import atomic, atomic_write
from autotl.errors import WeightsUnavailable
from autotl.records import BackboneSpec, Weights

__all__ = [
    "KeepTokens",
    "TooLate",
    "away",
    "fetch",
    "find",
    "host_answers",
    "hub_cache",
    "is_cached",
    "told_offline",
    "torch_hub",
]

PROBE_SECONDS = 3.0
SILENCE = 10.0  # seconds without a byte, after which a connection is given up
HUB_FILE = "model.safetensors"
CHUNK = 1 << 18
LARGEST = 100 * 10**9  # bytes of a file whose source announces no size
TURN = 0.2  # seconds between two tries to get a turn

Report = Callable[[int], None]


class TooLate(WeightsUnavailable):
    """The time for a download is over; the part that has arrived is kept."""


def told_offline() -> bool:
    """Return whether HF_HUB_OFFLINE forbids connections."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


# --------------------------------------------------------------------------- caches on this machine


def hub_cache() -> Path:
    """Return the cache folder of the hub's client, from its environment variables."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(variable):
            return Path(os.path.expanduser(value))
    parent = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(os.environ.get("HF_HOME") or f"{parent}/huggingface")) / "hub"


def torch_hub() -> Path:
    """Return the cache folder of torch.hub, from its environment variables."""
    parent = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(os.environ.get("TORCH_HOME") or f"{parent}/torch")) / "hub"


def is_cached(repository: str) -> bool:
    """Return whether the weights of a hub repository are in the cache; does not import the hub's client."""
    snapshots = hub_cache() / cache_folder(repository) / "snapshots"
    return any(snapshots.glob(f"*/{HUB_FILE}"))


def cache_folder(repository: str) -> str:
    """Return the folder name of a repository in the hub's cache."""
    return f"models--{repository.replace('/', '--')}"


def away(spec: BackboneSpec) -> bool:
    """Return whether the weights of a backbone have to be fetched first."""
    return spec.weights is not None and spec.weights.kind != "file" and not spec.weights.present


def find(weights: Weights) -> Path | None:
    """Return the file in the cache of this machine; None if it is not there."""
    if weights.kind == "file":
        return Path(weights.location) if Path(weights.location).is_file() else None
    if weights.kind == "torchvision":
        target = _torchvision_file(weights)
        return target if target is not None and target.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    repository, file = _repository(weights)
    try:
        return Path(hf_hub_download(repository, file, revision=weights.revision, local_files_only=True))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, FileNotFoundError):
        return None


# --------------------------------------------------------------------------- fetching


def fetch(
    weights: Weights,
    *,
    offline: bool = False,
    allowance: Allowance | None = None,
    report: Report | None = None,
) -> Path:
    """Return the file on this machine, after fetching it if needed; `report` receives the bytes so far.

    Raises `TooLate` when the allowance ends first, `WeightsUnavailable` when the file is not available:
    offline, no network, access refused, no such file, or a file with another digest.
    """
    there = find(weights)
    if there is not None:
        return there
    if weights.kind == "file":
        raise WeightsUnavailable(f"there is no file {weights.location}; expected weights; bring the file")
    on_bytes = report or _ignore
    if weights.kind == "torchvision":
        return _fetch_torchvision(weights, offline or told_offline(), allowance, on_bytes)
    return _fetch_from_hub(weights, offline or told_offline(), allowance, on_bytes)


def _ignore(_: int) -> None:
    pass


def _fetch_from_hub(weights: Weights, offline: bool, allowance: Allowance | None, report: Report) -> Path:
    from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_url

    repository, file = _repository(weights)
    page = f"{constants.ENDPOINT}/{repository}"
    if offline:
        raise WeightsUnavailable(
            f"the weights {repository} are not in the hub's cache, and this run is offline; expected {file} "
            f"there; fetch it with a connection once, or from {page} into a --weights folder"
        )
    if not reachable(constants.ENDPOINT):
        raise WeightsUnavailable(
            f"the weights {repository} are not in the hub's cache, and the hub does not answer; expected a "
            f"connection to {constants.ENDPOINT}; connect, or bring {file} in a --weights folder"
        )
    try:
        url = hf_hub_url(repository, file, revision=weights.revision)
        metadata = get_hf_file_metadata(url, timeout=PROBE_SECONDS)
        etag, commit = _plain(metadata.etag), _plain(metadata.commit_hash)
        folder = Path(constants.HF_HUB_CACHE) / cache_folder(repository)
        part = folder / "blobs" / f"{etag}.autotl.incomplete"
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        # A token is for the hub alone, not for where it sends us.
        at_home = token is not None and _same_host(metadata.location, constants.ENDPOINT)
        headers = {"Authorization": f"Bearer {token}"} if at_home else {}
        _require_as_safe(constants.ENDPOINT, metadata.location)
        with _turn(part, allowance):
            if (there := find(weights)) is not None:
                return there
            _stream(metadata.location, part, metadata.size, headers, allowance, report)
            if re.fullmatch(r"[0-9a-f]{64}", etag):
                _check(part, etag, page)
            return _place(part, folder, etag, commit, file, weights.revision or "main")
    except WeightsUnavailable:
        raise
    except Exception as error:  # the connection may break in many ways, none of which is the user's bug
        raise _explained(error, repository, file, weights.revision, page) from None


def _place(part: Path, folder: Path, etag: str, commit: str, file: str, revision: str) -> Path:
    """Move a finished download to where the hub's client looks for it: blob, snapshot and reference."""
    blob, snapshot = folder / "blobs" / etag, folder / "snapshots" / commit / file
    os.replace(part, blob)
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    snapshot.unlink(missing_ok=True)
    try:
        snapshot.symlink_to(os.path.relpath(blob, snapshot.parent))
    except OSError:  # a system or a disk without links
        with atomic(snapshot) as temporary:
            shutil.copyfile(blob, temporary)
    if revision != commit:
        atomic_write(folder / "refs" / revision, commit)
    return snapshot


def _fetch_torchvision(weights: Weights, offline: bool, allowance: Allowance | None, report: Report) -> Path:
    target = _torchvision_file(weights)
    if target is None or weights.url is None:
        raise WeightsUnavailable(
            f"the weights {weights.location} of torchvision are not on this machine; expected their file;"
            " fetch them with a connection"
        )
    host = urlsplit(weights.url).netloc
    if offline or not reachable(weights.url):
        why = "this run is offline" if offline else f"{host} does not answer"
        raise WeightsUnavailable(
            f"{target} is not there, and {why}; expected torchvision's {weights.location}; connect, or bring the file"
        )
    part = target.with_name(f"{target.name}.incomplete")
    try:
        with _turn(part, allowance):
            if target.is_file():
                return target
            _stream(weights.url, part, None, {}, allowance, report)
            digest = re.search(r"-([0-9a-f]{8,})\.", target.name)  # torchvision's file names end in one
            if digest:
                _check(part, digest[1], weights.url)
            os.replace(part, target)
            return target
    except WeightsUnavailable:
        raise
    except Exception as error:
        raise _explained(error, weights.location, target.name, None, weights.url) from None


def _torchvision_file(weights: Weights) -> Path | None:
    if weights.url is None:
        return None
    return torch_hub() / "checkpoints" / Path(urlsplit(weights.url).path).name


@contextmanager
def _turn(part: Path, allowance: Allowance | None) -> Iterator[None]:
    """Hold the right to write a part in the block; other processes and threads wait. Raises `TooLate`, `OSError`."""
    part.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{part}.lock")
    while True:
        try:
            lock.acquire(timeout=TURN)
            break
        except Timeout:
            if allowance is not None and allowance.expired:
                raise TooLate(
                    f"another process was still fetching {part.name} when the time was over"
                ) from None
    try:
        yield
    finally:
        lock.release()


def _stream(
    url: str,
    part: Path,
    size: int | None,
    headers: dict[str, str],
    allowance: Allowance | None,
    report: Report,
) -> None:
    """Download `url` into `part`, continuing an earlier try, up to the announced size.

    Raises `TooLate`, `OSError`, `HTTPError`.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise OSError(f"{url} is no web address")
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    if size is not None and have > size:
        have = 0
    if have:
        headers = {**headers, "Range": f"bytes={have}-"}
    request = urllib.request.Request(url, headers={**headers, "Accept-Encoding": "identity"})  # noqa: S310 - checked
    opener = urllib.request.build_opener(KeepTokens)
    with opener.open(request, timeout=SILENCE) as answer:
        goes_on = answer.status == 206
        with open(part, "ab" if goes_on else "wb") as file:
            have = have if goes_on else 0
            most = size or LARGEST
            while chunk := answer.read1(CHUNK):
                have += len(chunk)
                if have > most:
                    part.unlink()  # nothing of it can be right
                    raise OSError(f"more than the announced {most:,} bytes came")
                file.write(chunk)
                report(have)
                if allowance is not None and allowance.expired:
                    raise TooLate(f"{url}: {have:,} bytes had arrived when the time was over")
    if size is not None and have != size:
        raise OSError(f"{have:,} of {size:,} bytes came")


class KeepTokens(urllib.request.HTTPRedirectHandler):
    """Follow redirections, none of them to a connection that anyone can read, and send the token to no other host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _require_as_safe(req.full_url, newurl)
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        if redirected is not None and not _same_host(newurl, req.full_url):
            redirected.remove_header("Authorization")
        return redirected


def _check(part: Path, digest: str, source: str) -> None:
    with part.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if not actual.startswith(digest):
        part.unlink()
        raise WeightsUnavailable(
            f"what came from {source} has the SHA-256 {actual[:16]}..., expected {digest[:16]}...;"
            " it was damaged on the way and is deleted; fetch it again"
        )


def _explained(
    error: BaseException, name: str, file: str, revision: str | None, page: str
) -> WeightsUnavailable:
    """Return an error of the connection as one that names its cause and what to do."""
    status = _status(error)
    if status in (401, 403):
        return WeightsUnavailable(
            f"the hub refuses the weights {name} ({status}); expected access to them; see the "
            f"licence and ask for access at {page}, then log in to the hub on this machine"
        )
    if status is not None:
        at = f" at revision {revision}" if revision else ""
        return WeightsUnavailable(
            f"the weights {name} cannot be fetched ({status}); expected {file}{at}; see {page}"
        )
    return WeightsUnavailable(
        f"the weights {name} did not arrive ({type(error).__name__}: {error}); expected {file}; "
        f"try again, or bring it from {page} in a --weights folder"
    )


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error, which may be the cause of another."""
    while error is not None:
        if isinstance(error, urllib.error.HTTPError):
            return error.code
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None


def _repository(weights: Weights) -> tuple[str, str]:
    """Return repository and file of a location ``owner/name`` or ``owner/name/file``."""
    owner, name, *rest = weights.location.split("/")
    file = "/".join(rest) or HUB_FILE
    if not file.endswith(".safetensors"):
        raise WeightsUnavailable(
            f"{weights.location} is not safetensors; only that format is read; choose other weights"
        )
    return f"{owner}/{name}", file


def _plain(name: str | None) -> str:
    """Return a file name that a server gave. Raises `OSError` if it could not be part of a path."""
    if name is None or not re.fullmatch(r"[\w-]+", name):
        raise OSError(f"the hub names the file {name!r}, expected letters and digits")
    return name


def _same_host(one: str, other: str) -> bool:
    """Return whether two addresses have scheme, host and port in common: the token for one is for the other."""
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def _require_as_safe(before: str, after: str) -> None:
    """Raise `OSError` for an address that leads from https to a connection that anyone can read and change."""
    if urlsplit(before).scheme == "https" and urlsplit(after).scheme != "https":
        raise OSError(f"{urlsplit(before).netloc} leads to {after}, which is not https")


# --------------------------------------------------------------------------- is there a network


def reachable(url: str) -> bool:
    """Return whether a host, or the proxy before it, accepts a connection; tested once per host and process."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not (parts.hostname and urllib.request.proxy_bypass(parts.hostname)):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return host_answers(parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))


@cache
def host_answers(host: str, port: int) -> bool:
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
        except OSError:
            return
        answered.set()

    # Looking up a name has no time limit of its own, so it is left behind in a daemon thread.
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answered.is_set()
