#!/usr/bin/env bash
# The embedded corpus: sentences spoken by espeak-ng, rendered here, offline. Choices: corpus.yaml.
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && exec "$here/../../tools/run.sh" "$here" "$@"
