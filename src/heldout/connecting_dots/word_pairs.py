"""Word relations in common English words, each a list of pairs; every word is one token of SmolLM2 after a space.

The families share inputs and the kind of their answers: next, previous and same have the same words on both sides, opposite
and synonym the same inputs and adjectives as answers. The lists are this book's.
"""

from heldout.experiment import require

Pairs = tuple[tuple[str, str], ...]


def _pairs(text: str) -> Pairs:
    halves = [pair.split() for pair in text.split(",")]
    return tuple((first, second) for first, second in halves)


_CYCLES = (
    "January February March April May June July August September October November December",
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
)
_ROWS = ("one two three four five six seven eight", "first second third fourth fifth")  # their ends are answers alone


def _moved(by: int) -> Pairs:
    found = []
    for words in map(str.split, _CYCLES):
        found += [(word, words[(place + by) % len(words)]) for place, word in enumerate(words)]
    for words in map(str.split, _ROWS):
        found += [(words[place], words[place + by]) for place in range(1, len(words) - 1)]
    return tuple(found)


RELATIONS: dict[str, Pairs] = {
    "capital": _pairs(
        "France Paris,Italy Rome,Japan Tokyo,China Beijing,Russia Moscow,Spain Madrid,Germany Berlin,England London,Egypt Cairo,"
        "Greece Athens,Cuba Havana,Iran Tehran,Iraq Baghdad,Ireland Dublin,Norway Oslo,Sweden Stockholm,Finland Helsinki,"
        "Denmark Copenhagen,Poland Warsaw,Austria Vienna,Hungary Budapest,Portugal Lisbon,Syria Damascus,Kenya Nairobi,Peru Lima,"
        "Chile Santiago,Belgium Brussels,Canada Ottawa"
    ),
    "nationality": _pairs(
        "France French,Italy Italian,Japan Japanese,China Chinese,Russia Russian,Spain Spanish,Germany German,England English,"
        "Egypt Egyptian,Greece Greek,Cuba Cuban,Iran Iranian,Iraq Iraqi,Ireland Irish,Norway Norwegian,Sweden Swedish,"
        "Finland Finnish,Denmark Danish,Poland Polish,Austria Austrian,Hungary Hungarian,Portugal Portuguese,Syria Syrian,"
        "Kenya Kenyan,Peru Peruvian,Chile Chilean,Belgium Belgian,Canada Canadian"
    ),
    "plural": _pairs(
        "cat cats,dog dogs,car cars,book books,tree trees,house houses,child children,man men,woman women,foot feet,city cities,"
        "bird birds,horse horses,hand hands,word words,baby babies,country countries,box boxes,king kings,river rivers,"
        "door doors,student students,leaf leaves,wife wives,mouse mice,eye eyes,ship ships,class classes"
    ),
    "past": _pairs(
        "go went,see saw,take took,make made,give gave,run ran,eat ate,come came,know knew,think thought,find found,tell told,"
        "write wrote,speak spoke,buy bought,bring brought,teach taught,grow grew,sing sang,drink drank,break broke,drive drove,"
        "fall fell,feel felt,keep kept,sell sold,walk walked,look looked"
    ),
    "comparative": _pairs(
        "big bigger,small smaller,fast faster,slow slower,tall taller,short shorter,long longer,old older,young younger,"
        "strong stronger,weak weaker,high higher,low lower,good better,bad worse,hot hotter,cold colder,warm warmer,hard harder,"
        "soft softer,easy easier,dark darker,rich richer,deep deeper,wide wider,large larger,cheap cheaper,heavy heavier"
    ),
    "opposite": _pairs(
        "big small,fast slow,old young,strong weak,good bad,rich poor,easy difficult,wide narrow,happy sad,near far,right wrong,"
        "sick healthy,smart stupid,huge tiny,quiet loud,brave afraid,beautiful ugly,sad happy,common rare,safe dangerous,"
        "true false,false true,clean dirty,cold hot,hot cold,angry calm,modern ancient,tall short"
    ),
    "synonym": _pairs(
        "big large,fast quick,old ancient,strong powerful,good great,rich wealthy,easy simple,wide broad,happy glad,near close,"
        "right correct,sick ill,smart clever,huge enormous,quiet silent,brave bold,beautiful pretty,sad unhappy,common usual,"
        "safe secure,true real,false fake,clean pure,cold cool,hot warm,angry mad,modern new,tall high"
    ),
    "next": _moved(1),
    "previous": _moved(-1),
    "same": _moved(0),
}  # fmt: skip
COUNT = 28  # pairs of every relation
DIFFERENT = ("capital", "nationality", "plural", "past", "comparative")  # in inputs or in the kind of answers
FAMILIES = {"order": ("next", "previous", "same"), "meaning": ("opposite", "synonym")}


def relation(name: str) -> Pairs:
    """The pairs of a relation.

    Raises:
        ValueError: there is no such relation.
    """
    require(name in RELATIONS, "relation", name, f"one of {', '.join(RELATIONS)}")
    return RELATIONS[name]
