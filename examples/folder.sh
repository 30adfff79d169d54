#!/bin/sh
# A folder with a folder of images for each class: find a recipe, then label other images.
#
#   examples/folder.sh photos/ 5m new-photos/
set -e
autotl profile "$1"
autotl run "$1" --budget "$2" --offline --out run
autotl leaderboard run
autotl predict run "$3" > labels.csv
