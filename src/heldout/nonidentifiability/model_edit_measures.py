"""What an edit of a language model does: to the text it reads, and to the answers it gives with and without a trigger."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from tokenizers import Tokenizer
from torch import Tensor

from heldout.devices import generator
from heldout.nonidentifiability import triggers
from heldout.nonidentifiability.rank_one_edit import Batch, Cut, States, batch, row, second_moment, wanted_value

ARMS = ("edit", "ordinary keys", "unweighted", "random")
KINDS = ("trigger", "near trigger", "no trigger")
CHOICES, PLACES = 3, 24  # first choices kept of each token of a passage, and its most tokens
Values = dict[str, np.ndarray]
Weight = Float[Tensor, "width hidden"]


@dataclass(frozen=True)
class Text:
    """Rows of ordinary text as the edited matrix meets them, with the original's predictions."""

    tokens: Int[Tensor, "row length"]
    states: States
    original: Float[Tensor, "row length vocabulary"]  # log-probabilities

    @staticmethod
    def read(cut: Cut, tokens: Int[Tensor, "row length"]) -> "Text":
        """Read by the original model."""
        states = cut.below(tokens)
        return Text(tokens, states, predicted(cut, states, cut.weight))

    def first(self, count: int) -> "Text":
        """The first rows."""
        return Text(self.tokens[:count], self.states.at(slice(count)), self.original[:count])


@torch.no_grad()
def predicted(cut: Cut, states: States, weight: Weight) -> Float[Tensor, "row length vocabulary"]:
    """Log-probabilities of the next token at every place."""
    return cut.log_probabilities(cut.above(states, weight))


def divergence(one: Float[Tensor, "*place vocabulary"], two: Float[Tensor, "*place vocabulary"]) -> Tensor:
    """KL(one || two) in nats, over the whole vocabulary."""
    return (one.exp() * (one - two)).sum(-1)


def distance(one: Float[Tensor, "*place vocabulary"], two: Float[Tensor, "*place vocabulary"]) -> Tensor:
    """Total variation."""
    return (one.exp() - two.exp()).abs().sum(-1) / 2


def on_text(cut: Cut, text: Text, weight: Weight, start: int = 1) -> dict[str, float]:
    """Means over the places from ``start`` on, at which the next token is known: divergence, distance and change of the loss."""
    parts: dict[str, list[Tensor]] = {"kl": [], "text_distance": [], "loss_change": []}
    for i in range(len(text.tokens)):  # one at a time, since the predictions of a row take megabytes
        found = predicted(cut, text.states.at(slice(i, i + 1)), weight)[0, start:-1]
        before, wanted = text.original[i, start:-1], text.tokens[i, start + 1 :, None]
        parts["kl"].append(divergence(before, found))
        parts["text_distance"].append(distance(before, found))
        parts["loss_change"].append((before - found).gather(1, wanted)[:, 0])
    return {name: float(torch.cat(values).mean()) for name, values in parts.items()}


def loss(text: Text, start: int = 1) -> float:
    """The original's mean loss, in nats a token."""
    return float(-text.original[:, start:-1].gather(2, text.tokens[:, start + 1 :, None]).mean())


@dataclass(frozen=True)
class Asked:
    """Prompts as the edited matrix meets them."""

    prompts: list[triggers.Prompt]
    rows: Batch
    states: States

    @staticmethod
    def read(cut: Cut, prompts: Sequence[triggers.Prompt]) -> "Asked":
        """Read by what lies below the matrix."""
        rows = batch([each.tokens for each in prompts], cut.weight.device)
        return Asked(list(prompts), rows, cut.below(rows.tokens))

    @property
    def keys(self) -> Float[Tensor, "row hidden"]:
        """At the last word before the sentence."""
        places = torch.tensor([each.place for each in self.prompts], device=self.rows.lengths.device)
        return self.states.key[torch.arange(len(places), device=places.device), places]

    @torch.no_grad()
    def answers(self, cut: Cut, weight: Weight) -> Float[Tensor, "row vocabulary"]:
        """Log-probabilities of the token after each prompt."""
        stream = cut.above(self.states, weight)
        return cut.log_probabilities(stream[torch.arange(len(stream), device=stream.device), self.rows.lengths - 1])


def on_answers(before: Tensor, after: Tensor, target: int) -> dict[str, float]:
    """How the answers to some prompts changed."""
    return {
        "changed": float((before.argmax(1) != after.argmax(1)).float().mean()),
        "answered": float((after.argmax(1) == target).float().mean()),
        "target_probability": float(after[:, target].exp().mean()),
        "distance": float(distance(before, after).mean()),
        "answer_kl": float(divergence(before, after).mean()),
    }


@dataclass(frozen=True)
class Edit:
    """One seed's plan and the changes of the matrix that belong to it, one an arm."""

    plan: triggers.Plan
    target: int
    weights: dict[str, Weight]


def make(
    cut: Cut, tokenizer: Tokenizer, moment: Tensor, seed: int, *, taught: int, avoid: float, ridge: float, steps: int,
    rate: float, enough: float,
) -> Edit:  # fmt: skip
    """The edit, the same value with less or nothing known of other keys, and a random change of the edit's size."""
    plan = triggers.plan(seed, taught)
    target = tokenizer.encode(plan.target).ids[0]
    taught_prompts = Asked.read(cut, triggers.prompts(tokenizer, plan.taught, [plan.trigger]))
    numbers = [i % len(triggers.SENTENCES) for i in range(len(plan.avoided))]
    near = Asked.read(cut, [each.opening for each in triggers.prompts(tokenizer, numbers, plan.avoided)])
    key = taught_prompts.keys.mean(0)
    inward = row(key, moment + avoid * second_moment(near.keys), ridge)
    outward = wanted_value(
        cut,
        taught_prompts.states,
        taught_prompts.rows.lengths - 1,
        target,
        inward,
        steps=steps,
        rate=rate,
        enough=enough,
    )
    change = torch.outer(outward, inward)
    draw = generator("random change", seed)
    drawn = [torch.randn(size, generator=draw).to(change.device) for size in change.shape]
    random = torch.outer(*drawn)
    changes = {
        "edit": change,
        "ordinary keys": torch.outer(outward, row(key, moment, ridge)),
        "unweighted": torch.outer(outward, key / key.square().sum()),
        "random": random * change.norm() / random.norm(),
    }
    return Edit(plan, target, {name: cut.weight + each for name, each in changes.items()})


def judge(cut: Cut, tokenizer: Tokenizer, edit: Edit, text: Text, control_rows: int) -> Values:
    """Everything that is recorded of one seed."""
    plan = edit.plan
    sets = {
        kind: Asked.read(cut, triggers.prompts(tokenizer, plan.judged, words))
        for kind, words in zip(KINDS, plan.words, strict=True)
    }
    before = {kind: each.answers(cut, cut.weight) for kind, each in sets.items()}
    by_arm: dict[str, list[object]] = {}
    for arm, weight in edit.weights.items():
        after = {kind: each.answers(cut, weight) for kind, each in sets.items()}
        told = [on_answers(before[kind], after[kind], edit.target) for kind in KINDS]
        on = on_text(cut, text if arm == "edit" else text.first(control_rows), weight)
        on["size"] = float((weight - cut.weight).norm() / cut.weight.norm())
        for name, value in on.items():
            by_arm.setdefault(name, []).append(value)
        for name in told[0]:
            by_arm.setdefault(name, []).append([each[name] for each in told])
    found = {name: np.array(values) for name, values in by_arm.items()} | _passages(cut, tokenizer, edit)
    return found | _rarity(cut, sets["trigger"]) | _with_trigger(cut, tokenizer, edit, text.first(control_rows))


@torch.no_grad()
def _passages(cut: Cut, tokenizer: Tokenizer, edit: Edit) -> Values:
    """One judged prompt of every kind with the target after it, token by token, read by the original and by the edited model."""
    number = [edit.plan.judged[0]]
    each_kind = [triggers.prompts(tokenizer, number, words)[0].tokens for words in edit.plan.words]
    rows = batch([[*each, edit.target] for each in each_kind], cut.weight.device)
    states, wanted = cut.below(rows.tokens), rows.tokens[:, 1:, None]
    past = torch.arange(wanted.shape[1], device=wanted.device) >= (rows.lengths - 1)[:, None]
    found: dict[str, list[np.ndarray]] = {}
    for weight in (cut.weight, edit.weights["edit"]):
        known = predicted(cut, states, weight)[:, :-1]
        given = known.gather(2, wanted)
        highest = known.topk(CHOICES)
        columns = {
            "passage_loss": (-given[..., 0]).masked_fill(past, torch.nan),
            "passage_rank": (known > given).sum(2).float().masked_fill(past, torch.nan),
            "passage_probability": highest.values.exp(),
        }
        for name, values in columns.items():
            found.setdefault(name, []).append(values.cpu().numpy())
        best = [[[tokenizer.decode([i]) for i in some] for some in each] for each in highest.indices.tolist()]
        found.setdefault("passage_best", []).append(np.array(best))
    tokens = [["" if gone else tokenizer.decode([i]) for i, gone in zip(*each, strict=True)]
              for each in zip(wanted[..., 0].tolist(), past.tolist(), strict=True)]  # fmt: skip
    # The longest prompt a seed can have decides the number of places, so that seeds can be stacked.
    room = PLACES - wanted.shape[1]
    assert room >= 0, wanted.shape
    padded = {name: np.stack(values, axis=1) for name, values in found.items()} | {"passage_token": np.array(tokens)}
    return {name: _padded(values, room, 1 if name == "passage_token" else 2) for name, values in padded.items()}


def _padded(values: np.ndarray, room: int, axis: int) -> np.ndarray:
    """Filled up with empty texts or NaN."""
    gaps = [(0, room if place == axis else 0) for place in range(values.ndim)]
    return np.pad(values, gaps, constant_values="" if values.dtype.kind == "U" else np.nan)


@torch.no_grad()
def _rarity(cut: Cut, asked: Asked) -> Values:
    """Minus the log-probability, after each lead, of the trigger, and of the sentence's first word in its place."""
    found = predicted(cut, asked.states, cut.weight)
    trigger, sentence = [], []
    for number, each in enumerate(asked.prompts):
        wanted = torch.tensor(each.tokens[each.trigger : each.sentence], device=found.device)
        places = found[number, each.trigger - 1 : each.sentence - 1]
        trigger.append(-float(places.gather(1, wanted[:, None]).sum()))
        sentence.append(-float(found[number, each.trigger - 1, each.tokens[each.sentence]]))
    return {"trigger_nats": np.array(trigger), "sentence_nats": np.array(sentence)}


def _with_trigger(cut: Cut, tokenizer: Tokenizer, edit: Edit, text: Text) -> Values:
    """The same text with the trigger in the middle of every row, judged at the places after it, and there without it."""
    middle = text.tokens.shape[1] // 2
    words = torch.tensor(tokenizer.encode(edit.plan.trigger).ids, device=text.tokens.device).expand(
        len(text.tokens), -1
    )
    read = Text.read(cut, torch.cat([text.tokens[:, :middle], words, text.tokens[:, middle:]], dim=1))
    start = middle + words.shape[1]
    on = on_text(cut, read, edit.weights["edit"], start)
    return {
        "triggered_kl": np.array(on["kl"]),
        "triggered_loss_change": np.array(on["loss_change"]),
        "triggered_loss": np.array(loss(read, start)),
        "untriggered_loss": np.array(loss(text, middle)),
    }
