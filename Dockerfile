# tcmstruct with REST and the review page, on the CPU, with the model within. See docs/deploy.md.
#   docker build -t tcmstruct .
#   docker run --rm --env-file token.env --publish 127.0.0.1:8765:8765 tcmstruct
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY tcmstruct tcmstruct
COPY vocab vocab
COPY rl_pruner rl_pruner
RUN python -m venv /opt/tcmstruct \
 && /opt/tcmstruct/bin/python -m pip install --no-cache-dir --disable-pip-version-check '.[serve]' \
 && /opt/tcmstruct/bin/tcmstruct doctor

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="tcmstruct" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Free-text TCM records to data with evidence. Not a diagnostic device."
RUN useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin tcmstruct \
 && install --directory --owner=tcmstruct --group=tcmstruct --mode=0700 /data
COPY --from=build /opt/tcmstruct /opt/tcmstruct
ENV PATH=/opt/tcmstruct/bin:/usr/local/bin:/usr/bin:/bin HOME=/data PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
ENTRYPOINT ["tcmstruct"]
# Beyond 127.0.0.1 a token is needed: without $TCMSTRUCT_TOKEN the server refuses to start.
CMD ["serve", "--host", "0.0.0.0", "--port", "8765"]
