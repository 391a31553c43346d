"""The admin port: evidence for the operator, verdicts from graders, metrics for Prometheus, probes for the kubelet."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from claude_operator.api.evidence import OTHER, Grade, parse_grade
from claude_operator.api.gateway import GRADER_KEY
from claude_operator.core.operator_key import ProofError, admit, prove
from claude_operator.gateway.control import Control
from claude_operator.gateway.live_config import LiveConfig
from claude_operator.gateway.metrics import Metrics

__all__ = ["make_admin"]

_BODY_LIMIT = 4096  # bytes; a verdict takes about a hundred
_NO_GRADER = (
    f"send the header 'authorization: Bearer KEY'; KEY is {GRADER_KEY} of the Secret <name>-grader, as in"
    f" kubectl get secret <name>-grader -o jsonpath='{{.data.{GRADER_KEY}}}' | base64 -d\n"
)

Handler = Callable[[web.Request], Awaitable[web.Response]]


def make_admin(control: Control, metrics: Metrics, is_draining: Callable[[], bool], pod: str = "") -> web.Application:
    """The application of the admin port. It is not in the Service.

    Evidence is for the operator, which proves itself and gets proof that this `pod` has answered; verdicts are taken
    from who has the graders' key. A laptop without these keys asks nobody for one.
    """
    booted = time.monotonic()

    def evidence(request: web.Request) -> bytes:
        return control.store.document(
            control.generation,
            time.monotonic() - booted,
            control.error,
            weights=control.weights,
            since=request.query.get("since"),
            keep=request.query.get("keep") == "1",
            callers=request.query.get("callers") == "1",
        )

    def recent(_: web.Request) -> bytes:
        return control.store.serving(control.generation, control.weights)

    def cohorts(_: web.Request) -> bytes:
        return control.store.cohorts()

    async def grades(request: web.Request) -> web.Response:
        if not _is_grader(control, request):
            return web.Response(status=401, text=_NO_GRADER)
        try:
            grade = parse_grade(await request.read())
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if control.live is None:
            return web.Response(status=503, text="no config yet: send the verdict again when /-/ready answers 200\n")
        if grade.revision not in control.live.arms:
            served = " or ".join(control.live.arms) or "none"
            return web.Response(
                status=404, text=f"revision {grade.revision!r} is not being served: send verdicts for {served}\n"
            )
        _count_grade(control.live, grade)
        return web.Response(status=204)

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    async def ready(_: web.Request) -> web.Response:
        if is_draining():
            return web.Response(status=503, text="draining\n")
        if control.live is None:
            return web.Response(status=503, text=f"no config yet: {control.error or 'the gateway has not read one'}\n")
        return web.Response(text=f"serving config generation {control.generation}\n")

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    app = web.Application(client_max_size=_BODY_LIMIT)
    for path, document in (("/-/evidence", evidence), ("/-/evidence/cohorts", cohorts), ("/-/recent", recent)):
        app.router.add_get(path, _for_operator(control, pod, document))
    app.router.add_post("/-/grades", grades)
    app.router.add_get("/metrics", page)
    app.router.add_get("/-/ready", ready)
    app.router.add_get("/-/live", live)
    return app


def _for_operator(control: Control, pod: str, document: Callable[[web.Request], bytes]) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        key = control.credentials.operator_key
        if not key and control.on_a_laptop:
            return web.Response(body=document(request), content_type="application/json")
        if not key:
            return web.Response(status=401, text=f"the gateway has no operator key yet: {control.error}\n")
        try:
            nonce = admit(key, pod=pod, method=request.method, target=request.raw_path, headers=request.headers)
        except ProofError as error:
            return web.Response(status=401, text=f"{error}\n")
        body = document(request)
        proof = prove(key, pod=pod, nonce=nonce, body=body)
        return web.Response(body=body, content_type="application/json", headers=proof)

    return answer


def _is_grader(control: Control, request: web.Request) -> bool:
    key = control.credentials.grader_key
    if not key:
        return control.on_a_laptop
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    shown = given.strip().encode("utf-8", "surrogateescape")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown, key)


def _count_grade(live: LiveConfig, grade: Grade) -> None:
    """Count a verdict in the current generation, even if an earlier one answered: the judge counts by revision."""
    surface = grade.surface if grade.surface in live.surfaces else OTHER
    role = live.arms[grade.revision].arm.role
    live.evidence.counters(grade.revision, role, surface, "none").grades["pass" if grade.passed else "fail"] += 1
