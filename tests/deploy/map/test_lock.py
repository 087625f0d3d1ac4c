"""The locks of the images: complete, by hash, and compared with the wheels before these are used."""

from __future__ import annotations

from pathlib import Path

import lock
import pytest

from tests.deploy.map.conftest import MAP

_ROOT = MAP.parents[1]
_HASH = "ab" * 32


def read(name: str) -> dict[str, tuple[str, str]]:
    return lock.read_lock((MAP / f"lock-{name}.txt").read_text())


@pytest.mark.parametrize("flavour", ["cpu", "cuda"])
def test_the_lock_of_an_image_has_every_pin_of_the_requirements_and_no_excluded_package(flavour: str) -> None:
    excluded = (MAP / "excluded-packages.txt").read_text()
    requirements = (_ROOT / "requirements.txt").read_text()
    asked = lock.pins("\n".join(lock.wanted(flavour, requirements, excluded)))
    locked = {name: version.removesuffix("+cpu") for name, (version, _) in read(flavour).items()}
    assert {name: version for name, version in locked.items() if name in asked} == asked
    leftovers = {"argparse", "unittest2", "traceback2", "linecache2", "holoscan-cli", "torchvision"}
    assert not leftovers & set(locked)
    assert set(locked) == set(asked) or flavour == "cuda"


def test_the_flavours_have_their_builds_of_torch() -> None:
    assert read("cpu")["torch"][0].endswith("+cpu")
    assert "+" not in read("cuda")["torch"][0]
    assert any(name.startswith("nvidia-cudnn") for name in read("cuda"))


def test_the_tools_are_those_of_tools_txt_and_what_they_need() -> None:
    asked, locked = lock.pins((MAP / "tools.txt").read_text()), read("tools")
    assert {name: locked[name][0] for name in asked} == asked
    assert len(locked) > len(asked)


@pytest.mark.parametrize("line", ["numpy==1.0", f"numpy>=1.0 --hash=sha256:{_HASH}", "numpy==1.0 --hash=md5:00"])
def test_a_line_without_pin_and_hash_is_refused(line: str) -> None:
    with pytest.raises(lock.LockError):
        lock.read_lock(f"# heading\n{line}\n")


def test_wheels_are_compared_with_the_lock_and_with_what_was_collected(tmp_path: Path) -> None:
    known = lock.read_lock(f"some_part==1.0 --hash=sha256:{_HASH}\nother==2.0+cpu --hash=sha256:{_HASH}\n")
    first, second = tmp_path / "some_part-1.0-py3-none-any.whl", tmp_path / "other-2.0+cpu-py3-none-any.whl"
    first.write_bytes(b"1")
    with pytest.raises(lock.LockError, match="other"):
        lock.check(known, tmp_path, None)
    second.write_bytes(b"2")
    lock.check(known, tmp_path, None)
    text = "".join(f"{lock.sha256(path)}  ./{path.name}\n" for path in (first, second))
    record = lock.read_record(text)
    lock.check(known, tmp_path, record)
    second.write_bytes(b"changed")
    with pytest.raises(lock.LockError, match="changed since"):
        lock.check(known, tmp_path, record)
    second.write_bytes(b"2")
    for name in ("extra-1.0-py3-none-any.whl", "some_part-1.1-py3-none-any.whl", "some_part-1.0-cp311-none-any.whl"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(lock.LockError, match="not in the lock"):
            lock.check(known, tmp_path, None)
        (tmp_path / name).unlink()


def test_a_report_of_pip_gives_the_lines() -> None:
    item = {"metadata": {"name": "Some_Part", "version": "1.0"}}
    item["download_info"] = {"archive_info": {"hashes": {"sha256": _HASH}}}  # type: ignore[assignment]
    assert lock.lock_lines({"install": [item]}) == {"some-part": f"some-part==1.0 --hash=sha256:{_HASH}"}
