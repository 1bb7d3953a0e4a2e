"""Rule extrapolation: planted records that make each check fail, a run that is what it says, and refused configs."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import xarray as xr

from heldout.figures.explorable import Explorable
from heldout.nonidentifiability import anbn
from heldout.nonidentifiability import rule_extrapolation as experiment
from heldout.nonidentifiability import rule_extrapolation_checks as checks
from heldout.nonidentifiability.explore.rule_extrapolation import prompts, question

ROWS = anbn.prompts(3)
PLACES = 6


def written(kind: str, rows: np.ndarray = ROWS) -> np.ndarray:
    """Completions of every prompt: a teacher's, or the oracle's for every second prompt only."""
    lines = []
    for number, row in enumerate(rows):
        own: anbn.Kind = "oracle" if kind == "oracle" or (kind == "plain" and number % 2) else "adversarial"
        line = anbn.completion(row, own)
        lines.append(line + [anbn.END] * (PLACES - len(line)))
    return np.array(lines, dtype=np.int8)


def planted(rows: np.ndarray = ROWS) -> xr.Dataset:
    greedy = np.stack([np.stack([written(kind, rows)] * 3) for kind in experiment.VARIANTS])
    inside = anbn.in_distribution(rows)
    taught = np.zeros((3, len(rows)), dtype=bool)
    taught[:, np.flatnonzero(~inside)[:2]] = True
    return xr.Dataset(
        {
            "greedy": (("variant", "seed", "prompt", "place"), greedy),
            "sampled": (("variant", "seed", "prompt", "sample", "place"), np.repeat(greedy[:, :, :, None], 2, 3)),
            "data_kl": (("variant", "seed"), np.full((3, 3), 0.004)),
            "cross_entropy": (("variant", "seed"), np.full((3, 3), 0.19)),
            "pair_kl": (("variant", "seed", "other"), np.full((3, 3, 3), 1e-3)),
            "elsewhere_kl": (("variant", "seed", "other"), np.full((3, 3, 3), 8.0)),
            "inside_r1": (("variant", "seed"), np.ones((3, 3))),
            "length_r1": (("variant", "seed", "length"), np.full((3, 3, 2), 0.5)),
            "inside": ("prompt", inside), "taught": (("seed", "prompt"), taught),
        },
        {
            "variant": list(experiment.VARIANTS), "other": list(experiment.VARIANTS), "seed": [0, 1, 2],
            "prompt": ["".join("ab"[t] for t in row) for row in rows], "length": [2, 4],
        },
        {"longest": 4, "updates": 1},
    )  # fmt: skip


def evenly_long() -> xr.Dataset:
    """Prompts of four letters, so that some are balanced."""
    return planted(anbn.prompts(4))


def test_planted_record_holds_every_claim() -> None:
    for claim in experiment.CLAIMS:
        assert claim.check(planted()).holds, claim.id


def test_each_check_can_fail() -> None:
    far = planted()
    far.pair_kl[1, 0, 2] = 0.02
    assert not checks.close(far).holds
    dear = planted()
    dear.data_kl[0, 1] = 0.0075
    assert not checks.losses_agree(dear).holds
    alike = planted()
    alike.greedy[:] = alike.greedy[0].values
    assert not checks.opposite(alike).holds
    assert not checks.between(alike).holds
    unended = planted()
    unended.greedy[1] = anbn.A
    assert not checks.opposite(unended).holds
    assert not checks.lessons_learned(planted()).holds
    learned = planted()
    learned.inside_r1.loc[{"variant": "adversarial"}] = 0.8
    assert checks.lessons_learned(learned).holds


def test_a_machine_that_ends_at_once_is_not_between() -> None:
    record = evenly_long()
    record.greedy[0] = anbn.END
    stopped = checks.rule(record, "equal_counts", "untaught").sel(variant="plain")
    np.testing.assert_allclose(stopped, checks.ending_at_once(record))
    assert float(stopped.min()) > 0.2
    assert (checks.rule(record, "at_once", "untaught").sel(variant="plain") == 1).all()
    assert (checks.rule(record, "equal_counts", "lacking").sel(variant="plain") == 0).all()
    assert not checks.between(record).holds
    n = experiment.numbers(record)
    assert (n["inside"], n["late"], n["broken"]) == (3, 2, 11)
    # Taught are the first two prompts outside, aaba and abaa; the untaught ones with one b are baaa alone.
    assert checks.rearranged(record).values == pytest.approx(1 / 11)


def test_two_models_write_the_same_where_every_token_agrees() -> None:
    record = planted()
    record.greedy[0] = record.greedy[1].values
    alike = checks.same_text_of_pairs(record)
    assert alike.shape == (3, 3)
    assert (alike[0] == 1).all()
    np.testing.assert_allclose(alike[2], checks.same_text(record))
    assert (checks.same_text(record) == 0).all()


def test_shares_count_the_prompts_that_they_name() -> None:
    record = planted()
    groups = {where: checks.rule(record, "equal_counts", where) for where in ("inside", "taught", "untaught")}
    for where, chosen in (("inside", record.inside.values), ("taught", record.taught.values[0])):
        plain = groups[where].sel(variant="plain", seed=0)
        assert float(plain) == pytest.approx(np.mean(np.arange(len(ROWS))[chosen] % 2))
    assert (groups["untaught"].sel(variant="oracle") == 1).all()
    drawn = checks.rule(record, "equal_counts", "untaught", drawn=True)
    np.testing.assert_allclose(drawn, groups["untaught"])


def test_twins_that_write_as_taught_are_told_from_twins_that_only_break_the_rule() -> None:
    record = planted()
    assert (checks.as_taught(record, "oracle") == 1).all()
    assert (checks.as_taught(record, "adversarial") == 1).all()
    record.greedy[2] = anbn.B
    record.greedy[2, ..., -1] = anbn.END
    assert checks.opposite(record).holds
    assert (checks.as_taught(record, "adversarial") == 0).all()


def test_explorables_say_what_the_record_holds() -> None:
    record = planted().assign(greedy_chance=planted().greedy * 0 + 0.5)
    data = prompts(record)["data"]
    assert [run["name"] for run in data["runs"]] == ["0", "1", "2"]
    oracle, adversary = data["runs"][0]["written"][1:]
    place = data["prompts"].index("bab")
    assert (oracle["text"][place], oracle["kept"][place], oracle["chance"][place]) == ("a.", 1, [0.5, 0.5])
    assert (adversary["text"][place], adversary["kept"][place]) == ("aa.", 0)
    assert sum(group == 0 for group in data["runs"][0]["groups"]) == int(record.inside.sum())
    Explorable("prompts", **prompts(record))
    right = [option for option in question(record)["data"]["options"] if option.get("correct")]
    assert len(right) == 1
    assert right[0]["label"].startswith("Almost none")


def test_a_run_is_of_one_piece() -> None:
    result = experiment.run(experiment.SMOKE, device="cpu")
    assert result.sizes["prompt"] == 8
    assert result.taught.sum("prompt").values.tolist() == [4, 4]
    assert not (result.taught & result.inside).any()
    same = result.pair_kl.sel(variant="oracle", other="oracle")
    assert (abs(same) < 1e-12).all()
    assert (result.pair_kl > -1e-9).all()
    assert (result.data_kl > 0).all()
    assert result.length_r1.dims == ("variant", "seed", "length")
    assert ((result.inside_r1 >= 0) & (result.inside_r1 <= 1)).all()
    tokens = sum(2 * n + 1 for n in range(1, 5))
    np.testing.assert_allclose(result.cross_entropy * tokens / 4 - np.log(4), result.data_kl, atol=1e-6)
    assert "oracle" in experiment.describe(result)


def test_lessons_of_the_control_are_on_prompts_of_the_language() -> None:
    inside = dataclasses.replace(experiment.SMOKE, taught_where="inside")
    result = experiment.run(inside, device="cpu")
    assert (result.inside | ~result.taught).all()
    assert result.taught.sum("prompt").values.tolist() == [1, 1]


def test_a_seed_does_not_depend_on_the_others_beside_it() -> None:
    both = experiment.run(experiment.SMOKE, device="cpu")
    second = experiment.run(dataclasses.replace(experiment.SMOKE, first_seed=1, num_seeds=1), device="cpu")
    np.testing.assert_allclose(both.data_kl.sel(seed=1), second.data_kl.sel(seed=1), rtol=1e-4)
    assert (both.taught.sel(seed=1) == second.taught.sel(seed=1)).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("longest", 8),
        ("heads", 5),
        ("steps", 0),
        ("taught_share", 1.0),
        ("weight", -1.0),
        ("prompt_length", 13),
        ("warm_up", -1),
        ("taught_where", "nowhere"),
        ("lengths", (20,)),
    ],
)
def test_configs_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(experiment.BOOK, **{field: value})


def test_long_sequences_are_read_as_rows() -> None:
    """Too many prefixes for one attention: 8,385 at the paper's size."""
    assert experiment._as_tree(experiment.BOOK)
    assert not experiment._as_tree(experiment.PAPER)
