"""Secrets with derived keys: made once, and put back with the keys that they had."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.api.gateway import CLIENT_KEY, CLIENT_URL, GRADER_KEY, OPERATOR_KEY
from claude_operator.core import names, render
from claude_operator.core.reconcile.client_key import Keys
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import SECRETS
from claude_operator.shell.keyring import Keyring

__all__ = ["CLIENT", "GATEWAY", "GRADER", "DerivedSecrets", "Recipe"]

_Data = dict[str, str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A kind of Secret: what each ClaudeDeployment's has in it, and what is said where that was mended."""

    name: Callable[[str], str]
    """By the name of the ClaudeDeployment."""
    render: Callable[[Mapping[str, Any], Keys], Object]
    """By the ClaudeDeployment and its keys, with `stringData`."""
    needed: tuple[str, ...]
    lacked: str
    same: str
    """Put back with what it had."""
    derived: str
    """Put back with what is derived, which may not be what it had."""
    ours: tuple[str, ...] = ()
    """Fields that nobody else may choose."""
    outdated: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda owner: {}
    """Values of fields, by the ClaudeDeployment, that were right before its spec was changed."""


CLIENT = Recipe(
    names.client_secret,
    lambda owner, keys: render.client_secret(owner, keys.client),
    needed=(CLIENT_KEY, CLIENT_URL),
    lacked="its key or address",
    same="the key that it had",
    derived="the key that is derived for this ClaudeDeployment. If it had another key, written by hand or made by an"
    " earlier version, restart the applications: they get 401 until they read the new one",
    outdated=lambda owner: {CLIENT_URL: render.client_url(owner, other=True)},
)
"""`<name>-client`, for applications."""

GATEWAY = Recipe(
    names.gateway_name,
    lambda owner, keys: render.gateway_secret(owner, keys.operator),
    needed=(OPERATOR_KEY,),
    lacked="its key",
    same="the key that it had",
    derived="the key that is derived for this ClaudeDeployment",
    ours=(OPERATOR_KEY,),
)
"""`<name>-gateway`, for the gateway's pods alone."""

GRADER = Recipe(
    names.grader_secret,
    lambda owner, keys: render.grader_secret(owner, keys.grader),
    needed=(GRADER_KEY,),
    lacked="its key",
    same="the key that it had",
    derived="the key that is derived for this ClaudeDeployment. If it had another key, give graders the new one: they"
    " get 401 until then",
)
"""`<name>-grader`, for the gateway's pods and for programs that report grades."""


class DerivedSecrets:
    """Remembers what was in each Secret, by the UID of its owner: a person may have written a key of their own."""

    def __init__(self, kube: Kube, keyring: Keyring, recipe: Recipe) -> None:
        self._kube, self._keyring, self.recipe = kube, keyring, recipe
        self._data: dict[str, _Data] = {}

    async def ensure(self, owner: Mapping[str, Any], live: Object | None, held: _Data) -> tuple[Object, str]:
        """The Secret, whole, and a sentence about what was mended, empty where nothing was; raises `KubeError`.

        `held`: fields as they are to be this time, encoded.
        """
        uid, recipe = owner["metadata"]["uid"], self.recipe
        fixed, outdated = await self._fixed(owner) | held, _encoded(recipe.outdated(owner))
        wrong = self._wrong(live, fixed, outdated)
        if live is not None and not wrong:
            self._data[uid] = dict(live["data"])
            return live, ""
        known = self._data.get(uid)
        data = {**(known or await self._derived(owner)), **fixed}
        whole = recipe.render(owner, Keys("", "", ""))
        current = _encoded({field: whole["stringData"][field] for field in outdated})
        data |= {field: value for field, value in current.items() if data.get(field) == outdated[field]}
        if live is None:
            change = "was deleted and has been created again"
            live = await self._create({**whole, "stringData": {}, "data": data})
        else:
            others = [field for field in wrong if (live.get("data") or {}).get(field)]
            change = f"had another {' and '.join(others)}" if others else f"lacked {recipe.lacked}"
            change = f"{change} and has been completed" if not others else f"{change} and has been put right"
            live = await self._kube.merge(
                SECRETS,
                {
                    "apiVersion": whole["apiVersion"],
                    "kind": whole["kind"],
                    "metadata": {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")},
                    "data": {field: data[field] for field in wrong},
                },
            )
        if not self._wrong(live, fixed, outdated):
            self._data[uid] = dict(live["data"])
        name = recipe.name(owner["metadata"]["name"])
        same = known or set(wrong) <= outdated.keys()
        return live, f"Secret {name} {change} with {recipe.same if same else recipe.derived}"

    def forget(self, live: set[str]) -> None:
        """Drop those of owners that no longer exist; `live` are UIDs."""
        self._data = {uid: data for uid, data in self._data.items() if uid in live}

    def _wrong(self, live: Object | None, fixed: Mapping[str, str], outdated: Mapping[str, str]) -> list[str]:
        """The fields that are missing, not as they have to be, or as an earlier spec had them."""
        data = (live or {}).get("data") or {}
        return [
            field
            for field in self.recipe.needed
            if not (value := data.get(field)) or value != fixed.get(field, value) or value == outdated.get(field)
        ]

    async def _fixed(self, owner: Mapping[str, Any]) -> _Data:
        """What nobody else may choose."""
        if not self.recipe.ours:
            return {}
        uid, derive = owner["metadata"]["uid"], await self._keyring.known()
        keys = derive(uid) if derive else await self._keyring.keys(uid)
        values = self.recipe.render(owner, keys)["stringData"]
        return _encoded({field: values[field] for field in self.recipe.ours})

    async def _derived(self, owner: Mapping[str, Any]) -> _Data:
        keys = await self._keyring.keys(owner["metadata"]["uid"])
        return _encoded(self.recipe.render(owner, keys)["stringData"])

    async def _create(self, body: Object) -> Object:
        try:
            return await self._kube.create(SECRETS, {field: value for field, value in body.items() if value != {}})
        except KubeError as error:
            found = None
            if error.conflict:  # somebody was faster
                metadata = body["metadata"]
                found = await self._kube.get(SECRETS, metadata["name"], metadata["namespace"])
            if found is None:
                raise
            return found


def _encoded(values: Mapping[str, str]) -> _Data:
    return {field: base64.b64encode(value.encode()).decode() for field, value in values.items()}
