# 千里 Qianli. `make up` starts everything on this machine; `make help` lists the rest.
# PYTHON may name an interpreter (3.11 or newer); PORT the pages' port; ARGS further options of `qianli up`.

PORT ?= 8000
ARGS ?=
VENV_PYTHON := .venv/bin/python

# The first interpreter that is new enough and can make virtual environments.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo "$$name"; break; }; done)

.PHONY: up fresh setup test check doctor web help clean

up: .have-python ## install what is missing, build the pages once, start the demo (Ctrl-C stops it)
	@exec $(PYTHON) -m qianli.bootstrap --lock up qianli up --demo --port $(PORT) $(ARGS)

fresh: .have-python ## the same with empty data
	@exec $(PYTHON) -m qianli.bootstrap --lock up qianli up --demo --fresh --port $(PORT) $(ARGS)

setup: .have-python ## everything a developer needs, in .venv
	@$(PYTHON) -m qianli.bootstrap --lock dev

test: setup ## all tests; installs Chromium when it may
	@.ci/browser
	@.ci/test

check: setup ## lint, types, floors, locks, pages
	@$(VENV_PYTHON) -m nox --no-venv -s lint types layers locks pages

doctor: .have-python ## what this machine has and lacks
	@$(PYTHON) -m qianli doctor

web: setup ## build the pages
	@$(VENV_PYTHON) -m qianli web build

clean: ## remove what this Makefile made in the checkout (not your data)
	rm -rf .venv cloud/static cloud/web/node_modules

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

.PHONY: .have-python
.have-python:
	@if [ -z "$(PYTHON)" ]; then \
		if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			version=$$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
			echo "Python's venv module is missing: install it (Debian and Ubuntu: sudo apt install python$$version-venv) and run make again." >&2; \
			echo "缺少 Python 的 venv 模块:请安装(Debian/Ubuntu:sudo apt install python$$version-venv),然后重新运行 make。" >&2; \
		else \
			echo "Qianli needs Python 3.11 or newer with its venv module: install it, then run make again (or make up PYTHON=/path/to/python3)." >&2; \
			echo "千里需要 Python 3.11 或更新版本(含 venv 模块):请安装后重新运行 make(或 make up PYTHON=/path/to/python3)。" >&2; \
		fi; exit 1; fi
