"""The explorable of curves through points: what Chromium computes is what NumPy and SciPy compute, and it can be played."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float
from playwright.sync_api import Browser, Page
from scipy.interpolate import BarycentricInterpolator, CubicSpline

from heldout.figures.explorable import Explorable, bundle

DATA = runpy.run_path(str(Path(__file__).with_name("explorable_demos.py")))["DEMOS"]["interpolants"]
CURVES = ("polynomial", "minimum norm", "cubic spline", "linear spline")
GRID = np.linspace(-1, 1, 401)
IMPORT = """async ([source, cases]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { measure, places } = await import(url);
  return cases.map(({ curve, xs, ys, at, p, nodes, n }) => (nodes ? places(nodes, n) : measure(curve, xs, ys, at, p)));
}"""


def features(x: Float[np.ndarray, " n"], p: int) -> Float[np.ndarray, "n p"]:
    """Legendre polynomials over k + 1, from NumPy's own."""
    return np.polynomial.legendre.legvander(x, p - 1) / np.arange(1, p + 1)


def expected(curve: str, xs: np.ndarray, ys: np.ndarray, at: np.ndarray, p: int) -> np.ndarray:
    if curve == "polynomial":
        return np.asarray(BarycentricInterpolator(xs, ys, rng=0)(at))
    if curve == "cubic spline":
        return np.asarray(CubicSpline(xs, ys, bc_type="natural")(at))
    if curve == "linear spline":
        return np.interp(at, xs, ys)
    return features(at, p) @ np.linalg.lstsq(features(xs, p), ys, rcond=None)[0]


def cases() -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    found = []
    for n in (5, 9, 15):
        even, chebyshev = np.linspace(-1, 1, n), -np.cos(np.pi * np.arange(n) / (n - 1))
        dragged = np.array(even)
        dragged[2] = dragged[1] + 0.03
        for xs in (even, chebyshev, dragged):
            for ys in (1 / (1 + 25 * xs**2), random.standard_normal(n)):
                found += [{"curve": c, "xs": xs, "ys": ys, "p": n + extra} for c in CURVES for extra in (0, 1, 20, 80)]
    return found


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def in_browser(tab: Page, wanted: list[dict[str, Any]]) -> list[Any]:
    plain = [{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in case.items()} for case in wanted]
    found: list[Any] = tab.evaluate(IMPORT, [bundle("interpolants"), plain])
    return found


def test_curves_in_the_browser_are_the_curves_of_scipy(tab: Page) -> None:
    wanted = [case | {"at": GRID} for case in cases()]
    for case, found in zip(wanted, in_browser(tab, wanted), strict=True):
        curve = expected(case["curve"], case["xs"], case["ys"], GRID, case["p"])
        off = np.abs(np.array(found["values"]) - curve).max() / np.abs(curve).max()
        assert off < 1e-6, (case["curve"], case["p"], off)
        assert found["miss"] < 1e-9 * max(1, np.abs(curve).max())
        swing = max(0, curve.max() - case["ys"].max(), case["ys"].min() - curve.min())
        assert found["swing"] == pytest.approx(swing, rel=1e-6, abs=1e-9)


def test_magnification_is_reached_by_the_worst_signs_and_by_no_others(tab: Page) -> None:
    wanted = [case | {"at": GRID} for case in cases()]
    random = np.random.default_rng(1)
    for case, found in zip(wanted, in_browser(tab, wanted), strict=True):
        arguments = (case["xs"], GRID, case["p"])

        def largest(ys: np.ndarray, case: dict[str, Any] = case, arguments: Any = arguments) -> float:
            xs, at, p = arguments
            return float(np.abs(expected(case["curve"], xs, ys, at, p)).max())

        assert largest(np.array(found["worst"], dtype=float)) == pytest.approx(found["magnification"], rel=1e-6)
        others = random.choice([-1.0, 1.0], size=(5, len(case["xs"])))
        assert max(largest(ys) for ys in others) <= found["magnification"] * (1 + 1e-9)


def test_places_are_even_or_chebyshev(tab: Page) -> None:
    even, chebyshev = in_browser(tab, [{"nodes": "even", "n": 7}, {"nodes": "chebyshev", "n": 7}])
    np.testing.assert_allclose(even, np.linspace(-1, 1, 7), atol=1e-15)
    np.testing.assert_allclose(chebyshev, np.polynomial.chebyshev.chebpts2(7), atol=1e-15)


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    figure = Explorable("interpolants", data=DATA(), title="Drag the points", alt="Curves through points.").html()
    file = tmp_path / "page.html"
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>T</title><main>{figure}</main></html>'
    )
    problems: list[str] = []
    opened = browser.new_page(viewport={"width": 900, "height": 1200}, has_touch=True)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(file.as_uri())
    opened.wait_for_selector("table.hx-table")
    yield opened
    opened.close()
    assert problems == []


def said(page: Page) -> str:
    return page.inner_text(".hx-live")


def swing(page: Page, curve: str) -> float:
    return float(page.inner_text(f"tr:has(input[name='{curve}']) td:nth-of-type(2)"))


def swing_of(curve: str, ys: np.ndarray, xs: np.ndarray, p: int) -> float:
    values = expected(curve, xs, ys, GRID, p)
    return float(max(0, values.max() - ys.max(), ys.min() - values.min()))


def test_it_opens_with_the_curves_through_runges_function(page: Page) -> None:
    xs = np.linspace(-1, 1, 9)
    assert said(page).startswith("9 even points; point 5 at x = 0.00, y = 1.00. Largest miss at the points: ")
    for curve in CURVES:
        assert swing(page, curve) == pytest.approx(swing_of(curve, 1 / (1 + 25 * xs**2), xs, 29), abs=0.0051)


def test_points_move_by_mouse_and_by_keyboard(page: Page) -> None:
    box = page.locator(".hx-chart svg[role=img]").bounding_box()
    dot = page.locator("circle.hx-dot").nth(4).bounding_box()
    assert box is not None
    assert dot is not None
    page.mouse.move(dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
    page.mouse.down()
    page.mouse.move(dot["x"] + 0.02 * box["width"], dot["y"] + 0.2 * box["height"], steps=5)
    page.mouse.up()
    assert said(page).startswith("9 points moved by hand; point 5 at ")
    x, y = (float(v.replace("−", "-")) for v in re.findall(r"[xy] = (−?[\d.]+\d)", said(page))[:2])
    assert x > 0.01
    assert y < 0.8
    xs = np.linspace(-1, 1, 9)
    ys = 1 / (1 + 25 * xs**2)
    xs[4], ys[4] = x, y
    for curve in CURVES:
        assert swing(page, curve) == pytest.approx(swing_of(curve, ys, xs, 29), abs=0.0051)
    page.focus(".hx-chart")
    page.keyboard.press("ArrowRight")
    assert "; point 6 at x = 0.25, y = 0.39." in said(page)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowLeft")
    assert "; point 6 at x = 0.23, y = 0.44." in said(page)


def test_a_touch_far_from_every_point_moves_none(page: Page) -> None:
    before = said(page)
    box = page.locator(".hx-chart svg[role=img]").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + 0.15 * box["height"])
    assert said(page) == before


def test_points_keep_their_order_and_the_ends_their_places(page: Page) -> None:
    page.focus(".hx-chart")
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    assert "point 1 at x = −1.00" in said(page)
    page.keyboard.press("ArrowRight")
    for _ in range(40):
        page.keyboard.press("Shift+ArrowRight")
    assert "point 2 at x = −0.52" in said(page)


def test_buttons_place_and_shake(page: Page) -> None:
    page.click("text=Flat line")
    assert [swing(page, curve) for curve in CURVES] == [0, 0, 0, 0]
    page.click("text=Worst shake")
    magnification = float(page.inner_text("tr:has(input[name='polynomial']) td:nth-of-type(3)"))
    assert swing(page, "polynomial") == pytest.approx(0.05 * magnification - 0.05, abs=0.0051)
    page.click("text=Chebyshev points")
    assert said(page).startswith("9 Chebyshev points; ")
    page.click("text=Shake the values")
    assert 0 <= swing(page, "polynomial") < 0.15
    page.click("text=Even points")
    page.click("text=Runge’s function")
    assert swing(page, "polynomial") > 0.1
    page.uncheck("input[name='polynomial']")
    assert "polynomial" not in said(page).split("swing")[1]
    assert page.locator("tr:has(input[name='polynomial']) td").all_inner_texts() == ["–"] * 3
    page.check("input[name='polynomial']")
    page.check("input[name^='Show the whole']")


def test_as_many_functions_as_points_give_the_polynomial(page: Page) -> None:
    page.focus("input[name=extra]")
    page.keyboard.press("Home")
    assert swing(page, "minimum norm") == swing(page, "polynomial")
    page.keyboard.press("End")
    assert swing(page, "minimum norm") < swing(page, "polynomial") / 2
