"""Deflated datasets: a megabyte may inflate to gigabytes, so their size is known before anything inflates them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pydicom.filereader import data_element_generator
from pydicom.uid import DeflatedExplicitVRLittleEndian

#: An image of a constant value deflates a thousandfold, but a small one; CT deflates two- to fourfold.
_SMALL_BYTES = 64 * 2**20
_MAX_RATIO = 32
_CHUNK_BYTES = 2**16
_TRANSFER_SYNTAX = 0x00020010
_DEFLATED = DeflatedExplicitVRLittleEndian.encode()


def reasonable_bytes(deflated_bytes: int) -> int:
    """Return the size to which a dataset of ``deflated_bytes`` may inflate: 64 MiB, or 32 times as many bytes."""
    return max(_SMALL_BYTES, _MAX_RATIO * deflated_bytes)


def dataset_bytes(file: BinaryIO, limit: int) -> int:
    """Return the size of the dataset of a DICOM file, inflated if it is deflated.

    Parameters
    ----------
    file : file-like
        A DICOM file with or without a preamble; it is read from its start.
    limit : int
        Inflating stops beyond this size: the result is then larger than ``limit``, and no more is known.

    Raises
    ------
    Exception
        Whatever damaged file meta information or a damaged stream makes pydicom or zlib raise.
    """
    start = _start_of_dataset(file)
    if start is None:
        return file.seek(0, 2)
    size = 0
    for chunk in _inflated(file):
        size += len(chunk)
        if size > limit:
            break
    return size


def inflated_start(file: BinaryIO, size: int) -> bytes | None:
    """Return up to ``size`` bytes of an inflated dataset (*Explicit VR Little Endian*); None if it is not deflated.

    Parameters
    ----------
    file : file-like
        As for `dataset_bytes`, which also says what is raised.
    size : int
        Number of bytes.
    """
    if _start_of_dataset(file) is None:
        return None
    data = bytearray()
    for chunk in _inflated(file):
        data += chunk
        if len(data) >= size:
            break
    return bytes(data[:size])


def _start_of_dataset(file: BinaryIO) -> int | None:
    """Move to the dataset of a file if it is deflated; return its offset, or None."""
    file.seek(0)
    file.seek(132 if file.read(132)[128:] == b"DICM" else 0)
    elements = data_element_generator(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    syntaxes = [element.value for element in elements if element.tag == _TRANSFER_SYNTAX]
    is_deflated = any(isinstance(value, bytes) and value.rstrip(b" \0") == _DEFLATED for value in syntaxes)
    return file.tell() if is_deflated else None


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    """Yield the inflated bytes from the position of a file, in small pieces."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflater.eof and (chunk := inflater.unconsumed_tail or file.read(_CHUNK_BYTES)):
        yield inflater.decompress(chunk, _CHUNK_BYTES)
