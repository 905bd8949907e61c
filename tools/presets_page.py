"""Write docs/presets.md: the metrics that canary knows by name, and how to choose a preset."""

from collections.abc import Iterable

from canary.metrics.presets import LATENCIES, POOLS, RATIOS, Per

HEAD = """# Presets: metrics that canary knows

A preset names the series of one exporter, so that a release needs no PromQL. This page lists every
preset. `canary init` finds those that your pods have; in a release they are written like this:

```yaml
metrics:
- {name: errors, ratio: {preset: traefik}}
- {name: refused, clientErrors: {preset: traefik}}
- {name: slow, latency: {preset: traefik, above: 500ms}}
- {name: pool, pool: {preset: hikaricp}}
```

A preset distinguishes canary from stable either by a label of the router (one that names the
Service or the Deployment) or by the names of the pods. A preset by router requires that
[the release weights that router](routers.md); a preset by pod works with every router. Without a
preset, give `total` and `bad` in [`ratio`](spec.md#specanalysismetricsratio), or a `query`.

This page is generated from `canary/metrics/presets.py` by `make generate`.
"""
_BY = {Per.POD: "pod", Per.BACKEND: "router"}


def presets_page() -> str:
    """The page as Markdown."""
    ratios = [
        (
            one.name,
            f"`{one.total.metric}`",
            f"`{one.bad.label}`",
            _BY[one.per],
            "no" if one.http_only else "yes",
        )
        for one in RATIOS
    ]
    latencies = [(one.name, f"`{one.histogram.metric}`", _BY[one.per]) for one in LATENCIES]
    pools = [
        (
            one.name,
            f"`{one.in_use.metric}`" + (f" − `{one.idle.metric}`" if one.idle else ""),
            f"`{one.maximum.metric}`" if one.maximum else "set `max`",
            "yes" if one.hold else "no",
        )
        for one in POOLS
    ]
    return HEAD + "".join(
        (
            "\n## Requests: `ratio` and `clientErrors`\n\n",
            _table(
                (
                    "preset",
                    "counter of requests",
                    "status label",
                    "versions by",
                    "sees gRPC errors",
                ),
                ratios,
            ),
            "\n## Latency: `latency`\n\n",
            _table(("preset", "histogram", "versions by"), latencies),
            "\n## Connection pools: `pool`\n\n",
            "With hold times, the analysis knows how many connections the traffic explains.\n\n",
            _table(("preset", "connections in use", "maximum", "hold times"), pools),
        )
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| `{name}` | {' | '.join(cells)} |" for name, *cells in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines, ""])
