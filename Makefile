# make demo and make test set up everything they need in .venv; no other target is needed first.
PYTHON ?= python3
BIN := .venv/bin
# What a run needs; what developers need on top of it.
RUNTIME := .venv/.runtime
INSTALLED := .venv/.installed

.PHONY: demo docs study fuzz test test-gpu test-system ship-model lint lock map map-package map-base map-test map-rebuild map-archive audit clean

$(RUNTIME): pyproject.toml requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --constraint requirements.txt --editable '.[app,service]'
	@touch $@

$(INSTALLED): $(RUNTIME)
	$(BIN)/pip install --quiet --constraint requirements.txt --editable '.[app,service,cohort,dev]'
	@touch $@

demo: $(RUNTIME)
	@rm -rf demo-output && mkdir demo-output
	@ulimit -s 32768 2>/dev/null || true; $(BIN)/python -m app -i examples/neck-ct -o demo-output -m models/cervical-demo

# The documentation as a site in build/site, with the parts that are generated from the code.
docs: $(INSTALLED)
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The study of docs/guide/study.md, small, on synthetic patients: build/study/comparison/report.html.
study: $(INSTALLED)
	CSPINE=$(BIN)/cspine bash examples/study/study.sh build/study

# Bytecode is kept even where the environment says otherwise: the processes that tests start need seconds less.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-gpu: $(INSTALLED)
	$(BIN)/python -m pytest -m gpu -s
	$(BIN)/python -m benchmarks.engines --device cuda

# Mutated CT series through scan, selection, reading and writing: docs/guide/testing.md. FIRST continues a round.
FIRST ?= 0
COUNT ?= 1000
SEED ?= 1
fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seed $(SEED) --first $(FIRST) --count $(COUNT)

# With what tests/system/install-tools.sh installs; a part whose tools are absent is skipped with its reason.
test-system: $(INSTALLED)
	$(BIN)/python -m pytest -m system tests/system

# After new weights: package them, judge them on all sets, and rewrite card, README and pictures; docs/guide/models.md.
#   make ship-model WORK=W RUN="cervical-demo=R1 cervical-demo-fine=R2" START=MODEL ATLAS=A ANATOMIES=P \
#     MORE="--labelled cervical-demo=PSEUDO --cts CTS"
ship-model: $(INSTALLED)
	$(BIN)/python benchmarks/ship_model.py --work '$(WORK)' $(foreach run,$(RUN),--run '$(run)') \
	  --start-from '$(START)' --atlas '$(ATLAS)' --anatomies '$(ANATOMIES)' $(MORE)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy cspine operators app
	MYPYPATH=deploy/map/check $(BIN)/mypy deploy/map

# Pin what `pip install .[app,service]` brings on Linux (torch's build, CPU or CUDA, is the index's choice), and lock by hash
# what the images contain.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet 'torch==2.13.0' '.[app,service]'
	{ echo '# Made by `make lock` from pyproject.toml: what a run on Linux needs, pinned.'; \
	  build/lock/bin/pip freeze --exclude cspine --exclude pip --exclude setuptools | grep -v ' @ ' | sed 's/+cpu$$//'; } > requirements.txt
	$(PYTHON) deploy/map/lock.py write tools
	$(PYTHON) deploy/map/lock.py write cpu
	env -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null $(PYTHON) deploy/map/lock.py write cuda

# Known vulnerabilities of every package of the images, less those that deploy/map/vex.cdx.json explains.
audit:
	$(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet pip-audit==2.10.1
	build/audit/bin/python deploy/map/audit.py

# The container image (MAP): FLAVOUR=cpu or cuda; docs/guide/deployment.md.
map:
	PYTHON=$(PYTHON) bash deploy/map/build.sh

map-test: $(INSTALLED)
	bash deploy/map/test.sh
	bash deploy/map/test-package.sh

# What `monai-deploy package` is given: docs/guide/monai-developers.md.
map-package: $(INSTALLED)
	$(BIN)/python deploy/map/package.py build/map/package

# The same with a new base of Debian packages: their security updates.
map-base:
	PYTHON=$(PYTHON) bash deploy/map/build.sh base

# Build once more: the same sources, wheels and base must give the same digest.
map-rebuild:
	PYTHON=$(PYTHON) bash deploy/map/build.sh rebuild

# One file for sites without a registry.
map-archive:
	bash deploy/map/build.sh archive

clean:
	rm -rf .venv demo-output build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
