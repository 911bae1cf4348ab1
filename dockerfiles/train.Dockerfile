# syntax=docker/dockerfile:1
# Everything but the service: training, the pipeline with its run launcher, sweeps, and the workers of a Ray cluster.
#   docker build --file dockerfiles/train.Dockerfile --tag registry.example.org/phytoscope:0.1.0 .
# Without GPUs the image is several GB smaller with --build-arg TORCH_INDEX=ADDRESS, the index of builds for processors.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/phytoscope
ENV PATH=/opt/phytoscope/bin:$PATH
WORKDIR /build
# The largest part first: it changes least.
COPY constraints.txt ./
RUN pip install --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --constraint constraints.txt \
      ".[weights,export,fast,pipeline,track,sweep,explain,distributed,s3,kubernetes,postgres]" \
# What the head of a Ray cluster needs beside the library: its page, jobs and the autoscaler.
    && pip install --constraint constraints.txt "ray[default]"

FROM python:${PYTHON}
# KubeRay's probes of its pods call wget.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 phytoscope \
    && useradd --uid 10001 --gid 10001 --create-home phytoscope \
    && install --directory --owner=10001 --group=10001 /workspace
COPY --from=build /opt/phytoscope /opt/phytoscope
ENV PATH=/opt/phytoscope/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_DISABLE_TELEMETRY=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    RAY_USAGE_STATS_ENABLED=0 \
    DO_NOT_TRACK=true \
    NO_ALBUMENTATIONS_UPDATE=1 \
    PHYTOSCOPE_WORKSPACE=/workspace
USER 10001:10001
WORKDIR /workspace
# A command that ends by itself, not a server: there is nothing to ask for its health.
HEALTHCHECK NONE
ENTRYPOINT ["tini", "--"]
CMD ["phytoscope", "--help"]
