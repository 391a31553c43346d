"""The configuration of a gateway, as it travels in JSON: the key `config.json` of the ConfigMap `<name>-gateway`.

It is strict: a document that does not parse is refused whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.prices import TokenPrices

CONFIG_KEY = "config.json"
SIGNATURE_KEY = "signature"
"""Key of the ConfigMap with the operator's signature of `config.json`, made with the key that the pods have too."""
EGRESS_KEY = "egress.json"
EGRESS_SIGNATURE_KEY = "egress-signature"
"""Keys of the ConfigMap with `Egress` and its signature: keys of their own, which older gateways pass over."""
PRICES_KEY = "prices.json"
PRICES_SIGNATURE_KEY = "prices-signature"
"""The same with prices that hold instead of the list's."""
THROTTLE_KEY = "throttle.json"
THROTTLE_SIGNATURE_KEY = "throttle-signature"
"""The same with `Throttle`."""
DRILL_KEY = "drill.json"
DRILL_SIGNATURE_KEY = "drill-signature"
"""The same with `Fault`: a gateway that does not know it never fails a request on purpose."""
FURTHER_KEYS = (
    SIGNATURE_KEY,
    EGRESS_KEY,
    EGRESS_SIGNATURE_KEY,
    PRICES_KEY,
    PRICES_SIGNATURE_KEY,
    THROTTLE_KEY,
    THROTTLE_SIGNATURE_KEY,
    DRILL_KEY,
    DRILL_SIGNATURE_KEY,
)
SIGNED_KEYS = (CONFIG_KEY, *FURTHER_KEYS)
BASIS_POINTS = 10_000

# Where the gateway's pod finds what is not in the config. One file a value, reloaded when it changes.
CONFIG_DIR = "/etc/claude-operator/config"
UPSTREAM_KEY_FILE = "/etc/claude-operator/upstream/api-key"
ENV_DIR = "/etc/claude-operator/env"
VOLUME_DIR = "/etc/claude-operator/dataset"
"""Where an eval Job finds the volume of its set."""
CLIENT_DIR = "/etc/claude-operator/client"
CLIENT_KEY = "ANTHROPIC_API_KEY"
CLIENT_PREVIOUS_KEY = "ANTHROPIC_API_KEY_PREVIOUS"
CLIENT_URL = "ANTHROPIC_BASE_URL"
OPERATOR_DIR = "/etc/claude-operator/operator"
OPERATOR_KEY = "operator-key"
"""File and Secret key of what the operator and the gateways of one deployment know, and nobody else."""
TLS_DIR = "/etc/claude-operator/tls"
TLS_CERTIFICATE = "tls.crt"
TLS_KEY = "tls.key"
GRADER_KEY = "grader-key"
"""File and Secret key of what graders show at `POST /-/grades`."""
POD_NAME = "POD_NAME"
"""Variable with the pod's own name."""

MIB = 1024 * 1024
BODY_LIMIT = 32 * MIB
"""Bytes of a request to the two composed endpoints: the API's own limit."""
MEMORY = 512 * MIB
"""Bytes that a gateway process may take where nobody says otherwise."""

SERVICE_PORT = 8080
ADMIN_PORT = 9090

Merge = Literal["Replace", "Prepend", "Append"]
Unsupported = Literal["Pass", "Drop"]
Role = Literal["stable", "canary", "former"]
"""`former`: what was stable before the last promotion; it gets no new conversations, and keeps those it has."""
Unit = Literal["Conversation", "User", "Request"]


Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A counter: never negative, and never beyond what JSON readers agree on."""
Text = Annotated[str, msgspec.Meta(max_length=1024)]
Counted = Annotated[dict[Text, Count], msgspec.Meta(max_length=64)]
"""Numbers by kind. No kind is a client's word, and there are few."""


class Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A strict camelCase JSON document."""


class Overrides(Wire, frozen=True):
    """How a revision's lists meet what the client sent; scalars: the revision wins."""

    system: Merge = "Replace"
    tools: Merge = "Replace"
    unsupported: Unsupported | msgspec.UnsetType = msgspec.UNSET
    """What becomes of a client's field that the revision's model is known to refuse; Pass where it is not said."""


class Arm(Wire, frozen=True):
    """A revision as the gateway serves it. `weight` is in basis points of new conversations."""

    revision: str
    role: Role
    weight: int
    request: dict[str, Any]
    """Messages API fields, without `betas`; `authorization_token` values may be `$(NAME)`."""
    betas: list[str] = []
    subagents: dict[str, dict[str, Any]] = {}
    """Overlay on `request` by name, chosen by the header `x-claude-subagent`; may hold its own `betas`."""
    overrides: Overrides = Overrides()


class Assigning(Wire, frozen=True):
    """How conversations get and keep their arm. `rescue_after`: failures in a row that move one off the canary."""

    unit: Unit = "Conversation"
    rescue_after: int = 3
    """0: never."""


class Auth(Wire, frozen=True):
    """How clients prove themselves. ApiKey: the client Secret; Passthrough: a Claude API key of their own."""

    type: Literal["ApiKey", "Passthrough", "None"] = "ApiKey"


class Timeouts(Wire, frozen=True):
    """Seconds. `idle` is the longest silence of a stream, `total` the longest time for an answer in one piece, and in a
    stream the longest with nothing but pings."""

    connect: float = 5.0
    idle: float = 120.0
    total: float = 600.0


class Upstream(Wire, frozen=True):
    """The Messages API that this deployment speaks to."""

    base_url: str = msgspec.field(name="baseURL", default="https://api.anthropic.com")
    timeouts: Timeouts = Timeouts()


class Settled(Wire, frozen=True):
    """How the last ended rollout ended: a fact that outlives a lost status write."""

    revision: str
    attempt: int
    outcome: str
    reason: str
    message: str = ""

    @property
    def trial(self) -> str:
        """`<revision>/<attempt>`, as annotations name it."""
        return f"{self.revision}/{self.attempt}"


class Deployment(Wire, frozen=True):
    """Whose config this is. `uid` salts the cohorts."""

    name: str
    namespace: str
    uid: str


class Egress(Wire, frozen=True):
    """Where the installer lets a gateway connect and send secret values; the operator keeps it as it is today."""

    allowed_hosts: list[str] = []
    """Hosts that may get the upstream key and the values of `$(NAME)`; any where there are none."""
    denied_addresses: list[str] = []
    """Networks that are not connected to, beside those that the gateway knows itself."""


class Throttle(Wire, frozen=True):
    """Every call that costs something is refused, since the month's budget is spent."""

    until: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    """When that ends by itself."""
    monthly_usd: str = msgspec.field(name="monthlyUSD")
    """The budget; with another one it ends at once."""


class Fault(Wire, frozen=True):
    """A drill: a few requests are failed on purpose, and counted as those of a canary named `id`.

    Each gateway ends it by itself, so that nothing goes on where no operator runs.
    """

    id: Text
    mode: Literal["Live", "Rehearsal"]
    """Live: requests of clients fail. Rehearsal: the process makes up ten requests a second, and clients' are left
    alone."""
    weight: Annotated[int, msgspec.Meta(gt=0, le=BASIS_POINTS)]
    """Share of the requests that fail, in basis points."""
    allowed: Annotated[dict[Text, Annotated[int, msgspec.Meta(ge=0, le=1000)]], msgspec.Meta(max_length=1000)]
    """By boot id: requests that this process fails at most. A process that is not named fails none."""
    seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)]
    """Since the process read it, after which it fails none."""

    @property
    def well(self) -> str:
        """The name that requests of a rehearsal which do not fail count under."""
        return f"{self.id}-well"


class Live(Wire, frozen=True):
    """Which answers are sampled for live grading."""

    sample_rate: float
    """Share of the conversations."""
    min_per_minute: int = 0
    """Of each arm at least, whatever the rate."""


class Limit(Wire, frozen=True):
    """The most that calls of a surface may take, in seconds; they are counted on either side of it."""

    surface: str
    metric: Literal["timeToFirstToken", "duration", "timePerOutputToken"]
    max: float


class GatewayConfig(Wire, frozen=True):
    """One deployment's traffic, whole: an empty `arms` answers 503 until a first revision may serve."""

    generation: int
    deployment: Deployment
    arms: list[Arm] = []
    auth: Auth = Auth()
    upstream: Upstream = Upstream()
    env: list[str] = []
    """Names that `$(NAME)` may refer to; each is a file below `ENV_DIR`."""
    surfaces: list[str] = []
    settled: Settled | None = None
    version: Literal[1] = 1
    expose_revision: bool | msgspec.UnsetType = msgspec.UNSET
    """Whether clients see and may choose revision and arm; yes where it is not said, so that older gateways read it."""
    assignment: Assigning | msgspec.UnsetType = msgspec.UNSET
    """The default where it is not said, so that older gateways read it."""
    live: Live | msgspec.UnsetType = msgspec.UNSET
    """Unset while no answers are sampled, so that older gateways read it."""
    budgets: Annotated[list[Limit], msgspec.Meta(max_length=64)] | msgspec.UnsetType = msgspec.UNSET
    """Unset while there may be pods of before it, so that older gateways read it."""
    egress: Egress | msgspec.UnsetType = msgspec.UNSET
    """Unset where it says nothing. In a ConfigMap it is a document of its own."""
    prices: dict[str, TokenPrices] | msgspec.UnsetType = msgspec.UNSET
    """By model id and alias, instead of the list's; unset where there are none. Also a document of its own."""
    throttle: Throttle | msgspec.UnsetType = msgspec.UNSET
    """Unset while calls are answered. Also a document of its own."""
    drill: Fault | msgspec.UnsetType = msgspec.UNSET
    """Unset while no drill is under way. Also a document of its own."""

    @property
    def own_prices(self) -> Mapping[str, TokenPrices]:
        """`prices`, also where there are none."""
        return {} if self.prices is msgspec.UNSET else self.prices

    @property
    def limits(self) -> Egress:
        """`egress`, also where it says nothing."""
        return Egress() if self.egress is msgspec.UNSET else self.egress

    def arm(self, role: Role) -> Arm | None:
        """The arm of a role, if there is one."""
        return next((arm for arm in self.arms if arm.role == role), None)


def parse_config(data: bytes | str) -> GatewayConfig:
    """Read and check a config document; raises `ValueError` naming the field that is wrong."""
    config = decode(data, GatewayConfig, "gateway config")
    names = [arm.revision for arm in config.arms]
    if len(set(names)) != len(names):
        raise ValueError(f"gateway config: a revision is listed twice in arms: {', '.join(names)}")
    roles = [arm.role for arm in config.arms]
    if len(set(roles)) != len(roles):
        raise ValueError("gateway config: two arms have the same role")
    if config.arms and sum(arm.weight for arm in config.arms) != BASIS_POINTS:
        raise ValueError(f"gateway config: the arms' weights must add up to {BASIS_POINTS} basis points")
    if any(not 0 <= arm.weight <= BASIS_POINTS for arm in config.arms):
        raise ValueError(f"gateway config: a weight is outside 0 to {BASIS_POINTS} basis points")
    return config


def dump_config(config: GatewayConfig) -> str:
    """The document as it is stored: stable key order, so equal configs are equal text. It leaves out what is a document
    of its own."""
    unset = msgspec.UNSET
    own = msgspec.structs.replace(config, egress=unset, prices=unset, throttle=unset, drill=unset)
    return msgspec.json.encode(own, order="sorted").decode()


def dump_egress(config: GatewayConfig) -> str:
    """The document with `egress`."""
    return msgspec.json.encode(config.limits, order="sorted").decode()


def with_egress(config: GatewayConfig, egress: Egress) -> GatewayConfig:
    """The config with this `egress`."""
    return msgspec.structs.replace(config, egress=msgspec.UNSET if egress == Egress() else egress)


def dump_prices(config: GatewayConfig) -> str:
    """The document with `prices`."""
    return msgspec.json.encode(config.own_prices, order="sorted").decode()


def with_prices(config: GatewayConfig, prices: Mapping[str, TokenPrices]) -> GatewayConfig:
    """The config with these `prices`."""
    return msgspec.structs.replace(config, prices=dict(prices) or msgspec.UNSET)


def dump_throttle(config: GatewayConfig) -> str:
    """The document with `throttle`."""
    return "{}" if config.throttle is msgspec.UNSET else msgspec.json.encode(config.throttle, order="sorted").decode()


def with_throttle(config: GatewayConfig, throttle: Throttle | msgspec.UnsetType) -> GatewayConfig:
    """The config with this `throttle`."""
    return msgspec.structs.replace(config, throttle=throttle)


def parse_throttle(data: bytes | str) -> Throttle | msgspec.UnsetType:
    """Read a document with `throttle`; raises `ValueError` naming the field that is wrong."""
    return msgspec.UNSET if data in ("{}", b"{}") else decode(data, Throttle, "gateway throttle")


def dump_drill(config: GatewayConfig) -> str:
    """The document with `drill`."""
    return "{}" if config.drill is msgspec.UNSET else msgspec.json.encode(config.drill, order="sorted").decode()


def with_drill(config: GatewayConfig, drill: Fault | msgspec.UnsetType) -> GatewayConfig:
    """The config with this `drill`."""
    return msgspec.structs.replace(config, drill=drill)


def parse_drill(data: bytes | str) -> Fault | msgspec.UnsetType:
    """Read a document with `drill`; raises `ValueError` naming the field that is wrong."""
    return msgspec.UNSET if data in ("{}", b"{}") else decode(data, Fault, "gateway drill")


def parse_prices(data: bytes | str) -> dict[str, TokenPrices]:
    """Read a document with `prices`; raises `ValueError` naming the field that is wrong."""
    return decode(data, dict[str, TokenPrices], "gateway prices")


def parse_egress(data: bytes | str) -> Egress:
    """Read a document with `egress`; raises `ValueError` naming the field that is wrong."""
    return decode(data, Egress, "gateway egress")


def read_config(data: Mapping[str, str]) -> GatewayConfig:
    """The config in a ConfigMap's data as the operator wrote it, with its further documents; raises `ValueError`."""
    config = with_egress(parse_config(data[CONFIG_KEY]), parse_egress(data.get(EGRESS_KEY, "{}")))
    config = with_prices(config, parse_prices(data.get(PRICES_KEY, "{}")))
    config = with_throttle(config, parse_throttle(data.get(THROTTLE_KEY, "{}")))
    return with_drill(config, parse_drill(data.get(DRILL_KEY, "{}")))
