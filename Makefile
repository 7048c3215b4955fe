# The developer's menu. `make run` and `make test` do all set-up by themselves; a second run skips what is done.
.PHONY: run setup test lint bench

run: setup
	.venv/bin/python app.py $(ARGS)

setup:
	@scripts/setup requirements.txt

test:
	@scripts/setup requirements-dev.txt --tools
	@scripts/test

lint:
	@scripts/setup requirements-dev.txt
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

bench:
	@scripts/setup requirements-dev.txt
	.venv/bin/python -m bench overhead
	.venv/bin/python -m bench startup
