"""Message threads: a conversation that the API holds, so that a request brings its new messages only.

`{"type": "create"}` starts one under the response's id. `{"type": "continue", "previous_message_id": ...}` goes on from
there: the API keeps `system` and `tools`, and refuses a request that repeats them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

__all__ = ["Thread", "thread_of"]


class Thread(msgspec.Struct, frozen=True):
    """The `thread` field of a request."""

    type: str = ""
    previous_message_id: str = ""

    @property
    def continues(self) -> bool:
        """Whether it continues from an earlier response."""
        return self.type == "continue"


_thread = msgspec.json.Decoder(Thread)


def thread_of(body: Mapping[str, msgspec.Raw]) -> Thread | None:
    """The thread that a request belongs to, None where it has none or one that the API refuses."""
    try:
        return _thread.decode(body["thread"]) if "thread" in body else None
    except msgspec.MsgspecError:
        return None
