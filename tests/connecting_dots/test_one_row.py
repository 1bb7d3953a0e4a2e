"""The record against counting line by line, planted records for the checks, and what a config may not be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.connecting_dots import one_row, one_row_checks
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pretraining import known_names, pretrain
from heldout.connecting_dots.row_training import Mode, new_lines, tune
from heldout.devices import generator


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return one_row.run(one_row.SMOKE)


def test_the_record_against_counting(record: xr.Dataset) -> None:
    """Train the row alone again, and count right answers of the plain decoder line by line."""
    config, seeds = one_row.SMOKE, [0, 1]
    started = pretrain(config, seeds, device=torch.device("cpu"))
    splits = [
        Split.drawn(started.languages[0], generator("connecting dots", "observed", seed), config.observed)
        for seed in seeds
    ]
    tuned = tune(started, seeds, splits, [Mode(row=config.row_rate)], config.tuning())
    for seed, language in enumerate(started.languages):
        counts: dict[tuple[str, str], list[bool]] = {}
        for task in NAMED:
            lines = new_lines(started, task)
            best = tuned.models(lines.tokens.expand(2, -1, -1))[seed].argmax(-1)
            right = ((best == lines.targets) | (lines.targets < 0)).all(1).tolist()
            for fine, function, number in zip(right, lines.function.tolist(), lines.number.tolist(), strict=True):
                group = next(name for name in one_row.GROUPS if function in getattr(language, name))
                counts.setdefault((task, group), []).append(fine)
                if task == "apply":
                    seen = "observed" if splits[seed].observed[function, number] else "held_out"
                    counts.setdefault((seen, group), []).append(fine)
        for (name, group), values in counts.items():
            own = record.sel(mode="row", group=group, seed=seed)
            mine = own.right.sel(task=name) if name in NAMED else own[name]
            assert float(mine) == pytest.approx(np.mean(values)), (name, group)
    known = known_names(started)
    np.testing.assert_allclose(record.known.sel(task="invert"), known["invert"])
    np.testing.assert_allclose(record.old.sel(mode="row", task="invert"), known["invert"])
    np.testing.assert_allclose(record.loss.sel(mode="untouched").notnull(), 1)


def test_the_order_of_modes(record: xr.Dataset) -> None:
    assert record.mode.values.tolist() == ["row", "hand", "untouched", "vector", "last layer", "all but the row"]
    fewer = one_row.run(replace(one_row.SMOKE, trained=("row",)))
    assert fewer.mode.values.tolist() == ["row", "hand", "untouched"]
    xr.testing.assert_allclose(fewer.right.sel(mode="row"), record.right.sel(mode="row"))
    assert "row: " in one_row.describe(fewer)
    deeper = replace(one_row.SMOKE, layers=3, vector_depths=(2, 1), trained=("row", "vector"))
    assert list(deeper.modes()) == ["row", "vector 2", "vector"]
    assert [mode.depth for mode in deeper.modes().values()] == [0, 2, 1]


def test_rows_set_by_hand_from_two_functions(record: xr.Dataset) -> None:
    """The mean of half of a function's old names and half of the next defined one's, by a plain loop."""
    started = pretrain(one_row.SMOKE, [0, 1], device=torch.device("cpu"))
    for seed, language in enumerate(started.languages):
        table, right = started.models.embed.detach()[seed], []
        for place, function in enumerate(language.defined):
            other = language.defined[(place + 1) % len(language.defined)]
            names = [
                *language.names(function)[: language.synonyms // 2],
                *language.names(other)[language.synonyms // 2 :],
            ]
            models = started.models.select([seed]).with_names(table[list(names)].mean(0)[None, None])
            lines = language.lines("apply", [function], torch.tensor([[language.vocabulary]]))
            best = models(lines.tokens[None])[0].argmax(-1)
            right += ((best == lines.targets) | (lines.targets < 0)).all(1).tolist()
        assert float(record.mixed.sel(task="apply").isel(seed=seed)) == pytest.approx(np.mean(right))


def planted(
    observed: float = 1.0, define: float = 0.9, beyond: float = 0.95, undefined: float = 0.0, applied: float = 1.0,
    unseen: float = 0.1, hand: float = 1.0, elsewhere: float = 0.1, old: float = 1.0, fitted: float = 1.0, mixed: float = 0.4,
) -> xr.Dataset:  # fmt: skip
    """Five equal seeds: the row, the row by hand, and everything but the row."""
    mode = ["row", "hand", "all but the row"]
    right, seen, held = np.full((3, 3, 5, 4), beyond), np.full((3, 3, 5), observed), np.full((3, 3, 5), beyond)
    right[0, 0, :, 1], right[0, 1, :, 1], right[0, 1, :, 0] = define, undefined, applied
    right[:, 2], held[:, 2] = unseen, unseen
    right[1, 0] = hand
    right[2, 0], held[2, 0] = elsewhere, elsewhere
    fit = np.full((3, 3, 5), fitted)
    return xr.Dataset(
        {
            "fitted": (("mode", "group", "seed"), fit),
            "fitted_define": (("mode", "group", "seed"), np.where(fit > 0, right[..., 1], np.nan)),
            "fitted_held_out": (("mode", "group", "seed"), np.where(fit > 0, held, np.nan)),
            "mixed": (("task", "seed"), np.full((4, 5), mixed)),
            "right": (("mode", "group", "seed", "task"), right), "observed": (("mode", "group", "seed"), seen),
            "held_out": (("mode", "group", "seed"), held), "loss": (("mode", "seed"), np.zeros((3, 5))),
            "old": (("mode", "task", "seed"), np.full((3, 4, 5), old)), "known": (("task", "seed"), np.ones((4, 5))),
        },
        {"mode": mode, "group": list(one_row.GROUPS), "task": list(NAMED), "seed": range(5)},
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in one_row.CLAIMS:
        assert claim.check(fine).holds, claim.id
        assert claim.control.change is not None
        changed = claim.control.change(fine)
        assert not claim.check(changed).holds, claim.id
        assert claim.control.manipulation(changed).holds, claim.id
    assert one_row_checks.by_hand(one_row_checks.mixed_by_hand(planted(mixed=1.0))).holds
    for bad, name in (
        (planted(define=0.7), "row_suffices"), (planted(observed=0.9), "row_suffices"), (planted(beyond=0.7), "goes_beyond"),
        (planted(undefined=0.5), "not_defined"), (planted(applied=0.8), "not_defined"), (planted(applied=0.8), "applied"),
        (planted(unseen=0.5), "not_found"), (planted(hand=0.9), "by_hand"), (planted(fitted=0.5), "fitted"),
        (planted(fitted=0.0), "not_found"),
        (planted(old=0.9), "as_well_trained"), (planted(observed=0.9), "as_well_trained"),
    ):  # fmt: skip
        assert not getattr(one_row_checks, name)(bad).holds, name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("observed", 1), ("observed", 5), ("num_seeds", 0), ("unseen", 0), ("undefined", 0), ("row_rate", 0.0),
        ("rest_rate", -1.0), ("vector_rate", 0.0), ("layers", 1), ("tuning_steps", 0), ("start", -0.1), ("replay", -1),
        ("trained", ("vector",)), ("trained", ("row", "row")), ("trained", ("row", "head")),
        ("vector_depths", (2,)), ("vector_depths", (0,)), ("vector_depths", ()), ("vector_depths", (1, 1)),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field.removeprefix("tuning_")):
        replace(one_row.SMOKE, **{field: value})
