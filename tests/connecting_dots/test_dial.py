"""Members kept at a level, parts put into each other, the record against counting, planted records, and refused configs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from heldout.connecting_dots import dial, dial_checks
from heldout.connecting_dots.dial_runs import Levels, arrive, wrong_words
from heldout.connecting_dots.dots_networks import name_noise
from heldout.connecting_dots.explore import dial as shown
from heldout.connecting_dots.matched_training import (
    OLD_ROWS,
    PARTS,
    Matched,
    NoisyLoss,
    drift,
    joined,
    looks,
    moved,
    restored,
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
    for seed in SEEDS:
        change = length = 0.0
        for name, old in before.items():
            now = mine[name][2 + seed][:-new] if name == "embed" else mine[name][2 + seed]
            change, length = change + float((now - old[seed]).square().sum()), length + float(old[seed].square().sum())
        assert float(moved(tuned)[1, seed]) == pytest.approx((change / length) ** 0.5, rel=1e-4)
        assert float(moved(tuned)[0, seed]) == 0
        rows = mine["embed"][2 + seed].numpy()
        old_rows, center = rows[first:-new].reshape(new, -1, 8).mean(1), rows[first:-new].mean(0)
        cosines = [
            np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
            for a, b in zip(rows[-new:] - center, old_rows - center, strict=True)
        ]
        assert float(drift(tuned)[0, 1, seed]) == pytest.approx(np.mean(cosines), abs=1e-4)


def test_the_noisy_loss_by_hand(tuned: Tuned) -> None:
    """Rows of the plain decoder are moved by the noise, pair by pair."""
    lines, spread = new_lines(tuned.pretrained, "apply"), tuned.pretrained.models.name_spread()
    measure = NoisyLoss(SEEDS, 0.7, 1)
    noise = name_noise([generator("connecting dots", "looks", seed) for seed in SEEDS], tuned.models.embed, len(lines))
    count, member = len(tuned.pretrained.languages[0].functions), 2  # mode 1 of the first seed
    total = 0.0
    for line, function in enumerate(lines.function.tolist()):
        own = tuned.models.select([member])
        with torch.no_grad():
            own.embed[0, function - count] += 0.7 * spread[0, 0] * noise[0, line]
            logits = own(lines.tokens[line : line + 1].expand(1, 1, -1))[0, 0]
        total += float(torch.nn.functional.cross_entropy(logits, lines.targets[line], ignore_index=-1))
    assert float(measure(tuned)[1, 0]) == pytest.approx(total / len(lines), rel=1e-4)
    assert float(NoisyLoss(SEEDS, 0.0, 2)(tuned)[1, 0]) == pytest.approx(by_hand_loss(tuned, member), rel=1e-4)
    assert float(NoisyLoss(SEEDS, 0.0, 1).right(tuned)[1, 0]) == pytest.approx(
        float(tuned.correct("apply")[1, 0].mean())
    )


def test_looks_grow_apart() -> None:
    assert looks(7, 2) == [0, 2, 4, 6, 7]
    steps = looks(800, 2)
    assert steps == sorted(set(steps))
    assert steps[-1] == 800
    assert int(np.diff(steps).max()) <= 6


def test_both_places_are_kept(started: Pretrained) -> None:
    """A member is taken twice: where one loss has come down, and where the other has."""
    levels = Levels(clean=(100.0, 2.0), noisy=1.9, finest=2, draws=1)
    mode = Mode(row=0.05, rest=0.02)
    arrived = arrive(started, SEEDS, mode, replace(dial.SMOKE.tuning(), steps=200), levels, dial.SMOKE.by_task())
    clean, noisy = (arrived.looks[place] for place in ("without noise", "with noise"))
    assert not bool(clean.step[-1].isnan().any())
    for member in range(2):
        assert by_hand_loss(arrived.members["without noise"], member) == pytest.approx(
            float(clean.loss[-1, 0, member]), rel=1e-4
        )
    own = NoisyLoss(SEEDS, dial.SMOKE.tuning_noise, 1)(arrived.members["with noise"])
    np.testing.assert_allclose(own[0], noisy.loss[-1, 0], rtol=1e-4)
    assert float(noisy.loss[-1].max()) <= 1.9


def test_wrong_words_are_counted(started: Pretrained) -> None:
    """Of a decoder that was not trained, all wrong words are as before; set by hand, few are wrong or none."""
    untouched = at(started, 1, Mode())
    found = wrong_words(untouched, untouched, SEEDS, dial.SMOKE.start)
    np.testing.assert_array_equal(found["wrong"], found["wrong_as_before"])
    assert (found["wrong_as_nearest"] <= found["wrong"]).all()


def test_the_record_is_its_own_graft(record: xr.Dataset) -> None:
    """A setting's row among its own other weights is that setting."""
    own, first = dial_checks.dial(record), record.isel(place=0)
    for name in own.setting.values:
        graft, there = record.grafted.sel(row_of=name, rest_of=name), first.updates.sel(setting=name).notnull()
        np.testing.assert_allclose(graft.where(there), first.right.sel(setting=name).where(there), atol=1e-6)
    assert bool(first.updates.notnull().any())
    np.testing.assert_allclose(own.curve.isel(level=-1), own.right.isel(place=0), atol=1e-6)
    assert record.setting.values.tolist() == list(dial.SMOKE.runs())
    assert bool(record.updates.isel(place=1).sel(setting=list(dial_checks.NEAR)).isnull().all())


def planted(
    define: float = 0.3, uses: float = 0.4, pairs: float = 1.0, old: float = 1.0, clean: float = 0.028, noisy: float = 0.19,
    bare_old: float = 0.3, cosine: float = 0.2, rest: float = 0.05, bare_rest: float = 0.8, fit: float = 0.95,
    both: float = 0.9, long: float = 300, near: float = 0.7, quiet: float = 0.3, second: float | None = None,
) -> xr.Dataset:  # fmt: skip
    """Five equal seeds, three settings of the dial and the runs beside it: what rows can do, and what grafts do."""
    names = ["15", "2", "0.3", dial_checks.BOTH_SLOW, dial_checks.BARE, *dial_checks.NEAR, *dial_checks.QUIET]
    place, right = ("place", "setting", "seed"), np.full((2, 9, 4, 5), 0.9)
    right[:, :, 0], right[:, 2, 1], right[:, 2, 2:], right[:, 3, 1:] = pairs, define, uses, both
    right[:, 4, 0], right[:, 6, 1], right[:, 8, 1] = 1.0, near, quiet
    right[1, 2, 1] = define if second is None else second
    lines, drift = np.full((2, 9, 4, 5), old), np.full((2, 9, 2, 5), 0.8)
    lines[:, 4], drift[:, 2] = bare_old, cosine
    grafted = np.full((4, 5, 4, 5), 0.9)
    grafted[:, :, 1] = np.array([0.8, 0.6, 0.3, 0.1])[:, None, None] + rest * np.arange(5)[:, None]
    grafted[:, 3, 1] = np.array([0.8, 0.6, 0.3, 0.1]).clip(bare_rest)[:, None] - bare_rest
    grafted[:, :, 0] = 0.4
    grafted[0, 2, 0] = fit
    updates = np.broadcast_to(np.array([50, 100, 300, long, 200, 50, 200, 50, 200.0])[:, None], (2, 9, 5))
    return xr.Dataset(
        {
            "clean": (place, np.full((2, 9, 5), clean)), "noisy": (place, np.full((2, 9, 5), noisy)), "updates": (place, updates),
            "right": (("place", "setting", "task", "seed"), right), "old": (("place", "setting", "task", "seed"), lines),
            "cosine": (("place", "setting", "depth", "seed"), drift), "grafted": (("row_of", "rest_of", "task", "seed"), grafted),
        },
        {
            "place": ["without noise", "with noise"], "level": [0.1, 0.03], "setting": names, "task": list(NAMED),
            "seed": range(5), "row_of": [*names[:3], dial_checks.UNTOUCHED],
            "rest_of": [*names[:3], dial_checks.BARE, dial_checks.UNTOUCHED],
        },
        {"dial": 3, "noisy_level": 0.2, "near_seeds": 3},
    )  # fmt: skip


def test_checks_on_planted_records() -> None:
    fine = planted()
    for claim in dial.CLAIMS:
        if claim.id == "dial.idea_drifts":
            fine.cosine[:, 3] = 0.8
        assert claim.check(fine).holds, claim.id
        assert claim.control.change is not None
        assert not claim.check(claim.control.change(fine)).holds, claim.id
        assert claim.control.manipulation(fine).holds, claim.id
    for bad, name in (
        (planted(define=0.7), "words_fall"), (planted(second=0.7), "words_fall"), (planted(uses=0.85), "uses_fall"),
        (planted(pairs=0.97), "matched"), (planted(old=0.97), "matched"), (planted(clean=0.015), "matched"),
        (planted(clean=0.04), "matched"), (planted(noisy=0.1), "matched"), (planted(noisy=0.3), "matched"),
        (planted(rest=0.2), "words_go_with_the_row"), (planted(cosine=0.6), "idea_drifts"),
        (planted(fit=0.8), "pairs_still_right"),
        (planted(long=60), "as_long_and_as_well"), (planted(old=0.9), "as_long_and_as_well"),
        (planted(clean=0.04), "bare_as_well_trained"), (planted(near=0.3), "start_matters"),
        (planted(old=0.9), "quiet_as_well_trained"), (planted(pairs=0.9), "quiet_as_well_trained"),
    ):  # fmt: skip
        assert not getattr(dial_checks, name)(bad).holds, name
    known = planted(bare_old=1.0)
    assert dial_checks.matched(dial_checks.without_replay(known)).holds
    silent = planted(both=0.3)
    assert dial_checks.words_fall(dial_checks.both_slow(silent)).holds
    spread = planted(bare_rest=0.05)
    assert dial_checks.words_go_with_the_row(dial_checks.rest_without_replay(spread)).holds


def test_explorables_show_the_record(record: xr.Dataset) -> None:
    turned = Explorable("frames", **shown.turn_the_dial(record)).data
    values = np.array(turned["series"][1]["values"], dtype=float)
    own = dial_checks.dial(record)
    expected = own.curve.sel(task="define").median("seed").sortby("level").transpose("setting", "level")
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    rows = Explorable("frames", **shown.whose_row(record)).data
    graft = record.grafted.sel(task="define", rest_of=dial_checks.UNTOUCHED, row_of=own.setting.values[0]).median()
    assert np.array(rows["series"][1]["values"])[-1, -1] == pytest.approx(float(graft), rel=1e-5)
    options = Explorable("choice", **shown.question(record)).data["options"]
    assert len(options) == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("row_rates", (0.01,)), ("row_rates", (0.01, 0.02)), ("row_rates", (0.01, 0.0)), ("levels", (0.1, 0.2)), ("num_seeds", 0),
        ("most_updates", 0), ("look_every", 0), ("replay", 0), ("rest_rate", 0.0), ("slow_row", 0.0),
        ("noisy_level", 0.0), ("near_start", 0.0), ("near_seeds", 3), ("undefined", 1),
        ("unseen", 1), ("layers", 1), ("tuning_noise", -0.1), ("start", -0.1),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field.removeprefix("tuning_")):
        replace(dial.SMOKE, **{field: value})
