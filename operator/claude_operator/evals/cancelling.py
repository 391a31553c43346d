"""`eval cancel`: ends Message Batches whose answers nobody reads."""

from __future__ import annotations

from collections.abc import Sequence

from claude_operator.core.evals.runs import INFRASTRUCTURE_EXIT
from claude_operator.evals.ask import Asker, Infrastructure, Rejected
from claude_operator.log import Log

__all__ = ["cancel"]


async def cancel(asker: Asker, batches: Sequence[str], log: Log) -> int:
    """Cancel them. What has been answered by then is paid; one that has ended or is gone needs nothing."""
    code = 0
    for name in batches:
        try:
            await asker.call("POST", f"/{name}/cancel")
        except Rejected as error:
            log.event("nothing to cancel", batch=name, reason=str(error))
        except Infrastructure as error:
            log.event("the Message Batch is not cancelled", "error", batch=name, reason=str(error))
            code = INFRASTRUCTURE_EXIT
        else:
            log.event("cancelled", batch=name)
    return code
