# Two images from one file:
#   docker build -t stream-rec .                          serving: no torch, no training code
#   docker build -t stream-rec-training --target training .
# Serving on NVIDIA: --build-arg RUNTIME=gpu --build-arg BASE=<a CUDA runtime image with Python 3.11>

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/venv/bin:$PATH

FROM base AS serving-build
ARG RUNTIME=cpu
RUN python3 -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml README.md ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install ".[service,${RUNTIME}]"
COPY service service
COPY model_export model_export
COPY streamrec streamrec
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --no-deps --force-reinstall . && pip uninstall --yes pip

FROM base AS training-build
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=
RUN python3 -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml README.md ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install ${TORCH_INDEX} "${TORCH}" && pip install ".[export,cpu]"
COPY training training
COPY model_export model_export
COPY streamrec streamrec
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --no-deps --force-reinstall .

FROM base AS training
LABEL org.opencontainers.image.title="STREAM-Rec training" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --create-home --uid 10001 streamrec && install -d -o streamrec /data
COPY --from=training-build /opt/venv /opt/venv
COPY configs /configs
USER streamrec
WORKDIR /data
ENTRYPOINT ["streamrec"]
CMD ["--help"]

FROM base AS serving
LABEL org.opencontainers.image.title="STREAM-Rec" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --create-home --uid 10001 streamrec
COPY --from=serving-build /opt/venv /opt/venv
USER streamrec
WORKDIR /tmp
ENV STREAMREC_HOST=0.0.0.0 STREAMREC_BUNDLE=/bundle STREAMREC_REDIS_FOLDER=/tmp/redis
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["streamrec"]
CMD ["serve"]
