"""Pixels and what describes them: cut streams, bits above Bits Stored, wrong lengths, wrong transfer syntaxes."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pydicom.valuerep import format_number_as_ds

from tests.fuzz.case import Case, replace_meta, set_raw, tag_of
from tests.fuzz.mutations.registry import DoesNotApplyError, mutation


def _encapsulated(case: Case) -> None:
    if not case.syntax.is_encapsulated:
        raise DoesNotApplyError


def _native(case: Case) -> None:
    if case.syntax.is_encapsulated:
        raise DoesNotApplyError


def _stream(dataset: Dataset) -> bytes:
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def _store(dataset: Dataset, stream: bytes) -> None:
    dataset["PixelData"] = DataElement("PixelData", "OB", encapsulate([stream + b"\0" * (len(stream) % 2)]))
    dataset["PixelData"].is_undefined_length = True


@mutation("stream")
def stream_cut(case: Case, rng: random.Random) -> None:
    _encapsulated(case)
    for dataset in case.some(rng):
        stream = _stream(dataset)
        share = rng.choice([0.0, 0.01, 0.3, 0.5, 0.9, 0.97, 0.99, 0.995])
        end = b"" if case.syntax == RLELossless else rng.choice([b"", b"\0" * 20])  # zeros are pixels in RLE
        _store(dataset, stream[: max(2, int(len(stream) * share))] + end)


@mutation("stream")
def stream_of_noise(case: Case, rng: random.Random) -> None:
    _encapsulated(case)
    for dataset in case.some(rng):
        stream = _stream(dataset)
        keep = rng.choice([0, 2])
        _store(dataset, stream[:keep] + rng.randbytes(len(stream) - keep - 2) + b"\xff\xd9")


@mutation("stream")
def fragments_without_order(case: Case, rng: random.Random) -> None:
    _encapsulated(case)
    dataset = rng.choice(case.datasets)
    value = rng.choice(
        [b"", b"\xfe\xff\x00\xe0", encapsulate([b"", b""]), dataset.PixelData[:-20], dataset.PixelData + b"\0" * 9]
    )
    dataset["PixelData"] = DataElement("PixelData", "OB", value + b"\0" * (len(value) % 2))
    dataset["PixelData"].is_undefined_length = rng.random() < 0.8


@mutation("stream")
def pixels_of_wrong_length(case: Case, rng: random.Random) -> None:
    _native(case)
    for dataset in case.some(rng):
        data = dataset.PixelData
        cut = rng.choice([0, 2, 100, len(data) // 2, len(data) - 2])
        value = rng.choice([data[:cut], data + b"\0" * 2, data + b"\0" * 5000])
        dataset["PixelData"] = DataElement("PixelData", "OW", value)


@mutation("stream")
def pixels_missing(case: Case, rng: random.Random) -> None:
    as_float = rng.random() < 0.5
    for dataset in case.some(rng):
        value = dataset.pop("PixelData").value
        if as_float:
            dataset["FloatPixelData"] = DataElement("FloatPixelData", "OF", bytes(value)[: len(value) // 4 * 4])


@mutation("stream")
def upper_bits_set(case: Case, rng: random.Random) -> None:
    """An overlay above Bits Stored, as older scanners stored it: the values below are those of the image."""
    if case.syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        raise DoesNotApplyError
    for dataset in case.datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(-1, dataset.Rows, dataset.Columns).copy()
        y, x = rng.randrange(5, 30), rng.randrange(5, 30)
        stored[:, y : y + 4, x : x + 7] |= rng.choice([0x8000, 0x1000, 0xF000])
        dataset["PixelData"] = DataElement("PixelData", "OW", stored.tobytes())


@mutation("encoding")
def encoding_changed(case: Case, rng: random.Random) -> None:
    keyword, values = rng.choice(
        [
            ("BitsAllocated", (0, 1, 8, 12, 15, 32, 64, 65535)),
            ("BitsStored", (0, 1, 17, 32, 64, 65535)),
            ("HighBit", (0, 7, 11, 16, 99)),
            ("PixelRepresentation", (2, 7, 65535)),
            ("SamplesPerPixel", (0, 2, 3, 4, 65535)),
            ("Rows", (0, 1, 43, 45, 88, 8193, 65535)),
            ("Columns", (0, 1, 47, 49, 96, 8193, 65535)),
        ]
    )
    value = rng.choice(values)
    for dataset in case.some(rng):
        dataset[keyword] = DataElement(keyword, "US", value)


@mutation("encoding")
def frames_miscounted(case: Case, rng: random.Random) -> None:
    for dataset in case.some(rng):
        set_raw(
            dataset, tag_of("NumberOfFrames"), "IS", rng.choice([b"0", b"-1", b"2", b"99999999", b"1.5", b"x", b"1"])
        )


@mutation("encoding")
def photometric_interpretation_changed(case: Case, rng: random.Random) -> None:
    for dataset in case.some(rng):
        dataset.PhotometricInterpretation = rng.choice(["MONOCHROME1", "RGB", "PALETTE COLOR", "YBR_FULL", "", "HU"])


@mutation("rescale")
def rescale_impossible(case: Case, rng: random.Random) -> None:
    keyword = rng.choice(["RescaleSlope", "RescaleIntercept"])
    value = rng.choice([b"0", b"NaN", b"inf", b"1e308", b"-1e308", b"1e-300", b"", b"1\\1", b"x", b"1e400"])
    for dataset in _transformations(case, rng):
        if value == b"0" and keyword == "RescaleIntercept":
            continue
        set_raw(dataset, tag_of(keyword), "DS", value)


@mutation("rescale")
def rescale_is_that_of_the_header(case: Case, rng: random.Random) -> None:
    """Other slopes, which some scanners change from slice to slice, are a matter of the header."""
    if case.is_multiframe:
        raise DoesNotApplyError
    slope = rng.choice([0.5, 0.999, 1.25])
    for index, dataset in enumerate(case.datasets):
        stored = case.truth[index].hu_yx + 1024
        dataset.RescaleSlope, dataset.RescaleIntercept = format_number_as_ds(slope), "-1024"
        case.truth[index] = replace(case.truth[index], hu_yx=stored * slope - 1024)


@mutation("rescale")
def values_shifted(case: Case, rng: random.Random) -> None:
    """Hounsfield units with another offset, which is never another valid CT."""
    shift = rng.choice([-1024, 1024, 1000, -1000, 2048])
    for dataset in _transformations(case, None):
        dataset.RescaleIntercept = format_number_as_ds(-1024.0 + shift)


@mutation("rescale")
def rescale_type_changed(case: Case, rng: random.Random) -> None:
    for dataset in _transformations(case, rng):
        set_raw(
            dataset, tag_of("RescaleType"), "LO", rng.choice([b"Z_EFF", b"MGML", b"ED", b"", b"US", b"hu ", b"ZZPRIV"])
        )


def _transformations(case: Case, rng: random.Random | None) -> list[Dataset]:
    datasets = case.datasets if rng is None else case.some(rng)
    if not case.is_multiframe:
        return list(datasets)
    frames = [frame for dataset in datasets for frame in dataset.PerFrameFunctionalGroupsSequence]
    return [frame.PixelValueTransformationSequence[0] for frame in frames]


@mutation("syntax")
def transfer_syntax_changed(case: Case, rng: random.Random) -> None:
    """Another name for the bytes: nothing may be decoded as what it is not."""
    names = (ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless, HTJ2KLossless)
    other = rng.choice([*names, "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.202", "1.2.3"])
    if other == case.syntax:
        raise DoesNotApplyError
    for dataset in case.some(rng):
        case.on_disk.append(partial(replace_meta, case.index(dataset), "TransferSyntaxUID", str(other)))


@mutation("padding")
def padding_declared(case: Case, rng: random.Random) -> None:
    """A padding value that no pixel has changes nothing; of another VR or type it is not used."""
    for dataset in case.some(rng):
        set_raw(
            dataset,
            tag_of("PixelPaddingValue"),
            rng.choice(["US", "SS", "LO", "DS"]),
            rng.choice([b"\xff\xff", b"\x00\x80", b"x" * 6]),
        )
