"""Runs the checks of a release one after the other: Jobs and webhooks."""

from dataclasses import dataclass

from canary.api import CheckMoment, CheckStatus, Verdict
from canary.api.spec import Check
from canary.core.due_checks import select_due_checks
from canary.core.snapshot import ReleaseResource
from canary.errors import ConflictError
from canary.kube.objects import CRON_JOBS, JOBS, PODS, RELEASES, SERVICES, Object, Objects
from canary.kube.workloads.check_jobs import (
    build_job,
    canary_address,
    has_ended,
    job_name,
    read_job_result,
)
from canary.kube.workloads.names import (
    ALLOWED,
    CHECK,
    CHECKS,
    allows_checks,
    canary_name,
    controlled_by,
    service_name,
)
from canary.kube.workloads.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class CheckRunner:
    """The checks of all releases. After an inconclusive one, a resume runs all of them again."""

    objects: Objects
    webhooks: Webhooks

    def read(self, resource: ReleaseResource, owner: Object) -> tuple[CheckStatus, ...]:
        """Return the result of each check that is due, in order.

        Checks after one that has not passed are not started.
        """
        found: list[CheckStatus] = []
        for check in select_due_checks(resource.spec, resource.status).checks:
            passed = all(one.verdict is Verdict.PASS for one in found)
            result = self._read_result(resource, owner, check) if passed else None
            found.append(result or CheckStatus(name=check.name, message="not started"))
        return tuple(found)

    def run(self, resource: ReleaseResource, owner: Object) -> None:
        """Start the first check that has not been started, if all before it have passed."""
        for check in select_due_checks(resource.spec, resource.status).checks:
            result = self._read_result(resource, owner, check)
            if result is None:
                self._start_check(resource, owner, check)
                return
            if result.verdict is not Verdict.PASS:
                return

    def stop(self, resource: ReleaseResource, owner: Object) -> None:
        """Delete the Jobs that still run; finished ones are kept."""
        for check in resource.spec.checks:
            for job in self.objects.list(JOBS, resource.namespace, {CHECK: check.name}):
                if controlled_by(job, owner["metadata"]["uid"]) and not has_ended(job):
                    name = job["metadata"]["name"]
                    self.objects.delete(JOBS, resource.namespace, name, "Background")

    def _read_result(
        self, resource: ReleaseResource, owner: Object, check: Check
    ) -> CheckStatus | None:
        name = _attempt_id(resource, owner, check)
        if check.webhook is not None:
            return self.webhooks.result(check.name, name)
        job = self.objects.get(JOBS, resource.namespace, name)
        if job is None:
            return self._missing_cron_job(resource, check)
        if not controlled_by(job, owner["metadata"]["uid"]):
            message = f"Job {name} was not made for this release: delete it"
            return CheckStatus(name=check.name, verdict=Verdict.NO_DATA, message=message)
        pods = self.objects.list(PODS, resource.namespace, {"batch.kubernetes.io/job-name": name})
        # Anybody may set a label on a pod, but only a controller sets the controller reference.
        own = [pod for pod in pods if controlled_by(pod, job["metadata"]["uid"])]
        return read_job_result(check.name, job, own)

    def _missing_cron_job(self, resource: ReleaseResource, check: Check) -> CheckStatus | None:
        cron_job = self._cron_job(resource, check)
        if cron_job is not None and allows_checks(cron_job):
            return None
        name = check.job_from.cron_job if check.job_from else ""
        message = f"CronJob {name} does not exist in namespace {resource.namespace}"
        if cron_job is not None:
            message = f"CronJob {name} has no label {CHECKS}={ALLOWED}: no check may run it"
        return CheckStatus(name=check.name, verdict=Verdict.NO_DATA, message=message)

    def _cron_job(self, resource: ReleaseResource, check: Check) -> Object | None:
        if check.job_from is None:
            return None
        return self.objects.get(CRON_JOBS, resource.namespace, check.job_from.cron_job)

    def _start_check(self, resource: ReleaseResource, owner: Object, check: Check) -> None:
        service = self.objects.get(SERVICES, resource.namespace, service_name(resource))
        if service is None or not service["spec"].get("ports"):
            gone = "no longer exists" if service is None else "has no ports"
            raise ConflictError(f"Service {service_name(resource)} {gone}")
        attempt_id = _attempt_id(resource, owner, check)
        stable = canary_address(service, service_name(resource))
        promoted = check.when is CheckMoment.AFTER_PROMOTION  # the canary is gone by then
        canary = stable if promoted else canary_address(service, canary_name(resource))
        step = {"step": str(resource.status.step + 1), "weight": str(resource.status.weight)}
        if check.webhook is not None:
            self.webhooks.start(
                check.name,
                check.webhook.url,
                check.webhook.timeout,
                {
                    "id": attempt_id,
                    "check": check.name,
                    "release": resource.name,
                    "namespace": resource.namespace,
                    "template": resource.status.canary_hash or "",
                    "canaryUrl": canary,
                    "stableUrl": stable,
                    "when": check.when.value,
                    **step,
                },
            )
            return
        env = {
            "CANARY_URL": canary,
            "STABLE_URL": stable,
            "CANARY_RELEASE": resource.name,
            "CANARY_WHEN": check.when.value,
            "CANARY_STEP": step["step"],
            "CANARY_WEIGHT": step["weight"],
        }
        cron_job = self._cron_job(resource, check)
        if cron_job is not None and allows_checks(cron_job):
            job = build_job(cron_job, owner, check.name, attempt_id, env)
            self.objects.create(JOBS, resource.namespace, job)


def _attempt_id(resource: ReleaseResource, owner: Object, check: Check) -> str:
    release = resource.status.release
    if release is None:
        raise LookupError(f"{RELEASES.kind} {resource.name} has no release in flight")
    attempt = f"{release.template}/{release.resumed_at or release.started_at}"
    if run := select_due_checks(resource.spec, resource.status).run:
        attempt = f"{attempt}/{run}"
    return job_name(owner, check.name, attempt)
