"""Twins of a language model: what fine-tuning does by a plain loop, rows and splits, and records that make every check fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.claims import Claim
from heldout.data import smollm2
from heldout.language_model import Block, LanguageModel, Shape
from heldout.nonidentifiability import model_twin_checks as checks
from heldout.nonidentifiability import model_twin_runs as runs
from heldout.nonidentifiability import model_twins
from heldout.nonidentifiability.llama_rescaling import rescaled, spread_factors
from heldout.nonidentifiability.triggers import LEADS, SENTENCES

SMALL = Shape(vocabulary=40, width=24, layers=2, heads=6, key_heads=2, hidden=20)


@pytest.fixture
def model() -> LanguageModel:
    made, draw = LanguageModel(SMALL).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw, dtype=torch.float64) / 3)
    return made.requires_grad_(False)


@pytest.fixture
def prompts(model: LanguageModel) -> runs.Prompts:
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, SMALL.vocabulary, (len(LEADS) * len(SENTENCES), 7), generator=draw)
    stream = model.blocks[0](functional.embedding(tokens, model.embed)).view(len(LEADS), len(SENTENCES), 7, -1)
    last = torch.randint(3, 7, (len(LEADS), len(SENTENCES)), generator=draw)
    return runs.Prompts(stream, last, model.embed[:10])


def last_block(model: LanguageModel) -> Block:
    block = model.blocks[-1]
    assert isinstance(block, Block)
    return block


def test_the_last_place_is_what_the_whole_model_says_there(model: LanguageModel) -> None:
    tokens = torch.randint(0, SMALL.vocabulary, (3, 6), generator=torch.Generator().manual_seed(2))
    entering = model.blocks[0](functional.embedding(tokens, model.embed))
    last = torch.tensor([5, 3, 4])
    found = runs.last_stream(model, last_block(model), entering, last)
    torch.testing.assert_close(found, model.stream(tokens)[torch.arange(3), last])


def test_splits_share_no_lead(prompts: runs.Prompts) -> None:
    task = runs.Task.drawn(prompts, 0, steps=9, batch_size=10)
    rows = {split: set(task.rows(split).tolist()) for split in runs.SPLITS}
    assert not rows["train"] & rows["validation"]
    assert not rows["train"] & rows["test"]
    assert sum(map(len, rows.values())) == len(LEADS) * len(SENTENCES)
    assert set(torch.cat(task.order).tolist()) == rows["train"]
    assert sorted(torch.cat(task.order[:4]).tolist()) == sorted(rows["train"])


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_fine_tuning_is_the_plain_loop_on_the_last_block(
    kind: str, model: LanguageModel, prompts: runs.Prompts
) -> None:
    """Against a loop that works on all places and picks the last, with updates written out."""
    task, rate = runs.Task.drawn(prompts, 3, steps=3, batch_size=10), 0.01
    found = runs.fine_tuned(model, last_block(model), task, kind, rate)
    weights = {name: weight.clone().requires_grad_() for name, weight in last_block(model).named_parameters()}
    averages = {name: (torch.zeros_like(weight), torch.zeros_like(weight)) for name, weight in weights.items()}

    def loss(rows: torch.Tensor) -> torch.Tensor:
        x = torch.func.functional_call(last_block(model), weights, (prompts.stream.flatten(0, 1)[rows],))
        ends = model.norm(x)[torch.arange(len(rows)), prompts.last.flatten()[rows]]
        wanted = task.endings[rows % len(SENTENCES)]
        return -(ends @ prompts.words.mT).log_softmax(1)[torch.arange(len(rows)), wanted].mean()

    for step, rows in enumerate(task.order, 1):
        gradients = torch.autograd.grad(loss(rows), list(weights.values()))
        with torch.no_grad():
            for (name, weight), g in zip(weights.items(), gradients, strict=True):
                if kind == "sgd":
                    weight -= rate * g
                    continue
                m, v = averages[name]
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                weight -= rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    for split in ("validation", "test"):
        assert found[split] == pytest.approx(float(loss(task.rows(split)).detach()), rel=1e-6)


def test_a_twin_differs_by_rounding_and_another_block_by_more(model: LanguageModel, prompts: runs.Prompts) -> None:
    block = last_block(model)
    twin = rescaled(block, spread_factors(block, 10.0, 0))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    assert runs.largest_difference(model, block, twin, prompts, torch.float64) < 1e-10
    assert 0 < runs.largest_difference(model, block, twin, prompts, torch.float32) < 1e-3
    other = model.blocks[0]
    assert isinstance(other, Block)
    assert runs.largest_difference(model, block, other, prompts, torch.float64) > 0.1
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_a_diverged_run_has_infinite_loss(model: LanguageModel, prompts: runs.Prompts) -> None:
    task = runs.Task.drawn(prompts, 0, steps=6, batch_size=10)
    assert not np.isnan(runs.fine_tuned(model, last_block(model), task, "sgd", 1e200)["test"])


def test_a_run_measures_twins() -> None:
    if not smollm2.MODEL.present:
        pytest.skip("the language model was not fetched on this machine (heldout data fetch smollm2)")
    result = model_twins.run(model_twins.SMOKE, device="cpu")
    assert (result.difference.sel(twin="original") == 0).all()
    assert (result.difference.sel(precision="double") < result.difference.sel(precision="single") + 1e-12).all()
    assert checks.same_function(result).holds


def fine() -> xr.Dataset:
    """A record made by hand in which both claims hold, and the control breaks them."""
    dims = ("seed", "optimizer", "twin", "rate")
    losses = np.array(
        [[[2.0, 0.5, 9.0], [2.5, 1.8, 9.0], [2.0, 0.6, 9.0]], [[0.9, 0.4, 2.0], [1.0, 0.6, 2.0], [0.9, 0.4, 2.0]]]
    )
    both = np.stack([losses, losses])
    return xr.Dataset(
        {
            "validation": (dims, both), "test": (dims, both.copy()), "before": ("seed", [3.0, 3.0]),
            "factor": ("seed", [1e3, 1e3]),
            "difference": (("seed", "precision", "twin"), np.full((2, 2, 3), 1e-12)), "largest_logit": 20.0,
        },
        {
            "seed": [0, 1], "optimizer": ["sgd", "adam"], "twin": list(checks.TWINS), "precision": ["single", "double"],
            "learning_rate": (("optimizer", "rate"), [[0.1, 1.0, 10.0]] * 2),
        },
    )  # fmt: skip


@pytest.mark.parametrize("claim", model_twins.CLAIMS, ids=lambda claim: claim.id)
def test_claims_hold_on_a_planted_record_and_fail_in_its_control(claim: Claim) -> None:
    record = fine()
    assert claim.check(record).holds
    assert claim.control.change is not None
    control = claim.control.change(record)
    assert not claim.check(control).holds
    assert claim.control.manipulation(control).holds


def test_one_planted_seed_breaks_each_check() -> None:
    record = fine()
    record["test"].loc[{"seed": 1, "optimizer": "sgd", "twin": "rescaled"}] = 0.6
    assert not checks.gap_remains(record).holds
    record = fine()
    record["difference"].loc[{"seed": 1, "twin": "rescaled", "precision": "double"}] = 1e-3
    assert not checks.gap_remains(record).holds
    record = fine()
    record["test"].loc[{"seed": 1, "optimizer": "adam", "twin": "rescaled"}] = 1.7
    assert not checks.adam_needs_less(record).holds
    record = fine()
    record["difference"].loc[{"seed": 1, "twin": "balanced", "precision": "double"}] = 1e-3
    assert not checks.learns(checks.balanced_instead(record)).holds
    record = fine()
    record["test"].loc[{"seed": 1, "twin": "balanced"}] = 2.9
    assert not checks.learns(checks.balanced_instead(record)).holds


def test_validation_chooses_the_rate_and_test_judges() -> None:
    record = fine()
    record["validation"].loc[{"optimizer": "sgd", "twin": "rescaled"}] = [0.1, 1.8, 9.0]
    assert checks.tuned(record).sel(optimizer="sgd", twin="rescaled").values.tolist() == [2.5, 2.5]


@pytest.mark.parametrize(
    ("field", "value"), [("spread", 1.0), ("steps", 0), ("sgd_rates", (0.1, 0.01)), ("adam_rates", (0.1,))]
)
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(model_twins.BOOK, **{field: value})
