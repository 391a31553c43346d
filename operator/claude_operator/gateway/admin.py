"""The admin port: evidence and usage for the operator, verdicts from graders, metrics for Prometheus, probes for the
kubelet, and what the other gateways of the deployment tell of conversations."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from aiohttp import web

from claude_operator.api.evidence import parse_grade
from claude_operator.api.gateway import GRADER_KEY
from claude_operator.api.packing import PACKED, pack
from claude_operator.api.samples import MOST_SAMPLES, SAMPLES_PATH
from claude_operator.api.usage import USAGE_PATH
from claude_operator.core.operator_key import ProofError, address, admit, prove
from claude_operator.gateway.control import Control
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.peer_client import LIMIT, PATH
from claude_operator.gateway.peers import Peers
from claude_operator.kube.bodies import read_body

__all__ = ["make_admin"]

_SMALL = 4096  # bytes of a document that is not worth packing
_DIGITS = 6
_BODY_LIMIT = 4096  # bytes; a verdict takes about a hundred
_BODY_SECONDS = 5.0  # that a document of a peer may take
GRADES_PATH = "/-/grades"
_NO_GRADER = (
    f"send the header 'authorization: Bearer KEY'; KEY is {GRADER_KEY} of the Secret <name>-grader, as in"
    f" kubectl get secret <name>-grader -o jsonpath='{{.data.{GRADER_KEY}}}' | base64 -d\n"
)

Handler = Callable[[web.Request], Awaitable[web.Response]]


def make_admin(control: Control, metrics: Metrics, is_draining: Callable[[], bool], peers: Peers) -> web.Application:
    """The application of the admin port. It is not in the Service.

    Evidence is for the operator, which proves itself and gets proof that this pod has answered; verdicts are taken
    from who has the graders' key. A laptop without these keys asks nobody for one, and has no peers.
    """
    booted = time.monotonic()

    def evidence(request: web.Request) -> bytes:
        if control.credentials.operator_key and (named := request.query.get("peers")) is not None:
            peers.name(named)
        return control.store.document(
            control.generation,
            time.monotonic() - booted,
            control.error,
            weights=control.weights,
            since=request.query.get("since"),
            keep=request.query.get("keep") == "1",
            callers=request.query.get("callers") == "1",
            units=request.query.get("units") == "1",
            grading=request.query.get("grading") == "1",
            drill=request.query.get("drill") == "1",
            budgets=request.query.get("budgets") == "1",
        )

    def recent(_: web.Request) -> bytes:
        return control.store.serving(control.generation, control.weights)

    def cohorts(_: web.Request) -> bytes:
        return control.store.cohorts()

    def usage(_: web.Request) -> bytes:
        store = control.store
        return store.usage.document(store.boot_id, control.generation, time.monotonic() - booted)

    def conversations(request: web.Request) -> bytes:
        try:
            return peers.page(request.query.get("after", ""))
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error

    def samples(request: web.Request) -> bytes:
        wanted = {role: _number(request, role) for role in ("canary", "stable")}
        control.store.sampler.hear(request.query.get("trouble", ""))
        found = control.store.sampler.take(peers.own.pod, wanted, request.query.get("after", ""))
        return msgspec.json.encode(found)

    async def grades(request: web.Request) -> web.Response:
        is_proven = _has_proven(control, request)
        if not is_proven and not _shows_key(control, request):
            return web.Response(status=401, text=_NO_GRADER)
        body = await request.read()
        try:
            grade = parse_grade(body)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if is_proven and not (grade.id and hashlib.sha256(body).hexdigest() == request.query["sha256"]):
            return web.Response(status=400, text="a verdict that is proven needs an id, and its body's sha256\n")
        if control.live is None:
            return web.Response(status=503, text="no config yet: send the verdict again when /-/ready answers 200\n")
        if grade.revision not in control.live.arms:
            served = " or ".join(control.live.arms) or "none"
            return web.Response(
                status=404, text=f"revision {grade.revision!r} is not being served: send verdicts for {served}\n"
            )
        result = control.store.verdicts.count(control.live, grade)
        if result:
            metrics.record_grade(control.live, grade.revision, result)
        return web.Response(status=204)

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    async def ready(_: web.Request) -> web.Response:
        if is_draining():
            return web.Response(status=503, text="draining\n")
        if control.live is None:
            return web.Response(status=503, text=f"no config yet: {control.error or 'the gateway has not read one'}\n")
        if peers.is_learning and not control.on_a_laptop:
            return web.Response(status=503, text="asking the other gateways which conversations are on which arm\n")
        return web.Response(text=f"serving config generation {control.generation}\n")

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    app = web.Application(client_max_size=_BODY_LIMIT)
    documents = {
        "/-/evidence": evidence,
        "/-/evidence/cohorts": cohorts,
        "/-/recent": recent,
        USAGE_PATH: usage,
        PATH: conversations,
    }
    for path, document in documents.items():
        app.router.add_get(path, _for_operator(control, peers.own.pod, document))
    app.router.add_get(SAMPLES_PATH, _for_grader(control, samples))
    app.router.add_post(PATH, _from_peers(control, peers))
    app.router.add_post(GRADES_PATH, grades)
    app.router.add_get("/metrics", page)
    app.router.add_get("/-/ready", ready)
    app.router.add_get("/-/live", live)
    return app


def _for_operator(control: Control, pod: str, document: Callable[[web.Request], bytes]) -> Handler:
    """For who proves to have the operator's key, and asks this pod by its name."""

    async def answer(request: web.Request) -> web.Response:
        key = control.credentials.operator_key
        if not key and not control.on_a_laptop:
            return web.Response(status=401, text=f"the gateway has no operator key yet: {control.error}\n")
        return await _proven(request, key, pod, document)

    return answer


def _for_grader(control: Control, document: Callable[[web.Request], bytes]) -> Handler:
    """For who proves to have the graders' key. A grader knows a pod by the address that it was reached at."""

    async def answer(request: web.Request) -> web.Response:
        key = control.credentials.grader_key
        if not key and not control.on_a_laptop:
            return web.Response(status=401, text="the gateway has no graders' key yet: ask again\n")
        return await _proven(request, key, _reached_at(request), document)

    return answer


async def _proven(request: web.Request, key: bytes, pod: str, document: Callable[[web.Request], bytes]) -> web.Response:
    """A document with proof that this pod gives it, to who has proven to have the key; no key: open, as on a laptop.

    Packed where the query asks for it: earlier operators send `accept-encoding: gzip`, and cannot unpack. The proof is
    of the bytes that are sent, so nothing is unpacked that this pod has not packed.
    """
    if not key:
        return web.Response(body=document(request), content_type="application/json")
    try:
        nonce = admit(key, pod=pod, method=request.method, target=request.raw_path, headers=request.headers)
    except ProofError as error:
        return web.Response(status=401, text=f"{error}\n")
    body, coding = document(request), {}
    if request.query.get("gzip") == "1" and len(body) > _SMALL:
        # In a thread: a large document takes longer than calls should wait.
        body, coding = await asyncio.to_thread(pack, body), {"content-encoding": PACKED}
    proof = prove(key, pod=pod, nonce=nonce, body=body)
    return web.Response(body=body, content_type="application/json", headers={**proof, **coding})


def _reached_at(request: web.Request) -> str:
    """The address that a request came to, as its sender knows this pod."""
    own = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return address(own[0], own[1]) if own else ""


def _number(request: web.Request, role: str) -> int:
    """How many samples of a role are wanted."""
    text = request.query.get(role, "0")
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
        raise web.HTTPBadRequest(text=f"{role}: {text[:32]!r} is not a number: write for example {role}=8\n")
    return min(int(text), MOST_SAMPLES)


def _from_peers(control: Control, peers: Peers) -> Handler:
    """Takes what other gateways tell. The body is read only for who has proven its digest."""
    pod = peers.own.pod

    async def learn(request: web.Request) -> web.Response:
        key, nonce = control.credentials.operator_key, ""
        with suppress(ProofError):
            nonce = admit(key, pod=pod, method="POST", target=request.raw_path, headers=request.headers) if key else ""
        if not nonce:
            return web.Response(status=401, text="only gateways of this deployment may write this\n")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await read_body(request.content, LIMIT)
            answer = peers.take(body, request.query.get("sha256", ""))
        except TimeoutError:
            return web.Response(status=408, text="the document arrived too slowly: send it again\n")
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        proof = prove(key, pod=pod, nonce=nonce, body=answer)
        return web.Response(body=answer, content_type="application/json", headers=proof)

    return learn


def _has_proven(control: Control, request: web.Request) -> bool:
    """Whether who reports has proven to have the graders' key, without showing it, for a body with this sha256.

    Sent again it counts nothing: a verdict with an id counts once.
    """
    key = control.credentials.grader_key
    if not key or "sha256" not in request.query:
        return False
    with suppress(ProofError):
        at = _reached_at(request)
        return bool(admit(key, pod=at, method="POST", target=request.raw_path, headers=request.headers))
    return False


def _shows_key(control: Control, request: web.Request) -> bool:
    key = control.credentials.grader_key
    if not key:
        return control.on_a_laptop
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    shown = given.strip().encode("utf-8", "surrogateescape")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown, key)
