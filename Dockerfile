# The image of the operator and of checks before traffic: Python, `canary operator`, and what
# `canary loadtest` and `canary leaktest` need.
#   docker build -t canary .
#   docker build --build-arg LOCK=operator -t canary .   (the operator alone, without the load generator)
#   docker build --build-arg BASE=… -t canary .   (another Python 3.11 or newer)
# A release names its base by digest, python:3.14-slim@sha256:…: `make release-check BASE=…` refuses a tag.
ARG BASE=python:3.14-slim

# The dependencies have a layer of their own: a change of the source does not install them again,
# and a cluster that pulls the next version pulls only what has changed.
FROM ${BASE} AS dependencies
ARG LOCK=checks
WORKDIR /src
COPY locks locks
# The exact versions that the tests ran with, each with its hashes, from wheels only: no compiler. The asyncio variant of
# the Kubernetes client is removed and its generated classes stay uncompiled: 100 MB that the image
# does not need.
RUN python3 -m venv /pip \
 && /pip/bin/pip install --quiet --only-binary :all: --require-hashes --requirement locks/build.txt \
 && python3 -m venv --without-pip /opt/canary \
 && /pip/bin/pip --python /opt/canary/bin/python3 install --quiet --no-compile --only-binary :all: \
      --require-hashes --requirement "locks/${LOCK:-checks}.txt" \
 && rm -r /opt/canary/lib/python3*/site-packages/kubernetes/aio \
 && find /opt/canary -depth \( -name tests -o -name __pycache__ \) -exec rm -r {} + \
 && python3 -m compileall -q -x 'kubernetes/client/(api|models)/' \
      --invalidation-mode unchecked-hash /opt/canary

FROM dependencies AS package
COPY pyproject.toml README.md LICENSE ./
COPY canary canary
# Installed below /package, which holds then only what this project adds to /opt/canary.
RUN /pip/bin/pip --python /opt/canary/bin/python3 install --quiet --no-compile --no-deps \
      --no-build-isolation --root /package --prefix /opt/canary . \
 && python3 -m compileall -q -s /package --invalidation-mode unchecked-hash /package

FROM ${BASE}
LABEL org.opencontainers.image.title="canary" \
      org.opencontainers.image.description="Ships a new version of a service without hurting its users" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=dependencies /opt/canary /opt/canary
COPY --from=package /package/opt/canary /opt/canary
ENV PATH=/opt/canary/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["canary"]
CMD ["operator"]
