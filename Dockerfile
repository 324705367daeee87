# The pipeline's image: what webserver, daemon, code server and each run start from.
#   docker build .                                           for deploy/compose.yaml
#   docker build --build-arg REQUIREMENTS=requirements-k8s.lock .  for deploy/kubernetes
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

# ---- the environment: dependencies first, so that a change of code costs seconds
FROM ${PYTHON_IMAGE} AS environment
ARG REQUIREMENTS=requirements.lock
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/mta
COPY ${REQUIREMENTS} /tmp/requirements.lock
RUN /opt/mta/bin/pip install --quiet --require-hashes --requirement /tmp/requirements.lock
COPY pyproject.toml README.md /tmp/project/
COPY mta_pipeline /tmp/project/mta_pipeline
RUN /opt/mta/bin/pip install --quiet --no-deps --no-build-isolation /tmp/project \
 && /opt/mta/bin/pip uninstall --quiet --yes pip
# A third of it is descriptions of all of Google's services, headers, and other people's tests.
RUN rm -rf /opt/mta/lib/python3*/site-packages/googleapiclient/discovery_cache/documents \
      /opt/mta/lib/python3*/site-packages/pyarrow/include /opt/mta/lib/python3*/site-packages/*/tests \
 && /opt/mta/bin/python -m compileall -q -j 0 /opt/mta/lib

# ---- Google Cloud Storage's stand-in, for the laptop profile of deploy/compose.yaml
FROM ${PYTHON_IMAGE} AS emulator
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements-dev.lock /tmp/
RUN sed -n '/^fake-gcs-server/,/[^\\]$/p' /tmp/requirements-dev.lock > /tmp/emulator.lock \
 && python3 -m venv /opt/emulator \
 && /opt/emulator/bin/pip install --quiet --require-hashes --requirement /tmp/emulator.lock \
 && find /opt/emulator -name 'fake-gcs-server-linux-*' -exec install -m 0755 {} /usr/local/bin/fake-gcs-server \; \
 && rm -r /opt/emulator \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin mta \
 && install -d -o mta -g mta /storage /storage/lake /storage/logs
USER 10001
EXPOSE 4443
ENTRYPOINT ["fake-gcs-server"]

# ---- what runs
FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mta-pipeline" \
      org.opencontainers.image.description="New York's weekly subway turnstile files in a data lake" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Folders that get a volume belong to the user already, so that a new volume does too.
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin mta \
 && install -d -o mta -g mta /opt/dagster /var/lib/mta/staging /var/lib/mta/feed
COPY --from=environment /opt/mta /opt/mta
ENV PATH=/opt/mta/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/opt/dagster \
    MTA_STAGING_DIR=/var/lib/mta/staging
USER 10001
WORKDIR /var/lib/mta
# The code location; compose.yaml gives the other services their commands.
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s \
  CMD ["python", "-c", "import grpc; grpc.channel_ready_future(grpc.insecure_channel('localhost:4000')).result(5)"]
CMD ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", "4000", "--module-name", "mta_pipeline.orchestration.definitions"]
