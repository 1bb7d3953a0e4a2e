"""The command line as a user meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from heldout import ledger, store
from heldout.cli import main
from heldout.double_descent import polynomials


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELDOUT_CACHE", str(tmp_path / "cache"))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_list_names_every_experiment() -> None:
    result = call("list")
    assert result.exit_code == 0
    assert "double_descent.polynomials" in result.output


def test_run_writes_a_record_and_a_picture(tmp_path: Path) -> None:
    output, picture = tmp_path / "a.nc", tmp_path / "a.png"
    result = call(
        "run", "double_descent.polynomials", "--preset", "smoke", "--seeds", "3", "--set", "num_test=40",
        "--output", str(output), "--plot", str(picture),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    written = store.read(output)
    assert (written.sizes["seed"], written.sizes["x"]) == (3, 40)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "double_descent.polynomals"), ("polynomals", "double_descent.polynomials")),
        (("run", "double_descent.polynomials", "--preset", "tiny"), ("tiny", "smoke")),
        (("run", "double_descent.polynomials", "--set", "num_trian=3"), ("num_trian", "num_train")),
        (("run", "double_descent.polynomials", "--set", "num_train"), ("num_train", "key=value")),
        (("run", "double_descent.polynomials", "--set", "num_train=x"), ("num_train", "int")),
        (("run", "double_descent.polynomials", "--seeds", "0"), ("num_seeds=0", "at least 1")),
        (("run", "double_descent.polynomials", "--device", "cdua"), ("cdua", "cuda")),
        (("run", "double_descent.polynomials", "--output", "no/such/folder.nc"), ("no/such", "folder")),
        (("run", "double_descent.polynomials", "--output", "a.csv"), ("a.csv", ".nc")),
        (("run", "double_descent.polynomials", "--preset", "smoke", "--record", "--seeds", "3"), ("record",)),
        (("claims", "double_decent"), ("double_decent", "double_descent")),
        (("claims", "--preset", "big"), ("big", "book or paper")),
        (("run", "double_descent.polynomials", "--device", "cpu:x"), ("cpu:x", "cpu")),
        (("run", "double_descent.polynomials", "--set", "noise_std=inf"), ("noise_std=inf", "finite")),
        (("run", "double_descent.polynomials", "--set", "feature_counts=20,30"), ("feature_counts", "num_train")),
        (("run", "double_descent.polynomials", "--seeds", "3", "--set", "num_seeds=4"), ("seeds=3", "once")),
        (("data", "fetch", "mnits"), ("mnits", "mnist")),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1, result.output
    assert all(word in result.output for word in words), result.output


def test_claims_exit_1_when_a_verdict_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    result = polynomials.run(polynomials.SMOKE)
    rows = [ledger.judge(polynomials, claim, result) | {"preset": "book"} for claim in polynomials.CLAIMS]
    monkeypatch.setattr(ledger, "rows", lambda *_, **__: rows)
    rows[1]["high"] = float("inf")
    assert call("claims").exit_code == 0
    assert {row["id"] for row in json.loads(call("claims", "--json").output, parse_constant=pytest.fail)} == {
        claim.id for claim in polynomials.CLAIMS
    }
    rows[0] |= {"verdict": "not reproduced", "low": float("nan")}
    changed = call("claims")
    assert changed.exit_code == 1
    assert polynomials.CLAIMS[0].id in changed.output


def test_records_verify_exits_1_on_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELDOUT_RECORDS", str(tmp_path))
    assert call("run", "double_descent.polynomials", "--preset", "smoke", "--record").exit_code == 0
    assert call("records", "verify").exit_code == 0
    assert "double_descent.polynomials" in call("records", "list").output
    (tmp_path / "double_descent.polynomials.smoke.nc").unlink()
    assert call("records", "verify").exit_code == 1


def test_data_list_names_mnist() -> None:
    result = call("data", "list")
    assert result.exit_code == 0
    assert "mnist" in result.output
