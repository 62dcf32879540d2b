#!/usr/bin/env bash
# LJSpeech: one English speaker, 24 hours. Choices: corpus.yaml.
here="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && exec "$here/../../tools/run.sh" "$here" "$@"
