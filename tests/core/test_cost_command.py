"""``heldout cost`` as a user meets it."""

import pytest
from click.testing import CliRunner, Result

from heldout import kept_estimates, store
from heldout.cost_command import cost


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cost, list(arguments))


def test_a_small_run_is_counted_by_running_it() -> None:
    result = call("double_descent.polynomials", "--preset", "smoke")
    assert result.exit_code == 0, result.output
    assert "operations of products" in result.output
    assert "within PyTorch's operations" in result.output
    assert "at least" in result.output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("double_descent.polynomals",), "double_descent.polynomials"),
        (("double_descent.polynomials", "--preset", "tiny"), "smoke"),
        (("double_descent.polynomials", "--preset", "smoke", "--record"), "--preset paper"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], word: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert word in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_paper_preset_without_an_estimate_says_why_and_is_kept(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(store, "records_directory", lambda: tmp_path)
    result = call("double_descent.polynomials", "--preset", "paper", "--record")
    assert result.exit_code == 0, result.output
    assert "no estimate: no field counts updates" in result.output
    assert "at least" not in result.output
    assert "none" in kept_estimates.kept()["double_descent.polynomials"]
