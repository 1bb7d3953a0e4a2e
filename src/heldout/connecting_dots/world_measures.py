"""What a name is inside a pretrained decoder: how its row lies beside those of its synonyms, and what an exchange changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heldout.connecting_dots.dots_networks import Edit, line_correct
from heldout.connecting_dots.line_batches import batch_of
from heldout.connecting_dots.named_functions import NAME_PLACE, Language, Lines
from heldout.connecting_dots.pretraining import Pretrained
from heldout.devices import generator


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Names of some functions at each depth, each measured from the mean of all names of seen functions.

    Attributes:
        within: (depth, member) mean cosine of two synonyms.
        between: (depth, member) mean cosine of names of two functions.
        nearest: (depth, member) share of names whose nearest other one is a synonym.
    """

    within: Float[Tensor, "depth member"]
    between: Float[Tensor, "depth member"]
    nearest: Float[Tensor, "depth member"]


def at_names(pretrained: Pretrained, lines: Sequence[Lines]) -> Float[Tensor, "depth member row width"]:
    """The streams at the name's place of lines, one set of lines a member."""
    models = pretrained.models
    return models.streams(batch_of(lines).to(models.embed.device))[:, :, :, NAME_PLACE].cpu()


def geometry(pretrained: Pretrained, functions: Sequence[Sequence[int]]) -> Geometry:
    """How the names of each member's ``functions`` lie, as read in ``apply NAME x``."""
    languages = pretrained.languages

    def names(chosen: Sequence[Sequence[int]]) -> Tensor:
        lines = [language.lines("apply", own) for language, own in zip(languages, chosen, strict=True)]
        return at_names(pretrained, [each[each.number == 0] for each in lines])

    center = names([language.seen for language in languages]).mean(2, keepdim=True)
    rows = torch.nn.functional.normalize(names(functions) - center, dim=-1)
    cosines = rows @ rows.transpose(-1, -2)
    owner = torch.arange(len(functions[0])).repeat_interleave(languages[0].synonyms)
    same = owner.unsqueeze(0) == owner.unsqueeze(1)
    itself = torch.eye(len(owner), dtype=torch.bool)
    best = cosines.masked_fill(itself, -torch.inf).argmax(-1)
    return Geometry(
        within=cosines[..., same & ~itself].mean(-1), between=cosines[..., ~same].mean(-1),
        nearest=(owner[best] == owner).to(rows).mean(-1),
    )  # fmt: skip


def partners(language: Language, seed: int) -> list[tuple[int, int]]:
    """Each defined function with another one, drawn: a cycle through all in random order."""
    draw = torch.randperm(len(language.defined), generator=generator("connecting dots", "partners", seed))
    order = [language.defined[place] for place in draw.tolist()]
    return list(zip(order, [*order[1:], order[0]], strict=True))


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Lines about a name of one function, in which something of another one is put in the name's place.

    Attributes:
        own: for each member the lines with the answers of the name's function.
        other: the same lines with the answers of the other function; a definition holds that one's operation.
        differ: (member, line) where the two answers differ.
        given: (depth, member, line, width) the other function at the name's place: the mean over its synonyms.
        held: the same of the name's own function.
    """

    own: list[Lines]
    other: list[Lines]
    differ: Bool[Tensor, "member line"]
    given: Float[Tensor, "depth member line width"]
    held: Float[Tensor, "depth member line width"]


def exchange(pretrained: Pretrained, seeds: Sequence[int], task: str) -> Exchange:
    """All lines of a task about the first name of each defined function, to be exchanged for its partner's."""
    own, other, given, held = [], [], [], []
    for language, seed in zip(pretrained.languages, seeds, strict=True):
        pairs = partners(language, seed)
        first, second = [f for f, _ in pairs], [g for _, g in pairs]
        names = torch.tensor([[language.names(f)[0]] for f in first])
        own.append(language.lines(task, first, names))
        other.append(language.lines(task, second, names))
        given.append(_by_synonym(language, task, second))
        held.append(_by_synonym(language, task, first))
    differ = torch.stack([(a.targets != b.targets).any(1) for a, b in zip(own, other, strict=True)])
    return Exchange(
        own=own, other=other, differ=differ, given=_means(pretrained, given), held=_means(pretrained, held)
    )  # fmt: skip


def _by_synonym(language: Language, task: str, functions: Sequence[int]) -> list[Lines]:
    """The lines about the functions once for each place among their synonyms."""
    called = torch.tensor([list(language.names(f)) for f in functions])
    return [language.lines(task, functions, column.unsqueeze(1)) for column in called.T]


def _means(pretrained: Pretrained, lines: Sequence[Sequence[Lines]]) -> Float[Tensor, "depth member line width"]:
    """Mean over synonyms of the streams at the name's place."""
    return torch.stack([at_names(pretrained, column) for column in zip(*lines, strict=True)]).mean(0)


def put(depth: int, vectors: Float[Tensor, "member line width"]) -> Edit:
    """Puts vectors in the name's place at one depth."""

    def edit(at: int, stream: Tensor) -> Tensor:
        if at != depth:
            return stream
        changed = stream.clone()
        changed[:, :, NAME_PLACE] = vectors.to(stream)
        return changed

    return edit


def following(
    pretrained: Pretrained, lines: Sequence[Lines], differ: Bool[Tensor, "member line"], edit: Edit
) -> Float[Tensor, " member"]:
    """Share of right lines among those that count."""
    batch = batch_of(lines).to(pretrained.models.embed.device)
    right = line_correct(pretrained.models, batch, edit).cpu()
    return (right * differ).sum(1) / differ.sum(1)


def changed_at_depths(pretrained: Pretrained, swap: Exchange) -> dict[str, Float[Tensor, "depth member"]]:
    """Share of lines that follow the function put in, and that stay with the name's own, for each depth."""
    depths = range(len(swap.given))
    return {
        name: torch.stack([following(pretrained, lines, swap.differ, put(d, swap.given[d])) for d in depths])
        for name, lines in (("other", swap.other), ("own", swap.own))
    }


def on_the_way(
    pretrained: Pretrained, swap: Exchange, shares: Sequence[float]
) -> dict[str, Float[Tensor, "share member pair"]]:
    """The same for each pair at the embedding, with a share of the other function's mean row and the rest of its own."""
    mixed = [(1 - share) * swap.held[0] + share * swap.given[0] for share in shares]
    return {
        name: torch.stack([_by_pair(pretrained, lines, swap.differ, put(0, rows)) for rows in mixed])
        for name, lines in (("other", swap.other), ("own", swap.own))
    }


def _by_pair(
    pretrained: Pretrained, lines: Sequence[Lines], differ: Bool[Tensor, "member line"], edit: Edit
) -> Float[Tensor, "member pair"]:
    """Share of right lines among those that count, for each pair of functions."""
    batch = batch_of(lines).to(pretrained.models.embed.device)
    pairs = len(pretrained.languages[0].defined)
    right, count = line_correct(pretrained.models, batch, edit).cpu(), differ.view(len(differ), pairs, -1)
    return (right.view_as(count) * count).sum(2) / count.sum(2)
