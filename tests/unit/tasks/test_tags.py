"""Token classification: words against scikit-learn, entities against seqeval."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor
from torch.nn import functional as F

from ftune.tasks.entities import marks_entities, spans
from ftune.tasks.tagging_task import TaggingTask

# What seqeval 1.2.2 reads by default: (first word, word after the last, kind).
READ_BY_SEQEVAL: dict[str, list[tuple[int, int, str]]] = {
    "B-P I-P O B-L": [(0, 2, "P"), (3, 4, "L")],
    "B-P B-P": [(0, 1, "P"), (1, 2, "P")],
    "I-P I-P O I-P": [(0, 2, "P"), (3, 4, "P")],
    "B-P I-L": [(0, 1, "P"), (1, 2, "L")],
    "I-P I-L O": [(0, 1, "P"), (1, 2, "L")],
    "O": [],
    "B-P I-P E-P O S-L": [(0, 3, "P"), (4, 5, "L")],
    "S-P S-P": [(0, 1, "P"), (1, 2, "P")],
    "S-P I-P": [(0, 1, "P"), (1, 2, "P")],
    "S-P E-P": [(0, 1, "P"), (1, 2, "P")],
    "E-P": [(0, 1, "P")],
    "E-P E-P": [(0, 1, "P"), (1, 2, "P")],
    "E-P I-P": [(0, 1, "P"), (1, 2, "P")],
    "B-P E-L": [(0, 1, "P"), (1, 2, "L")],
    "B-P I-P S-P": [(0, 2, "P"), (2, 3, "P")],
    "I-P E-P I-P E-P": [(0, 2, "P"), (2, 4, "P")],
    "B-P O E-P": [(0, 1, "P"), (2, 3, "P")],
    "B I O B": [(0, 2, ""), (3, 4, "")],
    "S E I": [(0, 1, ""), (1, 2, ""), (2, 3, "")],
    "B-a-b I-a-b I-a-c": [(0, 2, "a-b"), (2, 3, "a-c")],
}
KINDS = ("PER", "LOC")
BIOES = ("O", *(f"{letter}-{kind}" for letter in "BIES" for kind in KINDS))
BIO = tuple(tag for tag in BIOES if tag[0] in "OBI")
IO = tuple(tag for tag in BIOES if tag[0] in "OI")
SCHEMES = {
    "BIOES": BIOES,
    "BILOU": tuple(tag.translate(str.maketrans("ES", "LU")) for tag in BIOES),
    "BMEWO": tuple(tag.translate(str.maketrans("IS", "MW")) for tag in BIOES),
    "BIO": BIO,
    "IO": IO,
}
TO_BIOES = str.maketrans("LUMW", "ESIS")
Texts = list[list[str]]


def read(tags: list[str]) -> list[tuple[int, int, str]]:
    return list(spans(tags, [0] * len(tags)))


def drawn(tags: tuple[str, ...], seed: int, texts: int = 12) -> Texts:
    """Any tag after any other, `O` a little more often."""
    chance = random.Random(seed)
    weights = [3 if tag == "O" else 1 for tag in tags]
    return [chance.choices(tags, weights, k=chance.randint(1, 9)) for _ in range(texts)]


def well_formed(letters: str, seed: int) -> list[str]:
    """Words of entities that are written in a scheme: letters for begin, inside, end, single."""
    chance, tags = random.Random(seed), list[str]()
    for _ in range(chance.randint(0, 6)):
        kind, length = chance.choice(KINDS), chance.randint(0, 4)
        begin, inside, end, single = list(letters)
        word = [begin, *[inside] * (length - 2), end] if length > 1 else [single] * length
        tags += [f"{letter}-{kind}" for letter in word] or ["O"]
    return tags or ["O"]


def in_letters(text: str) -> str:
    return text[0].translate(TO_BIOES) + text[1:]


def measured(tags: tuple[str, ...], true: Texts, guess: Texts, size: int = 5) -> dict[str, float]:
    """Metrics of whole texts in batches of `size`, as a model that is sure of `guess` gets them."""
    task = TaggingTask(tags, 0.0)
    metrics = task.metrics()
    for start in range(0, len(true), size):
        part = range(start, min(start + size, len(true)))
        y = torch.tensor([tags.index(tag) for i in part for tag in true[i]], dtype=torch.long)
        outputs = torch.tensor([tags.index(tag) for i in part for tag in guess[i]])
        row = torch.tensor([i - start for i in part for _ in true[i]])
        metrics.update(F.one_hot(outputs, len(tags)).float(), {"y": y, "row": row})
    found = metrics.compute()
    assert set(found) == set(task.directions)
    return found


def changed(true: Texts, tags: tuple[str, ...], seed: int) -> Texts:
    chance = random.Random(seed)
    return [[chance.choice(tags) if chance.random() < 0.3 else tag for tag in row] for row in true]


@pytest.mark.parametrize("text", READ_BY_SEQEVAL)
def test_entities_are_those_that_seqeval_reads(text: str) -> None:
    assert read(text.split()) == READ_BY_SEQEVAL[text]


def test_reading_bioes_as_bio_would_be_noticed() -> None:
    """The negative control: what 0.1 did, where E- and S- are no part of an entity."""
    differing = [
        text for text, entities in READ_BY_SEQEVAL.items()
        if read([tag if tag[0] in "BI" else "O" for tag in text.split()]) != entities
    ]  # fmt: skip
    assert len(differing) >= 10


def seqeval(module: str) -> Any:
    return pytest.importorskip(f"seqeval.{module}", reason="seqeval is not installed")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_entity_f1_is_seqevals(scheme: str) -> None:
    """Any sequence of tags, most of them not well formed; BILOU and BMEWO in BIOES's letters."""
    metrics, tags = seqeval("metrics"), SCHEMES[scheme]
    for seed in range(40):
        true = drawn(tags, seed)
        guess = changed(true, tags, seed)
        theirs = [[[in_letters(tag) for tag in row] for row in texts] for texts in (true, guess)]
        expected = metrics.f1_score(*theirs)
        assert measured(tags, true, guess)["entity_f1"] == pytest.approx(expected), seed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("scheme", "letters"), [("IOBES", "BIES"), ("BILOU", "BILU")])
def test_well_formed_entities_are_those_of_seqevals_strict_mode(scheme: str, letters: str) -> None:
    schemes = seqeval("scheme")
    for seed in range(40):
        tags = well_formed(letters, seed)
        strict = schemes.Entities([tags], getattr(schemes, scheme)).entities[0]
        assert read(tags) == [(one.start, one.end, one.tag) for one in strict], tags


@pytest.mark.parametrize("scheme", ["BIOES", "BILOU", "BMEWO"])
def test_one_entity_is_one_whatever_the_scheme(scheme: str) -> None:
    letters = {"BIOES": "BIES", "BILOU": "BILU", "BMEWO": "BMEW"}[scheme]
    for seed in range(20):
        tags = well_formed(letters, seed)
        assert read(tags) == read([in_letters(tag) for tag in tags])
        assert len(read(tags)) == sum(tag[0] in (letters[0], letters[3]) for tag in tags)


def test_entities_do_not_go_on_into_the_next_text() -> None:
    assert list(spans(["B-P", "I-P", "I-P"], [0, 0, 1])) == [(0, 2, "P"), (2, 3, "P")]
    true = [["B-PER", "I-PER"], ["I-PER", "E-PER"]]
    assert measured(BIOES, true, true)["entity_f1"] == 1
    wrong = [["B-PER", "I-PER"], ["B-PER", "I-PER"]]  # the same entities by other letters
    assert measured(BIOES, true, wrong)["entity_f1"] == 1


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (BIO, True), (BIOES, True), (IO, True), (("O", "S-PER", "S-LOC"), True),
        (("B", "I", "O"), True), (("B-PER", "I-PER", "O", "X"), True),
        (("NOUN", "VERB"), False), (("A", "B", "O"), False), (("O", "LONG"), False),
        (("I-PER", "O", "X"), False), (("O",), False),
    ],
)  # fmt: skip
def test_entities_are_counted_where_tags_mark_them(tags: tuple[str, ...], expected: bool) -> None:
    assert marks_entities(tags) is expected
    assert ("entity_f1" in TaggingTask(tags, 0.0).directions) is expected
    assert ("entity_f1" in TaggingTask(tags, 0.0).metrics().compute()) is expected


def test_a_tag_of_no_scheme_is_outside() -> None:
    assert read(["B-P", "X", "I-P", "Q-P"]) == [(0, 1, "P"), (2, 3, "P")]


def test_words_without_entities_score_0_as_in_seqeval_and_no_words_nothing() -> None:
    assert measured(BIO, [["O", "O"]], [["O", "O"]])["entity_f1"] == 0
    assert all(math.isnan(value) for value in measured(BIO, [], []).values())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("seed", range(10))
def test_words_are_scored_as_in_sklearn(seed: int) -> None:
    true = drawn(BIOES, seed, texts=3)
    guess = changed(true, BIOES, seed)
    found = measured(BIOES, true, guess)
    flat = [[tag for row in texts for tag in row] for texts in (true, guess)]
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(*flat))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(*flat, average="macro"))


def test_loss_and_details_are_by_word() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs: Tensor = torch.randn(30, 4, generator=generator)
    y = torch.randint(0, 4, (30,), generator=generator)
    task = TaggingTask(("B-P", "I-P", "O", "X"), 0.1)
    metrics = task.metrics()
    for part in (slice(0, 4), slice(4, 30)):  # a mean of means would weigh them alike
        metrics.update(outputs[part], {"y": y[part], "row": torch.zeros(len(y[part]))})
    expected = F.cross_entropy(outputs, y, label_smoothing=0.1)
    assert metrics.compute()["loss"] == pytest.approx(float(expected), rel=1e-6)
    scores = reference.precision_recall_fscore_support(y, outputs.argmax(1), zero_division=0)
    for index, row in enumerate(metrics.details()):
        assert [row[key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(
            [part[index] for part in scores]
        )
