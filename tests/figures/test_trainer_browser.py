"""The explorable that trains in the page: what Chromium computes is what PyTorch computes, and it can be started and stopped."""

import base64
import re
import runpy
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from playwright.sync_api import Browser, Page

from heldout.devices import generator
from heldout.figures.explorable import Explorable
from heldout.grokking import modular_addition
from heldout.grokking.explore import it_happens
from heldout.grokking.fourier import power
from heldout.grokking.pair_networks import PairMLP
from heldout.losses import stable_cross_entropy

DEMO = runpy.run_path(str(Path(__file__).with_name("explorable_demos.py")))["DEMOS"]["trainer"]
PROGRAM = (resources.files("heldout.figures") / "pair_training.js").read_text(encoding="utf-8")
TRAIN = """async ([source, data, count, decay, steps]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { pairTraining } = await import(url);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const training = pairTraining({ ...data, weights: new Float32Array(bytes(data.weights)),
    order: new Uint16Array(bytes(data.order)), count, learningRate: data.learning_rate, weightDecay: decay });
  const losses = Array.from({ length: steps }, () => training.step());
  const { right, ...look } = training.look();
  return { losses, right: [...right], ...look };
}"""


def in_python(data: dict[str, Any], count: int, decay: float, steps: int) -> dict[str, Any]:
    """The same in float64 with torch's own optimizer."""
    modulus, hidden = data["modulus"], data["hidden"]
    net = PairMLP(modulus, hidden, generator=generator("unused"), dtype=torch.float64)
    weights = np.frombuffer(base64.b64decode(data["weights"]), "<f4").reshape(3, modulus, hidden)
    with torch.no_grad():
        for parameter, start in zip((net.left, net.right, net.unembed), weights, strict=True):
            parameter.copy_(torch.from_numpy(start.astype(float)))
    order = torch.from_numpy(np.frombuffer(base64.b64decode(data["order"]), "<u2").astype(int))
    pairs = torch.stack([order // modulus, order % modulus], 1)
    targets = pairs.sum(1) % modulus
    adamw = torch.optim.AdamW(net.parameters(), lr=data["learning_rate"], weight_decay=decay, betas=(0.9, 0.98))
    losses = []
    for _ in range(steps):
        adamw.zero_grad()
        loss = stable_cross_entropy(net(pairs[:count]), targets[:count]).mean()
        loss.backward()
        adamw.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        logits = net(pairs)
        right, each = logits.argmax(1) == targets, stable_cross_entropy(logits, targets)
        units = power(net.left.T.unsqueeze(-1))
        shares = (units / units.sum(1, keepdim=True)).sort(1, descending=True).values
    parts = (slice(None, count), slice(count, None))
    return {
        "losses": losses,
        "done": steps,
        "accuracy": [float(right[part].double().mean()) for part in parts],
        "loss": [float(each[part].mean()) for part in parts],
        "spectrum": shares.mean(0).tolist(),
        "right": right[order.argsort()].int().tolist(),
    }


def apart(found: Float[np.ndarray, " n"] | list[float], wanted: list[float]) -> float:
    return float((np.abs(np.array(found) - np.array(wanted)) / np.abs(wanted)).max())


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def compare(tab: Page, data: dict[str, Any], fraction: float, decay: float, steps: int) -> None:
    count = int(fraction * data["modulus"] ** 2)
    found, wanted = tab.evaluate(TRAIN, [PROGRAM, data, count, decay, steps]), in_python(data, count, decay, steps)
    assert apart(found["losses"], wanted["losses"]) < 1e-6
    assert apart(found["loss"], wanted["loss"]) < 1e-6
    assert apart(found["spectrum"], wanted["spectrum"]) < 1e-6
    assert found["accuracy"] == pytest.approx(wanted["accuracy"], abs=1e-12)
    assert (found["done"], found["right"]) == (wanted["done"], wanted["right"])


def test_losses_of_the_first_fifty_steps_are_those_of_pytorch(tab: Page) -> None:
    """On the page's own data: the weights and the split of the first seed of the BOOK record."""
    data = it_happens.train_it()["data"]
    compare(tab, data, modular_addition.BOOK.train_fraction, modular_addition.BOOK.weight_decay, 50)


@pytest.mark.parametrize(("fraction", "decay"), [(0.4, 0.0), (0.6, 1.0), (0.8, 0.3)])
def test_small_runs_to_the_end_are_those_of_pytorch(tab: Page, fraction: float, decay: float) -> None:
    compare(tab, DEMO(), fraction, decay, 120)


def test_the_page_starts_where_the_record_starts() -> None:
    data, config = it_happens.train_it()["data"], modular_addition.BOOK
    net = modular_addition.member(config, config.first_seed)
    weights = np.frombuffer(base64.b64decode(data["weights"]), "<f4").reshape(3, config.modulus, config.hidden_size)
    for start, parameter in zip(weights, (net.left, net.right, net.unembed), strict=True):
        np.testing.assert_array_equal(start, parameter.detach().numpy())
    pairs = modular_addition.split_of(config, config.first_seed)
    order = np.frombuffer(base64.b64decode(data["order"]), "<u2").astype(int)
    held = torch.cat([pairs.train_pairs, pairs.test_pairs])
    np.testing.assert_array_equal(order, (held[:, 0] * config.modulus + held[:, 1]).numpy())


# Long enough that no run ends before a test has stopped it.
endless = pytest.mark.parametrize("page", [100_000], indirect=True)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, tmp_path: Path) -> Iterator[Page]:
    figure = Explorable(
        "trainer", data=DEMO() | {"steps": request.param}, title="Train it", alt="Training in the page."
    ).html()
    file = tmp_path / "page.html"
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>T</title><main>{figure}</main></html>'
    )
    problems: list[str] = []
    opened = browser.new_page(viewport={"width": 900, "height": 1200})
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    opened.goto(file.as_uri())
    opened.wait_for_selector("button.hx-main")
    yield opened
    opened.close()
    assert problems == []


def said(page: Page) -> str:
    return page.inner_text(".hx-live")


def steps_done(page: Page) -> int:
    found = re.match(r"Step ([\d,]+) of", page.inner_text(".hx-prompt"))
    assert found
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("page", [300], indirect=True)
def test_it_trains_to_the_end_in_a_worker(page: Page) -> None:
    assert said(page).startswith(
        "72 of 121 sums to train on, weight decay 1: unused weights shrink to 1/e in 100 steps."
    )
    page.click("text=Start")
    page.wait_for_function("document.querySelector('.hx-live').textContent.includes('Finished')", timeout=60_000)
    wanted = in_python(DEMO(), 72, 1.0, 300)
    assert "At step 300 training sums are 100% right" in said(page)
    assert f"held-out sums {wanted['accuracy'][1]:.0%}" in said(page)
    assert f"and {wanted['loss'][1]:.2g} nats" in said(page)
    assert steps_done(page) == 300
    assert page.is_disabled("button.hx-main")


@endless
def test_it_pauses_goes_on_and_resets(page: Page) -> None:
    page.click("text=Start")
    page.wait_for_function("Number(document.querySelector('progress').value) > 0")
    page.click("text=Pause")
    page.wait_for_timeout(300)
    paused = steps_done(page)
    page.wait_for_timeout(300)
    assert steps_done(page) == paused
    assert "Paused." in said(page)
    page.click("text=Go on")
    page.wait_for_function(f"Number(document.querySelector('progress').value) > {paused}")
    page.click("text=Reset")
    assert steps_done(page) == 0
    assert said(page).endswith("Press “Start”.")


@endless
def test_a_slider_starts_it_anew(page: Page) -> None:
    page.click("text=Start")
    page.wait_for_function("Number(document.querySelector('progress').value) > 0")
    page.focus("input[name=decay]")
    page.keyboard.press("Home")
    assert steps_done(page) == 0
    assert said(page).startswith("72 of 121 sums to train on, no weight decay.")
    page.wait_for_timeout(300)
    assert steps_done(page) == 0
    page.focus("input[name=fraction]")
    page.keyboard.press("End")
    assert said(page).startswith("96 of 121 sums to train on, ")
