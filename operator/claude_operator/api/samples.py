"""Answers of live traffic that a gateway has sampled for grading, as they travel in JSON: `GET /-/samples`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.gateway import Count, Counted, Role, Text, Wire

__all__ = [
    "LONGEST_PART",
    "LONGEST_TROUBLE",
    "MOST_SAMPLES",
    "SAMPLES_PATH",
    "GraderNote",
    "Sample",
    "SampledAnswer",
    "SampledCall",
    "Samples",
    "parse_samples",
]

SAMPLES_PATH = "/-/samples"
MOST_SAMPLES = 64
"""Samples of an arm that a gateway process keeps."""
LONGEST_TROUBLE = 300
"""Characters of what a grader says of its trouble."""
LONGEST_PART = 32 * 1024
"""Bytes of JSON that a sample has of the question, and of the answer."""


class GraderNote(Wire, frozen=True):
    """What is known of who grades the samples."""

    asked: Annotated[float, msgspec.Meta(ge=0.0)]
    """Seconds since it asked for samples."""
    trouble: Text = ""
    """What keeps it from grading, in its own words."""


class SampledCall(Wire, frozen=True):
    """A call of a tool in a sampled answer; `input` is JSON as text."""

    name: Text
    input: str = ""


class SampledAnswer(Wire, frozen=True):
    """What the model answered."""

    text: str
    stop_reason: Text
    model: Text
    calls: list[SampledCall] = []
    usage: dict[str, Any] = {}


class Sample(Wire, frozen=True):
    """An answer of live traffic that is to be graded, with the question. Only a gateway's memory has it."""

    id: Text
    revision: Text
    role: Role
    surface: Text
    conversation: Text
    """Stands for the conversation under this revision: the same in every gateway process."""
    at: float
    """Unix time of the answer's end."""
    messages: list[Any]
    """The client's messages, the last of them where there are too many; what is not text has lost its data."""
    answer: SampledAnswer
    cut_question: bool = False
    """Whether earlier messages or a part of the last one are left out."""
    cut_answer: bool = False
    """Whether the answer is not whole."""


class Samples(Wire, frozen=True):
    """What a gateway process hands out and forgets: the answer to `GET /-/samples?canary=N&stable=N&after=CURSOR`.

    N is how many of each arm are wanted. `&trouble=` says what keeps the grader from grading. CURSOR is `next` of the
    answer before, from the same process. A request with any other, an empty one or one that was used before, gets no
    samples, and learns `next`.
    """

    pod: Text
    generation: Count
    next: Text
    sampling: bool = False
    """Whether answers are sampled now."""
    samples: Annotated[list[Sample], msgspec.Meta(max_length=4 * MOST_SAMPLES)] = []
    conversations: Counted = {}
    """By revision: conversations that had their first answer that could be sampled, since the last answer."""
    dropped: Counted = {}
    """By revision: samples that were dropped since then, too old or too many."""


def parse_samples(data: bytes) -> Samples:
    """Read samples; raises `ValueError`."""
    return decode(data, Samples, "samples")
