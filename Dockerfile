# detkit on a processor: docker build -t detkit . && docker run --rm -v "$PWD/runs:/app/runs" detkit train \
#   --config projects/rcnn/quick.yaml
FROM python:3.12-slim

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 1000 --create-home detkit && mkdir /app && chown detkit /app
COPY --chown=detkit . /opt/detkit
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu PIP_NO_CACHE_DIR=1
RUN pip install /opt/detkit /opt/detkit/packages/blood_cells

USER 1000
WORKDIR /app
ENTRYPOINT ["detkit"]
CMD ["--help"]
