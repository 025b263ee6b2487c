# Two stages: build with the compiler, run without it, as a user of its own.
# docker build -t tarn . && docker run -p 8420:8420 -v tarn:/data tarn
FROM debian:trixie-slim AS build
WORKDIR /src
COPY packaging/deps.sh packaging/deps.sh
RUN packaging/deps.sh build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make VARIANT=release -j"$(nproc)" && strip build/release/tarn

FROM debian:trixie-slim
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
      libmicrohttpd12t64 libgnutls30t64 libcurl3t64-gnutls ca-certificates tzdata \
 && apt-get clean && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10420 --no-create-home --home-dir /data --shell /usr/sbin/nologin tarn \
 && install -d -o tarn -g tarn -m 700 /data
COPY --from=build /src/build/release/tarn /usr/local/bin/tarn
COPY config /usr/share/tarn/config
# By number, so that Kubernetes sees that it is not root.
USER 10420:10420
WORKDIR /data
VOLUME /data
EXPOSE 8420
ENV TARN_DATA=/data TARN_HTTP=0.0.0.0:8420
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["tarn", "health", "--quiet"]
ENTRYPOINT ["tarn"]
CMD ["run"]
