# syntax=docker/dockerfile:1
# The same images as `make images`, for machines with Docker:
#   docker build --target proxy    -t docker.io/local/sessionpool-proxy:dev .
#   docker build --target operator -t docker.io/local/sessionpool-operator:dev .
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# Linked statically, so the images hold nothing but the program.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    host=$(rustc -vV | sed -n 's/^host: //p') \
 && cargo build --release --locked --target "$host" -p sessionpool-proxy -p sessionpool-operator --bins \
 && mkdir -p /out/tmp \
 && chmod 1777 /out/tmp \
 && cp "target/$host/release/sessionpool-proxy" "target/$host/release/sessionpool-operator" /out/

FROM scratch AS proxy
COPY --from=build /out/tmp /tmp
COPY --from=build /out/sessionpool-proxy /sessionpool-proxy
USER 65532:65532
ENTRYPOINT ["/sessionpool-proxy"]

FROM scratch AS operator
COPY --from=build /out/tmp /tmp
COPY --from=build /out/sessionpool-operator /sessionpool-operator
USER 65532:65532
ENTRYPOINT ["/sessionpool-operator"]
