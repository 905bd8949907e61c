# The image of the operator and of checks before traffic: Python, `canary operator`, and what
# `canary loadtest` and `canary leaktest` need.
#   docker build -t canary .
#   docker build --build-arg BASE=… -t canary .   (another Python 3.11 or newer)
ARG BASE=python:3.14-slim

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY canary canary
# The exact versions that the tests ran with, from wheels only: no compiler. Of the Kubernetes client
# its asyncio twin goes, and its generated classes stay uncompiled: 100 MB that nothing of ours imports.
RUN python3 -m venv /opt/canary \
 && /opt/canary/bin/pip wheel --quiet --no-deps --wheel-dir /wheels . \
 && /opt/canary/bin/pip install --quiet --no-compile --only-binary :all: \
      --constraint constraints.txt "$(echo /wheels/*.whl)[load,postgres]" \
 && /opt/canary/bin/pip uninstall --quiet --yes pip \
 && rm -r /opt/canary/lib/python3*/site-packages/kubernetes/aio \
 && find /opt/canary -depth \( -name tests -o -name __pycache__ \) -exec rm -r {} + \
 && python3 -m compileall -q -x 'kubernetes/client/(api|models)/' \
      --invalidation-mode unchecked-hash /opt/canary

FROM ${BASE}
LABEL org.opencontainers.image.title="canary" \
      org.opencontainers.image.description="Ships a new version of a service without hurting its users" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/canary /opt/canary
ENV PATH=/opt/canary/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["canary"]
CMD ["operator"]
