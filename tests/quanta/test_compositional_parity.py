"""Composites and their parts: an independent loop, hand-made records, and configs that cannot be."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn.functional import binary_cross_entropy_with_logits

from heldout.claims import Evidence
from heldout.devices import generator, numpy_generator
from heldout.figures.explorable_schema import checked
from heldout.networks import MLP
from heldout.quanta import compositional_parity
from heldout.quanta import compositional_parity_checks as checks
from heldout.quanta.compositions import Compositions, read_out
from heldout.quanta.explore.compositional_parity import parts, question
from heldout.quanta.parity import CHANCE

SMOKE = compositional_parity.SMOKE


def test_samples_by_hand() -> None:
    layout = Compositions(parts=2, subset=2, num_bits=9, right=(0, 1, 2))
    samples = layout.draw(3, 4, [numpy_generator("test", seed) for seed in range(2)])
    for seed in range(2):
        for row in range(10):
            on, bits = samples.inputs[seed, row, :2].tolist(), samples.inputs[seed, row, 2:].tolist()
            assert set(bits) <= {-1.0, 1.0}
            assert on == ([1, 1] if row >= 6 else [1, 0] if row < 3 else [0, 1])
            for arm, right in enumerate(layout.right):
                if row >= 6:
                    asked = bits[:4]
                else:
                    part = row // 3
                    start = 2 * part if part < right else 4 + 2 * part
                    asked = bits[start : start + 2]
                assert float(samples.odd[seed, arm, row]) == float(np.prod(asked) < 0)
            assert samples.parts[seed, row].tolist() == [np.prod(bits[:2]), np.prod(bits[2:4])]
    composite = samples.last(4)
    torch.testing.assert_close(composite.odd[:, 0], (composite.parts.prod(-1) < 0).float())


def test_a_run_against_a_plain_loop() -> None:
    config = replace(SMOKE, steps=40, first_look=20, num_seeds=1)
    ours = compositional_parity.run(config, device="cpu").isel(seed=0, step=-1)
    layout = Compositions(parts=2, subset=2, num_bits=config.num_bits, right=(0, 1, 2))
    asked = layout.draw(config.held_out_part, config.held_out_composite, [numpy_generator("held out", 0)])
    for training, arm in ((0, None), (1, 0), (3, 2)):
        network = MLP(12, [32, 32], 1, generator=generator("compositional parity", 0))
        adam = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
        stream = [numpy_generator("composite samples", 0)]
        for _ in range(config.steps):
            samples = layout.draw(config.part_samples, config.composite_samples, stream)
            if arm is None:
                samples = samples.last(config.composite_samples)
            adam.zero_grad()
            binary_cross_entropy_with_logits(
                network(samples.inputs[0]).squeeze(-1), samples.odd[0, arm or 0]
            ).backward()
            adam.step()
        with torch.no_grad():
            logits = network(asked.inputs[0]).squeeze(-1)
            loss = binary_cross_entropy_with_logits(logits, asked.odd[0, arm or 0], reduction="none")
        composite = loss[-config.held_out_composite :].mean()
        assert float(ours.composite_loss[training]) == pytest.approx(float(composite), rel=1e-3)
        if arm is not None:
            by_part = loss[: -config.held_out_composite].view(2, -1).mean(1)
            np.testing.assert_allclose(ours.part_loss[training], by_part, rtol=2e-3)


def test_a_probe_reads_what_is_there_and_nothing_else() -> None:
    random = generator("test")
    signs = torch.randint(0, 2, (2, 2000, 3), generator=random) * 2.0 - 1
    noise = torch.randn(2, 2000, 20, generator=random)
    there = torch.cat([noise, signs @ torch.randn(3, 3, generator=random)], -1)
    assert read_out(there, signs).min() > 0.99
    assert (read_out(noise, signs) - 0.5).abs().max() < 0.04


def planted(
    part: float = 400, composite: tuple[float, ...] = (np.inf, np.inf, np.inf, 1200, 700), read: float = 0.9
) -> xr.Dataset:
    """Losses that drop from chance to almost nothing at given updates; a probe that reads the parts where they are right."""
    steps = np.unique(np.geomspace(30, 2000, 40).round())
    fall = CHANCE * np.where(steps[None] < np.array(composite)[:, None], 1.02, 0.001)
    parts = np.full((5, len(steps), 3), np.nan)
    parts[1:] = CHANCE * np.where(steps[:, None] < part, 1.0, 0.001)
    probe = np.full((5, len(steps)), 0.5)
    probe[-1, steps >= part] = read
    return xr.Dataset(
        {
            "composite_loss": (("seed", "training", "step"), np.stack([fall] * 3)),
            "composite_accuracy": (("seed", "training", "step"), np.stack([0.5 + 0 * fall] * 3)),
            "part_loss": (("seed", "training", "step", "part"), np.stack([parts] * 3)),
            "read": (("seed", "training", "step"), np.stack([probe] * 3)),
        },
        {"seed": range(3), "training": ["alone", "0", "1", "2", "3"], "step": steps, "part": range(1, 4)},
        {"part_samples": 32, "composite_samples": 96, "bits": 24, "subset": 3},
    )


def test_checks_hold_on_the_planted_record() -> None:
    fine = planted()
    for claim in compositional_parity.CLAIMS:
        assert claim.check(fine).holds, claim.id
    assert checks.parts_learned(fine).holds
    assert checks.waits(fine) == pytest.approx([1.7] * 3, rel=0.15)
    assert checks.gap(fine) == pytest.approx([0.4] * 3)
    assert checks.eves(fine) == pytest.approx([650] * 3, rel=0.1)
    assert checks.parts_known(fine).tolist() == [3, 3, 3]
    found = compositional_parity.numbers(fine)
    assert found["alone_count"] == 0
    assert found["all_time"] == pytest.approx(700, rel=0.1)
    assert np.isnan(found["alone_time"])
    assert found["look_factor"] == pytest.approx((2000 / 30) ** (1 / 39))
    assert found["off_most"] == pytest.approx(0.02)
    assert found["slowest_most"] == pytest.approx(0.001 * CHANCE)


def test_a_median_time_is_over_the_seeds_that_learn() -> None:
    two = xr.concat([planted().isel(seed=[0]), planted(composite=(np.inf,) * 5).isel(seed=[1])], "seed")
    found = compositional_parity.numbers(two)
    assert found["all_count"] == 1
    assert found["all_time"] == found["all_time_most"] == pytest.approx(700, rel=0.1)


@pytest.mark.parametrize(
    ("check", "record"),
    [
        (checks.built, planted(composite=(np.inf,) * 5)),
        (checks.stuck, planted(composite=(1500, np.inf, np.inf, 1200, 700))),
        (checks.last_of_all, planted(part=690)),
        (checks.last_of_all, planted(part=np.inf)),
        (checks.delayed, planted(composite=(np.inf, np.inf, np.inf, 900, 700))),
        (checks.delayed, planted(composite=(np.inf, np.inf, 1800, 1200, 700))),
        (checks.delayed, planted(composite=(np.inf,) * 5)),
        (checks.hidden, planted(read=0.7)),
        (checks.hidden, planted(composite=(np.inf, np.inf, np.inf, 1200, 300))),
        (checks.hidden, planted(composite=(500, np.inf, np.inf, 1200, 700))),
        (checks.hidden, planted(composite=(np.inf, np.inf, np.inf, 1200, 0))),
        (checks.parts_learned, planted(part=np.inf)),
        (checks.all_learned, planted(part=np.inf)),
    ],
)
def test_checks_fail_on_planted_records(check: Callable[[xr.Dataset], Evidence], record: xr.Dataset) -> None:
    assert not check(record).holds


def test_wrong_parts_take_the_place_of_the_right_ones() -> None:
    changed = checks.wrong_parts(planted())
    assert not checks.built(changed).holds
    assert not checks.hidden(changed).holds
    assert checks.parts_learned(changed).holds


def test_explorables_hold_the_first_seed() -> None:
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1
    data = checked("frames", parts(planted())["data"])
    assert len(data["controls"][0]["values"]) == 5
    assert data["lookups"]["learned"]["values"][:3] == [None] * 3
    assert data["lookups"]["learned"]["values"][4] == pytest.approx(700, rel=0.1)
    assert data["lookups"]["known"]["values"] == [0, 3, 3, 3, 3]
    assert [marker["values"][0] for marker in data["markers"] if "values" in marker] == [None, None]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parts", 1), ("subset", 0), ("num_bits", 7), ("width", 0), ("depth", 0), ("part_samples", 0), ("composite_samples", 0),
        ("learning_rate", 0.0), ("first_look", 0), ("steps", 30), ("looks", 1), ("held_out_part", 19),
        ("held_out_composite", 100), ("num_seeds", 0),
    ],
)  # fmt: skip
def test_bad_sizes_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(SMOKE, **{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("right", (4,)), ("right", ()), ("num_bits", 11), ("parts", 0), ("subset", 0)]
)
def test_a_layout_that_cannot_be_is_refused(field: str, value: object) -> None:
    good = {"parts": 2, "subset": 3, "num_bits": 12, "right": (0, 2)}
    with pytest.raises(ValueError, match=field):
        Compositions(**{**good, field: value})  # type: ignore[arg-type]  # bad on purpose
