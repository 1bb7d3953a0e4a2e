"""What the frozen language model can do without any new name: relations from pairs in its context, and sums by a stated rule."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from heldout.connecting_dots.frozen_reading import read, read_tokens
from heldout.connecting_dots.word_pairs import RELATIONS
from heldout.connecting_dots.word_rows import TRAINED, Names, Reader
from heldout.devices import numpy_generator
from heldout.language_model import START

RULES = (0, 3, 5, 7)  # f(x) = x + c; with c = 0 the rule is written f(x) = x
LEAST, BELOW = 10, 60  # x: two digits, and so is x + c


@torch.no_grad()
def follows(reader: Reader, context: str, asked: Sequence[str], answers: Sequence[str]) -> Bool[Tensor, " question"]:
    """Whether each answer's tokens are, one after another, first choices after the context and the question.

    Questions have equally many tokens, and so have answers. Answers are split into tokens by themselves.
    """
    embed = reader.model.embed
    past = read_tokens(reader.model, reader.tokens(START + context)[None])
    questions = torch.stack([reader.tokens(question) for question in asked])
    wanted = torch.stack([reader.tokens(answer) for answer in answers])
    past = past[torch.zeros(len(questions), dtype=torch.long, device=embed.device)]
    right = torch.ones(len(questions), dtype=torch.bool, device=embed.device)
    tokens = questions
    for place in range(wanted.shape[1]):
        stream, past = read(reader.model, functional.embedding(tokens, embed), past)
        right &= (stream @ embed.mT).argmax(-1) == wanted[:, place]
        tokens = wanted[:, place, None]
    return right


def relations_in_context(reader: Reader, names: Names, shown: int) -> Float[Tensor, "seed relation"]:
    """Share of held-out pairs right after ``shown`` of the pairs that training has, written out, without any name."""
    inputs = names.shaped(names.inputs)[:, 0]
    found = torch.zeros(inputs.shape[:2])
    for seed in range(inputs.shape[0]):
        for relation in range(inputs.shape[1]):
            first = [reader.inputs[number] for number in inputs[seed, relation].tolist()]
            answer = dict(RELATIONS[names.relations[relation]])
            lines = "".join(f"\n {word}: {answer[word]}" for word in first[:shown])
            asked, wanted = (
                [f"\n {word}:" for word in first[TRAINED:]],
                [f" {answer[w]}" for w in first[TRAINED:]],
            )
            found[seed, relation] = follows(reader, lines, asked, wanted).float().mean()
    return found


def sums(reader: Reader, seeds: Sequence[int], problems: int, shown: int) -> Float[Tensor, "seed rule"]:
    """Share of sums right with the rule stated (``shown`` = 0), or after ``shown`` pairs of it in its place."""
    found = torch.zeros(len(seeds), len(RULES))
    for number, seed in enumerate(seeds):
        for rule, c in enumerate(RULES):
            drawn = LEAST + numpy_generator("word relations", "sums", seed, c).permutation(BELOW - LEAST)
            examples = "".join(f"\nf({x}) = {x + c}" for x in drawn[problems : problems + shown])
            stated = "\nf(x) = x" + (f" + {c}" if c else "")
            asked = [f"\nf({x}) = " for x in drawn[:problems]]
            found[number, rule] = (
                follows(reader, examples or stated, asked, [str(x + c) for x in drawn[:problems]]).float().mean()
            )
    return found
