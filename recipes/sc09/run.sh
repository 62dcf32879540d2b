#!/usr/bin/env bash
# Speech Commands, digits only (SC09): one second each, 16 kHz. Choices: corpus.yaml.
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && exec "$here/../../tools/run.sh" "$here" "$@"
