# The program, the C library and the root certificates for upstreams, and little else: no shell, no package manager, no root.
#
#   docker build -t codex-gateway .
#   docker run --read-only -v data:/data -v ./gateway.toml:/etc/codex-gateway/gateway.toml:ro \
#     -p 127.0.0.1:8787:8787 codex-gateway
#
# Inside a container, the gateway must listen on 0.0.0.0 (`[server] listen`). That is off loopback, so the configuration
# must say who may use it; config/examples/team-postgres.toml does.
#
# glibc, not musl: its allocator keeps an arena per thread, where musl's has one lock for all, and its resolver follows
# /etc/resolv.conf and /etc/nsswitch.conf as other programs on the machine do.
FROM rust:1.95-bookworm AS build
ARG PROFILE=release
ARG CODEX_GATEWAY_COMMIT=
ARG SOURCE_DATE_EPOCH=
WORKDIR /src
COPY . .
RUN DIST_PROFILE=$PROFILE CODEX_GATEWAY_COMMIT=$CODEX_GATEWAY_COMMIT SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH \
    scripts/dist/build-program.sh target >/program-path \
 && mkdir -p /image/bin /image/data \
 && cp "$(cat /program-path)" /image/bin/codex-gateway

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=65532:65532 /image/ /
ENV PATH=/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    CODEX_GATEWAY_DATA_DIR=/data
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8787
# Reads the same configuration, so it follows `listen`, `[server.tls]` and `[admin] listen`.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/bin/codex-gateway", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/codex-gateway"]
CMD ["serve"]
