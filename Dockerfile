# One image for every command of claude-operator. No command needs a writable root file system.
# By digest, so that what was built and tested is what is built again. A newer one:
#   docker buildx imagetools inspect python:3.13-slim --format '{{.Manifest.Digest}}'
ARG BASE_IMAGE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

# What the product depends on: this layer changes only with the pinned requirements.
FROM ${BASE_IMAGE} AS dependencies
COPY requirements.txt /
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --no-cache-dir --no-compile --no-deps --only-binary :all: --require-hashes \
        --target /dependencies --requirement requirements.txt && \
    python -m compileall -q -j 0 --invalidation-mode unchecked-hash /dependencies

# What builds the package, pinned too.
FROM ${BASE_IMAGE} AS build
COPY requirements-build.txt /
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes --requirement requirements-build.txt
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN pip install --no-cache-dir --no-compile --no-deps --no-index --no-build-isolation --target /package . && \
    python -m compileall -q --invalidation-mode unchecked-hash /package

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="claude-operator" \
      org.opencontainers.image.description="Progressive delivery for applications that call Claude" \
      org.opencontainers.image.licenses="Apache-2.0"
# The user needs an entry: libraries look up the name of whom they run as.
RUN echo 'claude-operator:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd && \
    echo 'claude-operator:x:65532:' >> /etc/group
COPY --from=dependencies /dependencies /opt/claude-operator/dependencies
COPY --from=build /package /opt/claude-operator/package
ENV PATH=/opt/claude-operator/package/bin:$PATH \
    PYTHONPATH=/opt/claude-operator/package:/opt/claude-operator/dependencies \
    PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["claude-operator"]
