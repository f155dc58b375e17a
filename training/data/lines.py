"""Lines of a text file, plain or gzip, each one checked before anything parses it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, cast

from model_export.contract.errors import DataError

MAX_LINE_BYTES = 10 * 1024 * 1024
"""A longer line is no row of a table: most likely the line ends are missing."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines(path: Path) -> Generator[str, None, None]:
    """Yield the lines of a UTF-8 file with their line ends; a byte order mark is skipped.

    Never holds more than one line, and no more than MAX_LINE_BYTES of it.

    Raises:
        DataError: the file is missing, unreadable or broken, or a line is too long, holds a NUL
            byte or is not UTF-8.
    """
    row = 0
    try:
        with _open(path) as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                row += 1
                if row == 1:
                    line = line.removeprefix(BYTE_ORDER_MARK)
                yield _decode(line, path, row)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be read: {reason}; check the path") from error
    except (EOFError, zlib.error) as error:
        raise DataError(
            f"{path}, after row {row}: the gzip data is damaged ({error}); compress it again"
        ) from error


def _open(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _decode(line: bytes, path: Path, row: int) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise DataError(
            f"{path}, row {row}: the line is longer than {MAX_LINE_BYTES:,} bytes; "
            "write one record a line"
        )
    if (position := line.find(b"\0")) >= 0:
        raise DataError(
            f"{path}, row {row}: byte {position + 1} of the line is NUL; save the file as UTF-8"
        )
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, row {row}: byte {error.start + 1} of the line (0x{line[error.start]:02x}) "
            "is not UTF-8; save the file as UTF-8"
        ) from error
