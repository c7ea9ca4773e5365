# Every target works from any state: it makes its own environment in .venv first.
PYTHON ?= python3
BIN := .venv/bin
# the paper's methods and two controls; `learn2mix compare digits` takes all there are
DEMO := classical,learn2mix,focal,smote,importance,curriculum,natural,balanced
# Idle threads that spin steal the processor from those that work.
export OMP_WAIT_POLICY := PASSIVE

# An environment whose interpreter has gone, or that was moved along with the folder, is made anew.
ifneq ($(shell cd / && "$(CURDIR)/$(BIN)/python" -c "import learn2mix; print(learn2mix.__path__[0])" 2>/dev/null),$(CURDIR)/src/learn2mix)
$(shell rm -f .venv/.bench .venv/.all)
endif

.PHONY: help install demo test check bench soak clean

help:
	@echo "make demo     compare the methods on real data: a table and runs/digits/report.html"
	@echo "make test     the tests"
	@echo "make check    lint, format, types"
	@echo "make bench    what things cost, as ratios"
	@echo "make soak     the tests that take long"
	@echo "make install  the environment alone"

.venv/.bench .venv/.all: pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "installing learn2mix[$(subst .venv/.,,$@)] into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$(subst .venv/.,,$@)]"
	@touch $@

install: .venv/.all

demo: .venv/.bench
	$(BIN)/python -m learn2mix compare digits --methods $(DEMO)

test: .venv/.all
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: .venv/.all
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: .venv/.all
	$(BIN)/python benchmarks/run.py
	$(BIN)/python docs/build.py

soak: .venv/.all
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/kills.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
