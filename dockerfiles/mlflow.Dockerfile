# syntax=docker/dockerfile:1
# MLflow's server with the two drivers that it needs for PostgreSQL and for a store that speaks S3, which its own image
# does not hold; the same release as the one that phytoscope is tested with.
#   docker build --file dockerfiles/mlflow.Dockerfile --tag registry.example.org/phytoscope-mlflow:0.1.0 .
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/mlflow
ENV PATH=/opt/mlflow/bin:$PATH
WORKDIR /build
COPY constraints.txt ./
RUN pip install --constraint constraints.txt mlflow psycopg2-binary boto3

FROM python:${PYTHON}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 mlflow \
    && useradd --uid 10001 --gid 10001 --create-home mlflow
COPY --from=build /opt/mlflow /opt/mlflow
ENV PATH=/opt/mlflow/bin:$PATH PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
USER 10001:10001
WORKDIR /home/mlflow
EXPOSE 5000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
ENTRYPOINT ["tini", "--"]
# MLFLOW_BACKEND_STORE_URI and MLFLOW_ARTIFACTS_DESTINATION say where; names of the server go into
# MLFLOW_SERVER_ALLOWED_HOSTS.
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "2"]
