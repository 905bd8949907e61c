"""5,000 wrong CanaryReleases on a real API server: each is refused there, or by the operator."""

import json
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

import pytest

from canary.errors import UsageError
from canary.kube.objects import Object
from canary.kube.releases import parse_release
from canary.kube.transport import ApiRequest, RequestTimeouts, load_transport
from e2e.fixtures_manifests import NAMESPACE, cluster
from tests.hostile.wrong_resources import wrong_resource

__all__ = ["cluster"]
RESOURCES = 5000
PATH = f"/apis/canary-controller.dev/v1alpha1/namespaces/{NAMESPACE}/canaryreleases"
QUERY = {"dryRun": "All", "fieldValidation": "Strict"}
REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}


def list_resources() -> Iterator[Object]:
    """Those that JSON can hold."""
    for number in range(RESOURCES):
        item = wrong_resource(number)
        item["metadata"]["namespace"] = NAMESPACE
        try:
            json.dumps(item, allow_nan=False, ensure_ascii=False).encode("utf-8")
        except ValueError:
            continue
        yield item


def is_followed(resource: Object) -> bool:
    """Whether the operator follows it; it refuses with a sentence, and never fails."""
    try:
        parse_release(resource)
    except UsageError:
        return False
    return True


@pytest.mark.usefixtures("cluster")
def test_the_api_server_and_the_operator_refuse_with_a_reason() -> None:
    """Most are refused by the server; none that it takes makes the operator fail."""
    accepted: list[Object] = []
    odd: dict[str, int] = {}
    with closing(load_transport()) as transport:
        for resource in list_resources():
            request = ApiRequest("POST", PATH, QUERY, resource)
            response = transport.send(request, RequestTimeouts())
            if response.status == HTTPStatus.CREATED:
                accepted.append(resource)
            elif response.status not in REFUSED:
                odd[resource["metadata"]["name"]] = response.status
    late = [one["metadata"]["name"] for one in accepted if not is_followed(one)]
    assert odd == {}
    assert len(accepted) > RESOURCES / 50
    # Presets, PromQL and what CEL cannot express are checked by the operator only.
    assert len(late) < len(accepted) / 2, late
