# Rookery's image: both daemons and what they load, for a user without rights.
#
#   docker build -t rookery .
#   docker run -e DATABASE_URL=... -e REDIS_URL=... rookery rookery-gateway migrate
#   docker run -e DATABASE_URL=... -e REDIS_URL=... -p 8080:8080 rookery
#   docker run -e DATABASE_URL=... -e REDIS_URL=... rookery rookery-worker
#   docker run -v "$PWD:$PWD" -w "$PWD" -u "$(id -u):$(id -g)" rookery rookery-worker jobs ...
#
# tests/integration/dockerfile.sh holds it against the tree and the built daemons.

FROM debian:bookworm-slim AS build
WORKDIR /src
# First what seldom changes, so that the packages are installed once.
COPY scripts/setup scripts/lib.sh scripts/lib-servers.sh scripts/
RUN scripts/setup --build
COPY Makefile VERSION ./
COPY proto proto
COPY core core
COPY gateway gateway
COPY workers workers
COPY scripts/generate scripts/generate
RUN make -j"$(nproc)" daemons \
 && install -D -s -t /out/usr/local/bin build/rookery-gateway build/rookery-worker

FROM debian:bookworm-slim
# The libraries that the daemons are linked with, and ps, without which Nextflow cannot report what a task used.
RUN apt-get update -q \
 && apt-get install -q -y --no-install-recommends \
      libhiredis0.14 \
      libjansson4 \
      liblapacke \
      libnghttp2-14 \
      libopenblas0-serial \
      libpq5 \
      libprotobuf-c1 \
      libsodium23 \
      libutf8proc2 \
      libuv1 \
      procps \
      zlib1g \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/*.log \
 && groupadd --gid 10001 rookery \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin rookery
COPY --from=build /out /
COPY LICENSE /usr/share/doc/rookery/

ARG VERSION=unknown
LABEL org.opencontainers.image.title="Rookery" \
      org.opencontainers.image.description="Event-driven fan-out timeline server: gateway, workers and per-slice regression jobs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"

# From outside a container its loopback cannot be reached, so both daemons listen on every address.
ENV ROOKERY_LISTEN=0.0.0.0:8080 \
    ROOKERY_METRICS_LISTEN=0.0.0.0:9090
EXPOSE 8080 9090
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
# A container runs one of the two; each asks its own kind.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 \
    CMD rookery-gateway health 2>/dev/null || rookery-worker health
CMD ["rookery-gateway"]
