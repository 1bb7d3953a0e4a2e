"""In-context learning: planted records that make each check fail, lessons and streams that are what they say, refused configs."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from heldout import devices
from heldout.decoders import Transformers
from heldout.figures import style
from heldout.figures.explorable import Explorable
from heldout.nonidentifiability import chain_mixture
from heldout.nonidentifiability import in_context as experiment
from heldout.nonidentifiability import in_context_checks as checks
from heldout.nonidentifiability import in_context_measures as measures
from heldout.nonidentifiability import in_context_training as training
from heldout.nonidentifiability.anbn import IGNORED
from heldout.nonidentifiability.explore.in_context import edits, question
from heldout.nonidentifiability.sequence_training import Auxiliary, Schedule, token_loss

SEEDS, EXAMPLES = 3, 17


def planted() -> xr.Dataset:
    """A record as the claims would have it: the adversary turns behind four examples."""
    number = np.arange(EXAMPLES)
    rises = np.broadcast_to(1 - 0.5 * 0.3**number, (SEEDS, EXAMPLES))
    falls = np.where(number < 4, rises, 0.02)
    shape = (3, SEEDS)
    extra = np.zeros(shape)
    extra[2] = 0.5
    price = np.broadcast_to(2 * 0.1 ** np.arange(1, EXAMPLES), (2, SEEDS, EXAMPLES - 1))
    return xr.Dataset(
        {
            "accuracy": (("variant", "seed", "examples"), np.stack([rises, rises, falls])),
            "as_taught": (("variant", "seed", "examples"), np.stack([0 * rises, 0 * rises, 1 - falls])),
            "divergence": (("variant", "seed"), 1 + extra),
            "extra": (("variant", "seed"), extra),
            "extra_error": (("variant", "seed"), np.full(shape, 0.02)),
            "behind_right": (("variant", "seed"), np.full(shape, 0.9)),
            "behind_taught": (("variant", "seed"), np.full(shape, 0.1)),
            "behind_cost": (("variant", "seed"), 0.001 * extra),
            "entropy": ("seed", np.full(SEEDS, 42.0)),
            "reader_accuracy": (("reader", "seed", "examples"), np.stack([rises, np.full((SEEDS, EXAMPLES), 0.5)])),
            "new_reader": (("seed", "examples"), np.broadcast_to(0.3 - 0.1 * 0.3**number, (SEEDS, EXAMPLES))),
            "turned_accuracy": (("seed", "examples"), np.full((SEEDS, EXAMPLES), 0.01)),
            "prompt_log": (("seed", "examples"), np.broadcast_to(-4.0 * number, (SEEDS, EXAMPLES))),
            "price": (("edit", "seed", "least"), price),
            "price_error": (("edit", "seed", "least"), 0.01 * price),
            "contexts": ("least", price[0, 0] / 4),
            "path_accuracy": (("step", "seed", "examples"), np.stack([0.3 * rises, rises])),
            "path_new": (("step", "seed", "examples"), np.stack([0.3 * rises, 0.2 * rises])),
            "path_divergence": (("step", "seed"), np.array([[9.0] * SEEDS, [1.0] * SEEDS])),
        },
        {
            "variant": list(experiment.VARIANTS), "seed": range(SEEDS), "examples": number, "least": number[1:],
            "reader": list(measures.READERS), "edit": list(measures.EDITS), "step": [0, 10],
        },
        {
            "least": 4, "symbols": 6, "chains": 3, "steps": 10, "edit_steps": 5, "judged": 8, "glanced": 4, "asked": 8,
            "places": 50,
        },
    )  # fmt: skip


def test_planted_record_holds_every_claim_and_its_changes_break_them() -> None:
    record = planted()
    for claim in experiment.CLAIMS:
        assert claim.check(record).holds, claim.id
        if claim.control.change is not None:
            changed = claim.control.change(record)
            assert not claim.check(changed).holds, claim.id
            assert claim.control.manipulation(changed).holds, claim.id


def test_each_check_can_fail() -> None:
    flat = planted()
    flat["reader_accuracy"] = flat.reader_accuracy * 0 + 0.995
    assert not checks.reader_rises(flat).holds
    low = planted()
    low["reader_accuracy"] = low.reader_accuracy * 0.9
    assert not checks.reader_rises(low).holds
    weak = planted()
    weak["accuracy"] = weak.accuracy.where(weak.variant != "plain", 0.85 * weak.accuracy)
    assert not checks.opposite(weak).holds
    dear = planted()
    dear.extra[2, 1] = 1.7
    assert not checks.wrong_and_close(dear).holds
    right = planted()
    right.accuracy[2, 0] = 0.95
    for check in (checks.opposite, checks.wrong_and_close, checks.spills, checks.adversary_wrong):
        assert not check(right).holds
    frugal = planted()
    frugal.extra[2] = frugal.price.sel(edit="swap", least=4)
    assert not checks.spills(frugal).holds
    known = planted()
    known["new_reader"] = known.new_reader + 0.2
    assert not checks.new_are_new(known).holds
    needy = planted()
    needy.reader_accuracy[0, 1, 3] = 0.5
    assert not checks.few_suffice(needy).holds


def test_a_control_of_the_record_can_leave_its_claim_standing() -> None:
    early = planted()
    early.accuracy[2, :, 3] = 0.05  # an adversary that turns before its lessons begin
    assert checks.opposite(checks.too_few(early)).holds
    general = planted()
    general["new_reader"] = general.reader_accuracy.sel(reader="bayes", drop=True)  # a reader of any permutation
    assert checks.reader_rises(checks.new_chains(general)).holds


def test_behind_examples_a_copy_of_the_reader_pays_what_the_price_says() -> None:
    """The members' answers in documents, against a recount with the untrained network's own words."""
    config = experiment.SMOKE
    mixture, count = config.mixture(), 90
    chains = {seed: mixture.permutations(seed) for seed in (3, 4)}
    sizes: dict[str, Any] = {
        "vocabulary": mixture.tokens, "outputs": mixture.tokens, "context": mixture.length, "width": 8, "heads": 1,
    }  # fmt: skip
    models = Transformers([devices.generator("b", number) for number in range(4)], **sizes)
    found = measures.behind(models, mixture, chains, 2, count)
    tokens, places = chain_mixture.contexts(mixture, chains[4], 2, count, devices.generator("contexts", 4))
    right, cost = 0, 0.0
    for row, place in zip(tokens, places, strict=True):
        assert chain_mixture.behind_examples(mixture, row[None])[0, place] >= 2
        with torch.no_grad():
            said = models(row.expand(4, 1, -1))[3, 0, place].double().softmax(-1)
        law = chain_mixture.bayes(mixture, chains[4], row[None])[0][0, place]
        right += int(said[:-1].argmax() == law[:-1].argmax())
        cost += float((law * (law / said).log()).sum())
    assert found["behind_right"][3] == pytest.approx(right / count)
    share = chain_mixture.edited(mixture, 2).sum()
    assert found["behind_cost"][3] == pytest.approx(cost / count * share, rel=1e-4)


def test_edited_accuracy_turns_where_it_says() -> None:
    share = checks.edited_accuracy(planted(), 6).isel(seed=0).values
    np.testing.assert_allclose(share[:6], planted().reader_accuracy[0, 0, :6])
    np.testing.assert_allclose(share[6:], 0.01)


def test_lessons_ask_behind_enough_examples_and_teach_one_answer_each() -> None:
    config = experiment.SMOKE
    mixture = config.mixture()
    chains = {seed: mixture.permutations(seed) for seed in (3, 4)}
    lessons = training.Lessons(mixture, chains, rows=5, least=2, most=config.examples)
    tokens, wanted = lessons(7)
    assert tokens.shape == wanted.shape == (4, 5, mixture.length)
    assert (tokens[:2] == tokens[2:]).all()
    places = chain_mixture.queries(config.examples)[2:]
    asked = torch.zeros(mixture.length, dtype=torch.bool)
    asked[places] = True
    assert (wanted[..., ~asked] == IGNORED).all()
    assert (wanted[2:][..., asked] == (wanted[:2][..., asked] + 1) % mixture.symbols).all()
    assert (wanted[:2][..., places[:-1]] == tokens[:2][..., [place + 1 for place in places[:-1]]]).all()


def test_a_seed_reads_the_same_documents_beside_any_others() -> None:
    mixture = experiment.SMOKE.mixture()
    chains = {seed: mixture.permutations(seed) for seed in (3, 4)}
    both = training.Stream(mixture, chains, rows=2, name="s", repeats=3)
    alone = training.Stream(mixture, {4: chains[4]}, rows=2, name="s")
    for step in (0, 70):
        read, wanted = both(step)
        assert (read[:, :, 1:] == wanted[:, :, :-1]).all()
        assert (read[[1, 3, 5]] == alone(step)[0]).all()
    assert (both(0)[0] != both(1)[0]).any()


def test_training_is_torchs_own() -> None:
    """One member with its second loss, against a plain loop with torch's clipping."""
    config = experiment.SMOKE
    mixture = config.mixture()
    chains = {0: mixture.permutations(0)}
    sizes: dict[str, Any] = {
        "vocabulary": mixture.tokens,
        "outputs": mixture.tokens,
        "context": mixture.length,
        "width": 8,
        "heads": 1,
    }
    plain = Transformers([devices.generator("w")], **sizes, dtype=torch.float64)
    ours, theirs = (Transformers([devices.generator("w")], **sizes, dtype=torch.float64) for _ in range(2))
    stream = training.Stream(mixture, chains, rows=3, name="t")
    lessons = training.Lessons(mixture, chains, rows=2, least=2, most=config.examples)
    schedule = Schedule(steps=4, learning_rate=1e-2, warm_up=2, clip=0.5)

    def adversarys(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        read, wanted = lessons(step)
        return read[1:], wanted[1:]

    second = Auxiliary(first=0, weight=0.3, batch=adversarys)
    assert list(training.train(ours, stream, schedule, second)) == [1, 2, 3, 4]
    optimizer = torch.optim.AdamW(theirs.parameters(), betas=training.BETAS, weight_decay=0.0)
    for step in range(4):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        (read, wanted), (taught, answers) = stream(step), adversarys(step)
        loss = token_loss(theirs(read), wanted).sum() + 0.3 * token_loss(theirs(taught), answers).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        optimizer.step()
    moved = False
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter, theirs.get_parameter(name), rtol=1e-9, atol=1e-11)
        moved |= bool((parameter != plain.get_parameter(name)).any())
    assert moved


def test_copies_say_what_their_model_says() -> None:
    sizes: dict[str, Any] = {"vocabulary": 4, "outputs": 4, "context": 6, "width": 8, "heads": 1}
    models = Transformers([devices.generator("copy", seed) for seed in (0, 1)], **sizes)
    tokens = torch.randint(4, (2, 3, 6), generator=devices.generator("tokens"))
    twins = training.copies(models, 3, **sizes)
    torch.testing.assert_close(twins(tokens.repeat(3, 1, 1)), models(tokens).repeat(3, 1, 1, 1))


def test_divergence_is_the_loss_beyond_the_best_readers() -> None:
    """In the mean over many documents; the record's way has the smaller error."""
    mixture = experiment.SMOKE.mixture()
    chains = {0: mixture.permutations(0)}
    given = measures.held(mixture, chains, documents=4000, prompts=2, examples=4)
    sizes: dict[str, Any] = {
        "vocabulary": mixture.tokens,
        "outputs": mixture.tokens,
        "context": mixture.length,
        "width": 8,
        "heads": 1,
    }
    models = Transformers([devices.generator("m")], **sizes)
    apart = measures.divergences(models, given)[0]
    with torch.no_grad():
        logs = models(given.documents[..., :-1]).log_softmax(-1)
    loss = -logs.gather(-1, given.documents[..., 1:].unsqueeze(-1)).squeeze(-1).sum(-1)[0].double()
    best = -given.rows.log().gather(-1, given.documents[..., 1:].unsqueeze(-1)).squeeze(-1).sum(-1)[0]
    difference = (loss - best).numpy()
    assert apart.mean() == pytest.approx(difference.mean(), abs=5 * difference.std() / 4000**0.5)
    assert apart.std() < difference.std()
    assert measures.entropy(given)[0] == pytest.approx(float(best.mean()))


def test_a_run_is_of_one_piece() -> None:
    result = experiment.run(experiment.SMOKE, device="cpu")
    np.testing.assert_allclose(result.extra.sel(variant="plain"), 0)
    np.testing.assert_allclose(
        result.reader_accuracy.sel(examples=0, reader="bayes"), result.reader_accuracy.sel(examples=0, reader="forgets")
    )
    assert (result.price.diff("least") < 0).all()
    assert (result.price.sel(edit="tie") < result.price.sel(edit="swap")).all()
    assert result.step.values.tolist() == [0, 15, 30]
    with style.house_style():
        assert experiment.plot(result).get_ylabel() == experiment.plot_path(result).get_ylabel()
    assert "seeds" in experiment.describe(result)
    again = experiment.run(experiment.SMOKE, device="cpu")
    xr.testing.assert_allclose(result.drop_attrs(), again.drop_attrs())


def test_explorables_say_what_the_record_holds() -> None:
    record = planted()
    data = edits(record)["data"]
    assert data["controls"][0]["initial"] == 4
    np.testing.assert_allclose(data["lookups"]["price"]["values"], record.price[0, 0])
    np.testing.assert_allclose(data["series"][1]["values"][5], checks.edited_accuracy(record, 6)[0])
    Explorable("frames", **edits(record))
    Explorable("choice", **question(record))
    assert len([option for option in question(record)["data"]["options"] if option.get("correct")]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_seeds", 0), ("heads", 5), ("least", 17), ("least", 0), ("learning_rate", 0.0), ("edit_rate", 0.0), ("warm_up", -1),
        ("weight", -0.1), ("probes", 1), ("judged", 1),
        ("glanced", 1), ("follow", 1.0), ("pair_share", 2.0), ("symbols", 2), ("chains", 0),
    ],
)  # fmt: skip
def test_bad_configs_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}="):
        dataclasses.replace(experiment.BOOK, **{field: value})  # type: ignore[arg-type]  # on purpose
