"""The Grafana dashboards, as code. `dashboards()` gives the JSON that is checked in."""

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.pool_dashboard import pools
from tools.release_dashboard import releases


def dashboards() -> dict[str, str]:
    """File names and contents."""
    built = {"pools.json": pools().build(), "releases.json": releases().build()}
    return {name: _text(json.loads(JSONEncoder().encode(one))) for name, one in built.items()}


def _text(content: object) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
