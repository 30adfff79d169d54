#!/bin/sh
# Backbones of your own, without a network.
#
#   examples/own_checkpoints_offline.sh photos/ my-checkpoints/ 5m
#
# my-checkpoints/ holds safetensors named after timm models (resnet18.safetensors, resnet18-birds.safetensors),
# or an index.json that says what each file is.
set -e
autotl backbones --weights "$2"
autotl run "$1" --weights "$2" --budget "$3" --offline
