"""Modes and seeds together against one plain model at a time with torch's own Adam, and what each mode may not touch."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heldout import devices
from heldout.connecting_dots.line_batches import SHARES, PretrainingBatches
from heldout.connecting_dots.named_functions import NAME_PLACE, Lines
from heldout.connecting_dots.observed_pairs import Split
from heldout.connecting_dots.pretraining import Pretrained, Recipe, cosine, pretrain
from heldout.connecting_dots.row_training import Mode, Tuning, by_hand, first_rows, new_lines, tune

TINY = Recipe(modulus=5, synonyms=2, undefined=2, unseen=1, width=8, heads=2, hidden=12, layers=3, steps=5, batch=24)
CPU = torch.device("cpu")
MODES = [
    Mode(row=0.02), Mode(row=0.02, rest=1e-3), Mode(rest=1e-3, last_block=True), Mode(vector=0.05, depth=1),
    Mode(vector=0.05), Mode(row=1e-3, rest=1e-3),
]  # fmt: skip


@pytest.fixture(scope="module")
def started() -> Pretrained:
    return pretrain(TINY, [0, 1], device=CPU, dtype=torch.float64)


def splits(pretrained: Pretrained, count: int = 3) -> list[Split]:
    language = pretrained.languages[0]
    return [Split.drawn(language, devices.generator("observed", member), count) for member in range(2)]


class Plain(nn.Module):
    """One member with a new row and a vector a function, written with torch's own parts and one line length."""

    def __init__(self, pretrained: Pretrained, member: int, mode: Mode, start: float) -> None:
        super().__init__()
        self.heads, self.depth, self.mode = TINY.heads, mode.depth, mode
        self.old = nn.ParameterDict(
            {name: nn.Parameter(value.detach()[member].clone()) for name, value in pretrained.models.named_parameters()}
        )
        self.rows = nn.Parameter(first_rows(pretrained, [0, 1], start)[member].clone())
        self.vectors = nn.Parameter(torch.zeros_like(self.rows))

    def groups(self) -> list[dict[str, object]]:
        """Parameters with their rates."""
        late = [value for name, value in self.old.items() if name.startswith("unembed") or "2" in name]
        chosen = late if self.mode.last_block else list(self.old.values())
        named = ((chosen, self.mode.rest), ([self.rows], self.mode.row), ([self.vectors], self.mode.vector))
        return [{"params": values, "lr": rate} for values, rate in named if rate]

    def forward(self, tokens: Tensor, functions: Tensor, noise: Tensor) -> Tensor:
        table = torch.cat([self.old["embed"], self.rows])
        stream = table[tokens] + self.old["position"][: tokens.shape[1]]
        extra = torch.zeros_like(stream)
        extra[: len(noise), NAME_PLACE] = noise
        stream = stream + extra
        for layer in range(TINY.layers):
            if layer == self.depth:
                given = torch.zeros_like(stream)
                given[: len(functions), NAME_PLACE] = self.vectors[functions]
                stream = stream + given
            parts = self.linear(f"attend{layer}", functional.layer_norm(stream, (8,))).chunk(3, -1)
            query, key, value = (torch.stack(part.chunk(self.heads, -1), 1) for part in parts)
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            stream = stream + self.linear(f"mix{layer}", torch.cat(list(mixed.unbind(1)), -1))
            inner = functional.gelu(self.linear(f"widen{layer}", functional.layer_norm(stream, (8,))))
            stream = stream + self.linear(f"narrow{layer}", inner)
        return self.linear("unembed", functional.layer_norm(stream, (8,)))

    def linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.old[name].T, self.old[f"{name}_bias"][0])


def alone(pretrained: Pretrained, member: int, mode: Mode, tuning: Tuning, split: Split) -> Plain:
    model = Plain(pretrained, member, mode, tuning.start)
    make = [devices.generator("connecting dots", "tuning", name, member) for name in ("noise", "lines", "replay")]
    every = new_lines(pretrained, "apply")
    observed = every[split.observed[every.function, every.number]]
    replayed = PretrainingBatches([pretrained.languages[member]], [make[2]], SHARES, tuning.replay)
    spread = float(pretrained.models.name_spread()[member])
    optimizer = torch.optim.Adam(model.groups(), betas=(0.9, 0.98))
    rates = [group["lr"] for group in optimizer.param_groups]
    for step in range(tuning.steps):
        lines: Lines = observed[torch.rand(len(observed), generator=make[1]).argsort()[: tuning.lines]]
        old = replayed.draw()
        named = len(lines) + old.named
        noise = torch.randn(named, 8, generator=make[0], dtype=torch.float64) * tuning.noise * spread
        logits = model(lines.tokens, lines.function, noise[: len(lines)])
        loss = functional.cross_entropy(logits.flatten(0, 1), lines.targets.flatten(), ignore_index=-1)
        again = model(old.tokens[0], lines.function[:0], noise[len(lines) :]).flatten(0, 1)[old.asked]
        loss = loss + tuning.replay_weight * functional.cross_entropy(again, old.answers[0])
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * cosine(step, tuning.steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def test_all_modes_and_seeds_together_equal_each_alone(started: Pretrained) -> None:
    tuning = Tuning(steps=6, lines=20, replay=16, replay_weight=0.5)
    own = splits(started)
    tuned = tune(started, [0, 1], own, MODES, tuning)
    count = len(started.languages[0].functions)
    for number, mode in enumerate(MODES):
        for member in range(2):
            model, place = alone(started, member, mode, tuning, own[member]), number * 2 + member
            for name, value in tuned.models.named_parameters():
                mine = value[place]
                if name == "embed":
                    torch.testing.assert_close(mine[-count:], model.rows, rtol=1e-8, atol=1e-10)
                    mine = mine[:-count]
                torch.testing.assert_close(mine, model.old[name], rtol=1e-8, atol=1e-10)
            torch.testing.assert_close(tuned.vectors[place], model.vectors, rtol=1e-8, atol=1e-10)
            for task in ("apply", "define"):
                lines = new_lines(started, task)
                logits = model(lines.tokens, lines.function, lines.tokens.new_zeros(0, 8).double())
                right = ((logits.argmax(-1) == lines.targets) | (lines.targets == -1)).all(1)
                assert tuned.correct(task)[number, member].flatten().tolist() == right.float().tolist()
                costs = functional.cross_entropy(
                    logits.transpose(1, 2), lines.targets, ignore_index=-1, reduction="none"
                ).sum(1)
                found = tuned.losses(task)[number, member].flatten()
                torch.testing.assert_close(found, costs, rtol=1e-10, atol=1e-10)


def test_row_only_needs_no_replay_and_no_gradient_elsewhere(started: Pretrained) -> None:
    """Replayed lines hold no new name: with them and without, the new rows are trained in the same way."""
    own, tuning = splits(started), Tuning(steps=4, noise=0.0)
    alone_, among = tune(started, [0, 1], own, MODES[:1], tuning), tune(started, [0, 1], own, MODES[:2], tuning)
    torch.testing.assert_close(alone_.models.embed[:2], among.models.embed[:2], rtol=1e-10, atol=1e-12)
    for name, value in started.models.named_parameters():
        assert (alone_.models.get_parameter(name)[:, : value.shape[1]] == value).all(), name


def test_by_hand_is_the_mean_of_the_synonyms(started: Pretrained) -> None:
    tuned, language = by_hand(started), started.languages[0]
    for function in range(len(language.functions)):
        names = list(language.names(function))
        expected = started.models.embed[:, names].mean(1)
        torch.testing.assert_close(tuned.models.embed[:, language.vocabulary + function], expected)
    assert tuned.correct("invert").shape == (1, 2, 11, 5)
    assert tuned.correct("define").shape == (1, 2, 11, 1)
    assert tuned.old_names()["apply"].shape == (1, 2)


def test_probes_look_before_and_after(started: Pretrained) -> None:
    seen: list[tuple[int, float]] = []
    tuning = Tuning(steps=4)
    tune(
        started, [0, 1], splits(started), MODES[:1], tuning, probe_steps=(0, 4),
        probe=lambda step, tuned: seen.append((step, float(tuned.losses().mean()))),
    )  # fmt: skip
    assert [step for step, _ in seen] == [0, 4]
    assert seen[1][1] < seen[0][1]


def test_what_cannot_be_is_refused(started: Pretrained) -> None:
    own = splits(started)
    for field, call in {
        "seeds": lambda: tune(started, [0], own, MODES, Tuning()),
        "splits": lambda: tune(started, [0, 1], own[:1], MODES, Tuning()),
        "modes": lambda: tune(started, [0, 1], own, [], Tuning()),
        "depth": lambda: tune(started, [0, 1], own, [Mode(vector=0.1, depth=3)], Tuning()),
        "rest": lambda: Mode(rest=-1.0),
        "steps": lambda: Tuning(steps=0),
        "noise": lambda: Tuning(noise=-0.1),
    }.items():
        with pytest.raises(ValueError, match=field):
            call()
