# One image, two commands: `serve` (the REST API) and `worker`. There is no embedded server in it: set RELAY_REDIS_URL.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements requirements
# Two environments: what builds the wheel stays out of the one that is shipped.
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r requirements/dev.txt \
    && python -m venv --without-pip /opt/relay \
    && /opt/build/bin/pip --python /opt/relay/bin/python install --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY relay relay
COPY workers workers
RUN /opt/build/bin/python -m hatchling build -t wheel -d dist \
    && /opt/build/bin/pip --python /opt/relay/bin/python install --no-deps dist/*.whl

FROM ${BASE}
ENV PATH=/opt/relay/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RELAY_HOST=0.0.0.0
COPY --from=build /opt/relay /opt/relay
USER 10001:10001
EXPOSE 8080 8081
ENTRYPOINT ["relay"]
CMD ["serve"]
