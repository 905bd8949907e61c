"""One PostgreSQL for all tests, in the cluster, with the accounts of the demo."""

from canary.kube.objects import Object
from e2e.harness.auth import IMAGE, LOCKED, RESTRICTED, namespace
from e2e.harness.kubectl import apply, get, kubectl, not_ending

NAMESPACE = "e2e-postgres"
USERS = 5000
START = """
initdb -D /data/db --no-sync --auth=trust --encoding=UTF8 --locale=C -U postgres >/dev/null
echo 'host all all all trust' >>/data/db/pg_hba.conf
exec postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/tmp \
  -c max_connections=600 -c fsync=off -c full_page_writes=off -c synchronous_commit=off \
  -c shared_buffers=32MB -c jit=off -c io_method=sync -c max_parallel_workers=0
"""
FILL = f"""
import psycopg
from canary.demo.load.accounts import create_accounts
with psycopg.connect("host=/tmp user=postgres dbname=postgres", autocommit=True) as admin:
    admin.execute("CREATE ROLE auth LOGIN")
    admin.execute("CREATE DATABASE auth OWNER auth")
create_accounts("host=/tmp user=auth dbname=auth", {USERS})
"""


def start_postgres() -> None:
    """Starts it unless it is there, and fills it."""
    not_ending(NAMESPACE)
    if get(NAMESPACE, "service", "postgres"):
        return
    apply(namespace(NAMESPACE))
    apply(_pod())
    wait = ("wait", "pod/postgres", "--for=condition=Ready", "--timeout=90s")
    kubectl("-n", NAMESPACE, *wait)
    kubectl("-n", NAMESPACE, "exec", "postgres", "--", "python", "-c", FILL)
    apply(_service())  # last: it says that all of this is done


def _pod() -> Object:
    ready = {"exec": {"command": ["pg_isready", "-h", "localhost"]}, "periodSeconds": 1}
    volumes = ("data", "tmp", "dev/shm")
    container = {
        "name": "postgres",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-ec", START],
        "readinessProbe": ready,
        "resources": {"requests": {"cpu": "200m", "memory": "128Mi"}},
        "securityContext": dict(LOCKED),
        "volumeMounts": [
            {"name": path.replace("/", "-"), "mountPath": f"/{path}"} for path in volumes
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "postgres", "namespace": NAMESPACE, "labels": {"app": "postgres"}},
        "spec": {
            "securityContext": {**RESTRICTED, "fsGroup": 65532},
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [
                {"name": path.replace("/", "-"), "emptyDir": {"medium": "Memory"}}
                for path in volumes
            ],
        },
    }


def _service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "postgres", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "postgres"}, "ports": [{"port": 5432}]},
    }
