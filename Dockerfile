# hafloc with its server, for a processor: docs/serve.md.
#   docker build -t hafloc .
#   docker run -p 127.0.0.1:8000:8000 -v /my/photos:/data:ro hafloc serve /data/city.gpkg --host 0.0.0.0 --open
FROM python:3.12-slim AS build
WORKDIR /build
# Without bytecode and caches the image is a third smaller.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
# torch for processors alone: the usual wheel brings gigabytes for GPUs.
RUN python -m venv /opt/hafloc \
 && /opt/hafloc/bin/pip install --extra-index-url https://download.pytorch.org/whl/cpu \
    --no-compile -c constraints.txt ".[serve,milvus]" \
 && /opt/hafloc/bin/pip uninstall -y pip

FROM python:3.12-slim
# OpenMP, which torch's products run on.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --create-home hafloc
COPY --from=build /opt/hafloc /opt/hafloc
ENV PATH=/opt/hafloc/bin:$PATH PYTHONUNBUFFERED=1
USER hafloc
WORKDIR /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["hafloc"]
CMD ["serve", "/data/city.gpkg", "--host", "0.0.0.0"]
