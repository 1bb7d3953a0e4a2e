"""What a name is inside a pretrained decoder: how its row lies beside those of its synonyms, and what an exchange changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heldout.connecting_dots.dots_networks import Edit, line_correct
from heldout.connecting_dots.line_batches import batch_of
from heldout.connecting_dots.named_functions import NAME_PLACE, Language, Lines
from heldout.connecting_dots.pretraining import Pretrained, accuracy
from heldout.devices import generator

GROUPS = ("defined", "silent", "undefined", "unseen")


def right_by_group(pretrained: Pretrained, tasks: Sequence[str]) -> Float[Tensor, "group task member"]:
    """Share of lines right: defined names, names left out of definitions (silent), names of the other two kinds of function."""
    found = []
    for group in GROUPS:
        functions = [getattr(each, "defined" if group == "silent" else group) for each in pretrained.languages]
        places = places_of(pretrained.languages[0], group)
        right = accuracy(pretrained.models, pretrained.languages, functions, tasks=tasks)
        found.append(torch.stack([right[task][:, :, places].mean((1, 2, 3)) for task in tasks]))
    return torch.stack(found)


def places_of(language: Language, group: str) -> list[int]:
    """Places among a function's synonyms that belong to a group."""
    told = language.told("define")
    rest = [place for place in range(language.synonyms) if place not in told]
    return {"defined": told, "silent": rest}.get(group, list(range(language.synonyms)))


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Names by group at each depth, each measured from the mean of all names shown in pretraining.

    Attributes:
        within: (group, depth, member) mean cosine of a name and a synonym.
        between: (group, depth, member) mean cosine of a name and a name of another function.
        nearest: (group, depth, member) share of names whose nearest other one is a synonym, among all names shown; for names
            that were never shown, among those.
        beside_defined: (depth, member) share of silent names to which, of all names that a line defines, a synonym's is nearest.
    """

    within: Float[Tensor, "group depth member"]
    between: Float[Tensor, "group depth member"]
    nearest: Float[Tensor, "group depth member"]
    beside_defined: Float[Tensor, "depth member"]


def at_names(pretrained: Pretrained, lines: Sequence[Lines]) -> Float[Tensor, "depth member row width"]:
    """The streams at the name's place of lines, one set of lines a member."""
    models = pretrained.models
    return models.streams(batch_of(lines).to(models.embed.device))[:, :, :, NAME_PLACE].cpu()


def geometry(pretrained: Pretrained) -> Geometry:
    """How the names of each group lie, as read in ``apply NAME x``."""
    shown, unseen = (_named(pretrained, kind) for kind in ("seen", "unseen"))
    center = shown.mean(2, keepdim=True)
    by_member = [
        _of_member(language, shown[:, m] - center[:, m], unseen[:, m] - center[:, m])
        for m, language in enumerate(pretrained.languages)
    ]
    parts = [torch.stack(part, -1) for part in zip(*by_member, strict=True)]
    return Geometry(within=parts[0], between=parts[1], nearest=parts[2], beside_defined=parts[3])


def _named(pretrained: Pretrained, kind: str) -> Float[Tensor, "depth member name width"]:
    """All names of a kind of functions, function by function."""
    lines = [language.lines("apply", getattr(language, kind)) for language in pretrained.languages]
    return at_names(pretrained, [each[each.number == 0] for each in lines])


def _of_member(
    language: Language, shown: Float[Tensor, "depth name width"], unseen: Float[Tensor, "depth other width"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One member's part of :class:`Geometry`."""
    found: dict[str, list[Tensor]] = {"within": [], "between": [], "nearest": []}
    beside = torch.full((len(shown),), torch.nan)
    for group in GROUPS:
        rows, functions = (unseen, language.unseen) if group == "unseen" else (shown, language.seen)
        rows = torch.nn.functional.normalize(rows, dim=-1)
        owner = torch.tensor(functions).repeat_interleave(language.synonyms)
        cosines, same = rows @ rows.transpose(1, 2), owner.unsqueeze(0) == owner.unsqueeze(1)
        itself, mine = torch.eye(len(owner), dtype=torch.bool), _members(language, group, owner).unsqueeze(1)
        found["within"].append(cosines[:, mine & same & ~itself].mean(-1))
        found["between"].append(cosines[:, mine & ~same].mean(-1))
        best = cosines.masked_fill(itself, -torch.inf).argmax(-1)
        found["nearest"].append((owner[best] == owner)[:, mine[:, 0]].to(rows).mean(-1))
        if group == "silent":
            told = _members(language, "defined", owner)
            best = cosines.masked_fill(~told, -torch.inf).argmax(-1)
            beside = (owner[best] == owner)[:, mine[:, 0]].to(rows).mean(-1)
    within, between, nearest = (torch.stack(part) for part in found.values())
    return within, between, nearest, beside


def _members(language: Language, group: str, owner: Tensor) -> Bool[Tensor, " name"]:
    """Which of some functions' names, function by function, are of a group."""
    kind = getattr(language, "defined" if group == "silent" else group)
    place = torch.arange(len(owner)) % language.synonyms
    return torch.isin(owner, torch.tensor(kind)) & torch.isin(place, torch.tensor(places_of(language, group)))


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


@torch.no_grad()
def word_by_word(pretrained: Pretrained, swap: Exchange) -> dict[str, Float[Tensor, "word depth member"]]:
    """Definitions after an exchange: of the pairs that differ in a word, the share in which it is either function's.

    The first word is the operation; the second, the constant, is asked after the other function's operation.
    """
    batch = batch_of(swap.other).to(pretrained.models.embed.device)
    wanted = {
        "other": torch.stack([lines.targets for lines in swap.other]), "own": torch.stack([lines.targets for lines in swap.own]),
    }  # fmt: skip
    answers = {name: targets[targets >= 0].view(len(targets), -1, 2) for name, targets in wanted.items()}
    differ = answers["own"] != answers["other"]
    found: dict[str, list[Tensor]] = {name: [] for name in answers}
    for depth, given in enumerate(swap.given):
        best = pretrained.models.answers(batch, edit=put(depth, given)).argmax(-1).cpu().view_as(differ)
        for name, own in answers.items():
            found[name].append((((best == own) & differ).sum(1) / differ.sum(1)).T)
    return {name: torch.stack(parts, 1) for name, parts in found.items()}


def on_the_way(
    pretrained: Pretrained, swap: Exchange, shares: Sequence[float]
) -> dict[str, Float[Tensor, "share member pair"]]:
    """The same for each pair at the embedding, with a share of the other function's mean row and the rest of its own."""
    mixed = [(1 - share) * swap.held[0] + share * swap.given[0] for share in shares]
    return {
        name: torch.stack([_by_pair(pretrained, lines, swap.differ, put(0, rows)) for rows in mixed])
        for name, lines in (("other", swap.other), ("own", swap.own))
    }


def half_exchanged(
    pretrained: Pretrained, swap: Exchange, seeds: Sequence[int], draws: int
) -> Float[Tensor, "draw member pair"]:
    """Share of answers that are the other function's when half of the row is, an answer of neither counting one half.

    Which half: the part in a subspace of half the dimensions, drawn for each seed and draw, the same for all tasks.
    """
    width, found = swap.held.shape[-1], []
    for draw in range(draws):
        part = torch.stack([_projection(width, seed, draw) for seed in seeds]).to(swap.held)
        rows = put(0, swap.held[0] + (swap.given[0] - swap.held[0]) @ part)
        other, own = (_by_pair(pretrained, lines, swap.differ, rows) for lines in (swap.other, swap.own))
        found.append((1 + other - own) / 2)
    return torch.stack(found)


def _projection(width: int, seed: int, draw: int) -> Float[Tensor, "width width"]:
    """Onto a random subspace of half the dimensions."""
    drawn = generator("connecting dots", "half", seed, draw)
    basis = torch.linalg.qr(torch.randn(width, width // 2, generator=drawn, dtype=torch.float64))[0]
    projection: Tensor = basis @ basis.T
    return projection


def _by_pair(
    pretrained: Pretrained, lines: Sequence[Lines], differ: Bool[Tensor, "member line"], edit: Edit
) -> Float[Tensor, "member pair"]:
    """Share of right lines among those that count, for each pair of functions."""
    batch = batch_of(lines).to(pretrained.models.embed.device)
    pairs = len(pretrained.languages[0].defined)
    right, count = line_correct(pretrained.models, batch, edit).cpu(), differ.view(len(differ), pairs, -1)
    return (right.view_as(count) * count).sum(2) / count.sum(2)
