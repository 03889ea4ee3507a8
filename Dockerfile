# One image for `relay serve` (the REST API) and `relay worker`. It has no embedded server: set RELAY_REDIS_URL.
# A release passes BASE with its digest: python:3.12-slim@sha256:...
ARG BASE=python:3.12-slim

# hadolint ignore=DL3006
FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all:
WORKDIR /build
COPY requirements requirements
# Two environments: what builds the relay's own wheel stays out of the one that is shipped, and so does pip.
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-deps --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/relay \
    && /opt/build/bin/pip --python /opt/relay/bin/python install --no-deps --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY relay relay
COPY workers workers
RUN /opt/build/bin/python -m hatchling build -t wheel -d dist \
    && /opt/build/bin/pip --python /opt/relay/bin/python install --no-deps dist/*.whl

# hadolint ignore=DL3006
FROM ${BASE}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG BASE
LABEL org.opencontainers.image.title="infinity-event-relay" \
      org.opencontainers.image.description="Sends each row of Infinity's call tracking as a signed callback" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
ENV PATH=/opt/relay/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RELAY_HOST=0.0.0.0
COPY --from=build /opt/relay /opt/relay
USER 10001:10001
EXPOSE 8080 8081
ENTRYPOINT ["relay"]
CMD ["serve"]
