#!/usr/bin/env bash
# All checks and all tests: tools/test.sh [PYTEST ARGUMENTS...], paths counted from the root of the checkout.
set -euo pipefail
# shellcheck source=tools/activate.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/activate.sh"
cd "$WG_ROOT"

checks=0 tests=0
tools/check.sh || checks=$?
# A process a core, each of one thread; the tests of a file share what they are about.
python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile "$@" || tests=$?
# Said again here, or the tests' own closing line would read as success.
((checks == 0)) || echo "test: tools/check.sh failed: see above the tests" >&2
exit $((tests > 0 ? tests : checks))
