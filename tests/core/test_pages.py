"""What a page may do with a record, and what it says where there is none."""

from dataclasses import replace

import pytest
import xarray as xr

from heldout import experiment, pages


def test_prose_takes_its_numbers_from_the_record() -> None:
    module = experiment.find("double_descent.polynomials")
    result = module.run(module.SMOKE, device="cpu")
    assert f"{result.sizes['seed']} draws" in repr(pages.say(module, result, "[[seeds]] draws"))
    with pytest.raises(ValueError, match="wrong_name"):
        pages.say(module, result, "[[wrong_name]]")


def test_without_a_record_the_page_says_so() -> None:
    module = experiment.find("double_descent.polynomials")
    text = repr(pages.say(module, None, "with [[seeds]] draws"))
    assert "No record of `double_descent.polynomials`" in text
    assert "[[" not in text


def test_numbers_are_computed_once_a_record_and_anew_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = experiment.find("double_descent.polynomials")
    result, other = (module.run(replace(module.SMOKE, first_seed=seed), device="cpu") for seed in (1, 2))
    calls, numbers = [], module.numbers

    def counted(record: xr.Dataset) -> dict[str, float | int | str]:
        calls.append(id(record))
        return numbers(record)

    monkeypatch.setattr(module, "numbers", counted)
    said = [repr(pages.say(module, each, "[[legendre_end]]")) for each in (result, result, other, result)]
    assert calls == [id(result), id(other)]
    assert said[0] == said[1] == said[3] != said[2]
    result["test_mse"] = 2 * result["test_mse"]
    assert repr(pages.say(module, result, "[[legendre_end]]")) not in said
    key = id(other)
    del other
    assert (key, module.__name__) not in pages._KEPT
