"""Connecting the dots: a model that fits every pair of a function, and can or cannot say which function it is."""

EXPERIMENTS: tuple[str, ...] = (
    "world",
    "one_row",
    "dial",
    "how_many_pairs",
    "word_relations",
    "two_languages",
    "closing_panel",
)
