# Two images from one file:
#   docker build -t stream-rec .                                    serving: no torch, no training code
#   docker build -t stream-rec-training --target training .
# On NVIDIA GPUs (any base with CUDA and cuDNN; Python is added where it has none):
#   docker build -t stream-rec:gpu --build-arg RUNTIME=gpu \
#     --build-arg BASE=nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04 .
# Behind a private package index: --secret id=pip_conf,src=pip.conf --secret id=ca_bundle,src=ca.pem

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/venv/bin:$PATH
# hadolint ignore=DL3008
RUN if ! command -v python3 > /dev/null; then \
      apt-get update && apt-get install -y --no-install-recommends python3 python3-venv \
      && rm -rf /var/lib/apt/lists/*; \
    fi \
    && useradd --no-log-init --create-home --uid 10001 streamrec

FROM base AS build
RUN python3 -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml README.md ./
COPY locks locks
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --require-hashes --no-deps -r locks/build.txt

FROM build AS serving-build
ARG RUNTIME=cpu
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --require-hashes --no-deps -r locks/serving-${RUNTIME}.txt
COPY service service
COPY model_export model_export
COPY streamrec streamrec
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --no-deps --no-build-isolation . && pip uninstall --yes setuptools pip
# Libraries' own tests, and of ONNX Runtime what makes models and what programs in C link to: a quarter of it all.
RUN onnx=$(python3 -c 'import importlib.util as u; print(u.find_spec("onnxruntime").submodule_search_locations[0])') \
    && rm -rf "$onnx"/transformers "$onnx"/quantization "$onnx"/tools "$onnx"/capi/libonnxruntime.so.* \
    && find /opt/venv -type d -name tests -prune -exec rm -rf {} +

FROM build AS training-build
ARG TORCH=torch==2.13.0
# Options of pip that say where torch comes from, such as its index of CPU builds.
ARG TORCH_INDEX=
# hadolint ignore=DL3013,SC2086
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --require-hashes --no-deps -r locks/training.txt \
    && pip install ${TORCH_INDEX} "${TORCH}"
COPY service service
COPY training training
COPY model_export model_export
COPY streamrec streamrec
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca_bundle,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --no-deps --no-build-isolation . && pip uninstall --yes pip

FROM base AS training
LABEL org.opencontainers.image.title="STREAM-Rec training" \
      org.opencontainers.image.description="Trains and exports the bundle that STREAM-Rec serves" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN install -d -o streamrec /data
COPY --from=training-build /opt/venv /opt/venv
COPY configs /configs
USER 10001
WORKDIR /data
ENV MPLCONFIGDIR=/tmp
ENTRYPOINT ["streamrec"]
CMD ["--help"]

FROM base AS serving
LABEL org.opencontainers.image.title="STREAM-Rec" \
      org.opencontainers.image.description="Online recommendation service that thinks before it recommends" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=serving-build /opt/venv /opt/venv
USER 10001
WORKDIR /tmp
ENV STREAMREC_HOST=0.0.0.0 STREAMREC_BUNDLE=/bundle STREAMREC_REDIS_FOLDER=/tmp/redis
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["streamrec"]
CMD ["serve"]
