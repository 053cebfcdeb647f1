# Needs only Python 3.11 or later, git and make. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
READY := .venv/.ready

.PHONY: help demo test quick check smoke chaos lock montage

help:
	@echo "make demo     environment, then the whole pipeline at the default scale (some minutes); WORKERS=N at a time"
	@echo "make test     environment, then the tests"
	@echo "make quick    the tests that run no DVC"
	@echo "make check    style, params.yaml against pipeline/conf, the packages against requirements.lock"
	@echo "make smoke    the whole pipeline at smoke scale in a temporary clone"
	@echo "make chaos    kill the pipeline N=50 times, SEED=0, and compare with an undisturbed run (some minutes)"
	@echo "make lock     write requirements.lock anew from pyproject.toml"
	@echo "make montage  draw docs/images/microscope.png anew"

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or later is needed; name one with make PYTHON=...')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --no-deps
	touch $(READY)

# DVC needs a git repository, which an archive downloaded as a zip is not.
.git:
	@echo "error: this folder is not a git repository; clone it with git, or run \`git init\` here first"; exit 1

demo: .git $(READY)
	$(RUN) python -m pipeline.run_plan $(if $(WORKERS),--workers $(WORKERS))
	@echo "Before other commands, activate the environment: source .venv/bin/activate"

# A process for each core, with one thread: hundreds of tiny networks gain nothing from more. Test files run in the
# order of tests/conftest.py, long ones first, so that no core is idle at the end.
TESTS := OMP_NUM_THREADS=1 python -m pytest -n auto --dist loadfile --no-loadscope-reorder
test: $(READY)
	$(RUN) $(TESTS)

# All but the tests that run a real DVC.
quick: $(READY)
	$(RUN) $(TESTS) -m "not slow"

check: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(RUN) python -m pipeline.compose --check
	$(RUN) dvc status -q data.dvc
	$(RUN) python tests/audit.py

smoke: .git $(READY)
	rm -rf .scratch/smoke && git clone --quiet . .scratch/smoke
	cd .scratch/smoke && $(RUN) python -m pipeline.compose scale=smoke && $(RUN) dvc repro
	@echo "Done. Look at .scratch/smoke/reports/README.md"

N ?= 50
SEED ?= 0
chaos: $(READY)
	$(RUN) OMP_NUM_THREADS=1 python tests/chaos.py --kills $(N) --seed $(SEED)

lock:
	rm -rf .scratch/lock && $(PYTHON) -m venv .scratch/lock
	.scratch/lock/bin/python -m pip install --quiet torch==2.13.0
	.scratch/lock/bin/python -m pip install --quiet -e ".[dev]"
	{ echo "# Exact versions for a reproducible run; written by \`make lock\` from pyproject.toml."; \
	  .scratch/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements.lock

montage: $(READY)
	$(RUN) MPLBACKEND=agg python -m sparsessp.data.microscope.montage docs/images/microscope.png
