"""The explorable of the clock: Chromium's logits are NumPy's, and every control moves hands, bars and words."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float
from playwright.sync_api import Browser, Page

from heldout.figures.explorable import Explorable, bundle

DATA = runpy.run_path(str(Path(__file__).with_name("explorable_demos.py")))["DEMOS"]["clock"]
IMPORT = """async ([source, cases]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { angle, logits, decide } = await import(url);
  return cases.map(({ a, b, frequencies, modulus }) => {
    const values = logits(a, b, frequencies, modulus);
    return { values, angles: frequencies.map((k) => angle(k, a, modulus)), ...decide(values) };
  });
}"""


def expected(a: int, b: int, frequencies: list[int], modulus: int) -> Float[np.ndarray, " modulus"]:
    turns = 2 * np.pi * np.outer(frequencies, a + b - np.arange(modulus)) / modulus
    return np.cos(turns).sum(0)


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    figure = Explorable("clock", data=DATA(), title="The clock", alt="Two hands.").html()
    file = tmp_path / "page.html"
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>T</title><main>{figure}</main></html>'
    )
    problems: list[str] = []
    opened = browser.new_page(viewport={"width": 900, "height": 1200})
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(file.as_uri())
    opened.wait_for_selector("input[name=k]")
    yield opened
    opened.close()
    assert problems == []


def test_logits_in_the_browser_are_those_of_numpy(page: Page) -> None:
    random = np.random.default_rng(0)
    cases: list[dict[str, Any]] = []
    for modulus in (3, 59, 113):
        for count in (1, min(3, (modulus - 1) // 2)):
            picked = random.choice(np.arange(1, (modulus - 1) // 2 + 1), count, replace=False)
            a, b = random.integers(modulus, size=2)
            cases.append({"a": int(a), "b": int(b), "frequencies": picked.tolist(), "modulus": modulus})
    for case, found in zip(cases, page.evaluate(IMPORT, [bundle("clock"), cases]), strict=True):
        wanted = expected(**case)
        np.testing.assert_allclose(found["values"], wanted, atol=1e-6)
        turns = 2 * np.pi * np.array(case["frequencies"]) * case["a"] / case["modulus"]
        np.testing.assert_allclose(np.exp(1j * np.array(found["angles"])), np.exp(1j * turns), atol=1e-6)
        assert found["best"] == (case["a"] + case["b"]) % case["modulus"]
        assert found["gap"] == pytest.approx(np.diff(np.sort(wanted)[-2:])[0], abs=1e-6)


def said(page: Page) -> str:
    return page.inner_text(".hx-live")


def test_it_opens_on_a_sum_that_goes_around(page: Page) -> None:
    assert "the number 12 points to 293° and 40 to 256°; together they turn to 189°" in said(page)
    assert "Summed over 3 frequencies, the highest logit is at c = 52, which is right" in said(page)


def test_controls_move_hands_and_words(page: Page) -> None:
    hands = "figure svg >> nth=0"
    for name, key, words in (("a", "ArrowRight", "number 13"), ("b", "End", "and 58 to"), ("k", "End", "frequency 22")):
        before = page.inner_html(hands)
        page.focus(f"input[name={name}]")
        page.keyboard.press(key)
        assert words in said(page)
        assert page.inner_html(hands) != before


def test_one_frequency_leaves_a_narrow_gap_and_none_leaves_none(page: Page) -> None:
    page.uncheck("input[name='4']")
    page.uncheck("input[name='5']")
    gap = float(re.findall(r"lies ([\d.]+) below", said(page))[0])
    assert gap == pytest.approx(1 - np.cos(2 * np.pi / 59), abs=6e-4)
    page.uncheck("input[name='22']")
    assert "Choose a frequency to sum." in said(page)
    page.check("input[name='22']")
    assert "Summed over one frequency" in said(page)
