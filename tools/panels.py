"""What the panels of our dashboards have in common, on Grafana's own SDK."""

from collections.abc import Mapping
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models.common import (
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "text"

AnyPanel = TypeVar(
    "AnyPanel",
    timeseries.Panel,
    stat.Panel,
    bargauge.Panel,
    table.Panel,
    statetimeline.Panel,
)


def start(title: str, uid: str, words: str) -> dashboard.Dashboard:
    """An empty dashboard that looks again every ten seconds, with links to its siblings."""
    siblings = dashboard.DashboardLink("Canary").tags(["canary"]).as_dropdown(True)
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(words)
        .tags(["canary"])
        .timezone("browser")
        .refresh("10s")
        .time("now-1h", "now")
        .link(siblings.include_vars(True).keep_time(True))
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    )


def variable(name: str, metric: str) -> dashboard.QueryVariable:
    """The values of a label, several or all of them."""
    return (
        dashboard.QueryVariable(name)
        .datasource(SOURCE)
        .query(f"label_values({metric}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def framed(panel: AnyPanel, title: str, words: str, width: int, height: int) -> AnyPanel:
    """With title, explanation and size (24 columns, rows of about 30 pixels)."""
    panel.title(title).description(words).datasource(SOURCE).span(width).height(height)
    return panel


def asked(expression: str, legend: str = "", letter: str = "A") -> prometheus.Dataquery:
    """A question about the whole range."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(letter).range()


def now(expression: str, letter: str = "A", *, rows: bool = False) -> prometheus.Dataquery:
    """A question about the range's end; `rows`: as a table of labels."""
    query = prometheus.Dataquery().expr(expression).ref_id(letter).instant()
    return query.format(PromQueryFormat.TABLE) if rows else query


def lines(title: str, words: str, unit: str, **queries: str) -> timeseries.Panel:
    """Lines over time; `queries` are expressions by legend, with `/` for the labels' names."""
    panel = framed(timeseries.Panel(), title, words, 12, 9).unit(unit).min(0)
    for index, (legend, expression) in enumerate(queries.items()):
        panel.with_target(asked(expression, legend, chr(ord("A") + index)))
    legend_options = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    return (
        panel.legend(legend_options)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .show_points(VisibilityMode.NEVER)
        .fill_opacity(0)
        .line_width(1.5)
    )


def with_line(panel: timeseries.Panel, at: float) -> timeseries.Panel:
    """With a dashed red line."""
    style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(steps((None, GREY), (at, RED))).thresholds_style(style)


def steps(*pairs: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from a value on; the first is for everything below."""
    found = [Threshold(value, color) for value, color in pairs]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(found)


def number(
    title: str, words: str, expression: str, unit: str, *colors: tuple[float | None, str]
) -> stat.Panel:
    """One number, coloured by `colors`."""
    panel = framed(stat.Panel(), title, words, 6, 4).unit(unit).thresholds(steps(*colors))
    return panel.with_target(now(expression)).no_value("none")


def timeline(
    title: str, words: str, legend: str, states: Mapping[str, str], query: str
) -> statetimeline.Panel:
    """States over time, with their colours: `query` gives the index of one of them."""
    options = {
        str(index): ValueMappingResult(text=name, color=color, index=index)
        for index, (name, color) in enumerate(states.items())
    }
    panel = framed(statetimeline.Panel(), title, words, 12, 9).fill_opacity(70).line_width(0)
    return panel.mappings([ValueMap(options=options)]).with_target(asked(query, legend))


def columns(names: Mapping[str, str]) -> list[DataTransformerConfig]:
    """Merges the answers of several queries into one table with these columns, in this order."""
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": dict(names),
            },
        ),
    ]


def option(name: str, value: object) -> DynamicConfigValue:
    """One property of a column."""
    return DynamicConfigValue(id_val=name, value=value)
