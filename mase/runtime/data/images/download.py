"""Files from the network, checked before they are there."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

from mase.ir.diagnostics import MaseError

__all__ = ["download"]


def download(url: str, md5: str, folder: Path, *, unpack: bool = False) -> None:
    """Bring a file into a folder; it appears there whole or not at all.

    Args:
        url: where it is.
        md5: what it must hash to.
        folder: where to put it; made if needed.
        unpack: whether it is a tar archive whose content is wanted in the folder.

    Raises:
        MaseError: if it cannot be had or is not what it should be, telling what to put where by hand.
    """
    from torch import hub

    name = url.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    what = f"the content of {name}" if unpack else name
    by_hand = f"get {url} by other means, and put {what} into {folder}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
        file = Path(temporary, name)
        try:
            cast(Any, hub).download_url_to_file(url, str(file))
        except (URLError, OSError, RuntimeError) as error:
            raise MaseError.of(f"cannot download {url}: {error}", help=by_hand) from None
        found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        if found != md5:
            raise MaseError.of(f"{url} is damaged: its MD5 is {found}, not {md5}", help=by_hand)
        if unpack:
            with tarfile.open(file) as archive:
                archive.extractall(folder, filter="data")
        else:
            file.replace(folder / name)
