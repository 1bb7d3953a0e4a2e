"""Runs against plain torch loops, the two theorems on rates, and planted records that make each check fail."""

import copy
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor
from torch.nn import functional

from heldout.networks import MLP
from heldout.nonidentifiability import fine_tuning, rescaling
from heldout.nonidentifiability import fine_tuning_checks as checks
from heldout.nonidentifiability import fine_tuning_measures as measures
from heldout.nonidentifiability import fine_tuning_runs as runs

WHOLE = replace(
    fine_tuning.SMOKE, batch_size=fine_tuning.SMOKE.num_tune
)  # one batch holds all, so its order is no matter


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return fine_tuning.run(WHOLE)


def prepared(seed: int = 0) -> tuple[MLP, dict[str, MLP], dict[str, Tensor], runs.Digits]:
    data = runs.load([seed], WHOLE.num_pretrain, WHOLE.num_tune, WHOLE.num_validation)
    (network,) = runs.pretrain(
        data.pretrain, [seed], WHOLE.hidden_sizes, steps=WHOLE.pretrain_steps, rate=WHOLE.pretrain_rate,
        device=torch.device("cpu"),
    )  # fmt: skip
    factors = runs.scales(network.sizes[1], WHOLE.layer_scales, WHOLE.unit_spreads, seed)
    return network, runs.twins(network, factors), factors, data


def loop(network: MLP, optimizer: torch.optim.Optimizer, data: runs.Digits) -> MLP:
    """The fine-tuning as a reader would write it; the network given is trained."""
    part = data.tune.renamed()
    x, y = part.x[0].to(next(network.parameters()).dtype), part.y[0]
    for _ in range(WHOLE.steps):
        optimizer.zero_grad()
        functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("twin", ["original", "layer 10", "units 3", "balanced"])
def test_a_run_against_a_plain_loop(record: xr.Dataset, kind: str, twin: str) -> None:
    _, twins, _, data = prepared()
    network = copy.deepcopy(twins[twin]).float()
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[kind](network.parameters(), lr=0.01)
    loop(network, optimizer, data)
    test, validation = data.test.renamed(), data.validation.renamed()
    mine = record.sel(optimizer=kind, twin=twin, rate=0.01, seed=0).isel(step=-1)
    with torch.no_grad():
        said = network(test.x[0])
        assert float(mine.test_loss) == pytest.approx(float(functional.cross_entropy(said, test.y[0])), rel=1e-3)
        told = float(functional.cross_entropy(network(validation.x[0]), validation.y[0]))
        assert float(mine.validation_loss) == pytest.approx(told, rel=1e-3)
        assert float(mine.test_error) == pytest.approx(float((said.argmax(-1) != test.y[0]).double().mean()), abs=2e-3)


def groups(network: MLP, by_layer: Iterable[float]) -> list[dict[str, object]]:
    first, second = by_layer
    others = [network.layers[1].bias, *network.layers[2].parameters()]
    return [
        {"params": network.layers[0].parameters(), "lr": first}, {"params": [network.layers[1].weight], "lr": second},
        {"params": others},
    ]  # fmt: skip


@pytest.mark.parametrize("k", [0.1, 10.0])
def test_two_rates_undo_a_layer_factor_for_sgd_and_for_adam(k: float) -> None:
    """SGD needs the square of the factor, Adam the factor itself (with a vanishing eps)."""
    network, twins, _, data = prepared()
    x = data.test.x[0].double()
    plain, twin = copy.deepcopy(network), copy.deepcopy(twins[f"layer {k:g}"])
    loop(plain, torch.optim.SGD(plain.parameters(), lr=0.05), data)
    loop(twin, torch.optim.SGD(groups(twin, (0.05 * k**2, 0.05 / k**2)), lr=0.05), data)
    torch.testing.assert_close(twin(x), plain(x), rtol=0, atol=1e-10)
    assert float((plain(x) - network(x)).detach().abs().max()) > 0.1
    plain, twin = copy.deepcopy(network), copy.deepcopy(twins[f"layer {k:g}"])
    loop(plain, torch.optim.Adam(plain.parameters(), lr=0.01, eps=1e-30), data)
    loop(twin, torch.optim.Adam(groups(twin, (0.01 * k, 0.01 / k)), lr=0.01, eps=1e-30), data)
    torch.testing.assert_close(twin(x), plain(x), rtol=0, atol=1e-7)


def test_one_rate_a_unit_undoes_unit_scales() -> None:
    """The theorem in general: gradient descent preconditioned by the squares of the factors."""
    network, twins, factors, data = prepared()
    scales = factors["units 10"]
    plain, twin, part = copy.deepcopy(network), copy.deepcopy(twins["units 10"]), data.tune.renamed()
    rates = {0: 0.05 * scales.square().unsqueeze(1), 1: 0.05 * scales.square(), 2: 0.05 / scales.square()}
    loop(plain, torch.optim.SGD(plain.parameters(), lr=0.05), data)
    for _ in range(WHOLE.steps):
        loss = functional.cross_entropy(twin(part.x[0].double()), part.y[0])
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for place, (parameter, gradient) in enumerate(zip(twin.parameters(), gradients, strict=True)):
                parameter -= rates.get(place, 0.05) * gradient
    x = data.test.x[0].double()
    torch.testing.assert_close(twin(x), plain(x), rtol=0, atol=1e-9)


def test_what_a_record_says_of_the_twins(record: xr.Dataset) -> None:
    assert list(record.twin.values) == ["original", "layer 0.1", "layer 10", "units 3", "units 10", "balanced"]
    assert float(record.difference.max()) < 1e-12
    begun = record.test_loss.isel(step=0)
    np.testing.assert_allclose(begun, begun.isel(optimizer=0, twin=0, rate=0).broadcast_like(begun), rtol=1e-4)
    rows = record.undone_difference
    assert float(rows.sel(factored=["layer 0.1", "layer 10"]).max()) < 1e-10
    assert float(record.half_difference.sel(factored=["layer 0.1", "layer 10"]).min()) > 1e-3
    assert float(rows.sel(factored=["units 3", "units 10"]).min()) > 1e-3
    network, twins, _, data = prepared()
    x = data.pretrain.x[0].double()
    assert float(record.trace.sel(twin="units 3", seed=0)) == pytest.approx(
        rescaling.hessian_trace(twins["units 3"], x)
    )
    assert float(record.pretrain_error.sel(seed=0)) == pytest.approx(
        float((network(data.test.x[0].double()).argmax(-1) != data.test.y[0]).double().mean())
    )


@pytest.mark.parametrize(("searched", "twin", "slow"), [(0, "original", 2), (1, "units 10", 2), (2, "units 10", 1)])
def test_pairs_of_rates_against_a_plain_loop(record: xr.Dataset, searched: int, twin: str, slow: int) -> None:
    _, twins, _, data = prepared()
    for rate in WHOLE.scaled_rates:
        network = copy.deepcopy(twins[twin]).float()
        by_layer = [rate if place < slow else WHOLE.rest_rates[0] for place in range(2)]
        loop(network, torch.optim.SGD(groups(network, by_layer), lr=WHOLE.rest_rates[0]), data)
        validation = data.validation.renamed()
        mine = record.two_validation.isel(searched=searched).sel(scaled_rate=rate, rest_rate=0.1, seed=0)
        with torch.no_grad():
            told = float(functional.cross_entropy(network(validation.x[0]), validation.y[0]))
        assert float(mine) == pytest.approx(told, rel=1e-3)


def test_dead_units_are_those_that_no_digit_wakes(record: xr.Dataset) -> None:
    network, _, _, data = prepared()
    x = data.tune.x[0].double()
    first = network.layers[0](x).relu()
    asleep = [int((layer <= 0).all(0).sum()) for layer in (first, network.layers[1](first).relu())]
    assert float(record.dead_before.sel(seed=0)) == pytest.approx(sum(asleep) / sum(WHOLE.hidden_sizes))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    state["layers.0.bias"][:] = -1e6
    assert runs.dead_share(network, state, x) >= WHOLE.hidden_sizes[0] / sum(WHOLE.hidden_sizes)
    state["layers.1.bias"][:] = 1.0
    assert runs.dead_share(network, state, x) == pytest.approx(WHOLE.hidden_sizes[0] / sum(WHOLE.hidden_sizes))


def test_what_balances_the_original(record: xr.Dataset) -> None:
    network, twins, _, _ = prepared()
    factor = (twins["balanced"].layers[0].bias / network.layers[0].bias).detach()
    assert float(record.balance_least.sel(seed=0)) == pytest.approx(float(factor.min()))
    assert float(record.balance_most.sel(seed=0)) == pytest.approx(float(factor.max()))


def test_parts_are_disjoint_and_every_label_is_renamed() -> None:
    data = runs.load([0, 1], 800, 400, 200)
    parts = (data.pretrain, data.tune, data.validation, data.test)
    assert [part.x.shape[1] for part in parts] == [800, 400, 200, 397]
    torch.testing.assert_close(torch.cat([part.x for part in parts], dim=1), data.all.x)
    assert not torch.equal(data.all.x[0], data.all.x[1])
    new = runs.Part(x=torch.zeros(1, 10, 1), y=torch.arange(10).unsqueeze(0)).renamed().y[0]
    assert sorted(new.tolist()) == list(range(10))
    assert not bool((new == torch.arange(10)).any())


TWINS = ["original", "layer 0.1", "layer 10", "units 3", "units 10", "balanced"]


def planted(**changes: float) -> xr.Dataset:
    """Five equal seeds at four rates; ``changes`` by name replace what is told below."""
    told = {
        "wide": 1.5, "layer": 0.4, "layer_untuned": 2.0, "adam_wide": 0.5, "adam_layer": 0.25, "trace": 30.0,
        "difference": 1e-14, "undone": 1e-13, "published": 1e-16, "wide_at": 1, "half_error": 0.1, "wide_error": 0.7,
        "moved_difference": 1e-13, "adam_wide_error": 0.1, "balanced_error": 0.1, "small": 0.4, "two": 0.25, "first": 1.4,
        "narrow_error": 0.1,
    } | changes  # fmt: skip
    loss = np.full((2, 6, 4, 5, 2), 3.0)
    error = np.full_like(loss, 0.9)
    ends = {
        0: [0.3, told["small"], told["layer"], 0.4, told["wide"], 0.3],
        1: [0.2, 0.2, told["adam_layer"], 0.2, told["adam_wide"], 0.2],
    }  # fmt: skip
    wrong = {
        0: [0.1, 0.1, 0.1, 0.1, told["wide_error"], told["balanced_error"]],
        1: [0.1] * 3 + [told["narrow_error"], told["adam_wide_error"], 0.1],
    }  # fmt: skip
    for kind in (0, 1):
        for row, (end, missed) in enumerate(zip(ends[kind], wrong[kind], strict=True)):
            at = int(told["wide_at"]) if row == 4 else 1 if row in (1, 2) else 2
            loss[kind, row, at, :, -1], error[kind, row, at, :, -1] = end, missed
    loss[0, 2, 2, :, -1] = told["layer_untuned"]
    pairs = np.full((3, 2, 2, 5), 2.5)
    pairs[:, 1, 0] = np.array([0.28, told["two"], told["first"]])[:, None]
    trace = np.broadcast_to(np.array([1.0, 40.0, told["trace"], 5.0, 1e4, 1.0])[:, None], (6, 5))
    undone = np.array([0.0, told["undone"], told["undone"], 3.0, 9.0])
    dims, by_twin = ("optimizer", "twin", "rate", "seed", "step"), ("twin", "seed")
    return xr.Dataset(
        {
            "validation_loss": (dims, loss), "test_loss": (dims, loss.copy()), "test_error": (dims, error),
            "difference": (by_twin, np.full((6, 5), told["difference"])), "single_difference": (by_twin, np.full((6, 5), 1e-6)),
            "trace": (by_twin, trace.copy()), "undone_difference": (("factored", "seed"), np.repeat(undone[:, None], 5, 1)),
            "undone_error": (("factored", "seed"), np.full((5, 5), 0.1)),
            "half_difference": (("factored", "seed"), np.full((5, 5), 2.0)),
            "half_error": (("factored", "seed"), np.full((5, 5), told["half_error"])),
            "published_gradient": ("seed", np.full(5, told["published"])), "moved_gradient": ("seed", np.full(5, 5e4)),
            "moved_difference": ("seed", np.full(5, told["moved_difference"])),
            "two_validation": (("searched", "scaled_rate", "rest_rate", "seed"), pairs),
            "two_test": (("searched", "scaled_rate", "rest_rate", "seed"), pairs + 0.01),
            "pretrain_error": ("seed", np.full(5, 0.05)),
        },
        {
            "optimizer": ["sgd", "adam"], "twin": TWINS, "factored": TWINS[:-1], "rate": [0.001, 0.01, 0.1, 1.0],
            "seed": range(5), "step": [0, 200], "searched": list(measures.SEARCHED), "scaled_rate": [0.0, 1e-5],
            "rest_rate": [0.1, 0.3],
        },
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in fine_tuning.CLAIMS:
        assert claim.check(fine).holds, claim.id
        assert claim.control.change is not None
        changed = claim.control.change(fine)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id
    for name, changes in (
        ("gap_remains", {"wide": 0.5}), ("gap_remains", {"difference": 1e-8}), ("gap_remains", {"wide_at": 0}),
        ("layer_rates_undo", {"undone": 1e-6}), ("uniform_is_mostly_rate", {"layer": 0.7}),
        ("uniform_is_mostly_rate", {"small": 0.7}), ("uniform_is_mostly_rate", {"layer_untuned": 0.5}),
        ("two_rates_suffice", {"two": 0.4}), ("adam_needs_less", {"adam_wide": 1.35}),
        ("sharp_and_as_good", {"trace": 8.0}), ("sharp_and_as_good", {"adam_layer": 0.4}),
        ("published_factor", {"published": 1e-5}),
    ):  # fmt: skip
        assert not getattr(checks, name)(planted(**changes)).holds, (name, changes)


def test_manipulation_checks_can_fail() -> None:
    by_id = {claim.id.split(".")[1]: claim.control for claim in fine_tuning.CLAIMS}
    for name, changes in (
        ("gap_remains", {"balanced_error": 0.5}), ("gap_remains", {"difference": 1e-8}),
        ("layer_rates_undo", {"half_error": 0.8}), ("uniform_is_mostly_rate", {"adam_wide_error": 0.5}),
        ("sharp_and_as_good", {"narrow_error": 0.5}), ("two_rates_suffice", {"adam_wide_error": 0.5}),
        ("two_rates_suffice", {"difference": 1e-8}), ("published_factor", {"moved_difference": 1e-3}),
    ):  # fmt: skip
        control = by_id[name]
        assert control.change is not None
        assert not control.manipulation(control.change(planted(**changes))).holds, (name, changes)


def test_gaps_by_hand() -> None:
    fine = planted()
    np.testing.assert_allclose(checks.gap(fine, "units 10"), 1.2)
    np.testing.assert_allclose(checks.untuned_gap(fine, "layer 10"), 1.7)
    # Validation prefers a pair for both, at .25 and .28; the test losses are .01 higher.
    np.testing.assert_allclose(checks.two_rates_gap(fine), -0.03)
    # One rate at 1.5 is worse than the pair at 1.4, and better than one at 1.6.
    np.testing.assert_allclose(checks.two_rates_gap(checks.first_layer_alone(fine)), 1.41 - 0.29)
    np.testing.assert_allclose(checks.two_rates_gap(checks.first_layer_alone(planted(first=1.6))), 1.5 - 0.29)
    np.testing.assert_allclose(checks.frozen_loss(fine), 2.51)
    diverged = fine.copy(deep=True)
    diverged.test_loss[0, 2, 2] = np.nan
    assert np.isinf(checks.untuned_gap(diverged, "layer 10")).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_sizes", ()), ("hidden_sizes", (0,)), ("num_pretrain", 0), ("num_pretrain", 1700), ("num_tune", 0),
        ("num_validation", 0), ("pretrain_steps", 0), ("pretrain_rate", 0.0), ("steps", 0), ("batch_size", 0),
        ("batch_size", 61), ("rates", (0.1, 0.01)), ("rates", (0.1,)), ("layer_scales", ()), ("layer_scales", (-1.0,)),
        ("unit_spreads", (1.0,)), ("unit_spreads", ()), ("scaled_rates", (0.001,)), ("scaled_rates", (0.0, 0.0)),
        ("scaled_rates", ()), ("rest_rates", (0.0,)), ("undone_rate", 0.0),
        ("published_factor", 0.0), ("num_probes", 1), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(fine_tuning.SMOKE, **{field: value})
