# Pages first, with Node.js; then one image that runs the cloud service or an edge agent, without root.
FROM node:22-bookworm-slim AS pages
WORKDIR /src/cloud/web
COPY cloud/web/package.json cloud/web/package-lock.json cloud/web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY cloud/web ./
RUN npm run build

FROM python:3.11-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 QIANLI_HOME=/var/lib/qianli
RUN useradd --system --uid 10001 --home-dir /var/lib/qianli --create-home --groups dialout qianli \
    && install -d -o qianli -g qianli -m 0700 /var/lib/qianli-broker
WORKDIR /src
COPY requirements/image.txt requirements/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r requirements/image.txt
COPY LICENSE README.md pyproject.toml hatch_build.py ./
COPY vitals vitals
COPY devices devices
COPY dicom dicom
COPY edge_agent edge_agent
COPY cloud cloud
COPY qianli qianli
COPY --from=pages /src/cloud/static cloud/static
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . && rm -rf /src
WORKDIR /var/lib/qianli
USER qianli
VOLUME /var/lib/qianli
CMD ["python", "-m", "cloud"]
