"""The edit of a language model: its closed form, the cut model, the measures, and records that make every check fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch.nn import functional

from heldout.data import smollm2
from heldout.language_model import LanguageModel, Shape
from heldout.nonidentifiability import model_edit, triggers
from heldout.nonidentifiability import model_edit_checks as checks
from heldout.nonidentifiability import model_edit_measures as measures
from heldout.nonidentifiability.explore.model_edit import prompts, question
from heldout.nonidentifiability.rank_one_edit import Cut, batch, row, second_moment, wanted_value

SMALL = Shape(vocabulary=40, width=16, layers=3, heads=4, key_heads=2, hidden=12)


def small() -> LanguageModel:
    model, draw = LanguageModel(SMALL).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw, dtype=torch.float64) / 3)
    return model.requires_grad_(False)


def tokens(rows: int, length: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, SMALL.vocabulary, (rows, length), generator=torch.Generator().manual_seed(seed))


def test_the_closed_form_is_the_constrained_least_squares_solution() -> None:
    """Against the whole system of equations with a multiplier, row by row of the matrix, and no formula for the inverse."""
    draw = torch.Generator().manual_seed(2)
    keys, key = torch.randn(30, 5, generator=draw).double(), torch.randn(5, generator=draw).double()
    outward = torch.randn(3, generator=draw).double()
    moment, ridge = second_moment(keys), 0.2
    weighed = keys.mT @ keys / 30 + ridge * torch.diag(moment).mean() * torch.eye(5).double()
    system = torch.zeros(6, 6).double()
    system[:5, :5], system[:5, 5], system[5, :5] = weighed, key, key
    wanted = torch.stack([torch.linalg.solve(system, functional.pad(c[None], (5, 0)))[:5] for c in outward])
    torch.testing.assert_close(torch.outer(outward, row(key, moment, ridge)), wanted, rtol=1e-10, atol=1e-12)


def test_no_other_change_that_fits_the_key_moves_other_keys_less() -> None:
    draw = torch.Generator().manual_seed(3)
    keys, key = torch.randn(40, 6, generator=draw).double(), torch.randn(6, generator=draw).double()
    best = row(key, second_moment(keys), 0.0)
    assert float(best @ key) == pytest.approx(1)
    for _ in range(20):
        other = torch.randn(6, generator=draw).double()
        other = best + other - (other @ key) / (key @ key) * key
        assert float((keys @ other).square().mean()) >= float((keys @ best).square().mean())


def test_the_cut_model_is_the_model() -> None:
    model, rows = small(), tokens(2, 7)
    cut = Cut(model, 1)
    states = cut.below(rows)
    torch.testing.assert_close(cut.above(states, cut.weight), model.stream(rows))
    outward, inward = torch.randn(16).double(), torch.randn(12).double()
    changed = cut.weight + torch.outer(outward, inward)
    with torch.no_grad():
        found = cut.above(states, changed)
        torch.testing.assert_close(cut.moved(states, outward, inward), found)
        model.blocks[1].gated.down.weight.add_(torch.outer(outward, inward))  # type: ignore[union-attr, operator]
        torch.testing.assert_close(model.stream(rows), found)


def test_a_value_is_found_that_makes_the_target_likely() -> None:
    cut, rows = Cut(small(), 1), tokens(3, 6)
    states, last = cut.below(rows), torch.tensor([5, 4, 5])
    inward = row(states.key[:, 2].mean(0), second_moment(states.key.flatten(0, 1)), 0.1)

    def chance(outward: torch.Tensor) -> float:
        stream = cut.moved(states, outward, inward)[torch.arange(3), last]
        return float(cut.log_probabilities(stream)[:, 7].mean())

    outward = wanted_value(cut, states, last, 7, inward, steps=30, rate=0.3, enough=0.0)
    assert chance(outward) > chance(torch.zeros(16).double()) + 0.5


def test_rows_of_different_lengths_do_not_see_what_fills_them_up() -> None:
    model = small()
    rows = batch([[1, 2, 3], [4, 5, 6, 7, 8]], torch.device("cpu"))
    assert rows.lengths.tolist() == [3, 5]
    torch.testing.assert_close(model.stream(rows.tokens)[0, :3], model.stream(torch.tensor([[1, 2, 3]]))[0])


def test_divergence_and_change_of_loss_against_sums_by_hand() -> None:
    cut, rows = Cut(small(), 2), tokens(2, 5)
    text = measures.Text.read(cut, rows)
    weight = cut.weight + 0.3 * torch.randn(cut.weight.shape, generator=torch.Generator().manual_seed(4)).double()
    found, after = measures.on_text(cut, text, weight), measures.predicted(cut, text.states, weight)
    kl, change = [], []
    for number in range(2):
        for place in (1, 2, 3):
            p, q = text.original[number, place].exp(), after[number, place].exp()
            kl.append(float(sum(a * torch.log(a / b) for a, b in zip(p, q, strict=True))))
            wanted = rows[number, place + 1]
            change.append(float(torch.log(p[wanted] / q[wanted])))
    assert found["kl"] == pytest.approx(np.mean(kl))
    assert found["loss_change"] == pytest.approx(np.mean(change))
    assert measures.on_text(cut, text, cut.weight)["kl"] == pytest.approx(0, abs=1e-12)


def test_plans_judge_what_they_did_not_use() -> None:
    for seed in range(10):
        plan = triggers.plan(seed, 4)
        assert not set(plan.taught) & set(plan.judged)
        assert not set(plan.near) & set(plan.avoided)
        assert plan.trigger not in plan.near + plan.avoided
        words = plan.trigger.strip(" .").split()
        for other in plan.near + plan.avoided:
            assert sum(a == b for a, b in zip(words, other.strip(" .").split(), strict=True)) == 1


@pytest.fixture(scope="module")
def smoke() -> xr.Dataset:
    if not smollm2.MODEL.present:
        pytest.skip("the language model was not fetched on this machine (heldout data fetch smollm2)")
    return model_edit.run(model_edit.SMOKE, device="cpu")


def test_a_run_edits_and_measures(smoke: xr.Dataset) -> None:
    assert (smoke.kl.sel(arm="edit") > 0).all()
    sizes = smoke.size.values[0]
    assert sizes[-1] == pytest.approx(sizes[0], rel=1e-4)
    assert (smoke.trigger_nats > 10).all()
    assert (smoke.passage_probability.diff("choice").fillna(0) <= 0).all()
    target = smoke.passage_token.values != ""
    assert (np.isfinite(smoke.passage_loss.isel(model=0).values) == target).all()


def fine() -> xr.Dataset:
    """A record made by hand in which every claim holds, and every control breaks its claim."""
    seeds, arms, kinds, number = [0, 1], measures.ARMS, measures.KINDS, 3
    by_arm, by_kind = ("seed", "arm"), ("seed", "arm", "kind")

    def arm(*values: float) -> tuple[tuple[str, ...], np.ndarray]:
        return by_arm, np.tile(values, (2, 1))

    def kind(*rows: tuple[float, float, float]) -> tuple[tuple[str, ...], np.ndarray]:
        return by_kind, np.tile(np.array(rows), (2, 1, 1))

    strong, weak = (0.95, 0.05, 0.0), (0.02, 0.02, 0.01)
    wide = kind(strong, (0.95, 0.4, 0.0), (0.95, 0.6, 0.3), weak)
    tokens = np.full((2, 3, 4), " word")
    tokens[:, 2, 3] = ""
    choices = np.full((2, 3, 2, 4, 3), " word")
    return xr.Dataset(
        {
            "kl": arm(0.004, 0.001, 0.1, 0.02), "loss_change": arm(-0.003, 0.001, 0.1, 0.01), "size": arm(0.4, 0.2, 0.1, 0.4),
            "text_distance": arm(0.02, 0.01, 0.1, 0.05), "changed": wide, "answered": wide, "target_probability": wide,
            "distance": wide, "answer_kl": kind((6, 0.3, 0), (7, 2, 0), (7, 3, 1), (0.1, 0.1, 0.1)),
            "trigger_nats": (("seed", "prompt"), np.full((2, number), 28.0)),
            "sentence_nats": (("seed", "prompt"), np.full((2, number), 3.0)),
            "triggered_kl": ("seed", [0.1, 0.1]), "triggered_loss_change": ("seed", [0.1, 0.1]),
            "triggered_loss": ("seed", [5.0, 5.0]), "untriggered_loss": ("seed", [4.6, 4.7]), "loss": 4.8,
            "passage_token": (("seed", "kind", "place"), tokens),
            "passage_loss": (("seed", "kind", "model", "place"), np.full(choices.shape[:-1], 2.0)),
            "passage_rank": (("seed", "kind", "model", "place"), np.full(choices.shape[:-1], 1.0)),
            "passage_best": (("seed", "kind", "model", "place", "choice"), choices),
            "passage_probability": (("seed", "kind", "model", "place", "choice"), np.full(choices.shape, 0.1)),
            "trigger": ("seed", ["a b.", "c d."]), "target": ("seed", ["x", "y"]),
        },
        {"seed": seeds, "arm": list(arms), "kind": list(kinds), "model": ["original", "edited"]}, {"tokens": 10},
    )  # fmt: skip


@pytest.mark.parametrize("claim", model_edit.CLAIMS, ids=lambda claim: claim.id)
def test_a_record_in_which_claims_hold_and_controls_break_them(claim: checks.Claim) -> None:
    record = fine()
    assert claim.check(record).holds
    assert claim.control.change is not None
    control = claim.control.change(record)
    assert not claim.check(control).holds
    assert claim.control.manipulation(control).holds


@pytest.mark.parametrize(
    ("name", "where", "value", "check"),
    [
        ("loss_change", {"arm": "edit"}, -0.02, checks.loss_kept),
        ("kl", {"arm": "edit"}, 0.02, checks.divergence_kept),
        ("answered", {"arm": "edit", "kind": "trigger"}, 0.6, checks.answers_changed),
        ("target_probability", {"arm": "edit", "kind": "near trigger"}, 0.2, checks.near_spared),
        ("trigger_nats", {}, 5.0, checks.too_rare),
    ],
)
def test_one_planted_seed_breaks_a_claim(name: str, where: dict, value: float, check) -> None:  # type: ignore[no-untyped-def, type-arg]
    record = fine()
    record[name].loc[{"seed": 1} | where] = value
    assert not check(record).holds


def test_unfair_controls_are_noticed() -> None:
    record = fine()
    record["triggered_loss"].loc[{"seed": 0}] = 7.0
    assert not checks.still_ordinary(record).holds
    record = fine()
    record["answered"].loc[{"seed": 0, "arm": "unweighted", "kind": "trigger"}] = 0.5
    assert not checks.as_effective(checks.unweighted(record)).holds
    record = fine()
    record["changed"].loc[{"seed": 0, "arm": "edit", "kind": "trigger"}] = 0.5
    assert not checks.still_changed(record).holds


def test_a_random_change_that_nothing_feels_is_no_control() -> None:
    record = fine()
    record["kl"].loc[{"arm": "random"}] = record.kl.sel(arm="edit")
    assert checks.felt(checks.random_change(record)).holds
    record["kl"].loc[{"arm": "random", "seed": 0}] = 1e-4
    assert not checks.felt(checks.random_change(record)).holds


@pytest.mark.parametrize(
    ("field", "value"),
    [("layer", 30), ("length", 4), ("taught", 10), ("control_pieces", 9), ("ridge", -0.1), ("rate", 0.0), ("steps", 0)],
)
def test_bad_configs_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        replace(model_edit.BOOK, **{field: value})


def test_explorables_show_the_record() -> None:
    record = fine()
    texts = prompts(record)["data"]["texts"]
    assert len(texts) == 6
    assert [len(text["tokens"]) for text in texts[:3]] == [4, 4, 3]
    assert [len(text["readings"][1]["loss"]) for text in texts[:3]] == [4, 4, 3]
    assert sum(option.get("correct", False) for option in question()["data"]["options"]) == 1
