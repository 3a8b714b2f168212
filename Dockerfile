# Both stages share one base, so that the environment's interpreter is the same file in both.
FROM python:3.13-slim-bookworm AS build

# Unpinned: make runs one target, which any release of it does, and a pin would break when Debian updates it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make install PREFIX=/opt/kata

FROM python:3.13-slim-bookworm

RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/kata kata
COPY --from=build /opt/kata /opt/kata
ENV PATH=/opt/kata/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KATA_LISTEN=0.0.0.0:50051 \
    KATA_DATA_DIR=/var/lib/kata/data \
    KATA_LOG_FORMAT=json
# Beyond loopback the server refuses to start without KATA_TLS_CERT and KATA_TLS_KEY, or KATA_ALLOW_PLAINTEXT_REMOTE=on.
USER 10001
WORKDIR /var/lib/kata
VOLUME /var/lib/kata
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["kata-grpc", "health"]
ENTRYPOINT ["kata-grpc"]
CMD ["serve"]
