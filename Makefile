# Xiaohe: two commands on a fresh machine, `make demo` and `make test`.
# Needed: python3 >= 3.11, and for a real broker Java >= 17 and Maven (else see `make demo`).

PYTHON ?= python3
BIN := .venv/bin
# options for the program, as in: make demo ARGS="--seconds 60"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench faults fuzz soak audit clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

setup: .venv/ready-dev ## prepare .venv: the program, and what its tests need

demo: .venv/ready ## a brigade at work, on this machine, for three minutes, or until Ctrl-C
	@$(BIN)/xiaohe demo $(ARGS)

test: check ## check, then all tests: quick ones first, then those with the real broker
	$(BIN)/pytest -q -n 2 -m "not kafka"
	$(BIN)/pytest -q -m kafka

check: .venv/ready-dev ## style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_imports.py

bench: .venv/ready-dev ## every benchmark, each beside its peers: about a quarter of an hour
	$(BIN)/xiaohe bench stream
	$(BIN)/xiaohe bench geo
	$(BIN)/xiaohe bench matching
	$(BIN)/xiaohe bench bursts

fuzz: .venv/ready-dev ## the coverage-guided fuzzer on all that takes bytes from outside, ten minutes
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r deploy/lock/fuzz.txt
	$(BIN)/python -m tests.fuzz $(ARGS)

soak: .venv/ready ## an hour's load on everything real: does anything grow? (ARGS="--minutes 60")
	$(BIN)/python -m xiaohe.soak --record docs/promises/soak.jsonl $(ARGS)

faults: .venv/ready-dev ## workers and broker killed under load, and simulated seeds, into docs/promises/slices.jsonl: ARGS="--minutes 60"
	@$(BIN)/python -m xiaohe.campaign $(ARGS)

audit: .venv/ready-dev ## known weaknesses of what is locked, by pip-audit (needs the advisories of the package index)
	$(BIN)/python -m venv .venv/audit && .venv/audit/bin/pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --require-hashes --disable-pip -r deploy/lock/dev.txt

clean: ## remove what was made here (data in .xiaohe/ stays)
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A development environment serves for both, so its stamp makes the other one, too.
.venv/ready: pyproject.toml deploy/lock/program.txt deploy/prepare.py
	@$(PYTHON) deploy/prepare.py

.venv/ready-dev: pyproject.toml deploy/lock/dev.txt deploy/prepare.py
	@$(PYTHON) deploy/prepare.py --dev
