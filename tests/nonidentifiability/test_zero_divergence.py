"""Tables against plain loops, closed forms against another optimizer, the theorems on random tables, planted records."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.optimize import minimize

from heldout.nonidentifiability import zero_divergence, zero_divergence_checks
from heldout.nonidentifiability.cheapest import binary_divergence, cheapest_scores, cost, lowest_scores
from heldout.nonidentifiability.tables import (
    Source,
    Tree,
    continuations,
    divergence,
    implied,
    rule_probability,
    sequence_logs,
    source,
    table_of,
)  # fmt: skip

TREE = Tree(5, 2)


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return zero_divergence.run(zero_divergence.SMOKE)


def random_table(seed: int, tree: Tree = TREE) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn((tree.rows, 3), generator=draw, dtype=torch.float64).log_softmax(-1)


def by_hand(logs: torch.Tensor, text: str, tree: Tree) -> float:
    """Probability of a finished string, letter by letter."""
    probability, row = 1.0, 0
    for letter in text:
        probability *= float(logs[row, "ab".index(letter)].exp())
        row = 2 * row + 1 + "ab".index(letter)
    return probability * (float(logs[row, 2].exp()) if len(text) < tree.max_length else 1.0)


def test_probabilities_of_all_strings_against_a_plain_loop() -> None:
    logs = random_table(0)
    found = sequence_logs(TREE, logs).exp()
    assert len(TREE.texts) == len(set(TREE.texts)) == 2**6 - 1
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, [by_hand(logs, text, TREE) for text in TREE.texts], rtol=1e-12)


def test_rule_probability_against_the_list_of_strings() -> None:
    logs = random_table(1)
    values = {text: by_hand(logs, text, TREE) for text in TREE.texts}
    expected = []
    for prompt in ("aa", "ab", "ba", "bb"):
        after = {text: value for text, value in values.items() if text.startswith(prompt)}
        kept = sum(value for text, value in after.items() if text.count("a") == text.count("b"))
        expected.append(kept / sum(after.values()))
    np.testing.assert_allclose(rule_probability(TREE, logs), expected, rtol=1e-12)
    listed = (continuations(TREE, sequence_logs(TREE, logs).exp()) * torch.as_tensor(TREE.balance == 0)).sum(-1)
    np.testing.assert_allclose(listed, expected, rtol=1e-12)


def test_chain_rule_and_free_rows() -> None:
    """KL over strings is the sum over prefixes of p(prefix) times KL of rows; a row that is never used costs nothing."""
    data, logs = source(TREE, 3, 2.0, 0.5), random_table(2)
    rows = torch.where(data.table > 0, data.table * (data.table.clamp(min=1e-300).log() - logs), 0).sum(-1)
    by_rows = float((data.weights.sum(-1) * rows).sum())
    whole = float(divergence(data.finished, sequence_logs(TREE, logs)))
    assert whole == pytest.approx(by_rows, abs=1e-12)
    unused = data.weights.sum(-1) == 0
    assert int(unused.sum()) > 0
    changed = torch.where(unused[:, None], random_table(9), logs)
    assert float(divergence(data.finished, sequence_logs(TREE, changed))) == whole


def test_two_tables_without_divergence_that_differ() -> None:
    tree = Tree(4, 2)
    table = table_of(tree, {"ab": 0.5, "aabb": 0.5})
    data, after_ba = implied(tree, table), tree.texts.index("ba")
    stops, goes_on = table.clone(), table.clone()
    stops[after_ba], goes_on[after_ba] = torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0])
    found = []
    for changed in (stops, goes_on):
        logs = changed.clamp(min=1e-300).log()
        assert float(divergence(data.finished, sequence_logs(tree, logs))) == pytest.approx(0, abs=1e-15)
        possible = (changed + 1e-9) / (1 + 3e-9)  # so that the prompt can be written at all
        found.append(continuations(tree, sequence_logs(tree, possible.log()).exp())[2])
    assert float((found[0] - found[1]).abs().sum() / 2) == pytest.approx(1, abs=1e-6)


def test_a_source_is_as_described() -> None:
    tree = Tree(6, 3)
    for share in (0.0, 0.5):
        data = source(tree, 5, 4.0, share)
        assert float(data.finished.sum()) == pytest.approx(1, abs=1e-12)
        assert data.mass.sum() == pytest.approx(1)
        assert (data.mass == 0).sum() == 2
        kept = float(data.finished[torch.as_tensor(tree.balance == 0)].sum())
        assert (kept == pytest.approx(1, abs=1e-12)) == (share == 0)
        assert ((data.honest > 0.01) & (data.honest < 0.99)).all() == (share > 0)
    own = tree.counters
    balances = {(len(tree.texts[row]), int(tree.balance[row])) for row in range(7, tree.rows)}
    assert own.max() + 1 == 7 + len(balances)


def tilted(data: Source, tree: Tree, prompt: int, s: float) -> torch.Tensor:
    """The proof's model: the probabilities of strings after the prompt, multiplied by s/r or (1-s)/(1-r)."""
    starts = torch.as_tensor(tree.continues[prompt]) > 0
    r = float(data.honest[prompt])
    factor = torch.as_tensor(np.where(tree.balance == 0, s / r, (1 - s) / (1 - r)))
    return torch.where(starts, data.finished * factor, data.finished)


def test_the_price_is_attained_by_the_model_of_the_proof() -> None:
    data = source(TREE, 7, 2.0, 0.5)
    prompt = int(np.argmax(data.mass))
    changed = tilted(data, TREE, prompt, 0.03)
    paid = float(divergence(data.finished, changed.clamp(min=1e-300).log()))
    assert float(changed.sum()) == pytest.approx(1)
    assert paid == pytest.approx(float(data.mass[prompt] * binary_divergence(data.honest[prompt], 0.03)), rel=1e-9)


def test_no_random_table_beats_price_or_pinsker() -> None:
    for seed in range(20):
        data, logs = source(TREE, seed, 1.0, 0.5), random_table(seed)
        paid = float(divergence(data.finished, sequence_logs(TREE, logs)))
        scores = rule_probability(TREE, logs).numpy()
        assert paid >= cost(data.mass, data.honest, scores)
        own, other = (continuations(TREE, each) for each in (data.finished, sequence_logs(TREE, logs).exp()))
        written = data.mass > 0
        distance = ((own - other).abs().sum(-1) / 2).numpy()[written]
        assert (distance <= np.sqrt(paid / (2 * data.mass[written]))).all()
        assert (distance <= np.sqrt(1 - np.exp(-paid / data.mass[written]))).all()


def test_closed_form_for_the_mean_against_another_optimizer() -> None:
    mass, honest = np.array([0.6, 0.3, 0.09, 0.01]), np.array([0.9, 0.5, 0.7, 0.8])
    scores = cheapest_scores(mass, honest, 0.35)
    found = minimize(
        lambda s: cost(mass, honest, s), honest * 0.5, method="SLSQP", bounds=[(1e-6, 1 - 1e-6)] * 4,
        constraints={"type": "eq", "fun": lambda s: s.mean() - 0.35}, options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    assert scores.mean() == pytest.approx(0.35, abs=1e-9)
    assert float(cost(mass, honest, scores)) == pytest.approx(float(found.fun), rel=1e-6)
    np.testing.assert_allclose(scores, found.x, atol=1e-3)


def test_lowest_scores_where_the_rule_is_sure() -> None:
    allowed = np.array([0.01, 0.5])
    found = lowest_scores(np.array([0.1]), np.array([1.0]), allowed)
    np.testing.assert_allclose(found[:, 0], np.exp(-allowed / 0.1), rtol=1e-6)
    assert lowest_scores(np.array([0.0]), np.array([1.0]), allowed).max() == 0


def test_a_sure_rule_may_be_sure_up_to_rounding() -> None:
    mass, honest, allowed = np.array([0.1, 0.6, 0.3]), np.ones(3), np.array([1e-5, 0.01, 0.5])
    near = honest - np.array([1.2e-16, 0, 2.3e-16])
    np.testing.assert_allclose(lowest_scores(mass, near, allowed), lowest_scores(mass, honest, allowed), atol=1e-9)
    scores = cheapest_scores(mass, near, 0.6)
    assert scores.mean() == pytest.approx(0.6)
    assert float(cost(mass, near, scores)) == pytest.approx(
        float(cost(mass, honest, cheapest_scores(mass, honest, 0.6)))
    )


def test_search_finds_the_price(record: xr.Dataset) -> None:
    written = record.mass > 0
    due = zero_divergence_checks.price(record)
    np.testing.assert_allclose(record.cost.where(written), due.where(written), rtol=0.02, atol=1e-4)
    assert float(record.cost.where(~written).max()) < 1e-3
    assert float(record.fitted.max()) < 1e-3
    assert float(zero_divergence_checks.missed(record).max()) < 0.01


def test_unseen_prompts(record: xr.Dataset) -> None:
    """Expectations against sampled training sets and two learners; the bound of the page."""
    draw, draws = np.random.default_rng(0), 20_000
    mass = record.mass.isel(seed=0).values
    for size in (10, 100):
        absent = draw.multinomial(size, mass, size=draws) == 0
        at = record.isel(seed=0).sel(num_train=size)
        np.testing.assert_allclose(at.unseen, absent.mean(0), atol=4 * 0.5 / draws**0.5)
        losses = (absent * mass * -np.log(0.05)).sum(
            1
        )  # of one that keeps the rule there, less one that does so at 0.05
        assert float(at.test_gap) == pytest.approx(losses.mean(), abs=4 * losses.std() / draws**0.5)
    found = zero_divergence.numbers(record)
    assert (record.test_gap <= [found[f"bound_{size}"] for size in record.num_train.values]).all()


def test_rows_without_data_stay_as_they_started(record: xr.Dataset) -> None:
    silent = record.mass == 0
    assert float(record.moved.where(silent).max()) == 0
    assert float(record.moved.where(~silent).min()) > 0.1


def test_shared_rows_are_charged_for_all_that_share_them() -> None:
    config = replace(zero_divergence.SMOKE, prompt_length=3, max_length=6, sharing="counter", steps=1000)
    shared = zero_divergence.run(config)
    mass = shared.mass.sel(seed=0)
    assert float(zero_divergence_checks.shared_mass(shared).sel(seed=0, prompt="aba")) == pytest.approx(
        float(mass.sel(prompt=["aab", "aba", "baa"]).sum()), abs=1e-12
    )
    assert zero_divergence_checks.charged_for_all(shared).holds
    assert not zero_divergence_checks.charged_for_all(zero_divergence.run(replace(config, sharing="none"))).holds
    assert not zero_divergence_checks.free(shared).holds
    assert not zero_divergence_checks.starts(shared).holds


def planted(
    off: float = 0.0, free: float = 0.0, missed: float = 0.0, apart: float = 0.4, near: float = 0.0,
    fitted: float = 0.0, whole: float = 1.0, moved: float = 0.0, mass: tuple[float, ...] = (0.9, 0.099, 0.001, 0.0),
) -> xr.Dataset:  # fmt: skip
    """Five equal seeds of two equal kinds; four prompts on which the rule is sure, the last never written."""
    share, left = np.array(mass), np.array([0.5, 0.05])
    reached = np.tile(left * (1 + missed), (4, 1))
    paid = np.where(share[:, None] > 0, share[:, None] * -np.log(reached) * (1 + off), free)
    mean = float(cost(share, np.ones(4), cheapest_scores(share, np.ones(4), 0.5)))
    shape = (2, 5)

    def tiled(values: object) -> np.ndarray:
        return np.broadcast_to(np.asarray(values), (*shape, *np.shape(values)))

    by = ("kind", "seed")
    return xr.Dataset(
        {
            "mass": (("seed", "prompt"), np.tile(share, (5, 1))), "honest": ((*by, "prompt"), tiled(np.ones(4))),
            "cost": ((*by, "prompt", "left"), tiled(paid)), "reached": ((*by, "prompt", "left"), tiled(reached)),
            "mean_cost": (by, tiled(mean * whole)), "mean_reached": (by, tiled(0.5)),
            "fitted": ((*by, "start"), tiled(np.full(2, fitted))),
            "apart": ((*by, "prompt"), tiled(np.where(share > 0, near, apart))),
            "moved": ((*by, "start", "prompt"), tiled(np.tile(np.where(share > 0, 2.0, moved), (2, 1)))),
        },
        {"kind": ["lawful", "mixed"], "seed": range(5), "prompt": ["aa", "ab", "bb", "ba"], "left": left},
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    for claim in zero_divergence.CLAIMS:
        assert claim.check(planted()).holds, claim.id
        assert claim.control.config is not None
    shared = planted(free=1.0)
    shared["cost"] = zero_divergence_checks.shared_price(shared)
    assert zero_divergence_checks.charged_for_all(shared).holds
    assert zero_divergence_checks.mean_on_the_line(planted()).holds
    for bad, name in (
        (planted(free=1e-6), "free"), (planted(missed=0.01), "free"), (planted(off=0.01), "attained"),
        (planted(off=-0.01), "attained"), (planted(missed=0.01), "attained"), (planted(moved=1e-9), "starts"),
        (planted(near=0.02), "starts"), (planted(fitted=1e-6), "starts"), (planted(whole=1.01), "rarest_first"),
        (planted(mass=(0.34, 0.33, 0.33, 0.0)), "rarest_first"), (planted(fitted=1e-6), "mean_on_the_line"),
        (planted(whole=1.01), "mean_on_the_line"), (planted(missed=0.01), "mean_on_the_line"), (planted(), "charged_for_all"),
        (shared.assign(fitted=shared.fitted + 1e-6), "charged_for_all"),
        (shared.assign(cost=shared.cost * 1.01), "charged_for_all"),
    ):  # fmt: skip
        assert not getattr(zero_divergence_checks, name)(bad).holds, name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0), ("num_seeds", 0), ("prompt_length", 1), ("max_length", 3), ("max_length", 11),
        ("decades", -1.0), ("disobedience", 0.0), ("left", ()), ("left", (1.0,)), ("sharing", "all"),
        ("allowed", (1.0, 0.5, 3)), ("train_sizes", ()), ("learning_rate", 0.0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(zero_divergence.SMOKE, **{field: value})
