"""What is known of one call; it is filled while the call runs and accounted for when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from claude_operator.api.evidence import PINNED
from claude_operator.api.gateway import Role
from claude_operator.core.request.assignment import Assignment, is_named
from claude_operator.core.request.quotes import Answer
from claude_operator.core.request.threads import Thread
from claude_operator.gateway.conversation_memory import BEFORE, Conversation, Drawn
from claude_operator.gateway.live_config import Choice, LiveConfig
from claude_operator.gateway.prompt_note import PromptNote
from claude_operator.gateway.sampled import Pending
from claude_operator.gateway.sse import AnswerSummary, SseRelay

__all__ = ["FEWEST_TOKENS", "Call"]

FEWEST_TOKENS = 32
"""Of a stream whose pace counts: shorter ones come in a read or two, so their pace tells their length."""


@dataclass(slots=True)
class Call:
    """One call. Times are seconds of a monotonic clock; `sent` and `first_content` are 0 until they happen."""

    method: str
    path: str
    began: float
    live: LiveConfig | None
    request_id: str = ""
    status: int = 0
    outcome: str = ""
    error: str = ""
    choice: Choice | None = None
    counted: bool = False
    """Whether it is a `POST /v1/messages`, the only kind that is evidence."""
    model: str = ""
    model_label: str = ""
    stream: bool = False
    surface: str = "other"
    subagent: str = ""
    session_id: str = ""
    user_id: str = ""
    conversation: str | None = None
    """What its conversation is known by, None where the arm was drawn."""
    known: Conversation | None = None
    """Its conversation, None where nothing has to be known of it."""
    is_known_by_name: bool = False
    """Whether `known` is new and found by the conversation's name."""
    moved: bool = False
    """Whether its conversation has changed arm, or may have."""
    drawn: Drawn = BEFORE
    """The era that it came in; its conversation's may be an earlier one."""
    turn: int = 0
    """Answers that its conversation had before, as far as is known."""
    answer: Answer | None = None
    """The answer as it comes, where a later request will be known by it."""
    sample: Pending | None = None
    """What becomes a sample for grading once it is answered."""
    thread: Thread | None = None
    continues_unknown_thread: bool = False
    """Whether it continues a thread that this process has not seen begin."""
    cache_ttl: str = "5m"
    """How long what it writes to the cache lives, the longest where it has several breakpoints."""
    prompt: PromptNote | None = None
    """What can be cached of it, None where that is not known."""
    warms_cache: bool = False
    """Whether it asks for no answer, `max_tokens: 0`."""
    error_code: str = ""
    """`error.details.error_code` of the gateway's own error."""
    attempt: str = ""
    """The SDK's retry count as it was sent."""
    body: tuple[int, bytes, bytes] | None = None
    """What tells its body from others: size, beginning and end."""
    earlier_attempts: int = 0
    """Attempts of the same request that this process saw fail before, 0 where it is a request of its own."""
    callers: tuple[str, ...] = ()
    """Hashes of the keys that the client shows, none where all clients have the same."""
    caller: str = ""
    """The one of them that it is known by, empty before the upstream has accepted one."""
    hung: bool = False
    """Whether it counts as hung."""
    is_evidence: bool = True
    """Whether it counts; False where its caller has more than its part of the evidence."""
    drill: str = ""
    """The drill that failed it on purpose, empty for none."""
    overridden: tuple[str, ...] = ()
    summary: AnswerSummary = field(default_factory=AnswerSummary)
    relay: SseRelay | None = None
    received: float = 0.0
    sent: float = 0.0
    first_content: float = 0.0
    ended: float = 0.0

    @property
    def shown_key(self) -> str:
        """The key that the client shows first, as a hash; empty where all clients have the same."""
        return "".join(self.callers[:1])

    @property
    def continues_thread(self) -> bool:
        """Whether the API has its earlier turns."""
        return self.thread is not None and self.thread.continues

    def name_conversation(self, name: str | None) -> None:
        """Know its conversation by this name of the client's or the API's."""
        assignment = self.live.assignment if self.live else Assignment()
        self.conversation = assignment.key(name, self.shown_key)

    @property
    def revision(self) -> str:
        """The revision that answered, empty before one was chosen; a drill's name where it failed on purpose."""
        return self.drill or (self.choice.arm.arm.revision if self.choice else "")

    @property
    def role(self) -> Role | None:
        """Its role."""
        if self.drill:
            return "canary"
        return self.choice.arm.arm.role if self.choice else None

    @property
    def stratum(self) -> str:
        """The surface it counts under."""
        return PINNED if self.choice and self.choice.pinned else self.surface

    @property
    def is_named(self) -> bool:
        """Whether the client says which conversation it belongs to."""
        return is_named(self.conversation)

    @property
    def claims_retry(self) -> bool:
        """Whether it says that it is a retry."""
        return self.attempt.isdecimal() and self.attempt.strip("0") != ""

    @property
    def is_retry(self) -> bool:
        """Whether it is a retry; only the first attempt of a request counts."""
        return self.earlier_attempts > 0

    @property
    def answering_model(self) -> str:
        """The model that the answer names, else the requested one."""
        return self.summary.model or self.model

    @property
    def ttft(self) -> float | None:
        """Seconds to the first content of a stream."""
        return self.first_content - self.began if self.first_content else None

    def time_per_output_token(self, output: int) -> float | None:
        """Seconds for each output token after the first of a complete stream that is long enough to say."""
        timed = self.outcome == "ok" and self.first_content and output >= FEWEST_TOKENS
        return (self.ended - self.first_content) / (output - 1) if timed else None

    @property
    def duration(self) -> float:
        """Seconds of the whole exchange."""
        return max(self.ended - self.began, 1e-6)

    @property
    def waited(self) -> float:
        """Seconds from when it was sent to the upstream until the first content, or the end where none came."""
        return (self.first_content or self.ended) - self.sent if self.sent else 0.0

    @property
    def overhead(self) -> float | None:
        """Seconds from the request's last byte until it is sent to the upstream."""
        return self.sent - self.received if self.sent and self.received else None
