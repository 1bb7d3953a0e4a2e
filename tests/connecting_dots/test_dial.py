"""Members kept at a level, parts put into each other, the record against counting, planted records, and refused configs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.connecting_dots import dial, dial_checks
from heldout.connecting_dots.explore import dial as shown
from heldout.connecting_dots.matched_training import (
    OLD_ROWS,
    PARTS,
    Matched,
    drift,
    joined,
    moved,
    restored,
    shaken,
    with_rows_of,
)
from heldout.connecting_dots.named_functions import NAMED
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pretraining import Pretrained, pretrain
from heldout.connecting_dots.row_training import Mode, Tuned, Tuning, new_lines, tune
from heldout.devices import generator
from heldout.figures.explorable import Explorable

SEEDS = [0, 1]


@pytest.fixture(scope="module")
def record() -> xr.Dataset:
    return dial.run(dial.SMOKE)


@pytest.fixture(scope="module")
def started() -> Pretrained:
    return pretrain(dial.SMOKE, SEEDS, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def tuned(started: Pretrained) -> Tuned:
    return at(started, 12, Mode(row=0.05), Mode(row=0.01, rest=0.02))


def at(started: Pretrained, steps: int, *modes: Mode) -> Tuned:
    """Plain training for a number of updates."""
    return tune(started, SEEDS, all_pairs(started), modes, replace(dial.SMOKE.tuning(), steps=steps))


def all_pairs(started: Pretrained) -> list[Split]:
    return [Split(observed=torch.ones(len(started.languages[0].functions), 5, dtype=torch.bool)) for _ in SEEDS]


def weights(tuned: Tuned) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in tuned.models.named_parameters()}


def by_hand_loss(tuned: Tuned, member: int) -> float:
    """Mean cross-entropy of all pairs by the plain decoder."""
    lines = new_lines(tuned.pretrained, "apply")
    logits = tuned.models(lines.tokens.expand(tuned.models.count, -1, -1))[member]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), lines.targets.flatten(), ignore_index=-1)
    return float(loss.detach())


def test_members_are_kept_where_they_first_reach_the_level(started: Pretrained) -> None:
    """Train again for as many updates as a member took, and find its loss and its weights."""
    modes = [Mode(row=0.05), Mode(row=0.01, rest=0.02)]
    level = float(at(started, 8, *modes).losses().mean((2, 3)).max())
    look = Matched([100.0, level], (2, 2))
    last = tune(started, SEEDS, all_pairs(started), modes, dial.SMOKE.tuning(), probe=look, probe_steps=range(21))
    kept = look.members(last)
    assert torch.equal(look.step[0], torch.zeros(2, 2))
    assert float(look.step[1].max()) <= 8
    for mode in range(2):
        for seed in range(2):
            steps, member = int(look.step[1, mode, seed]), 2 * mode + seed
            plain = at(started, steps, *modes) if steps else None
            assert float(look.loss[1, mode, seed]) == pytest.approx(by_hand_loss(kept, member), rel=1e-4)
            assert float(look.loss[1, mode, seed]) <= level
            if plain is None:
                continue
            for name, value in weights(plain).items():
                torch.testing.assert_close(weights(kept)[name][member], value[member], rtol=1e-4, atol=1e-5)
            if steps > 1:
                assert by_hand_loss(at(started, steps - 1, *modes), member) > level
    assert float(look.right["define"][1, 0, 0]) == pytest.approx(float(kept.correct("define")[0, 0].mean()))


def test_a_member_that_never_arrives_is_as_at_the_last_look(started: Pretrained) -> None:
    look, how = Matched([100.0, 1e-9], (1, 2)), Tuning(steps=4, start=0.5, replay=20, steady=True)
    last = tune(started, SEEDS, all_pairs(started), [Mode(row=0.05)], how, probe=look, probe_steps=range(0, 5, 2))
    assert look.loss[1].isnan().all()
    assert look.step[1].isnan().all()
    for name, value in weights(look.members(last)).items():
        assert torch.equal(value, weights(last)[name])


def test_training_ends_early_and_rates_stay(started: Pretrained) -> None:
    """With steady rates a run of many updates passes through the same weights as a short one."""
    how, seen = Tuning(steps=50, start=0.5, replay=20, steady=True), list[int]()

    def probe(step: int, _: Tuned) -> bool:
        seen.append(step)
        return step >= 6

    early = tune(started, SEEDS, all_pairs(started), [Mode(row=0.05)], how, probe=probe, probe_steps=range(0, 51, 3))
    short = tune(started, SEEDS, all_pairs(started), [Mode(row=0.05)], replace(how, steps=6))
    assert seen == [0, 3, 6]
    torch.testing.assert_close(weights(early)["embed"], weights(short)["embed"])


def test_parts_are_where_they_were_put(tuned: Tuned) -> None:
    new, mine = len(tuned.pretrained.languages[0].functions), weights(tuned)
    graft = weights(with_rows_of(tuned, 0))
    assert torch.equal(graft["embed"][2:, -new:], mine["embed"][:2, -new:])
    assert torch.equal(graft["embed"][:, :-new], mine["embed"][:, :-new])
    assert torch.equal(graft["unembed"], mine["unembed"])
    before = {name: value.detach() for name, value in tuned.pretrained.models.named_parameters()}
    changed = set()
    for part in PARTS:
        here = weights(restored(tuned, part))
        names = {name for name, value in here.items() if not torch.equal(value, mine[name])}
        assert not names & changed
        changed |= names
        for name in names:
            old = here[name][2:, :-new] if name == "embed" else here[name][2:]
            assert torch.equal(old, before[name])
        if part == OLD_ROWS:
            assert torch.equal(here["embed"][:, -new:], mine["embed"][:, -new:])
    assert changed == set(mine)
    both = joined([tuned, tuned])
    assert both.modes == 4
    assert torch.equal(weights(both)["unembed"], torch.cat([mine["unembed"], mine["unembed"]]))


def test_lengths_and_cosines_by_hand(tuned: Tuned) -> None:
    new, mine = len(tuned.pretrained.languages[0].functions), weights(tuned)
    first = tuned.pretrained.models.first_name
    before = {name: value.detach() for name, value in tuned.pretrained.models.named_parameters()}
    random = weights(shaken(tuned, 1, [generator("test", seed) for seed in SEEDS]))
    for seed in SEEDS:
        change = length = 0.0
        for name, old in before.items():
            now = mine[name][2 + seed][:-new] if name == "embed" else mine[name][2 + seed]
            there = random[name][seed][:-new] if name == "embed" else random[name][seed]
            assert float((there - old[seed]).norm()) == pytest.approx(
                float((now - old[seed]).norm()), rel=1e-3, abs=1e-6
            )
            change, length = change + float((now - old[seed]).square().sum()), length + float(old[seed].square().sum())
        assert float(moved(tuned)[1, seed]) == pytest.approx((change / length) ** 0.5, rel=1e-4)
        assert float(moved(tuned)[0, seed]) == 0
        assert torch.equal(random["embed"][seed][-new:], mine["embed"][seed][-new:])
        rows = mine["embed"][2 + seed].numpy()
        old_rows, center = rows[first:-new].reshape(new, -1, 8).mean(1), rows[first:-new].mean(0)
        cosines = [
            np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
            for a, b in zip(rows[-new:] - center, old_rows - center, strict=True)
        ]
        assert float(drift(tuned)[0, 1, seed]) == pytest.approx(np.mean(cosines), abs=1e-4)


def test_the_record_is_its_own_graft(record: xr.Dataset) -> None:
    """A setting's row among its own other weights is that setting."""
    last = record.isel(level=-1)
    for place, name in enumerate(record.setting.values):
        own = record.grafted.sel(row_of=name, rest_of=name)
        there = last.loss.isel(setting=place).notnull()
        np.testing.assert_allclose(own.where(there), last.right.isel(setting=place).where(there), atol=1e-6)
    assert bool(last.loss.notnull().any())
    alone, untouched = record.grafted.sel(rest_of=dial_checks.ALONE), record.grafted.sel(rest_of=dial_checks.UNTOUCHED)
    np.testing.assert_allclose(alone, untouched)
    assert float(record.moved.isel(setting=0).max()) == 0


def planted(
    define: float = 0.3, uses: float = 0.4, pairs: float = 1.0, old: float = 1.0, loss: float = 0.028, bare_old: float = 0.3,
    cosine: float = 0.2, rest: float = 0.05, fit: float = 0.95,
) -> xr.Dataset:  # fmt: skip
    """Five equal seeds, the row alone and three settings: what the slowest row does, and what grafts do."""
    dims, shape = ("level", "setting", "seed"), (2, 4, 5)
    right = np.full((2, 4, 4, 5), 0.9)
    right[:, :, 0], right[:, 3, 1], right[:, 3, 2:] = pairs, define, uses
    grafted = np.full((5, 5, 4, 5), 0.9)
    grafted[:, :, 1] = np.array([0.9, 0.9, 0.6, 0.3, 0.1])[:, None, None] + rest * np.arange(5)[:, None]
    grafted[:, :, 0] = np.where(np.eye(5) > 0, 1.0, 0.4)[..., None]
    grafted[1, 3, 0] = fit
    lines = np.full((4, 4, 5), old)
    return xr.Dataset(
        {
            "loss": (dims, np.full(shape, loss)), "right": (("level", "setting", "task", "seed"), right),
            "updates": (dims, np.broadcast_to(np.array([20, 50, 90, 300])[:, None], shape)),
            "old": (("setting", "task", "seed"), lines), "grafted": (("row_of", "rest_of", "task", "seed"), grafted),
            "cosine": (("depth", "setting", "seed"), np.broadcast_to(np.array([0.8, 0.7, 0.6, cosine])[:, None], (2, 4, 5))),
            "bare_loss": ("seed", np.full(5, 0.029)), "bare_right": (("task", "seed"), np.ones((4, 5))),
            "bare_old": (("task", "seed"), np.full((4, 5), bare_old)),
        },
        {
            "level": [0.1, 0.03], "setting": [dial_checks.ALONE, "15", "5", "0.3"], "task": list(NAMED), "seed": range(5),
        },
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in dial.CLAIMS:
        assert claim.check(fine).holds, claim.id
        assert claim.control.change is not None
        assert not claim.check(claim.control.change(fine)).holds, claim.id
        assert claim.control.manipulation(fine).holds, claim.id
    for bad, name in (
        (planted(define=0.7), "words_fall"), (planted(uses=0.8), "uses_fall"), (planted(pairs=0.97), "matched"),
        (planted(old=0.97), "matched"), (planted(loss=0.015), "matched"), (planted(loss=0.04), "matched"),
        (planted(rest=0.2), "words_go_with_the_row"), (planted(cosine=0.5), "idea_drifts"),
        (planted(fit=0.8), "pairs_still_right"),
        (planted(pairs=0.97), "pairs_right"),
    ):  # fmt: skip
        assert not getattr(dial_checks, name)(bad).holds, name
    known = planted(bare_old=1.0)
    assert dial_checks.matched(dial_checks.without_replay(known)).holds


def test_explorables_show_the_record(record: xr.Dataset) -> None:
    turned = Explorable("frames", **shown.turn_the_dial(record)).data
    values = np.array(turned["series"][1]["values"], dtype=float)
    expected = record.right.sel(task="define").median("seed").sortby("level").transpose("setting", "level")
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    rows = Explorable("frames", **shown.whose_row(record)).data
    own = record.grafted.sel(task="define", rest_of=dial_checks.UNTOUCHED, row_of=record.setting.values[1]).median()
    assert np.array(rows["series"][1]["values"])[-1, -1] == pytest.approx(float(own), rel=1e-5)
    options = Explorable("choice", **shown.question(record)).data["options"]
    assert len(options) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("row_rates", (0.01,)), ("row_rates", (0.01, 0.02)), ("row_rates", (0.01, 0.0)), ("levels", (0.1, 0.2)), ("num_seeds", 0),
        ("most_updates", 0), ("look_every", 0), ("replay", 0), ("rest_rate", 0.0), ("alone_rate", -1.0), ("undefined", 1),
        ("unseen", 1), ("layers", 1), ("tuning_noise", -0.1), ("start", -0.1),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field.removeprefix("tuning_")):
        replace(dial.SMOKE, **{field: value})
