"""Failed samples that are kept, so that a person can make items of an eval set of them."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from claude_operator.api.packing import pack, unpack
from claude_operator.api.samples import Sample
from claude_operator.core.request.privacy import without_emails

__all__ = ["LARGEST", "RETENTION", "FailedSample", "failed_sample", "kept", "pack_samples", "read_samples", "redacted"]

LARGEST = 700_000  # bytes of all that are kept, packed
RETENTION = dt.timedelta(days=30)
_UNPACKED = 64 * 1024 * 1024
_SECRET = re.compile(
    r"\b(?:sk|pk|rk)[-_][\w-]{16,}|\bgh[oprsu]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bnpm_\w{30,}|\bhf_\w{30,}"
    r"|\bxox[abeprs]-[\w-]{10,}|\bxapp-[\w-]{10,}|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
    r"|(?i:(?<=api-key: )|(?<=api_key=)|(?<=api-key=)|(?<=apikey=))[\w.~+/-]{12,}=*"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|(?<=[Bb]earer )[\w.~+/-]{16,}=*"
)


class FailedSample(msgspec.Struct, rename="camel", omit_defaults=True):
    """A live answer that failed. Neither the conversation nor the user is named."""

    id: str
    at: float
    revision: str
    role: str
    surface: str
    failed: str
    """The first check that does not hold."""
    messages: list[Any]
    answer: str
    stop_reason: str
    reason: str = ""
    """The grader's own words."""
    cut: bool = False


_decoder = msgspec.json.Decoder(FailedSample)


def redacted(value: Any) -> Any:
    """A JSON value in which no text has an e-mail address or what looks like a key."""
    if isinstance(value, str):
        return without_emails(_SECRET.sub("[key]", value))
    if isinstance(value, list):
        return [redacted(one) for one in value]
    if isinstance(value, dict):
        return {name: redacted(one) for name, one in value.items()}
    return value


def failed_sample(sample: Sample, failed: str, reason: str) -> FailedSample:
    """What is kept of a sample."""
    return FailedSample(
        id=hashlib.sha256(sample.id.encode()).hexdigest()[:12],
        at=sample.at,
        revision=sample.revision,
        role=sample.role,
        surface=sample.surface,
        failed=failed,
        messages=redacted(sample.messages),
        answer=redacted(sample.answer.text),
        stop_reason=sample.answer.stop_reason,
        reason=redacted(reason),
        cut=sample.cut_question or sample.cut_answer,
    )


def kept(samples: Sequence[FailedSample], most: int, now: float) -> list[FailedSample]:
    """The newest of them, none older than the retention and all together small enough; the oldest first."""
    oldest = now - RETENTION.total_seconds()
    chosen = [one for one in sorted(samples, key=lambda one: one.at) if one.at > oldest]
    chosen = chosen[len(chosen) - min(len(chosen), most) :]
    while chosen and len(pack_samples(chosen)) > LARGEST:
        del chosen[: max(1, len(chosen) // 8)]
    return chosen


def pack_samples(samples: Sequence[FailedSample]) -> bytes:
    """Lines of JSON in gzip."""
    return pack(b"".join(msgspec.json.encode(one) + b"\n" for one in samples))


def read_samples(data: bytes) -> list[FailedSample]:
    """Read them; raises `ValueError`."""
    try:
        return _decoder.decode_lines(unpack(data, _UNPACKED))
    except msgspec.MsgspecError as error:
        raise ValueError(f"not samples: {error}") from error
