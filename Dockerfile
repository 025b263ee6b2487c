# Two stages: build with the compiler, run without it, as a user of its own.
# docker build -t tarn . && docker run -p 8420:8420 -v tarn:/data tarn
FROM debian:trixie-slim AS build
WORKDIR /src
COPY packaging/deps.sh packaging/deps.sh
RUN apt-get update -q && packaging/deps.sh build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make VARIANT=release -j2 && strip build/release/tarn

FROM debian:trixie-slim
RUN apt-get update -q && apt-get install -y -q --no-install-recommends \
      libmicrohttpd12t64 libgnutls30t64 libcurl3t64-gnutls ca-certificates tzdata \
 && rm -rf /var/lib/apt/lists/* && useradd --system --uid 10420 --home-dir /data tarn \
 && mkdir -p /data && chown tarn:tarn /data
COPY --from=build /src/build/release/tarn /usr/local/bin/tarn
COPY config /usr/share/tarn/config
USER tarn
VOLUME /data
EXPOSE 8420
ENV TARN_DATA=/data TARN_HTTP=0.0.0.0:8420
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["tarn", "health", "--quiet"]
ENTRYPOINT ["tarn"]
CMD ["run"]
