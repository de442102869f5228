# make run    start the server on port 8765, with what it needs installed first
# make cluster  Valkey and two servers over it, on ports 8765 and 8766; Ctrl-C stops all
# make demo   a Django site that stays live, on ports 8000 and 8765; Ctrl-C stops all
# make test   run every test, with what they need installed first
# make fuzz   a million cases of fuzzing, new ones each time (FUZZ_CASES, FUZZ_SEED)
# make histories  ten thousand histories against a model of delivery (HISTORIES, HISTORIES_SEED)
# make chaos  kill, cut and fill the disk for long (CHAOS_KILLS, CHAOS_PUBLISHES, CHAOS_SEED, CHAOS_LOG)
# make django-kills  kill relays of a Django site for long (DJANGO_KILLS, DJANGO_KILLS_TRANSACTIONS, DJANGO_KILLS_SEED)
# make check  format, lint, types, import contract
# make bench  measure beside other servers, in twenty minutes; ARGS=--quick: in two; ARGS=--help
# make bench-django  measure what Django, its outbox and its relay cost
# make docs   what is generated: the settings table of the README

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BROWSER_CLIENT := sio_server/static/socket.io

# On a developer's machine anyone on it may publish, so that the README's session works. What the
# environment or .env says goes first.
OPEN_PUBLISH = $(shell grep -qsE '^[[:space:]]*(export[[:space:]]+)?SIO_OPEN_PUBLISH[[:space:]]*=' .env || echo SIO_OPEN_PUBLISH=$${SIO_OPEN_PUBLISH-loopback})

.PHONY: run cluster demo test fuzz histories chaos django-kills check format bench bench-django docs clean browser-client
.DEFAULT_GOAL := run

run: $(VENV)/server
	@$(MAKE) --no-print-directory -s browser-client 2>/dev/null || \
		echo "npm is missing or failed: /socket.io/socket.io.js is not served, all else is (install Node.js 20 or newer)"
	@exec env $(OPEN_PUBLISH) $(BIN)/python -m sio_server $(ARGS)

cluster: $(VENV)/tests
	@exec env $(OPEN_PUBLISH) $(BIN)/python examples/cluster.py

demo: $(VENV)/demo
	@$(MAKE) --no-print-directory -s browser-client || \
		{ echo "The page needs the browser client: install Node.js 20 or newer, with npm"; exit 1; }
	@exec $(BIN)/python examples/demo.py

test: $(VENV)/tests tests/node/node_modules/.ready browser-client browser nginx postgres
	$(BIN)/python -m pytest $(ARGS)

# A million take hours in one process: neither they nor one test of them is given up as hanging.
fuzz: $(VENV)/tests
	FUZZ_CASES=$${FUZZ_CASES-1000000} FUZZ_SEED=$${FUZZ_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/fuzz $(ARGS)

# A server in process, and a model of all that its consumers are owed.
histories: $(VENV)/tests
	HISTORIES=$${HISTORIES-10000} HISTORIES_SEED=$${HISTORIES_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/histories $(ARGS)

# Real servers, killed and hindered in every way, and a checker of all that they said.
chaos: $(VENV)/tests tests/node/node_modules/.ready
	CHAOS_KILLS=$${CHAOS_KILLS-100} CHAOS_PUBLISHES=$${CHAOS_PUBLISHES-20000} \
		CHAOS_SEED=$${CHAOS_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/chaos $(ARGS)

# Writers on PostgreSQL, relays that die at every point, and a checker of all that was delivered.
django-kills: $(VENV)/tests postgres
	DJANGO_KILLS=$${DJANGO_KILLS-250} DJANGO_KILLS_TRANSACTIONS=$${DJANGO_KILLS_TRANSACTIONS-500} \
		DJANGO_KILLS_SEED=$${DJANGO_KILLS_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/django/test_kills.py -k postgres $(ARGS)

check: $(VENV)/tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/tests benchmarks/peers/node_modules/.ready
	$(BIN)/python -m benchmarks $(ARGS)

bench-django: $(VENV)/tests postgres
	$(BIN)/python -m benchmarks.django $(ARGS)

docs: $(VENV)/tests
	$(BIN)/python -m tests.support.readme

clean:
	rm -rf $(VENV) clients/javascript/node_modules tests/node/node_modules \
		benchmarks/peers/node_modules $(BROWSER_CLIENT)

# The virtual environment, with what the server needs; the demo beside it; the tests beside both.
$(VENV)/server: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is missing or older: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/demo: $(VENV)/server examples/django_catalog/requirements.txt clients/python/pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-r examples/django_catalog/requirements.txt -e 'clients/python[django]'
	@touch $@

$(VENV)/tests: $(VENV)/demo tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# The official browser client, which the server hands out at /socket.io/socket.io.js.
browser-client: $(BROWSER_CLIENT)/socket.io.js

$(BROWSER_CLIENT)/socket.io.js: clients/javascript/package-lock.json
	npm ci --silent --prefix clients/javascript
	@mkdir -p $(@D)
	cp clients/javascript/node_modules/socket.io-client/dist/socket.io*.js* $(@D)/
	@touch $@

# What the tests run in Node.js; the servers that the benchmarks run beside ours.
tests/node/node_modules/.ready benchmarks/peers/node_modules/.ready: \
		%/node_modules/.ready: %/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || \
		{ echo "Node.js 20 or newer is needed for make $(MAKECMDGOALS): install it, with npm"; exit 1; }
	npm ci --silent --prefix $*
	@touch $@

# A real browser for the tests of the pages.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing Debian's package chromium for the tests" && \
			apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium >/dev/null; \
		else \
			echo "Chromium is needed for the tests: install it (Debian: apt-get install chromium)"; exit 1; \
		fi; }

# A real load balancer for the tests of many nodes. Debian would start it on port 80: it is stopped.
.PHONY: nginx
nginx:
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing Debian's package nginx for the tests" && \
			apt-get -qq update && apt-get -qq install -y --no-install-recommends nginx >/dev/null && \
			{ update-rc.d nginx disable; service nginx stop; } >/dev/null 2>&1 || test -x /usr/sbin/nginx; \
		else \
			echo "nginx is needed for the tests: install it (Debian: apt-get install nginx)"; exit 1; \
		fi; }

# A real PostgreSQL for the tests of Django, which start one of their own. Debian's is stopped.
.PHONY: postgres
postgres:
	@command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing Debian's package postgresql for the tests" && \
			apt-get -qq update && apt-get -qq install -y --no-install-recommends postgresql >/dev/null && \
			{ update-rc.d postgresql disable; service postgresql stop; } >/dev/null 2>&1 || \
			ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null; \
		else \
			echo "PostgreSQL is needed for the tests: install it (Debian: apt-get install postgresql)"; exit 1; \
		fi; }
