# syntax=docker/dockerfile:1.20
# One image for all services: /app/<service>/main.js each. What is in /app comes from tools/image/files.ts, as does
# what tools/image.ts packs where no image builder runs. Nothing is fetched when it runs.

ARG NODE=docker.io/library/node:24.21.0-bookworm-slim
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM ${NODE} AS build
WORKDIR /src
# Packages first: they change less often than what is ours.
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY patches patches
COPY tools/setup.mjs tools/gen.ts tools/
COPY --parents libs/*/package.json services/*/package.json e2e/package.json proto ./
RUN --mount=type=cache,target=/root/.npm --mount=type=cache,target=/root/.local/share/pnpm \
    node tools/setup.mjs
COPY . .

# What Tilt runs: the sources, which it writes to while they run.
FROM build AS development
RUN chown -R 65532:65532 /src/libs /src/services
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/node", "/src/tools/development.mjs"]

FROM build AS bundles
RUN --mount=type=cache,target=/root/.npm node tools/image.ts files /image

# glibc, libstdc++ and certificates of authorities; no shell, no package manager.
FROM ${BASE}
COPY --from=bundles /usr/local/bin/node /usr/local/bin/node
COPY --from=bundles /image/app /app
ENV PATH=/app/bin:/usr/local/bin NODE_ENV=production
# Nothing is written: the root may be mounted read-only.
USER 65532:65532
EXPOSE 7443 9464
ENTRYPOINT ["/usr/local/bin/node"]
LABEL org.opencontainers.image.title="roost" \
      org.opencontainers.image.licenses="Apache-2.0"
