"""What is known of a file in staging besides its bytes, kept beside it in `<name>.origin`.

With it a download that was stopped can go on in a later run, and a staged file can say where it was
fetched from, whatever the feed is by then. It names the bytes that it speaks of, so that one that was
left behind is never taken for another file's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mta_pipeline.domain.files import whole_file


@dataclass(frozen=True)
class Origin:
    """Where bytes come from, and which they are."""

    url: str  #: without credentials
    sha256: str  #: of what is there, in hex
    etag: str = ""  #: the strong validator of the whole file, where the server gave one
    last_modified: str = ""
    total: int | None = None  #: bytes of the whole file, where the server told

    def write(self, file: Path) -> None:
        """Keep it beside `file`. Raises `OSError`."""
        with whole_file(path_of(file)) as out:
            out.write(json.dumps(asdict(self)).encode())

    @classmethod
    def of(cls, file: Path) -> Origin | None:
        """What is kept beside `file`, None where there is nothing that can be read."""
        try:
            return cls(**json.loads(path_of(file).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def path_of(file: Path) -> Path:
    """Where the origin of `file` is kept."""
    return file.with_name(f"{file.name}.origin")
