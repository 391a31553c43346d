"""What the API server checks beyond types: CEL rules, each with a message that says what to write instead."""

from __future__ import annotations

from typing import Any

from claude_operator.api.base import DURATION_PATTERN, MONEY_PATTERN
from claude_operator.api.checklist import HASH_PATTERN, ITEM_PATTERN
from claude_operator.api.checklist_rules import CHECKLIST_RULES
from claude_operator.api.lifecycle import MODEL_ID_PATTERN, PLATFORMS
from claude_operator.api.live import SHARE_PATTERN
from claude_operator.api.organisation import API_KEY_ID_PATTERN, MONTHLY_USD_PATTERN, QUANTITY_PATTERN
from claude_operator.api.rule import Rule as Rule


def quote(text: str) -> str:
    """A CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _is_duration(field: str) -> str:
    """Guards `duration(field)`: what is not a duration is refused by a rule of its own."""
    return f"{field}.matches({quote(DURATION_PATTERN)})"


# Patterns of the models, and what to say in place of the regular expression.
PATTERNS = {
    DURATION_PATTERN: "is not a duration: write for example 500ms, 30s, 10m or 1h30m",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "is not a name: write letters, digits and _, not starting with a digit",
    r"^[a-zA-Z0-9_-]{1,64}$": "is not a tool name: write 1 to 64 letters, digits, _ or -",
    r"^[a-zA-Z0-9_-]{1,63}$": "is not a surface: write 1 to 63 letters, digits, _ or -",
    r"^https?://[^\s]+$": "is not a URL: write for example https://api.anthropic.com",
    r"^https?://[^\s/][^\s]*$": "is not a URL: write for example http://prometheus.monitoring:9090",
    API_KEY_ID_PATTERN: "is not the id of an API key: write it as the Console shows it, such as apikey_01Rj2N8SVvo6",
    MONTHLY_USD_PATTERN: 'is not an amount: write US dollars as text, for example "2000" or "0.50"',
    QUANTITY_PATTERN: "is not a size: write a number and Mi, Gi or Ti, for example 1Gi",
    ITEM_PATTERN: "is not an item: write small letters, digits and -, for example no-personal-data",
    HASH_PATTERN: "is not a hash: write sha256: and 64 hex digits, as `kubectl claude checklist NAME sign ITEM` does",
    MODEL_ID_PATTERN: "is not a model id: write it as requests name it, for example claude-sonnet-5-5",
    SHARE_PATTERN: "is not a share: write a number above 0 and up to 1 as text, for example '0.01'",
    MONEY_PATTERN: "is not an amount: write US dollars above 0 as text, for example '2000' or '0.50'",
    r"^[0-9]+(\.[0-9]+)?%$": "is not a share: write a number and a percent sign, for example 10%",
}

# Claude 4.7 and later, by the ids of the documentation: dateless from 4.6 on.
SINCE_4_7 = r"^claude-(fable|mythos|(opus|sonnet|haiku)-([5-9]|[1-9][0-9]($|-)|4-([7-9]|[1-9][0-9])($|-)))"

# Fields of the Messages API that belong to the client: in the schema only so that a rule can see them.
REFUSED: dict[str, dict[str, Any]] = {
    "messages": {
        "description": "Refused: messages are the client's.",
        "type": "array",
        "items": {"type": "object", "additionalProperties": True},
    },
    "stream": {"description": "Refused: whether to stream is the client's choice.", "type": "boolean"},
}

_CLIENTS = (
    Rule(
        "!has(self.messages)",
        "messages come from the client: remove them, and put what every conversation begins with into system",
        field=".messages",
        reason="FieldValueForbidden",
    ),
    Rule(
        "!has(self.stream)",
        "stream is the client's choice: remove it; the gateway serves streaming and other requests alike",
        field=".stream",
        reason="FieldValueForbidden",
    ),
)

_TOOLSET = "has(e.type) && e.type == 'mcp_toolset' && has(e.mcp_server_name)"


def _names(entries: str, field: str, of: str = "") -> str:
    """The list of a field's values over a list of objects, of those that have it. A field is read once an entry.

    What reads a field in a loop within a loop costs the API server the product of both lists, in every write of the
    object: each reading is a search in the schema. Texts in a list are compared much faster.
    """
    return f"{entries}.filter(e, {of or f'has(e.{field})'}).map(e, e.{field})"


_UNIQUE = "all(names, names.all(n, names.indexOf(n) == names.lastIndexOf(n)))"
_TOOLSETS = _names("self.tools", "mcp_server_name", _TOOLSET)
_SERVERS = _names("self.mcp_servers", "name")

_REQUEST = (
    Rule(
        f"!has(self.tools) || [{_names('self.tools', 'name')}].{_UNIQUE}",
        "tool names must be unique: rename or remove the second tool of the same name",
        field=".tools",
    ),
    Rule(
        f"!has(self.mcp_servers) || [{_SERVERS}].{_UNIQUE}",
        "MCP server names must be unique: rename or remove the second server of the same name",
        field=".mcp_servers",
    ),
    Rule(
        f"!has(self.mcp_servers) || self.mcp_servers.size() == 0 || has(self.tools) && [{_TOOLSETS}].all(sets,"
        " self.mcp_servers.all(s, s.name in sets && sets.indexOf(s.name) == sets.lastIndexOf(s.name)))",
        "every MCP server needs exactly one toolset: add {type: mcp_toolset, mcp_server_name: <name>} to tools, once",
        field=".mcp_servers",
    ),
    Rule(
        f"!has(self.tools) || [has(self.mcp_servers) ? {_SERVERS} : []].all(servers, {_TOOLSETS}.all(s, s in servers))",
        "a toolset names an unknown MCP server: add the server to mcp_servers or correct mcp_server_name",
        field=".tools",
    ),
    Rule(
        "!has(self.mcp_servers) || self.mcp_servers.size() == 0 ||"
        " (has(self.betas) && self.betas.exists(b, b.startsWith('mcp-client-')))",
        "mcp_servers is a beta of the API: add betas: [mcp-client-2025-11-20]",
        field=".betas",
        reason="FieldValueRequired",
    ),
    Rule(
        f"!has(self.temperature) || self.temperature == 1.0 || !self.model.matches({quote(SINCE_4_7)})",
        "Claude 4.7 and later refuse temperature: remove it, and steer with the prompt or output_config.effort",
        field=".temperature",
        reason="FieldValueForbidden",
    ),
    Rule(
        f"!(has(self.top_p) || has(self.top_k)) || !self.model.matches({quote(SINCE_4_7)})",
        "Claude 4.7 and later refuse top_p and top_k: remove them",
        reason="FieldValueForbidden",
    ),
)


def _blocks(field: str) -> str:
    """How many entries of an optional list end in a cache breakpoint."""
    return f"(has({field}) ? {field}.filter(b, has(b.cache_control)).size() : 0)"


def _lives(field: str) -> str:
    """The breakpoints of an optional list by life: 0 for an hour, 1 for five minutes."""
    hour = "has(b.cache_control.ttl) && b.cache_control.ttl == '1h'"
    return f"(has({field}) ? {field}.filter(b, has(b.cache_control)).map(b, {hour} ? 0 : 1) : [])"


_TOP = "has(self.request.cache_control)"
_TOP_LIFE = "(has(self.request.cache_control.ttl) && self.request.cache_control.ttl == '1h' ? 0 : 1)"
# A token that is not a reference has a message of its own.
_RESOLVED = (
    "!has(s.authorization_token) || !s.authorization_token.startsWith('$(') ||"
    " (has(self.env) && self.env.exists(e, '$(' + e.name + ')' == s.authorization_token))"
)
# In the order in which the API reads a request.
_PREFIX = ("self.request.tools", "self.promptFrom", "self.request.system")

_SPEC = (
    Rule(
        " + ".join([*map(_blocks, _PREFIX), f"({_TOP} ? 1 : 0)"]) + " <= 4",
        "at most 4 cache_control breakpoints over tools, promptFrom, system and the top level: keep those at the end of"
        " the longest prefixes that stay the same",
        field=".request",
    ),
    Rule(
        "(" + " + ".join([*map(_lives, _PREFIX), f"({_TOP} ? [{_TOP_LIFE}] : [])"]) + ").isSorted()",
        "cache_control with ttl 1h must come before ttl 5m, in the order tools, promptFrom, system, top level: give"
        " the earlier ones 1h or the later ones 5m",
        field=".request",
    ),
    Rule(
        "has(self.upstream.apiKeySecretRef) || self.gateway.auth.type == 'Passthrough'",
        "name the Secret and its key that hold the Claude API key, or set gateway.auth.type: Passthrough"
        " so that every client sends its own",
        field=".upstream.apiKeySecretRef",
        reason="FieldValueRequired",
    ),
    Rule(
        "!has(self.evals) || has(self.upstream.apiKeySecretRef) || self.gateway.auth.type != 'Passthrough'",
        "evals call the API themselves: name the Secret and its key that hold the Claude API key, even with"
        " Passthrough",
        field=".upstream.apiKeySecretRef",
        reason="FieldValueRequired",
    ),
    Rule(
        f"!has(self.request.mcp_servers) || self.request.mcp_servers.all(s, {_RESOLVED})",
        "an authorization_token refers to a name that env does not have: add {name: NAME, valueFrom: {secretKeyRef:"
        " {name: <secret>, key: <key>}}} to env",
        field=".env",
    ),
    Rule(
        "!has(self.subagents) || self.subagents.all(n, !has(self.subagents[n].request.mcp_servers) ||"
        f" self.subagents[n].request.mcp_servers.all(s, {_RESOLVED}))",
        "the authorization_token of a subagent's MCP server refers to a name that env does not have: add {name:"
        " NAME, valueFrom: {secretKeyRef: {name: <secret>, key: <key>}}} to env",
        field=".env",
    ),
    Rule(
        "!has(self.subagents) || self.subagents.all(n, n.matches('^[a-zA-Z0-9_-]{1,64}$'))",
        "a subagent's name is not valid: write 1 to 64 letters, digits, _ or -",
        field=".subagents",
    ),
)

# By the name of the model that they stand on, or of the field's `x-ruled-as`.
RULES: dict[str, tuple[Rule, ...]] = {
    "DeploymentSpec": _SPEC,
    "Request": (*_CLIENTS, *_REQUEST),
    "RequestOverlay": _CLIENTS,
    "Tool": (
        Rule(
            "(has(self.type) && self.type != 'custom') || (has(self.name) && has(self.input_schema))",
            "a tool of your own must have a name and an input_schema; tools of the API have a type",
        ),
        Rule(
            "!has(self.type) || self.type != 'mcp_toolset' || has(self.mcp_server_name)",
            "name the server in mcp_servers whose tools these are",
            field=".mcp_server_name",
            reason="FieldValueRequired",
        ),
    ),
    "McpServer": (
        Rule(
            "self.url.startsWith('https://')",
            "write a URL that starts with https://: the API connects only to such servers",
            field=".url",
        ),
        Rule(
            r"!has(self.authorization_token) || self.authorization_token.matches('^\\$\\([A-Za-z_][A-Za-z0-9_]*\\)$')",
            "a token must not be in the spec: write $(NAME), and add NAME to spec.env with a secretKeyRef",
            field=".authorization_token",
        ),
    ),
    **CHECKLIST_RULES,
    "Step": (
        Rule(
            "[has(self.setWeight), has(self.pause), has(self.bake)].filter(x, x).size() == 1",
            "a step must have exactly one of setWeight, pause and bake: write each as a step of its own",
        ),
        Rule(
            "!has(self.setWeight) || self.setWeight < 0.0 ||"
            " double(int(self.setWeight * 100.0 + 0.5)) / 100.0 == self.setWeight",
            "is too fine: write a multiple of 0.01",
            field=".setWeight",
        ),
    ),
    "Bake": (
        Rule(
            f"!has(self.maxDuration) || !{_is_duration('self.maxDuration')} || !{_is_duration('self.minDuration')} ||"
            " duration(self.maxDuration) >= duration(self.minDuration)",
            "is shorter than minDuration: raise it, or lower minDuration",
            field=".maxDuration",
        ),
    ),
    "Canary": (
        Rule(
            "!has(self.steps) || (self.steps.filter(s, has(s.setWeight)).map(s, s.setWeight).isSorted() &&"
            " self.steps.all(s, !has(s.setWeight) ||"
            " self.steps.exists_one(o, has(o.setWeight) && o.setWeight == s.setWeight)))",
            "weights must rise from step to step: write each setWeight larger than the one before it",
            field=".steps",
        ),
    ),
    "Analysis": (
        Rule(
            f"!has(self.interval) || !{_is_duration('self.interval')} || duration(self.interval) >= duration('1s')",
            "is too short: write 1s or more",
            field=".interval",
        ),
    ),
    "LiveGrading": (
        Rule(
            "self.maxPerMinute >= 2 * self.minPerMinute",
            "is less than both arms' minPerMinute together: raise it, or lower minPerMinute",
            field=".maxPerMinute",
        ),
    ),
    "EvalSetSpec": (
        Rule("has(self.tests) != has(self.dataset)", "exactly one of tests and dataset: keep one of them"),
        Rule(
            "!has(self.tests) || (has(self.defaultTest) && has(self.defaultTest.assert)) ||"
            " self.tests.all(t, has(t.assert))",
            "a test without assert checks nothing: add assert to it, or to defaultTest for all",
            field=".tests",
        ),
        Rule(
            "!has(self.tests) || (has(self.defaultTest) && (has(self.defaultTest.input) ||"
            " has(self.defaultTest.messages))) || self.tests.all(t, has(t.input) || has(t.messages))",
            "a test without input and messages asks nothing: add one of them to it, or to defaultTest for all",
            field=".tests",
        ),
    ),
    "EvalTest": (
        Rule("!has(self.input) || !has(self.messages)", "exactly one of input and messages: keep one of them"),
    ),
    "EvalTestDefaults": (
        Rule("!has(self.input) || !has(self.messages)", "at most one of input and messages: keep one of them"),
    ),
    "EvalDataset": (
        Rule(
            "[has(self.configMapKeyRef), has(self.configMaps), has(self.volume)].filter(one, one).size() == 1",
            "exactly one of configMapKeyRef, configMaps and volume: keep one of them",
        ),
    ),
    "EvalVolume": (
        Rule(
            "!self.path.startsWith('/') && !self.path.split('/').exists(part, part == '..')",
            "leads out of the volume: write it from the volume's root, without .. in it",
            field=".path",
        ),
        Rule(
            "has(self.format) || self.path.matches('(?i)[.](jsonl|ndjson|json|csv|yaml|yml)$')",
            "the path's suffix does not say what it is: write format: JSONL, JSON, CSV or YAML",
            field=".format",
        ),
    ),
    "OrganizationSpec": (
        Rule(
            f"!has(self.pollInterval) || !{_is_duration('self.pollInterval')}"
            " || duration(self.pollInterval) >= duration('1m') || !self.baseURL.contains('anthropic.com')",
            "the Admin API allows one call a minute: write 1m or more",
            field=".pollInterval",
        ),
    ),
    "History": (
        Rule(
            "!(has(self.storage) && has(self.postgresURLSecretRef))",
            "usage is kept in one place: write storage or postgresURLSecretRef, not both",
        ),
    ),
    "EvalFile": (
        Rule(
            "has(self.format) || self.key.matches('(?i)[.](jsonl|ndjson|json|csv|yaml|yml)$')",
            "the key's suffix does not say what it is: write format: JSONL, JSON, CSV or YAML",
            field=".format",
        ),
    ),
    # On the field itself, so that an object of before, with more of them, can change in everything else.
    "EvalTests": (
        Rule(
            "self.map(t, has(t.assert) ? t.assert.size() : 0).sum() <= 2500",
            "a set has 2500 asserts at most over all its tests: keep those that tell good answers from bad ones, put"
            " what all tests share into defaultTest, or put the items into a dataset",
        ),
    ),
    "Platforms": (
        Rule(
            f"self.all(name, name in [{', '.join(map(quote, PLATFORMS))}])",
            f"names a platform that is not known: write {', '.join(PLATFORMS[:-1])} or {PLATFORMS[-1]}",
        ),
    ),
    "Subagents": (
        Rule(
            "self.map(n, has(self[n].request.tools) ? self[n].request.tools.size() : 0).sum() <= 1024",
            "subagents have 1024 tools at most in all: leave tools out where they are those of spec.request",
        ),
    ),
}

NAME_RULES = (
    Rule(
        "self.metadata.name.size() <= 40",
        "metadata.name must be at most 40 characters: the names of its revisions, Service and Secrets are made from it",
    ),
    Rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must begin with a letter and have lower case letters, digits and - only: a Service is named"
        " after it",
    ),
)


def immutable(remedy: str) -> Rule:
    """A spec that never changes, and what to do instead of changing it."""
    return Rule("self == oldSelf", f"is immutable: {remedy}")
