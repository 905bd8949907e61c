"""Converts releases of other controllers to CanaryReleases: `canary init --from`. Pure.

A note reports for every field of the source whether it has an equivalent, changes its meaning, or
has none.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from canary.errors import UsageError
from canary.init.migration.argo_rollouts import convert_rollout
from canary.init.migration.conversion import Conversion
from canary.init.migration.flagger import convert_canary
from canary.kube.objects import Kind, Object

FLAGGER_CANARIES = Kind("flagger.app", "v1beta1", "canaries", "Canary")
FLAGGER_TEMPLATES = Kind("flagger.app", "v1beta1", "metrictemplates", "MetricTemplate")
ROLLOUTS = Kind("argoproj.io", "v1alpha1", "rollouts", "Rollout")
ANALYSIS_TEMPLATES = Kind("argoproj.io", "v1alpha1", "analysistemplates", "AnalysisTemplate")
CLUSTER_ANALYSIS_TEMPLATES = Kind(
    "argoproj.io", "v1alpha1", "clusteranalysistemplates", "ClusterAnalysisTemplate"
)
Convert = Callable[[Object, Sequence[Object]], Conversion]
SOURCES = (FLAGGER_CANARIES, ROLLOUTS)
TEMPLATES = (FLAGGER_TEMPLATES, ANALYSIS_TEMPLATES, CLUSTER_ANALYSIS_TEMPLATES)


def convert_objects(objects: Iterable[Object]) -> Iterator[Conversion]:
    """Convert each Canary of Flagger and each Rollout of Argo Rollouts among `objects`.

    MetricTemplates and AnalysisTemplates among the objects are used where they are referenced.

    Raises:
        UsageError: there is neither a Canary nor a Rollout, or a spec is invalid.
    """
    known = list(objects)
    templates = [one for one in known if _kind_of(one) in {kind.kind for kind in TEMPLATES}]
    found = False
    for one in known:
        group = str(one.get("apiVersion", "")).partition("/")[0]
        if (group, _kind_of(one)) == (FLAGGER_CANARIES.group, FLAGGER_CANARIES.kind):
            found = True
            yield _convert_resource(convert_canary, one, templates)
        elif (group, _kind_of(one)) == (ROLLOUTS.group, ROLLOUTS.kind):
            found = True
            yield _convert_resource(convert_rollout, one, templates)
    if not found:
        raise UsageError(
            "--from: expected a Canary of flagger.app or a Rollout of argoproj.io, found none"
        )


def _convert_resource(convert: Convert, item: Object, templates: list[Object]) -> Conversion:
    try:
        return convert(item, templates)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{item['kind']} {item['metadata']['name']}: expected a spec that its "
            f"CustomResourceDefinition allows, found an invalid one ({error})"
        ) from error


def _kind_of(item: Object) -> str:
    return str(item.get("kind", ""))
