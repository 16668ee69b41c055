# A static binary and the root certificates for upstreams, and nothing else: no shell, no package manager, no root.
#
#   docker build -t codex-gateway .
#   docker run --read-only -v data:/data -v ./gateway.toml:/etc/codex-gateway/gateway.toml:ro \
#     -p 127.0.0.1:8787:8787 codex-gateway
#
# Inside a container, the gateway must listen on 0.0.0.0 (`[server] listen`). That is off loopback, so the configuration
# must say who may use it; config/examples/team-postgres.toml does.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev gcc make ca-certificates
WORKDIR /src
COPY . .
RUN cargo build --locked --release -p codex-gateway --bin codex-gateway \
 && mkdir -p /image/data /image/etc/ssl/certs /image/bin \
 && cp target/release/codex-gateway /image/bin/ \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

FROM scratch
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
