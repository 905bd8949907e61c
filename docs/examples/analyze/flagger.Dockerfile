# Flagger's load tester with `canary`: docker build -t canary-loadtester:0.1.0 -f flagger.Dockerfile .
# (--build-arg LOADTESTER=… for the version that you run)
ARG LOADTESTER=ghcr.io/fluxcd/flagger-loadtester:0.31.0
FROM ${LOADTESTER} AS loadtester
FROM canary-controller:0.1.0
COPY --from=loadtester /home/app/loadtester /usr/local/bin/loadtester
ENTRYPOINT ["loadtester"]
CMD ["-port=8080", "-log-level=info"]
