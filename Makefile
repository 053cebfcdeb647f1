# Needs only Python 3.11 or later, git and make. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
READY := .venv/.ready

.PHONY: help install demo test quick check docs smoke bench chaos lock montage pictures

help:
	@echo "make install  install everything into .venv, which the other targets do too"
	@echo "make demo     run the whole pipeline; WORKERS=N trains N networks at a time"
	@echo "make test     run all tests"
	@echo "make quick    run the fast tests, which do not use DVC"
	@echo "make check    check style, params.yaml against pipeline/conf, and the packages against requirements.lock"
	@echo "make docs     build the documentation site in site/ and check its links"
	@echo "make smoke    run the whole pipeline at smoke scale in a temporary clone"
	@echo "make bench    run the plan at bench scale in a clone; GPUS=0 WORKERS=12; packs the results into .scratch/bench.tar.xz"
	@echo "make chaos    kill the pipeline N=50 times at random (SEED=0) and compare with an undisturbed run; RUNNER=1 N=10 kills pipeline.run_plan and its workers"
	@echo "make lock     update requirements.lock from pyproject.toml"
	@echo "make montage  redraw docs/images/microscope.png"
	@echo "make pictures redraw the other pictures in docs/images"

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or later is needed; name one with make PYTHON=...')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --no-deps
	touch $(READY)

# DVC needs a git repository, which an archive downloaded as a zip is not.
.git:
	@echo "error: this folder is not a git repository; clone it with git, or run \`git init\` here first"; exit 1

install: $(READY)
	@echo "Now activate the environment: source .venv/bin/activate"

demo: .git $(READY)
	$(RUN) python -m pipeline.run_plan $(if $(WORKERS),--workers $(WORKERS))
	@echo "Before other commands, activate the environment: source .venv/bin/activate"

# A process for each core, with one thread: hundreds of tiny networks gain nothing from more. Test files run in the
# order of tests/conftest.py, long ones first, so that no core is idle at the end.
TESTS := OMP_NUM_THREADS=1 python -m pytest -n auto --dist loadfile --no-loadscope-reorder
test: $(READY)
	$(RUN) $(TESTS)

# All but the tests marked slow, see tests/README.md.
quick: $(READY)
	$(RUN) $(TESTS) -m "not slow"

check: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(RUN) python -m pipeline.compose --check
	$(RUN) dvc status -q data.dvc
	$(RUN) python tests/audit.py

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(RUN) python -m mkdocs build --quiet --strict
	$(BIN)/python docs/site_tools/check_links.py site
	@echo "Open site/index.html in a browser."

smoke: .git $(READY)
	rm -rf .scratch/smoke && git clone --quiet . .scratch/smoke
	cd .scratch/smoke && $(RUN) python -m pipeline.compose scale=smoke && $(RUN) dvc repro
	@echo "Done. Look at .scratch/smoke/reports/README.md"

# The clone is kept: the same command resumes.
SETTINGS ?= scale=bench ratio=[2,4,8]
bench: .git $(READY)
	test -d .scratch/bench || git clone --quiet . .scratch/bench
	cd .scratch/bench && $(RUN) python -m pipeline.compose $(SETTINGS)
	cd .scratch/bench && $(RUN) python -m pipeline.run_plan $(if $(GPUS),--gpus $(GPUS)) $(if $(WORKERS),--workers $(WORKERS)); \
	  status=$$?; $(RUN) python -m pipeline.pack "$(CURDIR)/.scratch/bench.tar.xz" && exit $$status

N ?= 50
SEED ?= 0
chaos: $(READY)
	$(RUN) OMP_NUM_THREADS=1 python tests/$(if $(RUNNER),chaos_runner,chaos).py --kills $(N) --seed $(SEED)

lock:
	rm -rf .scratch/lock && $(PYTHON) -m venv .scratch/lock
	.scratch/lock/bin/python -m pip install --quiet torch==2.13.0
	.scratch/lock/bin/python -m pip install --quiet -e ".[dev]"
	{ echo "# Exact versions for a reproducible run; written by \`make lock\` from pyproject.toml."; \
	  .scratch/lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > requirements.lock

montage: $(READY)
	$(RUN) MPLBACKEND=agg python -m sparsessp.data.microscope.montage docs/images/microscope.png

pictures: $(READY)
	$(RUN) MPLBACKEND=agg python docs/site_tools/pictures.py docs/images
