# syntax=docker/dockerfile:1
# The service alone, with torch for processors; --build-arg TORCH_BACKEND=cu130 makes one for GPUs of NVIDIA.
#   docker build --file dockerfiles/api.Dockerfile --tag registry.example.org/phytoscope-api:0.1.0 .
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
# uv knows where torch's builds lie: cpu, or such as cu130 or rocm6.4 for what has a GPU.
ARG TORCH_BACKEND=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
RUN python -m venv /opt/phytoscope
ENV VIRTUAL_ENV=/opt/phytoscope PATH=/opt/phytoscope/bin:$PATH
WORKDIR /build
COPY constraints.txt ./
# The largest part first: it changes least. uv itself stays outside of what is handed on.
RUN /usr/local/bin/python -m pip install --constraint constraints.txt uv==0.13.9 \
    && uv pip install --torch-backend "${TORCH_BACKEND}" --constraint constraints.txt torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# track: packages are named models:/NAME@champion. s3: they may lie in a store of their own.
RUN uv pip install --torch-backend "${TORCH_BACKEND}" --constraint constraints.txt \
      ".[serve,explain,track,postgres,s3]"

FROM python:${PYTHON}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 phytoscope \
    && useradd --uid 10001 --gid 10001 --create-home phytoscope \
    && install --directory --owner=10001 --group=10001 /data /cache
COPY --from=build /opt/phytoscope /opt/phytoscope
ENV PATH=/opt/phytoscope/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true \
    XDG_DATA_HOME=/data \
    XDG_CACHE_HOME=/cache \
    MODEL=/model
USER 10001:10001
WORKDIR /data
EXPOSE 8000
# The first start measures which engine is fastest here, and fetches the package.
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["tini", "--"]
# MODEL: a package in a volume, or models:/NAME@champion with MLFLOW_TRACKING_URI.
CMD ["sh", "-c", "exec phytoscope serve \"$MODEL\" serve.host=0.0.0.0 serve.port=8000 serve.log_format=json"]
