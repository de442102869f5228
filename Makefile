# `make` starts the server. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL = $(PIP_INSTALL)
JAVASCRIPT := clients/javascript
SOCKETIO_CLIENT := sio_server/static/socket.io
FURNITURE_CLIENT := sio_server/static/client
DJANGO_STATIC := clients/python/src/furniture_events/django/static/furniture_events
PAGE := sio_server/static/page
# The newest Django needs a newer Python than the server does. If there is one, a second virtual
# environment has it, for the tests of the Django app.
NEXT := $(VENV)/next
# So do the peers of the benchmarks: their requirements are not ours.
PEERS := $(VENV)/peers
NEXT_PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 \
	$$(ls -r "$$(pyenv root 2>/dev/null)"/versions/3.1[2-9].*/bin/python 2>/dev/null); do \
	"$$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo "$$python" && break; done)

# On a developer's machine, local programs may publish without a credential, so that the README's
# examples work. A value in the environment or in .env takes precedence.
OPEN_PUBLISH = $(shell grep -qsE '^[[:space:]]*(export[[:space:]]+)?SIO_OPEN_PUBLISH[[:space:]]*=' .env || echo SIO_OPEN_PUBLISH=$${SIO_OPEN_PUBLISH-loopback})

# The tests start a thousand processes. Each one would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run cluster demo test fuzz histories chaos siege next-django django-kills check audit lock format bench bench-drops bench-django bench-page performance dist docs docs-site clean browser-client screenshots
.DEFAULT_GOAL := run

help: ## list these targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: $(VENV)/server ## start the server on port 8765; its requirements are installed first
	@$(MAKE) --no-print-directory -q browser-client 2>/dev/null || echo "building the browser clients, once"
	@$(MAKE) --no-print-directory -s browser-client >/dev/null 2>&1 || \
		echo "npm is missing or failed: the server starts without the browser clients (install Node.js 20 or newer)"
	@exec env $(OPEN_PUBLISH) $(BIN)/python -m sio_server $(ARGS)

cluster: $(VENV)/tests ## start Valkey, two servers, and nginx in front of them on port 8080; Ctrl-C stops all
	@$(MAKE) --no-print-directory -s nginx || true
	@exec env $(OPEN_PUBLISH) $(BIN)/python examples/cluster.py

demo: $(VENV)/demo ## start a Django site with live pages, on ports 8000 and 8765; Ctrl-C stops it
	@$(MAKE) --no-print-directory -s browser-client || \
		{ echo "The demo's page needs the browser client: install Node.js 20 or newer, with npm"; exit 1; }
	@exec $(BIN)/python examples/demo.py

# Three processes on two cores: most tests wait for other processes. With four, some wait too long.
test: $(VENV)/tests tests/node/node_modules/.ready benchmarks/consumers/node_modules/.ready browser-client browser light-browser firefox nginx caddy redis postgres mariadb prometheus systemd zsh fish $(if $(ARGS),,next-django) ## run all tests, those of the Django app also with the newest Django; their requirements are installed first (ARGS: for pytest)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

next-django: $(UV) postgres mariadb ## test the Django app with the newest Django (NEXT_PYTHON: a Python, 3.12 or newer)
	@$(if $(NEXT_PYTHON),test -e $(NEXT)/bin/pip || $(UV) venv --quiet --seed --python $(NEXT_PYTHON) $(NEXT) || true)
	@$(if $(NEXT_PYTHON),$(MAKE) --no-print-directory -s VENV=$(NEXT) PYTHON=$(NEXT_PYTHON) UV=$(UV) $(NEXT)/tests, \
		echo "There is no Python 3.12 or newer, so the Django app is not tested with the newest Django.")
	$(if $(NEXT_PYTHON),$(NEXT)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -p no:cacheprovider -m smoke \
		-k "postgres or test_saving or test_database_deletes" tests/django)

# A million cases take hours in one process, so pytest's timeout for a hanging test is off.
fuzz: $(VENV)/tests ## fuzz with a million new cases (FUZZ_CASES, FUZZ_SEED)
	FUZZ_CASES=$${FUZZ_CASES-1000000} FUZZ_SEED=$${FUZZ_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/fuzz $(ARGS)

# A server in the test's process, and a model of the events that each consumer must get.
histories: $(VENV)/tests ## check ten thousand histories against a model of delivery (HISTORIES, HISTORIES_SEED)
	HISTORIES=$${HISTORIES-10000} HISTORIES_SEED=$${HISTORIES_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/histories $(ARGS)

# Real servers with many kinds of faults, and a checker of everything that they answered.
chaos: $(VENV)/tests tests/node/node_modules/.ready ## kill servers, cut networks, fill disks (CHAOS_KILLS, CHAOS_PUBLISHES, CHAOS_SEED, CHAOS_LOG)
	CHAOS_KILLS=$${CHAOS_KILLS-100} CHAOS_PUBLISHES=$${CHAOS_PUBLISHES-20000} \
		CHAOS_SEED=$${CHAOS_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/chaos $(ARGS)

# A real server, a crowd of healthy clients, and attackers: what the healthy ones feel.
siege: $(VENV)/tests browser-client ## attack a server for 30 minutes (SIEGE_SECONDS, SIEGE_SEED, SIEGE_LOG, SIEGE_ATTACKS, SIEGE_ROOT, SIEGE_TABLE)
	SIEGE_SECONDS=$${SIEGE_SECONDS-1800} SIEGE_SEED=$${SIEGE_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/siege/test_siege.py $(ARGS)

# Writers on PostgreSQL, relays that die at every point, and a checker of the delivered events.
django-kills: $(VENV)/tests postgres ## kill relays of a Django site (DJANGO_KILLS, DJANGO_KILLS_TRANSACTIONS, DJANGO_KILLS_SEED)
	DJANGO_KILLS=$${DJANGO_KILLS-250} DJANGO_KILLS_TRANSACTIONS=$${DJANGO_KILLS_TRANSACTIONS-500} \
		DJANGO_KILLS_SEED=$${DJANGO_KILLS_SEED-random} \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/django/test_kills.py -k postgres $(ARGS)

check: $(VENV)/tests ## check the format, the lint rules, the types and the import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tests.support.audit

audit: $(VENV)/tests ## ask the advisory services about the dependencies; `make check` does it, too
	$(BIN)/python -m tests.support.audit

# The exact versions for every system and every supported Python, with the hashes of all files.
lock: $(VENV)/tests ## write requirements.txt from requirements.in
	$(BIN)/uv pip compile requirements.in --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command 'make lock' --quiet --output-file requirements.txt

format: $(VENV)/tests ## format the Python code and fix simple lint errors
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/tests $(PEERS)/ready benchmarks/peers/node_modules/.ready benchmarks/consumers/node_modules/.ready ## compare with other servers, in an hour, and write docs/performance.md (ARGS=--quick: some tables, in 2 minutes; ARGS=--help)
	$(BIN)/python -m benchmarks $(or $(ARGS),--save)
	$(if $(ARGS),,$(BIN)/python -m benchmarks.drops --save)
	$(if $(ARGS),,@$(MAKE) --no-print-directory performance)

bench-drops: $(VENV)/tests $(PEERS)/ready benchmarks/peers/node_modules/.ready benchmarks/consumers/node_modules/.ready ## measure delivery to clients whose networks go away, and during a deploy (ARGS=--help)
	$(BIN)/python -m benchmarks.drops $(ARGS)

performance: $(PEERS)/ready ## write docs/performance.md and its pictures from benchmarks/results/
	$(PEERS)/bin/python -m benchmarks.performance --plots

bench-django: $(VENV)/tests postgres ## measure the cost of the Django app, its outbox and its relay
	$(BIN)/python -m benchmarks.django $(ARGS)

bench-page: $(VENV)/tests browser-client browser ## measure how smooth the live page stays with 50 events a second (ARGS=--help)
	$(BIN)/python -m benchmarks.page $(ARGS)

screenshots: $(VENV)/tests browser-client browser ## take the pictures of the live page and of the demo for the README
	$(BIN)/python -m tests.support.screenshots
	$(BIN)/python -m tests.support.demo_screenshots

dist: $(VENV)/tests browser-client ## build the packages of the server and of both clients, in dist/
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist . ./clients/python
	npm pack --silent --prefix $(JAVASCRIPT) --pack-destination $(CURDIR)/dist $(CURDIR)/$(JAVASCRIPT)

docs: $(VENV)/tests ## write the types of the JavaScript client, and the pages of settings and of the JavaScript API
	$(BIN)/python -m tests.support.typescript
	@$(MAKE) --no-print-directory -s browser-client
	$(BIN)/python -m tests.support.pages
	$(BIN)/python -m tests.support.javascript_api

docs-site: $(VENV)/tests ## build the documentation as a site in docs/_build/; a warning or a broken link is an error
	$(BIN)/python -m sphinx -c docs -E -W --keep-going -q . docs/_build
	@echo "Open docs/_build/index.html"

clean: ## delete the virtual environment and all installed packages
	rm -rf dist docs/_build $(VENV) $(addprefix $(JAVASCRIPT)/,node_modules dist build) tests/node/node_modules \
		benchmarks/peers/node_modules benchmarks/consumers/node_modules $(SOCKETIO_CLIENT) $(FURNITURE_CLIENT) $(DJANGO_STATIC)

# One virtual environment. The demo adds its requirements to the server's, the tests add theirs.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, but $(PYTHON) is missing or older: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/server: requirements.txt | $(BIN)/pip
	$(INSTALL) --require-hashes -r requirements.txt
	@touch $@

$(VENV)/demo: $(VENV)/server examples/django_catalog/requirements.txt clients/python/pyproject.toml
	$(INSTALL) -r examples/django_catalog/requirements.txt -e 'clients/python[django]'
	@touch $@

# For the tests, uv installs everything in seconds, and pip in minutes. But uv does not read pip's configuration.
$(VENV)/tests: INSTALL = sh -c '$(UV) pip install --quiet --python $(BIN)/python "$$@" || $(PIP_INSTALL) "$$@"' install
$(VENV)/tests: $(UV) $(VENV)/demo tests/requirements.txt docs/requirements.txt
	$(INSTALL) -r tests/requirements.txt
	@touch $@

$(PEERS)/ready: $(VENV)/tests benchmarks/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	sh -c '$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python "$$@" || \
		$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check "$$@"' install -r benchmarks/requirements.txt
	@touch $@

$(BIN)/uv: | $(BIN)/pip
	$(PIP_INSTALL) "$$(grep ^uv== tests/requirements.txt)"

# The official browser client, which the server serves at /socket.io/socket.io.js, and our own, which it
# serves at /client/furniture-events.js. A Django site serves the script of its live pages itself.
browser-client: $(SOCKETIO_CLIENT)/socket.io.js $(FURNITURE_CLIENT)/furniture-events.js $(FURNITURE_CLIENT)/page.js $(DJANGO_STATIC)/live.js ## build the browser clients that the server serves, the live page as two small files, and the script of Django's live pages

$(SOCKETIO_CLIENT)/socket.io.js: $(JAVASCRIPT)/node_modules/.ready
	@mkdir -p $(@D)
	cp $(JAVASCRIPT)/node_modules/socket.io-client/dist/socket.io*.js* $(@D)/
	@touch $@

$(FURNITURE_CLIENT)/furniture-events.js: $(JAVASCRIPT)/node_modules/.ready $(wildcard $(addprefix $(JAVASCRIPT)/,*.json src/*.ts scripts/*))
	npm run --silent --prefix $(JAVASCRIPT) build
	@mkdir -p $(@D)
	cp $(JAVASCRIPT)/dist/browser/furniture-events*.js $(@D)/
	@touch $@

$(DJANGO_STATIC)/live.js: $(FURNITURE_CLIENT)/furniture-events.js
	@mkdir -p $(@D)
	cp $(JAVASCRIPT)/dist/browser/django-live.js $@

# The page works from its sources, too. As two files, it weighs half, and loads in one step.
$(FURNITURE_CLIENT)/page.js: $(JAVASCRIPT)/node_modules/.ready $(wildcard $(PAGE)/*.js $(PAGE)/*.css)
	@mkdir -p $(@D)
	$(JAVASCRIPT)/node_modules/.bin/esbuild $(PAGE)/page.css --bundle --minify --log-level=warning \
		--outfile=$(FURNITURE_CLIENT)/page.css
	$(JAVASCRIPT)/node_modules/.bin/esbuild $(PAGE)/main.js --bundle --minify --format=esm --log-level=warning \
		--external:../client/furniture-events.js --outfile=$@

# Node.js packages: the JavaScript client, clients for the tests, and other servers for the benchmarks.
$(addsuffix /node_modules/.ready,$(JAVASCRIPT) tests/node benchmarks/peers benchmarks/consumers): \
		%/node_modules/.ready: %/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || \
		{ echo "Node.js 20 or newer is needed for make $(MAKECMDGOALS): install it, with npm"; exit 1; }
	npm ci --silent --prefix $*
	@touch $@

# Programs that the tests start: a real browser, a real load balancer, real databases, a real Prometheus. On
# Debian, root gets the missing ones installed. Debian starts the services of all but the browser at once, on their
# usual ports; they are stopped again, because the tests start servers of their own.
#
# $(1): the target, $(2): the program's name, $(3): Debian's package, $(4): a shell command that finds
# the program, $(5): the service, if its name is not the package's
define install
.PHONY: $(1)
$(1):
	@$(4) >/dev/null 2>&1 || { \
		if [ "$$$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing Debian's package $(3) for the tests" && \
			apt-get -qq update && apt-get -qq install -y --no-install-recommends $(3) >/dev/null && \
			{ update-rc.d $(or $(5),$(3)) disable; service $(or $(5),$(3)) stop; $(4); } >/dev/null 2>&1; \
		else \
			echo "$(2) is needed for the tests: install it (Debian: apt-get install $(3))"; exit 1; \
		fi; }
endef

$(eval $(call install,browser,Chromium,chromium,{ command -v chromium || command -v google-chrome; }))
# The same browser without windows needs half the time, but is not everywhere.
$(eval $(call install,light-browser,Chromium,chromium-headless-shell,{ command -v chromium-headless-shell || \
	test "$$$$(id -u)" != 0 || ! apt-cache show chromium-headless-shell; }))
# Not every system can have it. The tests that need it are skipped then.
$(eval $(call install,systemd,systemd,systemd,{ test -x /lib/systemd/systemd || \
	test "$$$$(id -u)" != 0 || ! apt-cache show systemd; }))
$(eval $(call install,zsh,zsh,zsh,{ command -v zsh || test "$$$$(id -u)" != 0; }))
$(eval $(call install,fish,fish,fish,{ command -v fish || test "$$$$(id -u)" != 0; }))
$(eval $(call install,firefox,Firefox,firefox-esr,{ command -v firefox-esr || command -v firefox; }))
$(eval $(call install,nginx,nginx,nginx,{ command -v nginx || test -x /usr/sbin/nginx; }))
$(eval $(call install,prometheus,Prometheus,prometheus,{ command -v prometheus && command -v promtool; }))
$(eval $(call install,caddy,Caddy,caddy,command -v caddy))
$(eval $(call install,redis,a Redis with TLS,redis-server,command -v redis-server))
$(eval $(call install,postgres,PostgreSQL,postgresql,{ command -v pg_ctl || ls /usr/lib/postgresql/*/bin/pg_ctl; }))
$(eval $(call install,mariadb,MariaDB,mariadb-server,{ command -v mariadbd || test -x /usr/sbin/mariadbd; },mariadb))
