"""What a page may do with a record, and what it says where there is none."""

import pytest

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
