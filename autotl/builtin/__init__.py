"""The plugins that come with autotl, through the same hooks as guests. Nothing here imports torch."""
