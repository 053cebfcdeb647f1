# Untested: linted with hadolint, never built or run.
#   docker build -t sparsessp .
#   docker run --rm -v "$PWD/reports:/sparsessp/reports" sparsessp
FROM python:3.11.9-slim-bookworm
# Debian keeps no old versions of packages to pin.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /sparsessp
COPY requirements.lock ./
RUN pip install --no-cache-dir -r requirements.lock
# With .git, which DVC needs.
COPY . .
RUN pip install --no-cache-dir --no-deps -e .
CMD ["python", "-m", "pipeline.run_plan"]
