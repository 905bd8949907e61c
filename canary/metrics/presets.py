"""Presets as data: the series of each exporter, and how to distinguish canary from stable.

Each row is a preset and has a test against a recorded exposition in a real Prometheus.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from canary.core.series import Matcher, MatchOp, Selector
from canary.errors import UsageError


class Per(StrEnum):
    """What distinguishes canary from stable."""

    POD = "pod"
    """The names of the pods, which the controller knows."""
    BACKEND = "backend"
    """A label of the router."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The label by which a router distinguishes its backends.

    `pattern` is a regular expression with {namespace} and {name} for a backend's name;
    `namespace` is the label with the namespace, if any; `names` is a regular expression that valid
    names match.
    """

    label: str
    pattern: str = "{name}"
    namespace: str | None = None
    names: str = ".+"


@dataclass(frozen=True, slots=True)
class RatioPreset:
    """Bad requests out of all; `backend` is None if pods distinguish the versions.

    `client` selects requests rejected as the client's error (4xx); None if the exporter does not
    count them separately. `required` are labels for which the release must give a condition of its
    own. `http_only`: a gRPC error counts as a success, because its HTTP status is 200.
    """

    name: str
    total: Selector
    bad: Matcher
    backend: Backend | None = None
    trap: str | None = None
    required: tuple[str, ...] = ()
    client: Matcher | None = None
    http_only: bool = False

    @property
    def per(self) -> Per:
        """Return whether pods or the router's label distinguish the versions."""
        return Per.POD if self.backend is None else Per.BACKEND

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return labels by which health checks are excluded; without one they are counted."""
        return tuple(one.label for one in self.total.matchers if one.op is MatchOp.NOT_REGEX)


@dataclass(frozen=True, slots=True)
class LatencyPreset:
    """A classic histogram of response times: `_bucket` with `le` in units of `unit` seconds.

    `histogram` is named without `_bucket`; see RatioPreset for the rest.
    """

    name: str
    histogram: Selector
    unit: float = 1.0
    backend: Backend | None = None
    trap: str | None = None
    required: tuple[str, ...] = ()

    @property
    def per(self) -> Per:
        """Return whether pods or the router's label distinguish the versions."""
        return Per.POD if self.backend is None else Per.BACKEND

    def part(self, suffix: str) -> Selector:
        """Return the selector of the histogram's `_bucket` or `_count` series."""
        return Selector(f"{self.histogram.metric}_{suffix}", self.histogram.matchers)


@dataclass(frozen=True, slots=True)
class PoolPreset:
    """Connections in use (`in_use − idle`) out of `maximum`, per pool.

    `waiting` is a gauge of callers without a connection, `timeouts` a counter of those that gave
    up, `hold` a counter of the time that connections were in use, in units of `hold_unit` seconds.
    `pools` are labels that distinguish several pools of one pod. `maximum` None: the spec sets it.
    `maximum_by` are the only labels that the maximum shares with the other series, if it has labels
    of its own. `shared_maximum`: one number for the whole server, without the labels of a pool.
    """

    name: str
    in_use: Selector
    maximum: Selector | None
    idle: Selector | None = None
    waiting: Selector | None = None
    timeouts: Selector | None = None
    hold: Selector | None = None
    hold_unit: float = 1.0
    pools: tuple[str, ...] = ()
    backend: Backend | None = None
    shared_maximum: bool = False
    maximum_by: tuple[str, ...] = ()
    trap: str | None = None
    required: tuple[str, ...] = ()

    @property
    def per(self) -> Per:
        """Return whether pods or the exporter's label distinguish the versions."""
        return Per.POD if self.backend is None else Per.BACKEND


def _sel(metric: str, *matchers: Matcher) -> Selector:
    return Selector(metric, matchers)


def _eq(label: str, value: str) -> Matcher:
    return Matcher(label, MatchOp.EQUAL, value)


def _re(label: str, value: str) -> Matcher:
    return Matcher(label, MatchOp.REGEX, value)


def _not(label: str, value: str) -> Matcher:
    return Matcher(label, MatchOp.NOT_REGEX, value)


_MS = 0.001
_ENVOY_GATEWAY_TRAP = (
    "Envoy Gateway has one cluster per rule, so canary and stable look the same, unless a "
    "backendRef carries a filter; then they are httproute/NAMESPACE/ROUTE/rule/N/backend/M. "
    "Add a filter, or use a preset per pod"
)
# Port numbers or common port names: "prod-auth-.*" would count auth-canary as auth.
_TRAEFIK_PORT = r"(?:(?:https?|h2c|grpc|wss?|web|websecure)-)?(?:[0-9]+|https?|h2c|grpc|wss?|web)"

_ISTIO = Backend("destination_workload", namespace="destination_workload_namespace")
# reporter="destination" misses resets and refused connections. A waypoint (ambient mode) reports
# requests that no sidecar reports; never add "destination", which would count requests twice.
_ISTIO_REPORTER = _re("reporter", "source|waypoint")
_ENVOY = Backend("envoy_cluster_name")
_ENVOY_GATEWAY = Backend(
    "envoy_cluster_name", "httproute/{namespace}/{name}", names=".+/backend/[0-9]+"
)
_TRAEFIK = Backend(
    "service",
    "{namespace}-{name}-" + _TRAEFIK_PORT + "@kubernetes(?:crd|gateway)"
    # As of 3.7 behind a Gateway: the route, the entry point, then the backend.
    "|(?:http|grpc)route-{namespace}-.+-svc-{namespace}-{name}-[0-9]+@kubernetesgateway"
    "|{name}@file",
)
# The canary's upstream name; the label is empty for stable.
_INGRESS_NGINX = Backend("canary", namespace="namespace", names=".*")


def _grpc_pattern(codes: str) -> str:
    """Return a regular expression of gRPC codes in Go's (`DataLoss`) and others' spelling.

    >>> _grpc_pattern("Internal DataLoss")
    'Internal|INTERNAL|DataLoss|DATA_LOSS'
    """
    spelt = [form for one in codes.split() for form in (one, _to_upper_snake(one))]
    return "|".join(dict.fromkeys(spelt))


def _to_upper_snake(code: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).upper()


# The codes that OpenTelemetry's conventions count as server errors. Client errors (and
# ResourceExhausted, like 429) are in the other list; Canceled is in neither: the client left.
_GRPC_SERVER = _grpc_pattern("Unknown DeadlineExceeded Unimplemented Internal Unavailable DataLoss")
_GRPC_CLIENT = _grpc_pattern(
    "InvalidArgument NotFound AlreadyExists PermissionDenied ResourceExhausted FailedPrecondition "
    "Aborted OutOfRange Unauthenticated"
)
_GRPC_SERVER_NUMBERS, _GRPC_CLIENT_NUMBERS = "2|4|12|13|14|15", "3|5|6|7|8|9|10|11|16"

RATIOS: tuple[RatioPreset, ...] = (
    RatioPreset(
        "istio",
        _sel("istio_requests_total", _ISTIO_REPORTER),
        _re("response_code", "5..|0"),
        _ISTIO,
        client=_re("response_code", "4.."),
        http_only=True,
    ),
    RatioPreset(
        "istio-grpc",
        _sel("istio_requests_total", _ISTIO_REPORTER, _eq("request_protocol", "grpc")),
        _re("grpc_response_status", _GRPC_SERVER_NUMBERS),
        _ISTIO,
        client=_re("grpc_response_status", _GRPC_CLIENT_NUMBERS),
    ),
    RatioPreset(
        "linkerd",
        # Linkerd's classification also uses grpc-status.
        _sel("response_total", _eq("direction", "inbound")),
        _eq("classification", "failure"),
        Backend("deployment", namespace="namespace"),
        client=_re("status_code", "4.."),
    ),
    RatioPreset(
        "envoy",
        _sel("envoy_cluster_upstream_rq_xx"),
        _eq("envoy_response_code_class", "5"),
        _ENVOY,
        client=_eq("envoy_response_code_class", "4"),
        http_only=True,
    ),
    RatioPreset(
        "envoy-gateway",
        _sel("envoy_cluster_upstream_rq_xx"),
        _eq("envoy_response_code_class", "5"),
        _ENVOY_GATEWAY,
        trap=_ENVOY_GATEWAY_TRAP,
        client=_eq("envoy_response_code_class", "4"),
        http_only=True,
    ),
    RatioPreset(
        "traefik",
        _sel("traefik_service_requests_total"),
        _re("code", "5.."),
        _TRAEFIK,
        client=_re("code", "4.."),
        http_only=True,
    ),
    RatioPreset(
        "ingress-nginx",
        _sel("nginx_ingress_controller_requests"),
        _re("status", "5.."),
        _INGRESS_NGINX,
        required=("ingress",),
        client=_re("status", "4.."),
        http_only=True,
    ),
    RatioPreset(
        "spring-boot",
        _sel("http_server_requests_seconds_count", _not("uri", "/actuator.*")),
        _re("status", "5.."),
        client=_re("status", "4.."),
        http_only=True,
    ),
    RatioPreset(
        "fastapi",
        _sel("http_requests_total", _not("handler", "/metrics|/health.*")),
        _re("status", "5.."),
        client=_re("status", "4.."),
        http_only=True,
    ),
    RatioPreset(
        "otel-http",
        _sel("http_server_request_duration_seconds_count"),
        _re("http_response_status_code", "5.."),
        client=_re("http_response_status_code", "4.."),
        http_only=True,
    ),
    RatioPreset(
        "grpc",
        # go-grpc-prometheus and its successor (providers/prometheus) and py-grpc-prometheus.
        _sel("grpc_server_handled_total"),
        _re("grpc_code", _GRPC_SERVER),
        client=_re("grpc_code", _GRPC_CLIENT),
    ),
    RatioPreset(
        "otel-grpc",
        # The conventions up to 1.37, which instrumentations keep by default.
        _sel("rpc_server_duration_milliseconds_count"),
        _re("rpc_grpc_status_code", _GRPC_SERVER_NUMBERS),
        client=_re("rpc_grpc_status_code", _GRPC_CLIENT_NUMBERS),
    ),
    RatioPreset(
        "otel-rpc",
        # The stable conventions.
        _sel("rpc_server_call_duration_seconds_count"),
        _re("rpc_response_status_code", _GRPC_SERVER),
        client=_re("rpc_response_status_code", _GRPC_CLIENT),
    ),
    RatioPreset(
        "http",
        _sel("http_requests_total"),
        _re("code", "5..|5xx"),
        client=_re("code", "4..|4xx"),
        http_only=True,
    ),
    RatioPreset(
        "http-status",
        _sel("http_requests_total"),
        _re("status", "5..|5xx"),
        client=_re("status", "4..|4xx"),
        http_only=True,
    ),
)

LATENCIES: tuple[LatencyPreset, ...] = (
    LatencyPreset(
        "istio", _sel("istio_request_duration_milliseconds", _ISTIO_REPORTER), _MS, _ISTIO
    ),
    LatencyPreset("envoy", _sel("envoy_cluster_upstream_rq_time"), _MS, _ENVOY),
    LatencyPreset(
        "envoy-gateway",
        _sel("envoy_cluster_upstream_rq_time"),
        _MS,
        _ENVOY_GATEWAY,
        trap=_ENVOY_GATEWAY_TRAP,
    ),
    LatencyPreset("traefik", _sel("traefik_service_request_duration_seconds"), backend=_TRAEFIK),
    LatencyPreset(
        # Buckets only with management.metrics.distribution.percentiles-histogram or .slo.
        "spring-boot",
        _sel("http_server_requests_seconds", _not("uri", "/actuator.*")),
    ),
    LatencyPreset("otel-http", _sel("http_server_request_duration_seconds")),
    LatencyPreset("grpc", _sel("grpc_server_handling_seconds")),
    LatencyPreset("otel-grpc", _sel("rpc_server_duration_milliseconds"), _MS),
    LatencyPreset("otel-rpc", _sel("rpc_server_call_duration_seconds")),
    LatencyPreset("http", _sel("http_request_duration_seconds")),
)

_OTEL_POOL = ("db_client_connection_pool_name",)
POOLS: tuple[PoolPreset, ...] = (
    PoolPreset(
        "hikaricp",
        _sel("hikaricp_connections_active"),
        _sel("hikaricp_connections_max"),
        waiting=_sel("hikaricp_connections_pending"),
        timeouts=_sel("hikaricp_connections_timeout_total"),
        hold=_sel("hikaricp_connections_usage_seconds_sum"),
        pools=("pool",),
    ),
    PoolPreset(
        "hikaricp-native",
        _sel("hikaricp_active_connections"),
        _sel("hikaricp_max_connections"),
        waiting=_sel("hikaricp_pending_threads"),
        timeouts=_sel("hikaricp_connection_timeout_total"),
        hold=_sel("hikaricp_connection_usage_millis_sum"),
        hold_unit=_MS,
        pools=("pool",),
    ),
    PoolPreset(
        "go-sql",
        _sel("go_sql_in_use_connections"),
        _sel("go_sql_max_open_connections"),
        timeouts=_sel("go_sql_wait_count_total"),
        pools=("db_name",),
        trap="go_sql_max_open_connections 0 means unlimited, so utilization is undefined: "
        "set a maximum",
    ),
    # jackc/pgx by github.com/IBM/pgxpoolprometheus; names by its documentation.
    PoolPreset(
        "pgxpool",
        _sel("pgxpool_acquired_conns"),
        _sel("pgxpool_max_conns"),
        timeouts=_sel("pgxpool_canceled_acquire_count"),
        pools=("db_name",),
    ),
    PoolPreset(
        "otel-db",
        _sel("db_client_connection_count", _eq("db_client_connection_state", "used")),
        _sel("db_client_connection_max"),
        waiting=_sel("db_client_connection_pending_requests"),
        timeouts=_sel("db_client_connection_timeouts"),
        hold=_sel("db_client_connection_use_time_seconds_sum"),
        pools=_OTEL_POOL,
    ),
    PoolPreset(
        "otel-db-old",
        _sel("db_client_connections_usage", _eq("state", "used")),
        _sel("db_client_connections_max"),
        waiting=_sel("db_client_connections_pending_requests"),
        pools=("pool_name",),
    ),
    PoolPreset(
        "sqlalchemy",
        _sel("db_client_connections_usage", _eq("state", "used")),
        None,
        pools=("pool_name",),
        trap="SQLAlchemy exports no maximum: give it as `max` (pool_size + max_overflow)",
    ),
    PoolPreset(
        "pgbouncer",
        _sel("pgbouncer_pools_server_active_connections"),
        _sel("pgbouncer_databases_pool_size"),
        waiting=_sel("pgbouncer_pools_client_waiting_connections"),
        pools=("database",),
        # PgBouncer has a pool of that size per user and database.
        maximum_by=("database",),
    ),
    PoolPreset(
        "postgres",
        _sel("pg_stat_activity_count", Matcher("state", MatchOp.NOT_EQUAL, "idle")),
        _sel("pg_settings_max_connections"),
        backend=Backend("application_name"),
        shared_maximum=True,
    ),
    PoolPreset(
        "rails",
        _sel("active_record_connection_pool_busy"),
        _sel("active_record_connection_pool_size"),
        waiting=_sel("active_record_connection_pool_waiting"),
        pools=("pool_name",),
    ),
    PoolPreset(
        "node-postgres",
        _sel("pg_pool_active_connections"),
        _sel("pg_pool_max"),
        waiting=_sel("pg_pool_waiting_connections"),
    ),
    PoolPreset(
        "psycopg-pool",
        _sel("pool_size"),
        _sel("pool_max"),
        idle=_sel("pool_available"),
        waiting=_sel("requests_waiting"),
        timeouts=_sel("requests_errors"),
        hold=_sel("usage_ms"),
        hold_unit=_MS,
    ),
    PoolPreset(
        "npgsql",
        _sel("db_client_connection_count", _eq("db_client_connection_state", "used")),
        _sel("db_client_connection_max"),
        waiting=_sel("db_client_connection_npgsql_pending_requests"),
        pools=_OTEL_POOL,
    ),
    PoolPreset(
        "npgsql-9",
        _sel("db_client_connections_usage", _eq("state", "used")),
        _sel("db_client_connections_max"),
        pools=("pool_name",),
    ),
)


AnyPreset = RatioPreset | LatencyPreset | PoolPreset
_Preset = TypeVar("_Preset", RatioPreset, LatencyPreset, PoolPreset)


def ratio_preset(name: str) -> RatioPreset:
    """Return the ratio preset of that name; UsageError lists the existing ones."""
    return _find_preset(name, RATIOS, "ratio", _list_names(LATENCIES, POOLS))


def client_errors_preset(name: str) -> RatioPreset:
    """Return the ratio preset with client errors (4xx) as bad; UsageError lists existing ones."""
    able = [preset for preset in RATIOS if preset.client is not None]
    preset = _find_preset(name, able, "clientErrors", _list_names(RATIOS, LATENCIES, POOLS))
    return replace(preset, bad=preset.client or preset.bad)


def latency_preset(name: str) -> LatencyPreset:
    """Return the latency preset of that name; UsageError lists the existing ones."""
    return _find_preset(name, LATENCIES, "latency", _list_names(RATIOS, POOLS))


def pool_preset(name: str) -> PoolPreset:
    """Return the pool preset of that name; UsageError lists the existing ones."""
    return _find_preset(name, POOLS, "pool", _list_names(RATIOS, LATENCIES))


def _list_names(*tables: Sequence[AnyPreset]) -> list[str]:
    return [preset.name for table in tables for preset in table]


def _find_preset(
    name: str, presets: Sequence[_Preset], kind: str, elsewhere: Sequence[str]
) -> _Preset:
    by_name = {p.name: p for p in presets}
    if name in by_name:
        return by_name[name]
    if name in elsewhere:
        hint = f"; there is a preset of that name, but not for a {kind}."
    else:
        close = get_close_matches(name, by_name, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else "."
    raise UsageError(f"no {kind} preset is called {name!r}{hint} There are: {', '.join(by_name)}")
