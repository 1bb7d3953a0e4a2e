"""The closed form against small steps of the flow, the eigenvalues by hand, and every check on a planted record."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.grokking import effective_theory, effective_theory_checks
from heldout.grokking.addition_toy import pairs, quadratic_form, rqi, task, toy
from heldout.grokking.effective_flow import effective_loss, flow, grokking_rate, standardized, time_to_structure


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return effective_theory.run(effective_theory.SMOKE)


def test_the_closed_form_follows_the_gradient() -> None:
    """Many small steps down the normalized loss, whose gradient autograd takes."""
    form, start = quadratic_form(10, task(10, 30, 0).train), toy(10, 1, 4, 0).embed.detach()[:, 0]
    here, step = standardized(start), 1e-3
    norm = here.norm()
    for _ in range(3000):
        here.requires_grad_()
        (slope,) = torch.autograd.grad((here @ form @ here) / here.square().sum(), here)
        here = here.detach() - step * slope
    torch.testing.assert_close(here, flow(form, start, torch.tensor([3.0]))[0], atol=2e-2, rtol=2e-2)
    assert float(here.norm()) == pytest.approx(float(norm), rel=1e-2)


def test_all_pairs_end_on_a_line_and_too_few_do_not() -> None:
    everything = quadratic_form(10, torch.arange(len(pairs(10))))
    start = toy(10, 1, 4, 1).embed.detach()[:, 0]
    assert grokking_rate(everything) > 1
    end = flow(everything, start, torch.tensor([1e3]))
    assert float(rqi(end.unsqueeze(-1))) == 1
    assert float(effective_loss(everything, end)) < 1e-12
    assert time_to_structure(everything, start) < 10
    nothing = quadratic_form(10, torch.arange(5))
    assert grokking_rate(nothing) == 0
    assert time_to_structure(nothing, start) == np.inf


def test_the_two_smallest_eigenvalues_are_zero() -> None:
    values = torch.linalg.eigvalsh(quadratic_form(10, torch.arange(len(pairs(10)))))
    assert values[:2].abs().max() < 1e-10
    assert float(values[2]) == pytest.approx(grokking_rate(quadratic_form(10, torch.arange(len(pairs(10))))))


def test_the_record_starts_where_the_theory_starts(record: xr.Dataset) -> None:
    first = record.isel(step=0)
    np.testing.assert_allclose(first.effective_loss, first.flow_loss, rtol=1e-4)
    np.testing.assert_array_equal(first.rqi, first.flow_rqi)
    assert bool((record.ideal_accuracy <= record.same_sum + 1e-9).all())
    assert bool((np.diff(record.flow_loss.values, axis=-1) <= 1e-9).all())


def planted(predicted: list[float], measured: list[float], *, accuracy: float = 0.8) -> xr.Dataset:
    """Runs with 45 training pairs whose RQI jumps to 1 at the measured step, or never where it is infinite."""
    steps = np.array([0, *sorted({int(m) for m in measured if np.isfinite(m)}), 1000])
    curves = np.array([[(steps >= m) * 1.0 for m in measured]])
    dims, count = ("num_train", "seed"), len(predicted)
    return xr.Dataset(
        {
            "rqi": ((*dims, "step"), curves),
            "train_accuracy": ((*dims, "step"), np.ones_like(curves)),
            "test_accuracy": ((*dims, "step"), accuracy * np.ones_like(curves)),
            "ideal_accuracy": (dims, np.full((1, count), 0.8)),
            "predicted_step": (dims, np.array([predicted])),
        },
        {"num_train": [45], "seed": range(count), "step": steps},
    )


def test_checks_on_planted_records() -> None:
    times, never = [10.0, 20.0, 40.0, 80.0, 160.0], [np.inf] * 5
    good, bad = planted(times, times), planted(times, never, accuracy=0.1)
    for check in ("structured", "ideal", "structure_answers", "within_a_factor", "proportional", "whether"):
        assert getattr(effective_theory_checks, check)(good).holds, check
        assert not getattr(effective_theory_checks, check)(bad).holds, check
    late = planted(times, [3 * time for time in times])
    assert not effective_theory_checks.within_a_factor(late).holds
    assert effective_theory_checks.proportional(late).value == pytest.approx(1)
    flat = planted(times, [100.0, 101.0, 102.0, 103.0, 104.0])
    assert effective_theory_checks.proportional(flat).value < 0.1
    assert effective_theory_checks.rank_correlation(flat) == pytest.approx(1)
    assert not effective_theory_checks.whether(planted(never, times)).partly
    assert effective_theory_checks.fits(good).holds
    assert not effective_theory_checks.fits_most(good.assign(train_accuracy=good.train_accuracy * 0.5)).holds
    assert not effective_theory_checks.ideals_differ(good).holds
    assert not effective_theory_checks.still_predicted(bad).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p", 3), ("num_train", ()), ("num_train", (45, 40)), ("num_train", (55,)), ("embedding_dimension", 0), ("width", 0),
        ("embedding_rate", -1.0), ("decoder_rate", 0.0), ("embedding_decay", 1e3), ("steps", 0), ("num_probes", 1),
        ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(effective_theory.SMOKE, **{field: value})
